"""Tables of results for the terminal, as HTML, CSV and LaTeX."""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import rich.table
from rich.console import Console
from rich.measure import Measurement
from rich.text import Text

from lingraft.compare import AVERAGE, OF_A_TOKENIZER, Row, Table, cell_of, printed
from lingraft.files import write_text
from lingraft.report import environment, language_name
from lingraft.results import scale

NAME = "compare"
LATEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "→": r"$\to$", "–": "--", "×": r"$\times$"}
LATEX |= {character: f"\\{character}" for character in "&%$#_{}"} | {
    "±": r"$\pm$",
    "†": r"\dag{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
}


@dataclass(frozen=True, slots=True)
class Cell:
    """What is printed in one place. hint: the interval, where there is one."""

    text: str
    sd: str = ""
    is_best: bool = False
    hint: str = ""


def all_columns(table: Table) -> list[str]:
    """The columns of scores, the average last where there is one."""
    return [*table.columns, *([AVERAGE] if table.has_average else [])]


def heading(table: Table, column: str) -> str:
    """What stands above a column: of tasks, with the score, where it has a name of its own."""
    metric = table.metrics[column] if table.across == "tasks" and column != AVERAGE else "score"
    return (column if metric == "score" else f"{column} {metric}").replace("_", " ")


def title(table: Table) -> str:
    """What a table is of: its task and, with languages across, the score."""
    score = next(iter(table.metrics.values())).replace("_", " ")
    return f"{table.title}: {score}" if table.across == "languages" else table.title


def cells(table: Table, row: Row) -> list[Cell]:
    """A row's cells, in the order of `all_columns`; an en dash where there is no number."""
    return [_cell(table, row, column) for column in all_columns(table)]


def _cell(table: Table, row: Row, column: str) -> Cell:
    score, metric = cell_of(row, column), table.metrics.get(column, table.metrics[table.columns[0]])
    if score is None:
        return Cell("–")
    digits = 2 if scale(metric) == 100 else 3
    sd = "" if score.sd is None else f"{score.sd:.{digits}f}"
    hint = "" if score.low is None or score.high is None else f"95 % interval {score.low:.{digits}f} to {score.high:.{digits}f}"
    return Cell(printed(score, metric), sd, table.best(row, column), hint)


def seeds(row: Row) -> str:
    """How many seeds a measured row's means are over."""
    counts = sorted({cell.n for cell in row.cells.values()}) if row.kind == "measured" else []
    return "–".join(str(n) for n in dict.fromkeys([*counts[:1], *counts[-1:]]))


def notes(table: Table) -> list[str]:
    """Sentences that say how to read a table, then where published numbers are from."""
    scales, kinds = {scale(metric) for metric in table.metrics.values()}, {row.kind for row in table.rows}
    found = ["Scores are × 100."] if scales == {100} else ["Fractions and correlations are × 100."] if 100 in scales else []
    if any(cell.sd for row in table.rows for cell in cells(table, row)):
        found.append("±: sample standard deviation over seeds.")
    if any(cell.is_best for row in table.rows for cell in cells(table, row)):
        found.append("Bold: the best of the measured rows, and of the published ones." if kinds > {"published"} else "Bold: the best.")
    if "measured" in kinds and any(map(OF_A_TOKENIZER.search, table.metrics.values())):
        found.append("Losses, perplexities and bits per token compare only models with the same tokenizer: none is bold.")
    if "published" in kinds:
        found.append("† published, not measured here.")
    return [*found, *table.notes]


def has_seeds(table: Table) -> bool:
    """Whether anything was measured, so that there are seeds to count."""
    return any(map(seeds, table.rows))


def show(tables: Sequence[Table], console: Console) -> None:
    """Print tables, each with its notes; none is cut where the terminal is narrower."""
    for table in tables:
        grid, wide = for_terminal(table), Console(width=10_000)
        own = console.width
        console.width = max(own, Measurement.get(wide, wide.options, grid).maximum)
        console.print(grid)
        console.width = own
        console.print(*(Text(note, "dim") for note in notes(table)), "", sep="\n")


