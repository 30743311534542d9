"""`lingraft report`."""

from pathlib import Path
from typing import Annotated

import typer


def report(
    runs: Annotated[list[Path], typer.Argument(help="Run folders; several are compared.")],
    out: Annotated[Path | None, typer.Option("--out", help="Where to write it (default: report.html in the first run).")] = None,
) -> None:
    """Write the HTML report of one run, or of several side by side."""
    from lingraft.report import write_report

    print(write_report(runs, out))
