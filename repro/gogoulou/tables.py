"""The paper's tables beside ours, and its claims one by one (no script itself)."""

import math
import statistics
from typing import Any

from shared import Number, gain, verdict

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


class Study:
    """What was measured: scores by (model, test), in percent."""

    def __init__(self, lines: list[dict[str, Any]]) -> None:
        self.values = {(line["key"]["model"], line["key"]["cell"]): line["values"] for line in lines}
        self.models = list(dict.fromkeys(line["key"]["model"] for line in lines))

    def score(self, model: str, test: str, name: str) -> tuple[float, float] | None:
        """Mean and sample standard deviation over seeds, times 100; None where it is not measured."""
        found = self.values.get((model, test), {}).get("scores", {}).get(name)
        return found and (100 * found["mean"], 100 * (found["sd"] or 0.0))

    def mean(self, model: str, test: str, name: str) -> Number | None:
        """A score's mean and standard error, times 100; None where it is not measured."""
        found = self.values.get((model, test), {}).get("scores", {}).get(name)
        return found and (100 * found["mean"], 100 * (found["sd"] or 0.0) / found["n"] ** 0.5)

    def average(self, model: str) -> Number | None:
        """Of the main scores of all tasks; None where one is not measured."""
        found = [self.mean(model, test, name) for test, name in MAIN.items()]
        known = [number for number in found if number]
        return (
            (statistics.fmean(mean for mean, _ in known), math.hypot(*(error for _, error in known)) / len(known)) if all(found) else None
        )

    def baseline(self, test: str, name: str) -> float | None:
        """What needs no model, times 100."""
        found = [values["baseline"][name] for (_, cell), values in self.values.items() if cell == test]
        return 100 * found[0] if found else None

    def sources(self, arm: str) -> dict[str, Number]:
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
        average = study.average(model)
        print(row([model, *(study.score(model, test, name) for test, name in MAIN.items()), average and average[0], _paper(model)]))
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
    if scratch and rank:
        found.append(verdict("every source beats scratch (AVG)", {source: gain(average, scratch) for source, average in rank.items()}))
    if both := {source: gain(rank[source], kept[source]) for source in rank if source in kept}:
        found.append(verdict("the matched vocabulary beats the source's (AVG)", both))
    far, near = ({source: rank[source] for source in group if source in rank} for group in (("hu", "ru"), ("sv", "de")))
    if len(far) == len(near) == 2:
        gap = {f"{max(far, key=lambda s: far[s])} - {max(near, key=lambda s: near[s])}": gain(max(far.values()), max(near.values()))}
        found.append(verdict("closeness does not decide: the best far source is as good as the best near one (AVG)", gap))
    if {"sv", "sv-small"} <= rank.keys():
        found.append(verdict("more source text helps (AVG)", {"sv - sv-small": gain(rank["sv"], rank["sv-small"])}))
    for name, (test, score) in PROBES.items():
        base = study.mean("en", test, score)
        each = {model.partition(" > ")[0]: study.mean(model, test, score) for model in study.models if model.endswith(", rank")}
        if base and (gains := {source: gain(value, base) for source, value in each.items() if value}):
            found.append(verdict(f"transfer improves {name}", gains))
    for arm in ("random", "rank by id"):
        if here := {source: gain(rank[source], average) for source, average in study.sources(arm).items() if source in rank}:
            found.append(verdict(f"(not in the paper) rank by frequency beats {arm} (AVG)", here))
    return found
