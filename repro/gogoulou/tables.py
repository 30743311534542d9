"""The paper's tables beside ours, and its claims one by one (no script itself)."""

import statistics
from typing import Any

MAIN = {
    "rt_polarity": "accuracy",
    "MNLI": "accuracy",
    "SICK": "spearman",
    "POS": "accuracy",
    "parsing": "las",
}
PROBES = {"UUAS": ("structural", "uuas"), "DSpr": ("structural", "dspr"), "WiC": ("WiC", "accuracy")}
PAPER_AVERAGE = {"en": 72.97, "sv > en": 77.85, "nl > en": 76.13, "fi > en": 76.34, "ar1 > en": 75.54, "ar2 > en": 77.02}
PAPER_SOURCE_VOCABULARY = {"sv > en": 73.25, "nl > en": 72.99, "fi > en": 68.54, "ar1 > en": 73.99, "ar2 > en": 74.27}
Scores = dict[tuple[str, str], dict[str, Any]]


class Study:
    """What was measured: scores by (model, test), in percent."""

    def __init__(self, lines: list[dict[str, Any]]) -> None:
        self.values = {(line["key"]["model"], line["key"]["cell"]): line["values"] for line in lines}
        self.models = list(dict.fromkeys(line["key"]["model"] for line in lines))

    def score(self, model: str, test: str, name: str) -> tuple[float, float] | None:
        """Mean and sample standard deviation over seeds, times 100; None where it is not measured."""
        found = self.values.get((model, test), {}).get("scores", {}).get(name)
        return found and (100 * found["mean"], 100 * (found["sd"] or 0.0))

    def average(self, model: str) -> float | None:
        """Mean over the tasks of the main scores; None where one is not measured."""
        found = [self.score(model, test, name) for test, name in MAIN.items()]
        return statistics.fmean(score[0] for score in found if score) if all(found) else None

    def baseline(self, test: str, name: str) -> float | None:
        """What needs no model, times 100."""
        found = [values["baseline"][name] for (_, cell), values in self.values.items() if cell == test]
        return 100 * found[0] if found else None

    def sources(self, arm: str) -> dict[str, float]:
        """Source -> average of its transfer by `arm`, where it is measured."""
        found = {model.partition(" > ")[0]: self.average(model) for model in self.models if model.endswith(f", {arm}")}
        return {source: average for source, average in found.items() if average is not None}


def row(cells: list[Any]) -> str:
    """A line of a table in Markdown; what is not measured is left empty."""
    shown = ["" if cell is None else f"{cell[0]:.1f} ± {cell[1]:.1f}" if isinstance(cell, tuple) else cell for cell in cells]
    return "| " + " | ".join(f"{cell:.1f}" if isinstance(cell, float) else str(cell) for cell in shown) + " |"


def print_tables(lines: list[dict[str, Any]]) -> None:
    """Everything."""
    study = Study(lines)
    english = [model for model in study.models if model == "en" or " > en" in model]
    print("Training (held-out text of the model's own language)\n")
    print(row(["model", "loss", "bits/byte", "minutes"]) + "\n" + row(["---"] * 4))
    for model in study.models:
        if told := study.values.get((model, "training")):
            print(f"| {model} | {told['loss']:.3f} | {told['bits_per_byte']:.3f} | {told['seconds'] / 60:.1f} |")
    print("\nAs tables 2, 3 and 5: x 100, mean ± sample standard deviation over fine-tuning seeds (the paper: 9 GLUE tasks, 5 seeds)\n")
    print(row(["model", *(f"{test} ({name})" for test, name in MAIN.items()), "AVG", "AVG in the paper"]))
    print(row(["---"] * (len(MAIN) + 3)))
    for model in english:
        print(row([model, *(study.score(model, test, name) for test, name in MAIN.items()), study.average(model), _paper(model)]))
    print(row(["baseline", *(study.baseline(test, name) for test, name in MAIN.items()), "", ""]))
    print("\nAs tables 4 and 8: probes (the paper, en: UUAS 66.2, DSpr 70.4, WiC 56.7; sv > en: 67.2, 72.2, 61.1)\n")
    print(row(["model", *PROBES]) + "\n" + row(["---"] * (len(PROBES) + 1)))
    for model in english:
        print(row([model, *(study.score(model, test, name) for test, name in PROBES.values())]))
    print(row(["baseline", *(study.baseline(test, name) for test, name in PROBES.values())]))
    print("\nClaims\n")
    print("\n".join(f"- {claim}" for claim in claims(study)))


def _paper(model: str) -> float | None:
    source, _, arm = model.partition(", ")
    return {"": PAPER_AVERAGE, "rank": PAPER_AVERAGE, "source vocabulary": PAPER_SOURCE_VOCABULARY}.get(arm, {}).get(source)


def claims(study: Study) -> list[str]:
    """Each of the paper's claims with the numbers here; nothing where they are not measured yet."""
    found, scratch, rank, kept = [], study.average("en"), study.sources("rank"), study.sources("source vocabulary")
    if scratch is not None and rank:
        gains = {source: average - scratch for source, average in rank.items()}
        found.append(_claim("every source beats scratch (AVG)", all(gain > 0 for gain in gains.values()), gains))
    if both := {source: rank[source] - kept[source] for source in rank if source in kept}:
        found.append(_claim("the matched vocabulary beats the source's", all(gain > 0 for gain in both.values()), both))
    if len(rank) > 2:
        far = {source: average for source, average in rank.items() if source in ("hu", "ru")}
        near = {source: average for source, average in rank.items() if source in ("sv", "de")}
        gap = {"nearest far source": max(far.values()) - max(near.values())} if far and near else {}
        found.append(
            _claim(
                "closeness does not decide: a far source does at least as well as the near ones", gap != {} and max(gap.values()) >= 0, gap
            )
        )
    if {"sv", "sv-small"} <= rank.keys():
        gain = {"sv - sv-small": rank["sv"] - rank["sv-small"]}
        found.append(_claim("more source text helps", min(gain.values()) > 0, gain))
    for name, (test, score) in PROBES.items():
        base = study.score("en", test, score)
        each = {model.partition(" > ")[0]: study.score(model, test, score) for model in study.models if model.endswith(", rank")}
        if base and (gains := {source: value[0] - base[0] for source, value in each.items() if value}):
            found.append(_claim(f"transfer improves {name}", all(gain > 0 for gain in gains.values()), gains))
    for arm in ("random", "rank by id"):
        if here := {source: rank[source] - average for source, average in study.sources(arm).items() if source in rank}:
            found.append(_claim(f"(not in the paper) rank by frequency beats {arm}", all(gain > 0 for gain in here.values()), here))
    return found


def _claim(text: str, holds: bool, numbers: dict[str, float]) -> str:
    return f"{text}: {'held' if holds else 'did not hold'} ({', '.join(f'{name} {value:+.1f}' for name, value in numbers.items())})"
