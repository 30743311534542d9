"""The benchmarks' own machinery: options, results that a later run goes on with, cells that differ only where they should."""

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from lingraft.embeddings import Vocabularies
from lingraft.recipe import load_recipe

BENCH = Path(__file__).parent.parent / "bench"
SCRIPTS = sorted(path.stem for path in BENCH.glob("*.py") if path.stem != "common")


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCH))
    import common

    monkeypatch.setattr(common, "machine", lambda: {"cpu": "this one", "cores": 2})
    return common


def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(BENCH / f"{script}.py"), *arguments], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_benchmark_says_what_it_is(script: str) -> None:
    assert (BENCH / f"{script}.py").read_text(encoding="utf-8").splitlines()[0].strip('"')
    done = run(script, "--help")
    assert done.returncode == 0
    assert "--table" in done.stdout


def test_unknown_cells_are_named() -> None:
    done = run("quality", "--cells", "copy,wexel")
    assert done.returncode == 2
    assert "wexel: choose from scratch, random" in done.stderr


def test_what_is_measured_is_not_measured_again(bench: ModuleType, tmp_path: Path) -> None:
    results = bench.Results("speed", tmp_path / "results")
    assert not results.here(model="small", round=0)
    results.add({"model": "small", "round": 0}, {"speed": 2.0})
    results.add({"model": "small", "round": 1}, {"speed": 4.0})
    assert results.here(model="small", round=1) == [{"speed": 4.0}]
    assert len(results.here(model="small")) == 2
    assert not results.here(model="large")


def test_another_machine_measures_for_itself(bench: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = bench.Results("speed", tmp_path)
    results.add({"model": "small"}, {"speed": 2.0})
    monkeypatch.setattr(bench, "machine", lambda: {"cpu": "another", "cores": 64})
    assert not results.here(model="small")
    results.add({"model": "small"}, {"speed": 9.0})
    assert results.table().count("| model | speed |") == 2


def test_a_line_cut_off_is_measured_again(bench: ModuleType, tmp_path: Path) -> None:
    results = bench.Results("speed", tmp_path)
    results.add({"model": "small"}, {"speed": 2.0})
    results.path.write_text(results.path.read_text() + '{"key": {"mod')
    results.add({"model": "large"}, {"speed": 1.0})
    assert [line["key"]["model"] for line in results.lines()] == ["small", "large"]


def test_rounds_become_one_row(bench: ModuleType, tmp_path: Path) -> None:
    results = bench.Results("speed", tmp_path)
    for number, speed in enumerate((3.0, 1.0, 2.0)):
        results.add({"model": "small", "round": number}, {"speed": speed, "dtype": "float32", "probe": {"float32": 1}})
    assert results.table(over="round").splitlines()[-1] == "| small | 2.000 (1.000–3.000) | float32 |"


def test_quality_cells_differ_only_in_rows_parts_and_rate(bench: ModuleType, tmp_path: Path) -> None:
    import quality

    def shared(name: str) -> dict[str, object]:
        cell = quality.CELLS[name]
        recipe = load_recipe(cell.recipe, quality.changes(cell, 350, tmp_path / "tokenizer")).model_dump()
        train = {key: value for key, value in recipe["phases"]["train"].items() if key not in ("learning_rate", "train", "epochs")}
        return {key: recipe[key] for key in ("text", "tokenizer", "evaluation")} | {"train": train}

    expected = shared("copy")
    assert all(shared(name) == expected for name in quality.CELLS)
    assert expected["train"]["batch"] == 16  # type: ignore[index]


def test_kill_compares_what_must_be_the_same(bench: ModuleType, tmp_path: Path) -> None:
    import kill

    runs = [tmp_path / "one", tmp_path / "other"]
    for out in runs:
        (out / "model").mkdir(parents=True)
        (out / "model" / "model.safetensors").write_bytes(b"weights")
        (out / "metrics.jsonl").write_text(json.dumps({"run": out.name}))
    assert kill.digests(runs[0]) == kill.digests(runs[1])
    (runs[1] / "model" / "model.safetensors").write_bytes(b"others")
    different = [place for place, digest in kill.digests(runs[1]).items() if digest != kill.digests(runs[0])[place]]
    assert different == ["model/model.safetensors"]


def test_text_of_a_size(bench: ModuleType, tmp_path: Path) -> None:
    bench.write_text(tmp_path / "text.txt", 0.01)
    data = (tmp_path / "text.txt").read_bytes()
    assert 10_000 <= len(data) <= 10_010
    assert data.decode().count("\n\n") > 2
    varied = [bench._varied("Seite 12 hat zwei Absätze.", 0.5, bench.random.Random(seed)) for seed in (0, 0, 1)]
    assert varied[0] == varied[1] != varied[2]


def test_a_peers_cell_starts_from_its_matrix(bench: ModuleType, tmp_path: Path) -> None:
    import quality

    matrix = np.arange(12.0).reshape(4, 3)
    np.save(tmp_path / "package.npy", matrix)
    rows = quality.given_rows(tmp_path / "package.npy")(Vocabularies(4, 2, np.array([[0, 1]]), np.ones(2, dtype=bool)))
    assert np.array_equal(rows.apply(np.ones((2, 3), dtype=np.float32), np.random.default_rng(0)), matrix)


def test_drawn_rows_are_not_compared_with_the_packages(bench: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCH / "peers"))
    import peers

    theirs = np.array([[1.0, 0], [0, 1], [1, 1], [1, 0]])
    np.save(peers.matrix_of("theirs", "deepfocus", "given", tmp_path), theirs)
    ours = peers.matrix_of("ours", "deepfocus", "given", tmp_path)
    np.save(ours, np.array([[2.0, 0], [0, 1], [1, -1], [0, 1]]))
    np.save(ours.with_suffix(".drawn.npy"), np.array([False, False, False, True]))
    found = peers.compare("deepfocus", tmp_path, peers.CASES["MiniLM-8000"], True)
    assert (found["compared"], found["alike"], found["lowest"]) == (3, 2, 0.0)
