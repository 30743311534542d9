"""`lingraft donors explore`."""

from pathlib import Path
from typing import Annotated

import typer


def explore(
    grid: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of lingraft donors run, with its scores.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", metavar="SITE", help="Folder for index.html.", show_default=False)],
    features: Annotated[Path | None, typer.Option(help="What is known of languages, beside WALS: .tsv or .csv.", metavar="FILE")] = None,
) -> None:
    """Make a page to explore a donor map: graph, heat map, scatter, WALS features, table. It opens from disk and needs no network."""
    from lingraft.explorer.build import explore as build

    print(build(grid, out, features))
