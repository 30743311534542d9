"""The paper's tables beside ours, and its claims one by one (no script itself)."""

import itertools
import math
import tomllib
from collections.abc import Callable, Sequence
from importlib import resources
from typing import Any

from shared import Number, gain, verdict

Measure = Callable[[str], Number | None]
SEEDS = 2
"""Fine-tunings of a model for a task."""
PAPER_ROWS = {
    "random": "Rand",
    "random + adversarial": "Rand + Adv Align",
    "fastText": "fastText PT",
    "fastText + adversarial": "fastText PT + Adv Align",
}
PAPER_SYSTEMS = {
    "trelm": ("8", "w/ CdLM"),
    "trelm-tlm": ("8", "w/ TLM"),
    "trelm-no-trilayer": ("7", "w/o CdLM & w/o TRILayer"),
    "trelm-brlm": ("8", "w/ BRLM"),
    "trelm-separate-vocabulary": ("8", "w/ CdLM, separate vocabulary"),
}
PAPER_ROLES = {"trelm": "+TRI-RoBERTa-base", "trelm-no-cdlm": "+TRI-RoBERTa-base (w/o CdLM)"}
PAPER_TRANSLATION = {"trelm": "TRI-RoBERTa-base", "trelm-tlm": "TRI-RoBERTa-base w/o CdLM"}
PAPER_TREES = {"de": (89.12, 84.34), "id": (87.56, 79.44), "ja": (94.30, 92.56)}
"""Table 10, UAS and LAS of TRI-BERT-base."""
OTHER_VOCABULARY = ("trelm-separate-vocabulary", "full training, aligned rows", "full training, rank rows")
"""Whose bits per subword are of other subwords."""


class Study:
    """What was measured."""

    def __init__(self, lines: list[dict[str, Any]]) -> None:
        self.values = {tuple(line["key"].values()): line["values"] for line in lines}
        self.systems = list(dict.fromkeys(line["key"]["system"] for line in lines if line["key"].get("language") == "zh"))

    def bits(self, name: str) -> Callable[[str], Number | None]:
        """Of Chinese systems: a score of held-out text."""
        return lambda system: self._alone(self.values.get(("training", system, "zh")), name)

    def rows(self, budget: str) -> Measure:
        """Of rows: bits per subword after the first phase, of one budget of steps or two."""
        return lambda rows: self._alone(self.values.get(("rows", rows, budget)), "bits_per_subword")

    def task(self, name: str, score: str, code: str = "zh") -> Measure:
        """Of systems: a score of a task, times 100."""

        def of(system: str) -> Number | None:
            return score_of(self.values.get((name, system, code), {}), score)

        return of

    def translation(self, way: str, score: str) -> Measure:
        """Of systems, and of "the input": a BLEU score."""

        def of(system: str) -> Number | None:
            found = self.values.get(("translation", "trelm" if system == "the input" else system, way), {})
            return (found["baseline" if system == "the input" else "scores"][score], 0.0) if found else None

        return of

    @staticmethod
    def _alone(values: dict[str, Any] | None, name: str) -> Number | None:
        return (values[name], 0.0) if values else None


def score_of(values: dict[str, Any], name: str) -> Number | None:
    """A score of a task, times 100, with its standard error; None where it was not measured."""
    found = values.get("scores", {}).get(name)
    return found and (100 * found["mean"], 100 * (found["sd"] or 0.0) / found["n"] ** 0.5)


def published(number: str) -> dict[str, list[float]]:
    """System -> numbers of a table of the paper."""
    data = tomllib.loads((resources.files("lingraft") / "data" / "published.toml").read_text(encoding="utf-8"))
    table = next(table for table in data["table"] if (table["paper"], table["number"]) == ("trelm", number))
    return {row["system"]: row["values"] for row in table["rows"]}


# --- tables ---------------------------------------------------------------------------------------------------------


def print_tables(lines: list[dict[str, Any]]) -> None:
    """Everything."""
    study = Study(lines)
    for table in (trials_table, rows_table, systems_table, stock_table, roles_table, translation_table, sizes_table, languages_table):
        table(study)
    print(f"Claims: differences ± twice the standard error of {SEEDS} fine-tuning seeds, surely where Student's t says so at 5 %\n")
    print("\n".join(f"- {claim}" for claim in claims(study)))


