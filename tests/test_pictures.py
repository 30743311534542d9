"""What the report's pictures are drawn from: cosines that are known, and a page that shows them."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
from conftest import World
from small_runs import go
from synthetic_run import HOSTILE, write_run

from lingraft.figures import phases, sizes
from lingraft.pictures import BINS, _cosines, _nearest, _points, mutual
from lingraft.report import read_runs, write_report

Pico = Callable[[str], Path]


def test_cosines_are_counted_in_their_bins() -> None:
    old = np.eye(4, dtype=np.float32)
    told = _cosines("begin", old, old)
    assert told["counts"] == [0] * (BINS - 1) + [4]
    assert (told["mean"], told["chance_mean"]) == (1, 0)
    assert told["chance_counts"][BINS // 2] == 4
    assert _cosines("begin", old, -old)["counts"][0] == 4


def test_each_others_most_frequent_partners_are_pairs() -> None:
    counts = scipy.sparse.csr_array(np.array([[5, 1, 0], [4, 3, 0], [0, 0, 1]]))
    assert mutual(counts) == {(0, 0)}  # new 1 prefers old 0, which prefers new 0; new 2 and old 2 met once


def test_neighbours_are_the_nearest_and_lie_in_a_plane() -> None:
    rows = np.array([[1, 0, 0], [0.9, 0.1, 0], [0, 1, 0], [0.8, 0.3, 0]], dtype=np.float32)
    assert _nearest(rows, 0, np.arange(4)).tolist() == [0, 1, 3, 2]
    points = _points([(["▁a", "▁b", "c", "d"], rows, np.arange(4), "old")])
    assert [point[0] for point in points] == ["a", "b", "c", "d"]
    flat = np.array([point[1:3] for point in points])
    between = np.linalg.norm(flat[:, None] - flat[None], axis=-1)  # the rows lie in a plane, so that their distances stay
    assert between == pytest.approx(np.linalg.norm(rows[:, None] - rows[None], axis=-1), abs=1e-3)


@pytest.fixture(scope="module")
def run(world: World, pico: Pico, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows of a lexicon that is the cipher: each word's row is its translation's."""
    out = tmp_path_factory.mktemp("pictures") / "run"
    changes = ["tokenizer.algorithm=wordpiece"]
    go(pico("bert"), world, out, *changes, recipe="lexicon", lexicon=str(world.lexicon))
    return out


def test_a_run_with_a_lexicon_keeps_its_pictures(run: Path) -> None:
    told = json.loads((run / "pictures.json").read_text())
    begin, trained = told["spaces"]
    assert [begin["space"], trained["space"]] == ["begin", "trained"]
    assert begin["mean"] > 0.9
    assert abs(begin["chance_mean"]) < 0.3
    assert sum(begin["counts"]) == told["num_pairs"]
    assert trained["mean"] > begin["chance_mean"]
    word = told["word"]
    assert World.encipher(word["source"]) == word["target"]
    assert next(point[0] for point in word["panels"][2]["points"] if point[3] == "new") == word["target"]
    html = (run / "report.html").read_text()
    assert "Translations and their rows" in html
    assert f">{word['target']}</text>" in html.replace("\n", "")


def test_without_pairs_there_are_no_pictures(world: World, pico: Pico, tmp_path: Path) -> None:
    run = go(pico("bert"), world, tmp_path / "run", steps=0)
    assert not list(run.path.glob("pictures*"))
    assert "Translations and their rows" not in (run.path / "report.html").read_text()


def pictured(folder: Path, **options: bool) -> Path:
    """A made-up run with pictures of hostile words."""
    write_run(folder, **options)
    counts = [0] * BINS
    counts[-1] = 7
    space = {"counts": counts, "mean": 0.98, "chance_counts": counts[::-1], "chance_mean": -0.98}
    points = [[HOSTILE, 0.0, 0.0, "old"], ["日本$x_$", 1.0, 0.5, "old"], ["كتاب", 0.5, 1.0, "new"]]
    word = {"source": HOSTILE, "target": "كتاب", "source_counts": counts, "target_counts": counts}
    word["panels"] = [{"space": name, "points": points} for name in ("the source's rows", "rows before training", "both")]
    told = {"num_pairs": 7, "spaces": [{"space": name, **space} for name in ("static", "begin", "trained")], "word": word}
    (folder / "pictures.json").write_text(json.dumps(told))
    return folder


