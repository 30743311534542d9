"""`lingraft pretrain`."""

from pathlib import Path
from typing import Annotated

import typer

Strings = list[str] | None


def pretrain(
    text: Annotated[
        list[str],
        typer.Option("--text", help="Text: CODE=PATH, with a file, quoted glob, folder, '-'; bundled:CODE. Repeats.", metavar="CODE=PATH"),
    ],
    out: Annotated[Path, typer.Option("--out", help="Run folder; the same command goes on where it stopped.", metavar="DIR")],
    language: Annotated[str | None, typer.Option("--language", help="Language of texts without a code.", metavar="CODE")] = None,
    recipe: Annotated[str, typer.Option("--recipe", help="A recipe's name or a TOML file.")] = "pretrain",
    changes: Annotated[Strings, typer.Option("--set", help="Change a key of the recipe, as in --set steps=200.", metavar="K=V")] = None,
    parallel: Annotated[
        Strings,
        typer.Option("--parallel", help="Lines of two of the languages: CODE-CODE=TSV. For the objective tlm. Repeats.", metavar="C-C=TSV"),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The one seed.")] = 0,
    minutes: Annotated[float | None, typer.Option(min=0.01, help="Train about so long, at this machine's speed.")] = None,
    restart_from: Annotated[str | None, typer.Option(help="Redo this stage and all after it.", metavar="STAGE")] = None,
    checkpoint_steps: Annotated[int | None, typer.Option(min=1, help="Checkpoint every so many steps (default: every minute).")] = None,
    keep: Annotated[int, typer.Option(min=1, help="Checkpoints to keep.")] = 2,
    track: Annotated[str | None, typer.Option(help="Also log to tensorboard, wandb or mlflow.")] = None,
    no_examples: Annotated[bool, typer.Option("--no-examples", help="Keep the text out of report and card.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object at the end.")] = False,
) -> None:
    """Train a model from scratch on text of one language or several."""
    from lingraft.cli import show
    from lingraft.files import is_main_process
    from lingraft.pretrain import pretrain as run_pretrain
    from lingraft.train.loop import Options

    with show.progress() as advance:
        options = Options(checkpoint_steps=checkpoint_steps, keep=keep, progress=advance, track=track)
        run = run_pretrain(
            text, out=out, language=language, recipe=recipe, changes=changes or [], parallel=parallel or [], seed=seed, minutes=minutes,
            examples=not no_examples, restart_from=restart_from, options=options,
        )  # fmt: skip
    if not is_main_process():
        return
    if as_json:
        print(show.as_json(run, languages=run.languages, shares=run.facts.get("shares", [])))
        return
    show.share_table(run)
    show.language_table(run)
    for folder in sorted(run.path.glob("model*")):
        print(f"{'model' if folder.name == 'model' else '':8}{folder}")
    print(f"report  {run.path / 'report.html'}")
