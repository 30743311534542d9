"""`lingraft finetune`."""

from pathlib import Path
from typing import Annotated, Any

import typer

Strings = list[str] | None


def finetune(
    model: Annotated[str, typer.Argument(help="A folder, a run or a hub id.")],
    task: Annotated[str, typer.Option("--task", help="A task of `lingraft evaluate --task list`.")],
    train: Annotated[Strings, typer.Option("--train", help="What to learn from. Repeats.", metavar="PATH")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder; the same command goes on where it stopped.", metavar="DIR")] = None,
    development: Annotated[Strings, typer.Option("--dev", help="Choose the best moment of training on this.", metavar="PATH")] = None,
    freeze_embeddings: Annotated[
        bool, typer.Option("--freeze-embeddings", help="The rows of words stay, special tokens excepted: grafts will fit.")
    ] = False,
    freeze: Annotated[str, typer.Option(help="Parts that stay, as in embeddings,positions.", metavar="PARTS")] = "",
    noise: Annotated[float, typer.Option(help="Standard deviation of noise on embeddings in training; the paper's: 0.075.")] = 0.0,
    noise_relative: Annotated[bool, typer.Option("--noise-relative", help="--noise in parts of each table's own scale.")] = False,
    changes: Annotated[Strings, typer.Option("--set", help="Change a setting, as in --set epochs=3.", metavar="K=V")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the new head, the order, dropout and noise.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object at the end.")] = False,
) -> None:
    """Fine-tune a model on a task and keep it, with parts frozen so that `lingraft swap` can give it another language."""
    import json

    from lingraft.cli import show
    from lingraft.errors import RunError
    from lingraft.finetune import finetune as run_finetuning
    from lingraft.train.loop import Options

    if not train or out is None:
        raise RunError("lingraft finetune needs --train PATH and --out DIR.")
    parts = [part.strip() for part in freeze.split(",") if part.strip()]
    parts += ["embeddings"] if freeze_embeddings and "embeddings" not in parts else []
    asked: dict[str, Any] = {"freeze": parts, "noise": noise, "noise_relative": noise_relative, "changes": changes or [], "seed": seed}
    with show.progress() as advance:
        told = run_finetuning(
            model, task=task, train=train, development=development or [], out=out, options=Options(progress=advance), **asked
        )
    if told:
        print(json.dumps(told, ensure_ascii=False)) if as_json else _tell(told, out)


def _tell(told: dict[str, Any], out: Path) -> None:
    """Print what was made, in a few lines."""
    kept = told["attempts"][told.get("kept", -1)]
    noise = f"{told['noise']}{' of the tables' if told['noise_relative'] else ''}"
    print(f"model   {out / 'model'}: {told['task']}, {kept['steps']} steps in {kept['seconds']:.0f} s, seed {kept['seed']}")
    print(f"frozen  {', '.join(told['frozen']) or 'nothing'}; noise {noise if told['noise'] else 'none'}")
    print(f"body    {told['body'][:12]}, of {told['model']}")
    if kept["development"]:
        step, score = max(kept["development"], key=lambda line: (line[1], -line[0]))
        print(f"dev     {100 * score:.1f} at step {int(step)}")
    if not told["frozen"]:
        print("Its word rows trained: for `lingraft swap` freeze them, with --freeze-embeddings.")
