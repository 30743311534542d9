"""`lingraft donors run`."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

Strings = list[str] | None


def shard_of(text: str) -> tuple[int, int]:
    """ "2/8" -> (2, 8)."""
    first, slash, last = text.partition("/")
    if not (slash and first.isdigit() and last.isdigit() and 1 <= int(first) <= int(last)):
        raise typer.BadParameter(f"{text!r} is not of the form i/n, with i from 1 to n.", param_hint="--shard")
    return int(first), int(last)


def run(
    corpus: Annotated[Path, typer.Argument(help="What `lingraft donors corpus` wrote.")],
    out: Annotated[Path, typer.Option("--out", help="The grid; the same command goes on where it stopped.", metavar="DIR")],
    engine: Annotated[str, typer.Option(help="local: in this process; batched: several as one program; ray: on a cluster.")] = "local",
    mode: Annotated[str, typer.Option(help="joint: a pair's text together; sequential: the source's first, then the target's.")] = "joint",
    seeds: Annotated[int, typer.Option(min=1, help="Run every cell so many times, from seed 0 on.")] = 1,
    languages: Annotated[str | None, typer.Option("--cells", help="Only cells of these languages.", metavar="A,B,…")] = None,
    only: Annotated[
        str | None, typer.Option(help="Only the cells of these names, as donors choose --next prints them.", metavar="NAMES")
    ] = None,
    sets: Annotated[
        Strings, typer.Option(help="Also a cell of these languages together, its model kept; or a file of such lines.", metavar="A+B+C")
    ] = None,
    shard: Annotated[str, typer.Option(help="Only every n-th cell, from the i-th on: for job arrays.", metavar="i/n")] = "1/1",
    recipe: Annotated[str, typer.Option(help="Cells are trained by this recipe of pretrain (sequential: of transfer).")] = "",
    changes: Annotated[Strings, typer.Option("--set", help="Change a setting, as in --set layers=2.", metavar="K=V")] = None,
    keep_models: Annotated[bool, typer.Option("--keep-models", help="Keep the model of every cell.")] = False,
    retries: Annotated[int, typer.Option(min=0, help="Run a cell that fails so many times more.")] = 1,
    together: Annotated[int, typer.Option(min=2, help="With --engine batched: how many at once.", metavar="N")] = 8,
    address: Annotated[str | None, typer.Option(help="Of a Ray cluster to join; by default one is started here.")] = None,
    cpus: Annotated[float, typer.Option(min=0.01, help="With --engine ray: of a cell.")] = 1,
    gpus: Annotated[float, typer.Option(min=0, help="With --engine ray: of a cell; 0.25: four share one.")] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say how many cells and steps, how long and how much memory.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Train a model of every language and of every pair of a corpus."""
    for value, name, known in ((mode, "mode", ("joint", "sequential")), (engine, "engine", ("local", "batched", "ray"))):
        if value not in known:
            raise typer.BadParameter(f"{value!r} is none of {', '.join(known)}.", param_hint=f"--{name}")
    from lingraft.donors import estimate, grid
    from lingraft.donors.ray_engine import RayOptions

    given: dict[str, Any] = {
        "out": out, "shard": shard_of(shard), "mode": mode, "seeds": seeds, "languages": languages.split(",") if languages else None,
        "sets": sets or [], "only": None if only is None else only.replace(",", " ").split(), "recipe": recipe, "changes": changes or [],
    }  # fmt: skip
    if dry_run:
        print(estimate.estimate(corpus, **given))
        return
    outcome = grid.run(
        corpus, **given, engine=engine, together=together, ray=RayOptions(address, cpus, gpus),  # type: ignore[arg-type]
        keep_models=keep_models, retries=retries, told=lambda line: print(line, file=sys.stderr, flush=True),
    )  # fmt: skip
    if as_json:
        facts = {"grid": str(out), "cells": len(outcome.cells), "before": outcome.before, "ran": outcome.ran, "failed": outcome.failed}
        print(json.dumps(facts, ensure_ascii=False))
    else:
        size = len(outcome.cells)
        print(f"{size} cell{'s' * (size != 1)}: {outcome.before} were there, {len(outcome.ran)} ran, {len(outcome.failed)} failed")
        for name, reason in outcome.failed.items():
            print(f"failed  {name}: {reason}")
    if outcome.failed:
        raise typer.Exit(1)
