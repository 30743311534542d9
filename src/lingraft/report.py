"""The report of a run, or of several side by side: one HTML file that opens from disk. A pure reader of run folders.

A run may not have come far: for each thing that is missing the report says so in its place.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup

from lingraft.errors import LanguageError, RunError
from lingraft.figures import keeps_rows, phases, pictures, sizes, unit_of_losses
from lingraft.files import write_text
from lingraft.report_notes import of_meeting, of_pairs
from lingraft.run import METRICS, RECIPE, REPORT, ROWS, SCORES, Run

ORIGINS = {
    "copied": "the row of one source token, unchanged",
    "mixed": "a weighted sum of source rows",
    "direct": "a vector computed elsewhere",
    "drawn": "random, from the distribution of a group of source rows",
}

EXAMPLES_PER_ORIGIN = 8
SOURCES_PER_EXAMPLE = 5


@dataclass(frozen=True)
class Measure:
    """What a score is called, what it says, and which way is better."""

    label: str
    definition: str
    lower_is_better: bool = True


MEASURES = {
    "bits_per_byte": Measure(
        "bits per byte", "the bits that words of the held-out text cost, divided by their bytes: comparable between tokenizers"
    ),
    "bits_per_word": Measure("bits per word", "the same, divided by the number of these words"),
    "bits_per_subword": Measure("bits per subword", "the loss in bits (BPW); comparable only between models with the same tokenizer"),
    "loss": Measure("loss", "nats per predicted token; comparable only between models with the same tokenizer"),
    "mrr": Measure("MRR", "mean reciprocal rank of the right answer", lower_is_better=False),
}
WORDS = {"whitespace": "what stands between two spaces", "character": "one character, since the script is written without spaces"}


@dataclass(frozen=True)
class Record:
    """What one run folder says."""

    run: Run
    label: str
    """Tells this run from the others in the same report."""

    @cached_property
    def about(self) -> dict[str, Any]:
        """run.json."""
        return self.run.facts

    @cached_property
    def metrics(self) -> list[dict[str, Any]]:
        """metrics.jsonl in the order of training, `tokens` counted from the run's start."""
        return placed(self.run.lines(METRICS))

    @cached_property
    def scores(self) -> list[dict[str, Any]]:
        """scores.jsonl."""
        return self.run.lines(SCORES)

    @cached_property
    def recipe(self) -> str:
        """recipe.toml as it is, or nothing."""
        path = self.run.path / RECIPE
        return path.read_text(encoding="utf-8") if path.exists() else ""

    @cached_property
    def language(self) -> str:
        """The name of the language that the run is for, or of each."""
        codes = self.about.get("language") or ""
        return ", ".join(map(language_name, [codes] if isinstance(codes, str) else codes))

    @property
    def notes(self) -> list[str]:
        """What a reader should know: the run's own notes, its adapters, and phases that were tried more than once."""
        found = [note for note in self.about.get("notes") or [] if note not in (self.about.get("warnings") or [])]
        if kind := (self.about.get("graft") or {}).get("adapters"):
            how = "its weights have them added" if kind == "lora" else "lingraft.load reads them, stock transformers leaves them out"
            found.append(f"The model has adapters ({kind}), in adapters.safetensors: {how}.")
        if told := self.about.get("alignments"):
            found.append(of_pairs(told))
        if told := (self.about.get("graft") or {}).get("meeting"):
            found.append(of_meeting(told))
        for name, told in (self.about.get("restarts") or {}).items():
            losses = ["failed" if tried["held_out_loss"] is None else f"{tried['held_out_loss']:.3f}" for tried in told["attempts"]]
            found.append(
                f"Phase {name} was trained {len(losses)} times (held-out loss {', '.join(losses)}); number {told['kept'] + 1} was kept."
            )
        return found

    @property
    def source(self) -> str:
        """The source model's name, without the folders of a local path (and without a last folder that is only called `model`)."""
        name = str((self.about.get("source") or {}).get("name") or "").rstrip("/").removesuffix("/model")
        return name.rpartition("/")[2]

    @property
    def tokens(self) -> int:
        """How many tokens the run has trained on so far."""
        return int(max((record["tokens"] for record in self.metrics), default=0))


def read_runs(folders: Iterable[Path]) -> list[Record]:
    """The records of run folders, labelled by name (by path where names repeat). Raises RunError where one is not a run."""
    paths = list(dict.fromkeys(Path(folder) for folder in folders))
    names = [path.resolve().name for path in paths]
    return [Record(Run(path), name if names.count(name) == 1 else str(path)) for path, name in zip(paths, names, strict=True)]