def test_the_page_shows_pictures_and_escapes_words(tmp_path: Path) -> None:
    html = write_report([pictured(tmp_path / "run")]).read_text()
    assert html.count("<svg") == 4
    assert "0.98 (other words -0.98)" in html
    assert HOSTILE not in html
    assert "日本$x_$" in html
    assert "&lt;script&gt;" in html
    assert not re.search(r"font-family: 'DejaVu", html)
    assert html == write_report([tmp_path / "run"]).read_text()


def test_words_are_left_out_where_a_run_asks_for_it(tmp_path: Path) -> None:
    html = write_report([pictured(tmp_path / "run", examples=False)]).read_text()
    assert html.count("<svg") == 2
    assert "日本" not in html


def with_parallel(folder: Path, pairs: int, bits: float) -> Path:
    write_run(folder)
    about = json.loads((folder / "run.json").read_text())
    about |= {"parallel": {"pairs": pairs, "dropped": 3}, "phase_seconds": {"main": 100.0}}
    (folder / "run.json").write_text(json.dumps(about))
    line = {"suite": "language_model", "model": "final", "language": "de", "name": "bits_per_subword", "value": bits, "n": 5}
    with (folder / "scores.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")
    return folder


def test_bits_are_drawn_against_parallel_text(tmp_path: Path) -> None:
    folders = [with_parallel(tmp_path / str(pairs), pairs, 8 - pairs / 1000) for pairs in (1000, 2000)]
    assert sizes(read_runs(folders)) == [(1000, 7.0), (2000, 6.0)]
    html = write_report(folders).read_text()
    assert "Bits per subword against parallel text" in html
    assert "parallel text: 1,000 pairs, 3 with an empty side left out" in html
    assert "Bits per subword against" not in write_report(folders[:1]).read_text()
    write_run(tmp_path / "other")
    assert sizes(read_runs([*folders, tmp_path / "other"])) == []
    about = json.loads((folders[1] / "run.json").read_text())
    (folders[1] / "run.json").write_text(json.dumps(about | {"alignments": {"kept": 1900}}))
    assert sizes(read_runs(folders)) == [(1000, 7.0), (1900, 6.0)]
    (folders[1] / "run.json").write_text(json.dumps(about | {"recipe": "trelm-tlm"}))
    assert sizes(read_runs(folders)) == []


def test_each_phase_has_its_cost(tmp_path: Path) -> None:
    (run,) = read_runs([with_parallel(tmp_path / "run", 1000, 7)])
    assert phases(run) == [
        {"name": "main", "batch": None, "length": None, "tokens": 398_000, "seconds": 100.0, "steps": 199, "speed": 3980.0}
    ]
    assert "3,980" in write_report([run.run.path]).read_text()
    about = json.loads((tmp_path / "run/run.json").read_text())
    (tmp_path / "run/run.json").write_text(json.dumps(about | {"preparation_seconds": {"rows": 130.0}}))
    assert "rows (before training)" in write_report([run.run.path]).read_text()
    (tmp_path / "run/run.json").write_text(json.dumps(about))
    rows = [{"phase": name, "step": step, "tokens": 100 * step, "loss": 1.0} for name in ("a", "c", "b", "d") for step in (5, 10)]
    (tmp_path / "run/metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))  # as where b and c train side by side
    (tmp_path / "run/recipe.toml").write_text("".join(f"[phases.{name}]\n" for name in "abcd"))
    told = phases(*read_runs([tmp_path / "run"]))
    assert [(row["name"], row["tokens"], row["steps"]) for row in told] == [*((name, 1000, 10) for name in "abcd"), ("main", 0, 0)]
