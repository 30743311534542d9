"""The two halves of TreLM in two processes at a time, and killed: the same bytes as one after the other."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
from conftest import World
from small_runs import SMALL, Pico, StoppedError, aids_of, go, results, stopping

from lingraft.errors import RecipeError
from lingraft.files import locked
from lingraft.recipe import load_recipe
from lingraft.run import Run

pytestmark = pytest.mark.usefixtures("short_report")
CHANGES = ["rows.method=copy", "phases.to-source.steps=150"]  # so many that the kill falls into it
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


def trelm(model: Path, world: World, out: Path, *changes: str, **options: object) -> Run:
    torch.set_num_threads(1)
    return go(model, world, out, *(changes or CHANGES), steps=6, recipe="trelm", **aids_of(world), **options)


@pytest.fixture(scope="module")
def whole(pico: Pico, world: World, tmp_path_factory: pytest.TempPathFactory, short_report: None) -> Run:
    return trelm(pico("bert"), world, tmp_path_factory.mktemp("trelm") / "run")


def command(model: Path, world: World, out: Path, phase: str) -> list[str]:
    aids = [part for name, place in aids_of(world).items() for part in (f"--{name.replace('_', '-')}", place)]
    sets = [part for change in [*SMALL, "steps=6", *CHANGES] for part in ("--set", change)]
    options = ["--to", "de", "--text", str(world.cipher), "--recipe", "trelm", "--out", str(out), "--checkpoint-steps", "5"]
    return [sys.executable, "-m", "lingraft", "transfer", str(model), *aids, *sets, *options, "--only-phase", phase]


def test_a_half_killed_beside_the_other_goes_on_to_the_same_bytes(pico: Pico, world: World, whole: Run, tmp_path: Path):
    out = tmp_path / "run"
    trelm(pico("bert"), world, out, only_phase="commonality")
    assert [folder.name for folder in (out / "phases").iterdir()] == ["commonality"]
    process = subprocess.Popen(
        command(pico("bert"), world, out, "to-source"), env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    run = trelm(pico("bert"), world, out, only_phase="to-target")
    deadline = time.monotonic() + 200
    while not list((out / "phases").glob("to-source/checkpoint-*")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, process.stderr.read()[-2000:]
    assert run.is_complete("phase.to-target")
    assert not run.is_complete("phase.to-source")
    assert not (out / "model").exists()
    again = trelm(pico("bert"), world, out)
    assert results(again.path) == results(whole.path)
    assert set(again.facts["phase_seconds"]) == set(whole.facts["phase_seconds"])
    steps = [line["step"] for line in again.lines("metrics.jsonl") if line["phase"] == "to-source" and "loss" in line]
    assert steps == sorted(set(steps)), "what was redone is not recorded twice"


def half(model: Path, world: World, out: Path, name: str) -> None:
    trelm(model, world, out, only_phase=name)


def test_halves_as_tasks_of_ray_are_the_same(pico: Pico, world: World, whole: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import ray

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    ray.init(address="local", num_cpus=2, log_to_driver=False, include_dashboard=False)
    try:
        task = ray.remote(half)
        ray.get([task.remote(pico("bert"), world, tmp_path / "run", name) for name in ("to-target", "to-source")])
    finally:
        ray.shutdown()
    assert sorted(folder.name for folder in (tmp_path / "run" / "phases").iterdir()) == ["commonality", "to-source", "to-target"]
    assert results(trelm(pico("bert"), world, tmp_path / "run").path) == results(whole.path)


def test_halves_in_the_other_order_are_the_same(pico: Pico, world: World, whole: Run, tmp_path: Path):
    with pytest.raises(StoppedError):
        trelm(pico("bert"), world, tmp_path / "run", only_phase="to-source", options=stopping("to-source", 13))
    for phase in ("to-target", "to-source"):
        assert not (run := trelm(pico("bert"), world, tmp_path / "run", only_phase=phase)).is_complete("model")
    assert not run.is_complete("phase.combine")
    assert results(trelm(pico("bert"), world, tmp_path / "run").path) == results(whole.path)


def test_what_another_process_has_is_waited_for(pico: Pico, world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "run" / ".stages").mkdir(parents=True)
    folders = {str(tmp_path / "run"): tmp_path / "run", "phase 'commonality'": Run(tmp_path / "run").phase_lock("commonality")}

    def at_work() -> None:
        for name, folder in folders.items():
            with locked(folder):
                is_held.set()
                while f"waiting for {name}" not in "".join(said):
                    said.append(capsys.readouterr().err)
                    time.sleep(0.01)

    is_held, said = threading.Event(), [""]
    worker = threading.Thread(target=at_work)
    with locked(folders["phase 'commonality'"]):
        worker.start()
        is_held.wait()
    run = trelm(pico("bert"), world, tmp_path / "run", "rows.method=copy", only_phase="commonality")
    worker.join()
    assert run.is_complete("phase.commonality")


def test_what_a_phase_needs():
    recipe = load_recipe("trelm")
    assert recipe.before("commonality") == []
    assert recipe.before("to-source") == ["commonality"]
    assert recipe.before("language") == ["commonality", "to-target", "to-source", "combine"]
    with pytest.raises(RecipeError, match="has no phase 'to-sourc'"):
        recipe.before("to-sourc")


def test_a_restart_is_for_one_process(pico: Pico, world: World, tmp_path: Path):
    with pytest.raises(RecipeError, match="Give one of them"):
        trelm(pico("bert"), world, tmp_path / "run", only_phase="to-source", restart_from="rows")
    with pytest.raises(RecipeError, match="has no phase"):
        trelm(pico("bert"), world, tmp_path / "run", only_phase="no")
    assert not (tmp_path / "run").exists()