def language_name(code: str) -> str:
    """The name of the language with this code; the code itself where it is not known."""
    from lingraft.languages import parse

    try:
        return parse(code).name
    except LanguageError:
        return code


def placed(metrics: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The records in the order of training, with `tokens` counted from the run's start, also where a phase counts from its own.

    Of a step that was done twice (after an interruption) the second record stands.
    """
    latest = {(r.get("phase"), r.get("step"), "held_out_loss" in r): r for r in metrics if isinstance(r.get("tokens"), int | float)}
    phases: dict[Any, list[dict[str, Any]]] = {}
    for record in latest.values():
        phases.setdefault(record.get("phase"), []).append(record)
    result: list[dict[str, Any]] = []
    done = 0
    for records in phases.values():
        offset = done if min(r["tokens"] for r in records) < done else 0
        result += [{**r, "tokens": r["tokens"] + offset} for r in sorted(records, key=lambda r: r["tokens"])]
        done = result[-1]["tokens"]
    return result


# --- scores ---------------------------------------------------------------------------------------------------------


def score_tables(runs: Sequence[Record]) -> list[dict[str, Any]]:
    """One table for each suite: its columns (measures), its rows (a model before or after training), and its words."""
    suites = dict.fromkeys(str(score.get("suite")) for run in runs for score in run.scores)
    return [_score_table(suite, runs) for suite in suites]


def _score_table(suite: str, runs: Sequence[Record]) -> dict[str, Any]:
    chosen = [(run.label, s) for run in runs for s in run.scores if str(s.get("suite")) == suite]
    found = {(label, str(s.get("model")), s.get("language"), str(s.get("name"))): s for label, s in chosen}
    names = sorted({name for *_, name in found}, key=lambda name: (list(MEASURES).index(name) if name in MEASURES else len(MEASURES), name))
    columns = [(name, MEASURES.get(name) or Measure(name.replace("_", " "), "")) for name in names]
    rows = []
    for label, model, language in dict.fromkeys((label, model, language) for label, model, language, _ in found):
        cells = [found.get((label, model, language, name), {}) for name in names]
        numbers = sorted({cell["n"] for cell in cells if cell.get("n") is not None})
        rows.append({"run": label, "model": model, "language": language, "values": [cell.get("value") for cell in cells], "n": numbers})
    words = dict.fromkeys(WORDS.get(s["word"], s["word"]) for s in found.values() if s.get("word"))
    several = len({row["language"] for row in rows}) > 1
    best = [None] * len(columns) if several else _best(columns, rows)
    return {"suite": suite, "columns": columns, "rows": rows, "words": list(words), "best": best, "several": several}


def _best(columns: list[tuple[str, Measure]], rows: list[dict[str, Any]]) -> list[float | None]:
    """The best value of each column, for those measures that may be compared between rows; none where there is one row."""
    result: list[float | None] = []
    for i, (name, measure) in enumerate(columns):
        values = [row["values"][i] for row in rows if row["values"][i] is not None]
        comparable = name in MEASURES and name not in ("loss", "bits_per_subword") and len(values) > 1
        result.append((min if measure.lower_is_better else max)(values) if comparable else None)
    return result


# --- rows -----------------------------------------------------------------------------------------------------------


def origins(run: Record) -> list[dict[str, Any]]:
    """Name, meaning, count and share of each origin of the new rows; nothing where the rows are not made yet."""
    counts = run.about.get("origin") or {}
    total = sum(counts.values())
    return [
        {"name": name, "meaning": ORIGINS.get(name, ""), "count": counts[name], "share": counts[name] / total}
        for name in dict.fromkeys([*ORIGINS, *counts])
        if name in counts and total
    ]


def examples(run: Record) -> list[dict[str, Any]]:
    """Some tokens of each origin, always the same ones: spelling, origin, and the source tokens with their weights.

    Nothing where the run asks for no examples, or has no rows or tokenizers yet.
    """
    folder = run.run.path
    paths = [folder / ROWS, *(folder / "tokenizer" / str(code) / "tokenizer.json" for code in (run.about.get("language"), "source"))]
    if run.about.get("examples") is False or keeps_rows(run) or not all(path.exists() for path in paths):
        return []
    rows, kinds = _read_rows(paths[0])
    target, source = _spellings(paths[1]), _spellings(paths[2])
    result = []
    for kind, name in enumerate(kinds):
        known = [i for i in np.flatnonzero(rows["origin"] == kind) if any(map(str.isalpha, target.get(int(i), "")))]
        chosen = sorted(np.random.default_rng(0).permutation(known)[:EXAMPLES_PER_ORIGIN])
        result += [{"token": target[int(i)], "origin": name, "sources": _sources(rows, int(i), source)} for i in chosen]
    return result


def _read_rows(path: Path) -> tuple[dict[str, np.ndarray], list[str]]:
    """The arrays that the report needs from rows.safetensors, and the names of the origins."""
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        names = set(file.keys()) & {"origin", "mix.indptr", "mix.indices", "mix.values"}
        kinds = (file.metadata() or {}).get("origins", ",".join(ORIGINS)).split(",")
        return {name: file.get_tensor(name) for name in names}, kinds


def _spellings(path: Path) -> dict[int, str]:
    """How each token of a tokenizer.json is spelled, by id, without its special tokens."""
    from transformers import PreTrainedTokenizerFast

    from lingraft.tokenizer.vocabulary import spelling

    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(path))
    special = {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
    return {i: text for i, text in enumerate(spelling(tokenizer)) if i not in special}


def _sources(rows: dict[str, np.ndarray], row: int, spelled: dict[int, str]) -> list[tuple[str, float]]:
    """The source tokens that weigh most in row `row`, heaviest first."""
    if "mix.indptr" not in rows:
        return []
    part = slice(int(rows["mix.indptr"][row]), int(rows["mix.indptr"][row + 1]))
    weights = rows["mix.values"][part]
    heaviest = np.argsort(-np.abs(weights), kind="stable")[:SOURCES_PER_EXAMPLE]
    return [
        (spelled.get(int(i), f"special {i}"), float(w)) for i, w in zip(rows["mix.indices"][part][heaviest], weights[heaviest], strict=True)
    ]


# --- the page -------------------------------------------------------------------------------------------------------


def number(value: Any, digits: int = 3) -> str:
    """A number for a table: 1,234,567, 0.123, or an en dash where there is none."""
    if not isinstance(value, int | float) or not math.isfinite(value):
        return "–" if value is None or isinstance(value, int | float) else str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.{digits}f}"


def duration(seconds: float | None) -> str:
    """5 s, 3 min 20 s, 2 h 5 min."""
    if seconds is None:
        return "–"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if minutes else f"{rest} s"
    return f"{minutes // 60:,} h {minutes % 60} min"


def settings(value: Any) -> str:
    """A small mapping in one line: name value, name value."""
    if not isinstance(value, dict):
        return str(value)
    return ", ".join(f"{str(name).replace('_', ' ')} {number(item)}" for name, item in value.items() if item is not None)


def environment(*, autoescape: bool) -> jinja2.Environment:
    """The templates of this package, with the formats above as filters."""
    loader = jinja2.PackageLoader("lingraft")
    result = jinja2.Environment(loader=loader, autoescape=autoescape, trim_blocks=True, lstrip_blocks=True)
    result.filters.update(number=number, duration=duration, settings=settings)
    return result


def write_report(runs: Sequence[Path], out: Path | None = None) -> Path:
    """Write the report of one run, or of several compared, to `out` (report.html of the first run) and return its path.

    Raises RunError where a folder is not a run, or the file cannot be written.
    """
    if not runs:
        raise RunError("There is nothing to report on. Name at least one run folder.")
    from lingraft.plots import loss_plot, race_plot, size_plot

    records = read_runs(runs)
    page = environment(autoescape=True).get_template("report.html")
    html = page.render(
        runs=records,
        tables=score_tables(records),
        plot=Markup(loss_plot([run.metrics for run in records], unit_of_losses(records))),
        races={run.label: Markup(race_plot(run.about.get("race") or [])) for run in records},
        origins={run.label: origins(run) for run in records},
        kept={run.label: keeps_rows(run) for run in records},
        examples={run.label: examples(run) for run in records},
        pictures={run.label: pictures(run) for run in records},
        size_plot=Markup(size_plot(sizes(records))),
        phases={run.label: phases(run) for run in records},
    )
    path = Path(out) if out else Path(runs[0]) / REPORT
    write_text(path, html.encode("utf-8", "replace").decode("utf-8"))
    return path
