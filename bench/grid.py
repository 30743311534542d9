"""Cells of a donor grid per hour: one by one, several as one program, and on Ray."""

import argparse
import json
import shutil
import time
from pathlib import Path
from typing import Any

from common import Results, in_subprocess, names, parser, working_folder

ENGINES: dict[str, dict[str, Any]] = {
    "local": {},
    "batched 2": {"engine": "batched", "together": 2},
    "batched 4": {"engine": "batched", "together": 4},
    "batched 8": {"engine": "batched", "together": 8},
    "batched 16": {"engine": "batched", "together": 16},
    "ray": {"engine": "ray"},
}
LANGUAGES = ("de", "en", "es", "eu", "fr", "ja", "ru")


def main() -> None:
    """Measure what is asked for, one process for each cell of the table."""
    options = parser(__doc__)
    options.add_argument("--engines", type=names(ENGINES), default=list(ENGINES), metavar="A,B", help="of: " + ", ".join(ENGINES))
    options.add_argument("--shapes", nargs="+", default=["2x64", "4x512"], metavar="LxW", help="layers x width")
    options.add_argument("--languages", type=int, default=len(LANGUAGES), help="how many: n(n + 1)/2 cells")
    options.add_argument("--characters", type=int, default=100_000, help="of each language")
    options.add_argument("--vocabulary", type=int, default=8_000)
    options.add_argument("--steps", type=int, default=100, help="of each cell")
    options.add_argument("--rounds", type=int, default=1)
    options.add_argument("--gpus", type=float, default=0, help="of each cell on Ray")
    options.add_argument("--worker", help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.worker:
        print(json.dumps(measure(json.loads(given.worker))))
        return
    results = Results("grid", given.results)
    if not given.table:
        with working_folder(given.out) as folder:
            measure_all(given, results, folder)
    print(results.table(over="round"))


def measure_all(given: argparse.Namespace, results: Results, folder: Path) -> None:
    """All cells of the table that this machine has not measured yet. Rounds go through the engines in turn."""
    from lingraft.donors.corpus import build

    codes, corpus = LANGUAGES[: given.languages], folder / f"corpus-{given.languages}-{given.characters}-{given.vocabulary}"
    for number in range(given.rounds):
        for shape in given.shapes:
            for engine in given.engines:
                key = {"engine": engine, "shape": shape, "vocabulary": given.vocabulary, "languages": len(codes), "steps": given.steps}
                key |= {"gpus": given.gpus} if engine == "ray" and given.gpus else {}
                if results.here(**key, round=number):
                    continue
                if not corpus.exists():
                    build(codes, "bundled", out=corpus, characters=given.characters, vocabulary=given.vocabulary)
                task = {**key, "corpus": str(corpus), "out": str(folder / "grid"), "gpus": given.gpus}
                found = in_subprocess(__file__, task)
                assert found is not None
                results.add({**key, "round": number}, found)


def measure(task: dict[str, Any]) -> dict[str, Any]:
    """Run a whole grid anew; what belongs to no cell (reading the corpus as ids, starting Ray) is in the time."""
    from lingraft.donors import grid
    from lingraft.donors.ray_engine import RayOptions

    shutil.rmtree(task["out"], ignore_errors=True)
    layers, width = task["shape"].split("x")
    changes = [f"layers={layers}", f"width={width}", f"steps={task['steps']}"]
    began = time.perf_counter()
    outcome = grid.run(task["corpus"], out=task["out"], changes=changes, ray=RayOptions(gpus=task["gpus"]), **ENGINES[task["engine"]])
    seconds = time.perf_counter() - began
    if outcome.failed:
        raise SystemExit(f"Cells failed: {outcome.failed}")
    return {"cells": len(outcome.ran), "seconds": round(seconds, 1), "cells_per_hour": round(3600 * len(outcome.ran) / seconds, 1)}


if __name__ == "__main__":
    main()
