"""`lingraft evaluate`."""

from pathlib import Path
from typing import Annotated, Any

import typer

Strings = list[str] | None


def evaluate(
    model: Annotated[str, typer.Argument(help="A folder, a run or a hub id.", show_default=False)] = "",
    *,
    task: Annotated[str, typer.Option("--task", help="pos, ner, parsing, srl, qa, classify, xnli, glue/cola, …; `--task list` names all.")],
    evaluation: Annotated[
        Strings, typer.Option("--eval", help="What to score on: a file, or CODE=FILE. Repeats: zero-shot languages.", metavar="PATH")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder; the same command goes on where it stopped.", metavar="DIR")] = None,
    train: Annotated[
        Strings,
        typer.Option("--train", help="Fine-tune on this first; repeats. Without it the model's own head is scored.", metavar="PATH"),
    ] = None,
    development: Annotated[
        Strings, typer.Option("--dev", help="Choose the best moment of training on this; repeats.", metavar="PATH")
    ] = None,
    language: Annotated[str, typer.Option(help="Language of --eval.", metavar="CODE")] = "und",
    seeds: Annotated[int, typer.Option(min=1, help="Fine-tune so many times, from seed 0 on.")] = 1,
    changes: Annotated[Strings, typer.Option("--set", help="Change a setting, as in --set epochs=3.", metavar="K=V")] = None,
    name: Annotated[str, typer.Option(help="What tables call the system (default: the model's name).")] = "",
    keep: Annotated[bool, typer.Option("--keep", help="Keep the fine-tuned models, in DIR/seeds/N/model.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object at the end.")] = False,
) -> None:
    """Fine-tune a model on a task and score it, or score the head it has; n seeds, baselines, intervals."""
    import json

    from lingraft.cli import show
    from lingraft.errors import RunError
    from lingraft.evaluate.measures import MEASURES
    from lingraft.evaluate.table import TASKS
    from lingraft.evaluation import evaluate as run_evaluation
    from lingraft.train.loop import Options

    if task == "list":
        about = {name: found.about for name, found in TASKS.items()} | {name: found.about for name, found in MEASURES.items()}
        print("\n".join(f"{name:<20} {line}" for name, line in about.items()))
        return
    if not model or not evaluation or out is None:
        raise RunError("lingraft evaluate needs MODEL, --eval PATH and --out DIR.")
    asked: dict[str, Any] = {"task": task, "evaluation": evaluation, "train": train or [], "development": development or []}
    with show.progress() as advance:
        result = run_evaluation(
            model,
            **asked,
            out=out,
            language=language,
            seeds=seeds,
            changes=changes or [],
            name=name,
            keep=keep,
            options=Options(progress=advance),
        )
    if result:
        print(json.dumps(result, ensure_ascii=False)) if as_json else show.evaluation_table(result)
