"""`lingraft grafts`."""

from pathlib import Path
from typing import Annotated, Any

import typer


def grafts(
    folder: Annotated[Path, typer.Argument(help="A folder of runs, task models and swapped models.", metavar="DIR")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array.")] = False,
) -> None:
    """List grafts, models and task models in a folder, and which fit which."""
    import json

    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    from lingraft.grafts import grafts as read

    found = read(folder)
    if as_json:
        print(json.dumps(found, ensure_ascii=False))
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for title in ("name", "kind", "language", "recipe or task", "body", "has", "tokens", "loss", "bits/byte", "fits"):
        table.add_column(title, overflow="fold", justify="right" if title in ("tokens", "loss", "bits/byte") else "left")
    for told in found:
        language = told["language"] if isinstance(told["language"], str) else ", ".join(told["language"] or ())
        cells = (told["name"], told["kind"], language, told["recipe"] or told["task"] or "", (told["body"] or "")[:8], _has(told))
        numbers = (_number(told[name]) for name in ("loss", "bits_per_byte"))
        table.add_row(*cells, f"{told['tokens']:,}" if told["tokens"] else "", *numbers, ", ".join(told["fits"]))
    Console().print(table)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _has(told: dict[str, Any]) -> str:
    """What is a folder's own; of a task model what stayed, and how well it does."""
    if told["kind"] == "task":
        reached = "" if told["development"] is None else f"; {100 * told['development']:.1f} on development"
        return f"frozen {', '.join(told['frozen']) or 'nothing'}{reached}"
    parts = ["rows", "positions" if told["positions"] else "", told["adapters"] or ""]
    return ", ".join(filter(None, parts)) if told["kind"] in ("graft", "swapped") else ""
