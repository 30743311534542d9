"""Results side by side in the papers' layout: languages across, systems down, published numbers beside measured ones.

Values are on the scale they are printed in (lingraft.results). How a table is written: lingraft.typeset.
"""

import math
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any

from lingraft.errors import RunError, suggest
from lingraft.results import Result, Scored, read_results, scale

AVERAGE = "average"
LOWER = re.compile(r"bits|loss|perplexity|deviation")
OF_A_TOKENIZER = re.compile(r"subword|loss|perplexity|per_token")
"""Scores that compare only models with the same tokenizer, which folders do not say: none of them is called the best."""
COUNTS = re.compile(r"coverage|pairs$")
"""What was asked, and not how well it was answered: more of it is not better."""


@dataclass(frozen=True, slots=True)
class Row:
    """A system's scores by column. kind: measured, baseline or published (then by which paper and table). average: over all columns."""

    system: str
    cells: Mapping[str, Scored]
    kind: str = "measured"
    source: str = "measured"
    average: Scored | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """Systems down, columns across (languages, tasks or metrics). metrics: the score in each column. notes: sentences below it."""

    title: str
    across: str
    columns: list[str]
    metrics: dict[str, str]
    rows: list[Row] = field(default_factory=list)
    notes: tuple[str, ...] = ()
    has_average: bool = False

    def best(self, row: Row, column: str) -> bool:
        """Whether a row has the best of its kind in a column (or AVERAGE), as printed, where there is more than one to choose from."""
        metric = self.metrics.get(column, next(iter(self.metrics.values())))
        values = [printed(cell, metric) for other in self.rows if other.kind == row.kind and (cell := cell_of(other, column))]
        own = cell_of(row, column)
        is_compared = row.kind == "published" or (row.kind == "measured" and not OF_A_TOKENIZER.search(metric))
        if own is None or not is_compared or COUNTS.search(metric) or len(values) < 2:
            return False
        return float(printed(own, metric)) == (min if LOWER.search(metric) else max)(map(float, values))


def cell_of(row: Row, column: str) -> Scored | None:
    """What stands in a row's column, or in AVERAGE; None for nothing or what is not a number."""
    cell = row.average if column == AVERAGE else row.cells.get(column)
    return cell if cell and math.isfinite(cell.mean) else None


def printed(score: Scored, metric: str) -> str:
    """A value as it was published; else with two decimals, three where it is not in hundredths."""
    return score.text or (f"{score.mean:.2f}" if scale(metric) == 100 else f"{score.mean:.3f}")


# --- tables ---------------------------------------------------------------------------------------------------------


def tables(results: Sequence[Result], metric: str | None = None) -> list[Table]:
    """The tables that results fill: by their shape, tasks, languages or metrics stand across.

    Several tasks with one language, the same: one table, the main score of each task across. A task with several languages: its main
    score, languages across. Else a task's scores across. metric: this score alone. Raises RunError where nothing has it.
    """
    if metric and not any(metric in result.metrics() for result in results):
        raise RunError(f"No result has the score {metric!r}. {suggest(metric, {m for r in results for m in r.metrics()})}")
    kept = [result for result in results if not metric or metric in result.metrics()]
    tasks = list(dict.fromkeys(result.task for result in kept))
    languages = {code for result in kept for code in result.languages}
    if len(tasks) > 1 and len(languages) == 1:
        return [_across_tasks(kept, tasks, next(iter(languages)), metric)]
    return [_of_task([result for result in kept if result.task == task], task, metric) for task in tasks]