def _table(title: str, head: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    print("\n".join([f"{title}\n", *(f"| {' | '.join(map(_shown, row))} |" for row in [head, ["---"] * len(head), *rows])]) + "\n")


def _shown(cell: Any) -> str:
    """A number with its standard error; what is not there is left empty."""
    if isinstance(cell, tuple):
        return f"{cell[0]:.2f} ± {cell[1]:.2f}" if cell[1] else f"{cell[0]:.3f}"
    return "" if cell is None or cell != cell else str(cell)


def rows_table(study: Study) -> None:
    """Table 5."""
    paper, rows = published("5"), []
    for name in [*PAPER_ROWS, "aligned"]:
        mapping = study.values.get(("rows", name, "1"), {}).get("mapping")
        trusted = mapping and ("yes" if mapping["reliable"] else "no")
        rows.append([name, trusted, study.rows("1")(name), study.rows("2")(name), *paper.get(PAPER_ROWS.get(name, ""), (None, None))])
    head = ["rows", "map to be trusted", "once", "twice as long", "paper: 20K", "40K"]
    _table(
        "Table 5: bits per subword after commonality (one training each; twice as long: a second phase with a warm-up of its own)",
        head,
        rows,
    )


def systems_table(study: Study) -> None:
    """Tables 7 and 8."""
    paper = {name: published(number)[system] for name, (number, system) in PAPER_SYSTEMS.items()}
    head = ["system", "bits/subword", "bits/byte", "UAS", "LAS", "minutes before training", "of training", "paper: BPW", "UAS", "LAS"]
    rows = []
    for name in study.systems:
        subword = None if name in OTHER_VOCABULARY else study.bits("bits_per_subword")(name)
        spent = study.values.get(("training", name, "zh"), {})
        minutes = [spent and round(part / 60, 1) for part in (sum(spent.get("preparation_seconds", {}).values()), spent.get("seconds", 0))]
        scores = [subword, study.bits("bits_per_byte")(name), study.task("parsing", "uas")(name), study.task("parsing", "las")(name)]
        rows.append([name, *scores, *minutes, *paper.get(name, (None,) * 3)])
    rows.append(["every word hangs on its neighbour", None, None, *_baseline(study, "parsing", ("uas", "las")), *(None,) * 5])
    _table(
        "Tables 7 and 8: Chinese, held-out text (one training each) and parsing (mean ± standard error over fine-tuning seeds)", head, rows
    )


def _baseline(study: Study, task: str, scores: Sequence[str]) -> list[Number | None]:
    found = next((values["baseline"] for key, values in study.values.items() if key[0] == task and key[2] == "zh"), {})
    return [(100 * found[score], 0.0) if score in found else None for score in scores]


def trials_table(study: Study) -> None:
    """Of learning rates."""
    keys = [key for key in study.values if key[0] == "trial"]
    rows = [[key[1], key[2], (study.values[key]["bits_per_byte"], 0.0)] for key in keys]
    _table(
        "Learning rates: factors of those of all, a fifth of the steps; systems that are not here have TreLM's",
        ["system", "factor", "bits/byte"],
        rows,
    )


def stock_table(study: Study) -> None:
    """What it costs to do without lingraft, on the test side of the parallel text."""
    rows = []
    for key, values in study.values.items():
        if key[0] == "stock":
            bits = [(values[name]["bits_per_byte"], 0.0) for name in ("before", "after")]
            before = [study.task("parsing", name)(key[1]) for name in ("uas", "las")]
            after = [score_of(values["parsing"], name) for name in ("uas", "las")] if "parsing" in values else (None, None)
            rows.append([*key[1:], *bits, *before, *after])
    head = ["system", "made stock", "bits/byte before", "after", "UAS before", "LAS", "UAS after", "LAS"]
    _table("Stock models", head, rows)


def roles_table(study: Study) -> None:
    """Table 3."""
    paper, names = published("3"), ("precision", "recall", "f1", "argument_f1")
    measured = [name for name in study.systems if ("srl", name, "zh") in study.values]
    rows = [[name, *(study.task("srl", score)(name) for score in names), *paper.get(PAPER_ROLES.get(name, ""), ())] for name in measured]
    rows = [[*row, *(None,) * (8 - len(row))] for row in [*rows, ["most frequent senses alone", *_baseline(study, "srl", names)]]]
    _table("Table 3: Chinese semantic roles", ["system", "P", "R", "F1", "of arguments alone", "paper: P", "R", "F1"], rows)


def translation_table(study: Study) -> None:
    """Table 6. The paper's BLEU-n look like precisions of n-grams; both are shown."""
    paper = published("6")
    head = ["system", "way", *(f"BLEU-{n}" for n in range(1, 5)), *(f"precision {n}" for n in range(1, 5)), "paper"]
    rows = []
    for number, way in enumerate(("en > zh", "zh > en")):
        for system in ("trelm", "trelm-tlm", "the input"):
            ours = [study.translation(way, f"{kind}_{n}")(system) for kind in ("bleu", "precision") for n in range(1, 5)]
            theirs = paper.get(PAPER_TRANSLATION.get(system, ""), [])[4 * number : 4 * number + 4]
            rows.append([system, way, *(one and f"{one[0]:.1f}" for one in ours), " / ".join(map(str, theirs))])
    _table("Table 6: translations read off", head, rows)


def sizes_table(study: Study) -> None:
    """Figure 2."""
    rows = []
    for name in sizes(study):
        values = study.values["training", name, "zh"]
        rows.append([name, values["pairs"], values["lines"], study.bits("bits_per_subword")(name)])
    _table(
        "Figure 2: bits per subword by parallel text (the paper's is a picture: falls, more and more slowly)",
        ["system", "pairs kept", "seen", "bits"],
        rows,
    )


def sizes(study: Study) -> list[str]:
    """The systems of figure 2, least parallel text first."""
    found = [name for name in study.systems if name == "trelm" or name.endswith("pairs")]
    return sorted((name for name in found if study.bits("mrr")(name)), key=lambda name: study.values["training", name, "zh"]["pairs"])


def languages_table(study: Study) -> None:
    """Table 10."""
    rows = []
    for code, (uas, las) in PAPER_TREES.items():
        for system in ("trelm", "full training, aligned rows"):
            bits = study.values.get(("training", system, code), {}).get("bits_per_byte")
            scores = [study.task("parsing", score, code)(system) for score in ("uas", "las")]
            rows.append([code, system, bits and f"{bits:.3f}", *scores, *((uas, las) if system == "trelm" else (None, None))])
    _table("Table 10: other languages", ["language", "system", "bits/byte", "UAS", "LAS", "paper, TRI-BERT-base: UAS", "LAS"], rows)


# --- claims ---------------------------------------------------------------------------------------------------------


def claims(study: Study) -> list[str]:
    """Each of the paper's claims with what was measured here."""
    return [*rows_claims(study), *objective_claims(study), *transfer_claims(study), *own_claims(study)]


def rows_claims(study: Study) -> list[str]:
    """Table 5."""
    both, found = "fastText + adversarial", []
    for name, budget in (("once", "1"), ("twice as long", "2")):
        bits, others = lowest(study.rows(budget)), [(both, rows) for rows in PAPER_ROWS if rows != both]
        found.append(better(f"table 5: fastText and a map together are best ({name})", bits, others))
        found.append(better(f"table 5: fastText alone beats random rows mapped ({name})", bits, [("fastText", "random + adversarial")]))
    return [*found, longer_brings_less(study)]


def objective_claims(study: Study) -> list[str]:
    """Tables 7 and 8."""
    bits, las = lowest(study.bits("bits_per_subword")), study.task("parsing", "las")
    order = [("trelm", "trelm-brlm"), ("trelm-brlm", "trelm-tlm"), ("trelm-tlm", "trelm-no-trilayer")]
    return [
        better("table 7: CdLM has fewer bits per subword than TLM on the same text", bits, [("trelm", "trelm-tlm")]),
        better("table 7: the TRILayer lowers them, too", bits, order[2:]),
        better("table 8: CdLM has fewer bits than BRLM, and BRLM than TLM (whose masked text is English, too)", bits, order[:2]),
        better("tables 7 and 8: CdLM parses best, then BRLM, TLM, no TRILayer (UAS)", study.task("parsing", "uas"), order),
        better("tables 7 and 8: CdLM parses best, then BRLM, TLM, no TRILayer (LAS)", las, order),
        better("table 8: a joint vocabulary parses better than separate ones (LAS)", las, [("trelm", "trelm-separate-vocabulary")]),
        fewer_bits_parse_better(study),
    ]


def transfer_claims(study: Study) -> list[str]:
    """Table 3, table 6 and figure 2."""
    roles, bits, (baseline,) = study.task("srl", "f1"), lowest(study.bits("bits_per_subword")), _baseline(study, "srl", ("f1",))
    text = "table 3, at the same steps: CdLM gives better roles than more text of the target (F1)"
    found = [better(text, roles, [("trelm", "trelm-no-cdlm")], baseline)]
    for way in ("en > zh", "zh > en"):
        text, order = (
            f"table 6: CdLM learns what words mean, TLM does not (BLEU-1, {way})",
            [("trelm", "trelm-tlm"), ("trelm", "the input")],
        )
        found.append(better(text, study.translation(way, "bleu_1"), order))
    more = [(more, less) for less, more in itertools.pairwise(sizes(study))]
    return [*found, words_not_their_order(study), better("figure 2: more parallel text, fewer bits", bits, more), slower_and_slower(study)]


def own_claims(study: Study) -> list[str]:
    """What the paper does not ask: the same steps without its phases."""
    ours, aligned, rank = "(not in the paper)", "full training, aligned rows", "full training, rank rows"
    found = [
        better(
            f"{ours} TreLM parses better than full training from aligned rows ({code}, LAS)",
            study.task("parsing", "las", code),
            [("trelm", aligned)],
        )
        for code in ("zh", *PAPER_TREES)
    ]
    las, roles, bits = study.task("parsing", "las"), study.task("srl", "f1"), lowest(study.bits("bits_per_subword"))
    (baseline,) = _baseline(study, "srl", ("f1",))
    return [
        *found,
        better(f"{ours} TreLM parses better than full training from rank rows (LAS)", las, [("trelm", rank)]),
        better(f"{ours} TreLM gives better roles than full training (F1)", roles, [("trelm", aligned), ("trelm", rank)], baseline),
        better(f"{ours} TreLM does better from aligned rows (bits per subword)", bits, [("trelm, aligned rows", "trelm")]),
        better(f"{ours} TreLM from aligned rows parses better than full training from them (LAS)", las, [("trelm, aligned rows", aligned)]),
    ]


def lowest(measure: Measure) -> Measure:
    """With the sign turned: fewer bits are better."""

    def turned(name: str) -> Number | None:
        found = measure(name)
        return found and (-found[0], found[1])

    return turned


def better(text: str, measure: Measure, order: Sequence[tuple[str, str]], baseline: Number | None = None) -> str:
    """Held where the first of each two is ahead (+), surely where by more than chance (of fine-tuning seeds alone). Nothing is said of
    systems that are all below the baseline."""
    found = {f"{one} over {other}": (measure(one), measure(other)) for one, other in order}
    gains = {name: gain(one, other) for name, (one, other) in found.items() if one and other}
    if not gains or len(gains) < len(found):
        return f"{text}: not measured"
    if baseline and all(score and score[0] <= baseline[0] for both in found.values() for score in both):
        each = ", ".join(f"{name} {value[0]:+.2f} ± {2 * value[1]:.2f}" for name, value in gains.items())
        return f"{text}: not to be said, all are below the baseline of {baseline[0]:.1f} ({each})"
    return verdict(text, gains, SEEDS)


def longer_brings_less(study: Study) -> str:
    """Rows against steps."""
    text = "table 5: good rows bring more than as many steps again"
    once, twice = study.rows("1"), study.rows("2")
    random, longer, best = once("random"), twice("random"), once("fastText + adversarial")
    if not (random and longer and best):
        return f"{text}: not measured"
    return verdict(text, {"gain by rows - gain by steps": (longer[0] - best[0], 0.0)})


def fewer_bits_parse_better(study: Study) -> str:
    """Over the systems with one vocabulary."""
    text = "table 7: fewer bits, better parsing (rank correlation of bits and LAS below 0)"
    names = [name for name in study.systems if name.startswith("trelm") and name not in OTHER_VOCABULARY]
    both = [(study.bits("bits_per_subword")(name), study.task("parsing", "las")(name)) for name in names]
    known = [(bits[0], las[0]) for bits, las in both if bits and las]
    if len(known) < 3:
        return f"{text}: not measured"
    from scipy.stats import spearmanr

    value = float(spearmanr(*zip(*known, strict=True)).statistic)
    return f"{text}: {'held' if value < 0 else 'did not hold'} ({value:+.2f} over {len(known)} systems)"


def words_not_their_order(study: Study) -> str:
    """The paper: 46.6 words in a hundred, 5.7 pairs of them."""
    text = "table 6: single words are right, their order is not (less than a third of the precision is left for pairs of words)"
    ways = {way: [study.translation(way, f"precision_{n}")("trelm") for n in (1, 2)] for way in ("en > zh", "zh > en")}
    gains = {way: (one[0] / 3 - two[0], 0.0) for way, (one, two) in ways.items() if one and two}
    return verdict(text, gains) if gains else f"{text}: not measured"


def slower_and_slower(study: Study) -> str:
    """Bits saved for each doubling of the parallel text that is seen."""
    text = "figure 2: the gain slows down"
    found = [study.values["training", name, "zh"] for name in sizes(study)]
    known = [(values["lines"], values["bits_per_subword"]) for values in found]
    if len(known) < 3:
        return f"{text}: not measured"
    slopes = [(first[1] - second[1]) / math.log2(second[0] / first[0]) for first, second in itertools.pairwise(known)]
    return verdict(text, {"bits for a doubling, at first - at last": (slopes[0] - slopes[-1], 0.0)})