def for_terminal(table: Table) -> rich.table.Table:
    """The table as rich prints it."""
    found = rich.table.Table(title=Text(title(table)), title_justify="left")
    found.add_column("system", no_wrap=True)
    for column in all_columns(table):
        found.add_column(Text(heading(table, column)), justify="right", no_wrap=True)
    if has_seeds(table):
        found.add_column("seeds", justify="right")
    previous = table.rows[0].kind if table.rows else ""
    for row in table.rows:
        if row.kind != previous:
            found.add_section()
        previous = row.kind
        style = {"published": "italic", "baseline": "dim"}.get(row.kind, "")
        texts = [Text(cell.text + (f" ± {cell.sd}" if cell.sd else ""), "bold" if cell.is_best else "") for cell in cells(table, row)]
        found.add_row(
            Text(row.system + (" †" if row.kind == "published" else "")), *texts, *([seeds(row)] if has_seeds(table) else []), style=style
        )
    return found


def as_csv(table: Table) -> str:
    """A line for each system: what it is, then value, deviation and number of seeds of every column, with all digits."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["system", "source", *(f"{column}{part}" for column in all_columns(table) for part in ("", " sd", " n"))])
    for row in table.rows:
        line = [row.system, row.source]
        for column in all_columns(table):
            score = cell_of(row, column)
            count = str(score.n) if score and row.kind == "measured" else ""
            line += [_exact(score.mean), _exact(score.sd), count] if score else ["", "", ""]
        writer.writerow(line)
    return out.getvalue()


def _exact(value: float | None) -> str:
    return "" if value is None else f"{value:.10g}"


def escape(text: str) -> str:
    """Text as LaTeX prints it."""
    return "".join(LATEX.get(character, character) for character in text)


def as_latex(table: Table) -> str:
    """The table for LaTeX with booktabs."""
    columns, last = all_columns(table), ["Seeds"] if has_seeds(table) else []
    lines = [r"\begin{table}", r"\centering", rf"\caption{{{escape(title(table))}. {escape(' '.join(notes(table)))}}}"]
    lines += [rf"\begin{{tabular}}{{l{'r' * (len(columns) + has_seeds(table))}}}", r"\toprule"]
    lines.append(" & ".join(["System", *(escape(heading(table, column)) for column in columns), *last]) + r" \\")
    previous = ""
    for row in table.rows:
        lines += [r"\midrule"] if row.kind != previous else []
        previous = row.kind
        name = rf"\textit{{{escape(row.system)}}}\textsuperscript{{\dag}}" if row.kind == "published" else escape(row.system)
        lines.append(
            " & ".join([name, *(_latex_cell(cell, row) for cell in cells(table, row)), *(seeds(row).replace("–", "--") for _ in last)])
            + r" \\"
        )
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}", ""])


def _latex_cell(cell: Cell, row: Row) -> str:
    text = escape(cell.text)
    text = rf"\textit{{{text}}}" if row.kind == "published" else text
    text = rf"\textbf{{{text}}}" if cell.is_best else text
    return rf"{text} {{\footnotesize $\pm$ {cell.sd}}}" if cell.sd else text


def as_html(tables: Sequence[Table]) -> str:
    """One page with all tables, which needs nothing else."""
    template = environment(autoescape=True).get_template(f"{NAME}.html")
    names = {code: language_name(code) for table in tables if table.across == "languages" for code in table.columns}
    functions = {
        "cells": cells,
        "columns": all_columns,
        "heading": heading,
        "title": title,
        "notes": notes,
        "seeds": seeds,
        "has_seeds": has_seeds,
    }
    return template.render(tables=tables, languages=names, average=AVERAGE, **functions)


def write(tables: Sequence[Table], folder: Path) -> list[Path]:
    """Write compare.html and compare.tex with all tables, and a CSV file of each, into `folder`. Raises RunError where that fails."""
    files = {f"{NAME}.html": as_html(tables)}
    files[f"{NAME}.tex"] = "% \\usepackage{booktabs}\n\n" + "\n".join(map(as_latex, tables))
    for table in tables:
        stem = re.sub(r"[^\w-]+", "-", table.title).strip("-") or NAME
        name, number = f"{stem}.csv", 1
        while name in files:
            number += 1
            name = f"{stem}-{number}.csv"
        files[name] = as_csv(table)
    for name, text in files.items():
        write_text(folder / name, text)
    return [folder / name for name in files]