def _of_task(results: list[Result], task: str, metric: str | None) -> Table:
    languages = list(dict.fromkeys(code for result in results for code in result.languages))
    main = metric or results[0].metrics()[0]
    if len(languages) > 1:
        cells = [(r, {code: one.scores[main] for code, one in r.languages.items() if main in one.scores}) for r in results]
        baseline = {code: one.baseline[main] for r in results for code, one in r.languages.items() if main in one.baseline}
        return _table(task, "languages", languages, dict.fromkeys(languages, main), cells, baseline)
    code = languages[0]
    names = [metric] if metric else list(dict.fromkeys(name for result in results for name in result.metrics()))
    cells = [(r, {name: score for name, score in r.languages[code].scores.items() if name in names}) for r in results]
    baseline = {name: score for r in results for name, score in r.languages[code].baseline.items() if name in names}
    return _table(f"{task} ({code})" if code != "und" else task, "metrics", names, {name: name for name in names}, cells, baseline)


def _across_tasks(results: list[Result], tasks: list[str], code: str, metric: str | None) -> Table:
    mains = {task: metric or next(r for r in results if r.task == task).metrics()[0] for task in tasks}
    cells: list[tuple[Result, dict[str, Scored]]] = []
    baseline: dict[str, Scored] = {}
    for result in results:
        one, main = result.languages[code], mains[result.task]
        cells.append((result, {result.task: one.scores[main]} if main in one.scores else {}))
        baseline |= {result.task: one.baseline[main]} if main in one.baseline else {}
    return _table("tasks" if code == "und" else f"tasks ({code})", "tasks", tasks, mains, cells, baseline)


def _table(
    title: str,
    across: str,
    columns: list[str],
    metrics: dict[str, str],
    cells: list[tuple[Result, dict[str, Scored]]],
    baseline: dict[str, Scored],
) -> Table:
    """Results of one name whose columns do not meet are one row; where they do, the later gets a number."""
    has_average = across != "metrics" and len(columns) > 1 and len({scale(metric) for metric in metrics.values()}) == 1
    rows: dict[str, Row] = {}
    for result, own in cells:
        name, number = result.name, 1
        while name in rows and rows[name].cells.keys() & own.keys():
            number += 1
            name = f"{result.name} ({number})"
        rows[name] = Row(name, {**(rows[name].cells if name in rows else {}), **own})
        if has_average:
            rows[name] = replace(rows[name], average=_average(rows[name].cells, columns, result, metrics[columns[0]]))
    found = list(rows.values())
    if baseline:
        average = _average(baseline, columns, None, "") if has_average else None
        found.append(Row("baseline", baseline, "baseline", "no model", average))
    return Table(title, across, columns, metrics, found, _unlike([result for result, _ in cells]), has_average)


def _unlike(results: list[Result]) -> tuple[str, ...]:
    """A note where results of one task and language were not scored on the same data."""
    tests: dict[str, set[str]] = {}
    for result in results:
        for code in result.languages:
            tests.setdefault(f"{result.task} {code}".removesuffix(" und"), set()).update(filter(None, [result.test(code)]))
    names = [name for name, found in tests.items() if len(found) > 1]
    return (f"Not all rows were scored on the same data: {', '.join(names)}.",) if names else ()


def _average(cells: Mapping[str, Scored], columns: list[str], result: Result | None, metric: str) -> Scored | None:
    """The mean over all columns, none where one is missing; with its deviation over seeds where the result has it for these languages."""
    if any(column not in cells or not math.isfinite(cells[column].mean) for column in columns):
        return None
    mean = math.fsum(cells[column].mean for column in columns) / len(columns)
    own = result.scores.get(metric) if result and set(result.languages) == set(columns) else None
    return Scored(mean=mean, sd=own.sd if own else None, n=min(cells[column].n for column in columns))


# --- published ------------------------------------------------------------------------------------------------------


