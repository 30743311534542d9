"""`lingraft donors zero-shot`."""

import sys
from pathlib import Path
from typing import Annotated

import typer


def zero_shot(
    grid: Annotated[Path, typer.Argument(help="Folder of `lingraft donors run`, with models of several languages kept.", metavar="DIR")],
    task: Annotated[str, typer.Option("--task", help="A task of `lingraft evaluate`, such as pos or ner.")],
    train: Annotated[str, typer.Option("--train", help="Training file, {} for the language's code.", metavar="PATH")],
    evaluation: Annotated[str, typer.Option("--eval", help="Test file, {} for the language's code.", metavar="PATH")],
    size: Annotated[int, typer.Option(min=1, help="Donors in a set.")] = 4,
    recipients: Annotated[int, typer.Option(min=1, help="Most, and least recipient languages that are tested.")] = 3,
    seed: Annotated[int, typer.Option(help="Of the random set.")] = 0,
    seeds: Annotated[int, typer.Option(min=1, help="Fine-tune so many times, from seed 0 on.")] = 1,
    sentences: Annotated[int | None, typer.Option(min=1, help="Of a language to fine-tune on. [default: pos 1000, ner 5000]")] = None,
    changes: Annotated[list[str] | None, typer.Option("--set", help="A setting of the fine-tuning. Repeats.", metavar="KEY=VALUE")] = None,
) -> None:
    """Test sets of most, least and random donors, and none, by zero-shot transfer; `donors scores` then says which hypotheses hold."""
    from lingraft.donors.zero_shot import zero_shot as run

    def told(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    written = run(
        grid,
        task=task,
        train=train,
        evaluation=evaluation,
        size=size,
        recipients=recipients,
        seed=seed,
        seeds=seeds,
        sentences=sentences,
        changes=changes or [],
        told=told,
    )
    for path in written:
        print(path)
