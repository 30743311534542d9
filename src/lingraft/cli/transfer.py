"""`lingraft transfer`."""

from pathlib import Path
from typing import Annotated, Any

import typer

Strings = list[str] | None


def transfer(
    model: Annotated[str, typer.Argument(help="Source model: a folder, a run or a hub id.")],
    to: Annotated[str, typer.Option("--to", help="Target language, BCP 47 or ISO 639-3.", metavar="CODE")],
    text: Annotated[
        list[str],
        typer.Option("--text", help="Text: file, quoted glob, folder, CODE=PATH, '-', bundled:CODE, hub:NAME. Repeats.", metavar="PATH"),
    ],
    out: Annotated[Path, typer.Option("--out", help="Run folder; the same command goes on where it stopped.", metavar="DIR")],
    recipe: Annotated[str, typer.Option("--recipe", help="A recipe's name or a TOML file.")] = "auto",
    source_text: Annotated[Strings, typer.Option("--source-text", help="Text of the source's language.", metavar="PATH")] = None,
    parallel: Annotated[
        Strings, typer.Option("--parallel", help="Lines of source text, tab, target text; or bundled.", metavar="TSV")
    ] = None,
    lexicon: Annotated[Strings, typer.Option("--lexicon", help="Source word, tab, target word; MUSE; FreeDict.", metavar="TSV")] = None,
    vectors: Annotated[
        tuple[str, str] | None,
        typer.Option("--vectors", help="Word vectors of the source's and the target's language.", metavar="SOURCE TARGET"),
    ] = None,
    helper: Annotated[str, typer.Option("--helper", help="Another model that has the target's tokens.", metavar="MODEL")] = "",
    changes: Annotated[Strings, typer.Option("--set", help="Change a key of the recipe, as in --set steps=200.", metavar="K=V")] = None,
    tokenizer: Annotated[str | None, typer.Option(help="A tokenizer to use instead of training one.", metavar="DIR")] = None,
    errors: Annotated[str | None, typer.Option(help="Invalid UTF-8: strict stops, replace goes on.")] = None,
    clean: Annotated[Strings, typer.Option(help="Drop lines: duplicates, script. Repeats.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="The one seed.")] = 0,
    minutes: Annotated[float | None, typer.Option(min=0.01, help="Train about so long, at this machine's speed.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan; leave no run.")] = False,
    restart_from: Annotated[str | None, typer.Option(help="Redo this stage and all after it.", metavar="STAGE")] = None,
    only_phase: Annotated[str, typer.Option(help="Train this phase only, and those it needs: halves side by side.", metavar="NAME")] = "",
    checkpoint_steps: Annotated[int | None, typer.Option(min=1, help="Checkpoint every so many steps (default: every minute).")] = None,
    keep: Annotated[int, typer.Option(min=1, help="Checkpoints to keep.")] = 2,
    track: Annotated[str | None, typer.Option(help="Also log to tensorboard, wandb or mlflow.")] = None,
    no_examples: Annotated[bool, typer.Option("--no-examples", help="Keep the text out of report and card.")] = False,
    push_to_hub: Annotated[str | None, typer.Option(help="Upload the finished model to this hub id.", metavar="ID")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object at the end.")] = False,
) -> None:
    """Graft a pretrained model onto a language, from text of that language."""
    import json

    from lingraft.cli import show
    from lingraft.files import is_main_process
    from lingraft.train.loop import Options
    from lingraft.transfer import transfer as run_transfer

    sets = [*(changes or []), *([f"tokenizer.read={tokenizer!r}"] if tokenizer else []), *([f"text.errors={errors!r}"] if errors else [])]
    sets += [f"text.clean={clean!r}"] if clean else []
    asked: dict[str, Any] = {"to": to, "text": text, "recipe": recipe, "changes": sets, "seed": seed, "minutes": minutes}
    aids: dict[str, Any] = {
        "source_text": source_text or [],
        "parallel": parallel or [],
        "lexicon": lexicon or [],
        "vectors": vectors or (),
        "helper": helper,
    }
    if dry_run:
        from lingraft.aids import Given
        from lingraft.plan import plan

        print(plan(model, **asked, given=Given(**aids)))
        return
    with show.progress() as advance:
        options = Options(checkpoint_steps=checkpoint_steps, keep=keep, progress=advance, track=track)
        run = run_transfer(
            model, **asked, **aids, out=out, examples=not no_examples, restart_from=restart_from, only_phase=only_phase, options=options
        )
    if not is_main_process():
        return
    if only_phase:
        where = run.path / "phases" / only_phase
        print(json.dumps({"run": str(run.path), "phase": only_phase, "folder": str(where)}) if as_json else f"phase   {where}")
        return
    if push_to_hub:
        run.push(push_to_hub)
    if not as_json:
        show.score_table([(recipe, run)])
        print(f"{show.race_line(run)}{show.distance_line(run)}model   {run.path / 'model'}\nreport  {run.path / 'report.html'}")
    else:
        print(show.as_json(run))