def published(name: str) -> list[tuple[Table, dict[str, Any]]]:
    """The tables of a paper, or one of them (PAPER:NUMBER), beside what the file says of each. Raises RunError where there is none.

    Standard deviations that the paper has in another table stand beside their means.
    """
    data = tomllib.loads((resources.files("lingraft") / "data" / "published.toml").read_text(encoding="utf-8"), parse_float=str)
    paper, _, number = name.partition(":")
    if paper not in data["papers"]:
        raise RunError(f"There are no published numbers of {paper!r}. {suggest(paper, data['papers'])}")
    own = [entry for entry in data["table"] if entry["paper"] == paper]
    chosen = [entry for entry in own if number in ("", entry["number"]) and (number or "sd_of" not in entry)]
    if not chosen:
        raise RunError(f"There is no table {number!r} of {paper}. Known: {', '.join(dict.fromkeys(entry['number'] for entry in own))}.")
    return [(_published_table(entry, own, data["papers"][paper]), entry) for entry in chosen]


def _published_table(entry: dict[str, Any], others: list[dict[str, Any]], paper: dict[str, str]) -> Table:
    deviations = next((o for o in others if o.get("sd_of") == entry["number"] and o["task"] == entry["task"]), None)
    sd = {row["system"]: dict(zip(deviations["columns"], row["values"], strict=True)) for row in deviations["rows"]} if deviations else {}
    source, average, rows = f"{paper['short']}, table {entry['number']}", entry.get("average"), []
    for row in entry["rows"]:
        values = dict(zip([*entry["columns"], *([AVERAGE] if average else [])], row["values"], strict=True))
        own = sd.get(row["system"], {})
        cells = {name: Scored(mean=float(value), sd=own.get(name), text=str(value)) for name, value in values.items()}
        rows.append(Row(row["system"], cells, "published", source, cells.pop(AVERAGE, None)))
    metrics = {column: column if entry["across"] == "metrics" else entry["metric"] for column in entry["columns"]}
    if entry["metric"].startswith("bits") and entry["across"] == "metrics":
        metrics = dict.fromkeys(entry["columns"], entry["metric"])
    language = f" ({entry['language']})" if "language" in entry else ""
    notes = (f"{source} ({entry.get('note', '')}): {paper['citation']}",)
    return Table(entry["task"] + language, entry["across"], entry["columns"], metrics, rows, notes, bool(average))


def beside(ours: Sequence[Table], papers: Iterable[str]) -> list[Table]:
    """Our tables with the published rows that belong there; published tables that belong nowhere by themselves, if they were asked for.

    They are asked for by number, or where nothing of the paper belongs to a table of ours. Raises RunError for an unknown paper.
    """
    found = list(ours)
    for name in papers:
        alone, is_used = [], False
        for table, entry in published(name):
            places = [i for i, own in enumerate(found) if i < len(ours) and _belongs(own, table, entry)]
            for i in places:
                found[i] = _joined(found[i], table)
            is_used |= bool(places)
            alone += [] if places else [table]
        found += alone if ":" in name or not is_used else []
    return found


def _belongs(own: Table, table: Table, entry: dict[str, Any]) -> bool:
    if own.across != table.across or all(COUNTS.search(table.metrics[column]) for column in table.columns if column in own.columns):
        return False
    if own.across == "tasks":
        return True
    is_task = own.title.partition(" (")[0] == entry["task"]
    return is_task and (own.across == "metrics" or own.metrics[own.columns[0]] == entry["metric"])


def _joined(own: Table, table: Table) -> Table:
    """Our table with a published one's rows, cut to our columns; their averages only where they are over the same ones."""
    is_same = set(own.columns) == set(table.columns)
    rows = [replace(row, average=row.average if is_same else None) for row in table.rows]
    return replace(own, rows=[*own.rows, *rows], notes=(*own.notes, *table.notes))


def compare(folders: Sequence[Path], papers: Sequence[str] = (), metric: str | None = None) -> list[Table]:
    """The tables of folders, beside those of papers. Raises RunError where there is neither, or a folder says nothing."""
    if not folders and not papers:
        raise RunError("There is nothing to compare. Name folders of results, or a paper with --published.")
    return beside(tables(read_results(folders), metric), papers)
