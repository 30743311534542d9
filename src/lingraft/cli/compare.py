"""`lingraft compare`."""

from pathlib import Path
from typing import Annotated

import typer


def compare(
    runs: Annotated[list[Path] | None, typer.Argument(help="Folders of lingraft evaluate, probe and transfer.", show_default=False)] = None,
    published: Annotated[
        list[str] | None,
        typer.Option(
            "--published", help="Numbers of a paper beside them: artetxe, gogoulou, malkin, trelm; one table: artetxe:1. Repeatable."
        ),
    ] = None,
    metric: Annotated[str | None, typer.Option("--metric", help="This score alone (default: each task's main one).")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for compare.html, compare.tex and CSV files.")] = None,
) -> None:
    """Results side by side in one table: languages across, systems down, the best in bold."""
    from rich.console import Console

    from lingraft.compare import compare as tables_of
    from lingraft.typeset import show, write

    tables = tables_of(runs or [], published or [], metric)
    show(tables, Console())
    for path in write(tables, out) if out else []:
        print(path)
