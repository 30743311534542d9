"""`lingraft demo`."""

from pathlib import Path
from typing import Annotated

import typer


def demo(
    steps: Annotated[int | None, typer.Option(min=0, help="Training steps of each of the two models.")] = None,
    out: Annotated[Path, typer.Option("--out", help="Folder for the two runs.", metavar="DIR")] = Path("runs/demo"),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object at the end.")] = False,
) -> None:
    """English to German on the bundled text, beside the same model trained from scratch. Offline, minutes on two cores."""
    from lingraft.cli import show
    from lingraft.demo import run_demo
    from lingraft.train.loop import Options

    with show.progress() as advance:
        result = run_demo(out, steps, Options(progress=advance))
    if as_json:
        print(show.as_json(result.transferred, scratch=result.scratch.scores, report=str(result.report)))
        return
    show.score_table([("transferred", result.transferred), ("from scratch", result.scratch)])
    for example in result.examples:
        print(f"\n{example.sentence}\n  transferred   {', '.join(example.transferred)}\n  from scratch  {', '.join(example.scratch)}")
    print(f"\n{show.race_line(result.transferred)}model   {result.transferred.path / 'model'}\nreport  {result.report}")
