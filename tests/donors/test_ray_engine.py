"""The grid on Ray: the same records, and a worker that is killed takes its cell only, which is run again."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from small_grid import make_corpus, run

from lingraft.donors import ray_engine
from lingraft.donors.ray_engine import RayOptions
from lingraft.donors.records import read_records
from lingraft.errors import RunError

pytest.importorskip("ray")


def dies_once(kit: Any, one: Any) -> Any:
    """In a worker: killed with SIGKILL at the first try of de+en.0, after it has begun."""
    from lingraft.donors import training

    def killed(*arguments: Any, **options: Any) -> Any:
        (kit.grid / "killed").write_text(str(os.getpid()))
        os.kill(os.getpid(), signal.SIGKILL)

    train = training.train
    if one.name == "de+en.0" and not (kit.grid / "killed").exists():
        training.train = killed
    try:
        return ray_engine.run_cell(kit, one)
    finally:
        training.train = train


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A cluster of one core, whose workers find the tests."""
    import ray

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    ray.init(address="local", num_cpus=1, log_to_driver=False, include_dashboard=False)
    yield ray
    ray.shutdown()


def test_a_killed_worker_loses_its_cell_only(ray: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus, told, codes = make_corpus(tmp_path / "corpus"), [], ["de", "en"]
    run(corpus, tmp_path / "here", languages=codes)
    with pytest.raises(RunError, match=r"asks for 2 CPU, but the cluster has 1. Use a smaller --cpus"):
        run(corpus, tmp_path / "ray", engine="ray", ray=RayOptions(cpus=2), languages=codes)
    monkeypatch.setattr(ray_engine, "run_cell", dies_once)
    outcome = run(corpus, tmp_path / "ray", engine="ray", retries=0, told=told.append, languages=codes)
    assert (tmp_path / "ray" / "killed").exists()
    assert "de+en.0 failed (its worker died); it is run again" in told
    assert (sorted(outcome.ran), outcome.failed) == (["de+en.0", "de.0", "en.0"], {})
    here, there = read_records(tmp_path / "here"), read_records(tmp_path / "ray")
    assert {record.engine for record in there.values()} == {"ray"}
    assert {name: record.scores for name, record in there.items()} == {name: record.scores for name, record in here.items()}
