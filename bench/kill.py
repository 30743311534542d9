"""Kill -9 at random moments: does the same command, run again, end with the same bytes? A pico BERT, bundled German."""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from common import Results, make_bert, parser, working_folder

JOB = ["length=32", "batch=8", "tokenizer.size=2000", "evaluation.max_characters=20000"]
ATTEMPTS = 5  # to kill a run before it ends, at one moment of the plan


def command(source: Path, out: Path, steps: int) -> list[str]:
    """The transfer, with a checkpoint every five steps."""
    sets = [word for change in [*JOB, f"steps={steps}"] for word in ("--set", change)]
    job = ["transfer", str(source), "--to", "de", "--text", "bundled:de", "--recipe", "copy", "--out", str(out), *sets]
    return [sys.executable, "-m", "lingraft", *job, "--checkpoint-steps", "5", "--json"]


def run_whole(arguments: list[str]) -> None:
    """Run to the end. Raises RuntimeError where it fails."""
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)} ended with status {done.returncode}:\n{done.stderr[-4000:]}")


def run_and_kill(arguments: list[str], out: Path, moment: float) -> bool:
    """Start the command; SIGKILL so many seconds after its run folder appears. Returns whether it was still running."""
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    while not out.exists() and process.poll() is None:
        time.sleep(0.005)
    time.sleep(moment)
    was_running = process.poll() is None
    if was_running:
        os.killpg(process.pid, signal.SIGKILL)
    return process.wait() == -signal.SIGKILL and was_running


def digests(out: Path) -> dict[str, str]:
    """What must be the same: weights, tokenizer, rows, scores."""
    from lingraft.files import digest

    places = ["model/model.safetensors", "model/config.json", "model/tokenizer.json", "tokenizer", "rows.safetensors", "scores.jsonl"]
    return {place: digest(out / place) if (out / place).exists() else "missing" for place in places}


def stage_at(out: Path) -> str:
    """The stage that was begun and not complete when the run was killed."""
    from lingraft.files import read_json

    records = sorted((out / ".stages").glob("*.json"), key=lambda path: path.stat().st_mtime)
    open_stages = [path.stem for path in records if not read_json(path)["complete"]]
    checkpoints = [path.name for path in sorted(out.glob("phases/*/checkpoint-*"))]
    if open_stages:
        return " ".join([*open_stages, *checkpoints[-1:]])
    return f"after {records[-1].stem}" if records else "before the first"


def measure(source: Path, out: Path, steps: int, moment: float, wanted: dict[str, str]) -> dict[str, Any] | None:
    """Kill one run, end it with the same command, compare. None where the run was over before the moment came."""
    arguments = command(source, out, steps)
    shutil.rmtree(out, ignore_errors=True)
    if not run_and_kill(arguments, out, moment):
        return None
    killed_at = stage_at(out)
    run_whole(arguments)
    found = digests(out)
    different = [place for place in wanted if found[place] != wanted[place]]
    return {"seconds": moment, "killed_at": killed_at, "same": not different, "different": ", ".join(different)}


def reference(source: Path, out: Path, steps: int) -> tuple[dict[str, str], float]:
    """Digests of an uninterrupted run, and for how many seconds it had its folder."""
    shutil.rmtree(out, ignore_errors=True)
    process = subprocess.Popen(command(source, out, steps), stdout=subprocess.DEVNULL)
    while not out.exists() and process.poll() is None:
        time.sleep(0.005)
    began = time.monotonic()
    if process.wait():
        raise RuntimeError("The uninterrupted run failed.")
    return digests(out), time.monotonic() - began


def measure_all(results: Results, given: argparse.Namespace, folder: Path) -> None:
    """Every kill that is not measured yet; the moments are uniform over the time for which the uninterrupted run has its folder."""
    missing = [number for number in range(given.kills) if not results.here(steps=given.steps, seed=given.seed, kill=number)]
    if not missing:
        return
    source = make_bert(folder / "source", layers=2, width=64)
    wanted, seconds = reference(source, folder / "whole", given.steps)
    print(f"Uninterrupted: {seconds:.1f} s from the run folder's appearance to the end.", flush=True)
    for number in missing:
        moments = random.Random(f"{given.seed} {number}")
        for _ in range(ATTEMPTS):
            found = measure(source, folder / f"killed-{number}", given.steps, moments.uniform(0, seconds), wanted)
            if found:
                results.add({"steps": given.steps, "seed": given.seed, "kill": number}, found)
                break
        else:
            raise RuntimeError(f"The run was over before the kill, {ATTEMPTS} times: this machine's speed changes too much.")


def main() -> None:
    """Kill as often as asked, and count."""
    options = parser(__doc__)
    options.add_argument("--kills", type=int, default=20, help="how many")
    options.add_argument("--steps", type=int, default=40, help="optimiser steps of the run")
    options.add_argument("--seed", type=int, default=0, help="of the moments")
    given = options.parse_args()
    results = Results("kill", given.results)
    if not given.table:
        with working_folder(given.out) as folder:
            measure_all(results, given, folder)
    print(results.table())
    found = results.here(steps=given.steps, seed=given.seed)
    print(f"\n{sum(cell['same'] for cell in found)} of {len(found)}")


if __name__ == "__main__":
    main()
