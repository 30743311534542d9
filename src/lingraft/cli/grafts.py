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

    from rich.console import Console
    from rich.table import Table

    from lingraft.grafts import grafts as read

    found = read(folder)
    if as_json:
        print(json.dumps(found, ensure_ascii=False))
        return
    table = Table("name", "kind", "language", "recipe or task", "body", "has", "tokens", "loss", "bits per byte", "fits")
    for told in found:
        numbers = (_number(told[name]) for name in ("loss", "bits_per_byte"))
        cells = (
            told["name"],
            told["kind"],
            told["language"] or "",
            told["recipe"] or told["task"] or "",
            (told["body"] or "")[:12],
            _has(told),
        )
        table.add_row(*cells, f"{told['tokens']:,}" if told["tokens"] else "", *numbers, ", ".join(told["fits"]))
    Console().print(table)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _has(told: dict[str, Any]) -> str:
    """What is a folder's own; of a task model what stayed, and how well it does."""
    if told["kind"] == "task":
        reached = "" if told["development"] is None else f"; development {100 * told['development']:.1f}"
        return f"frozen: {', '.join(told['frozen']) or 'nothing'}{reached}"
    adapters = [f"{told['adapters']} adapters"] if told["adapters"] else []
    return ", ".join(["rows", *(["positions"] if told["positions"] else []), *adapters]) if told["kind"] in ("graft", "swapped") else ""
