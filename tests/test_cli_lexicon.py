"""`lingraft lexicon induce`: a lexicon with scores from two files of vectors, or one message and no file."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lingraft.text.lexicon import read_lexicon
from lingraft.vectors.static import Vectors

Call = Callable[..., tuple[int, str, str]]
SIZE, DIM = 300, 12


@pytest.fixture
def call(call: Call) -> Call:
    """Run `lingraft lexicon induce` in this process: (exit status, stdout, stderr)."""
    return lambda *arguments: call("lexicon", "induce", *arguments)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with x.vec, the same words turned in y.vec.gz (w0 to w29 spelled alike), noise.vec, and the right lexicon."""
    numbers = np.random.default_rng(0)
    matrix = numbers.normal(size=(SIZE, DIM)).astype(np.float32)
    turned = (matrix @ np.linalg.qr(numbers.normal(size=(DIM, DIM)))[0] + 0.1 * numbers.normal(size=matrix.shape)).astype(np.float32)
    words, others = [f"w{i}" for i in range(SIZE)], [f"w{i}" if i < 30 else f"z{i}" for i in range(SIZE)]
    Vectors(words, matrix).save(tmp_path / "x.vec")
    Vectors(others, turned).save(tmp_path / "y.vec.gz")
    Vectors(others, numbers.normal(size=matrix.shape).astype(np.float32)).save(tmp_path / "noise.vec")
    (tmp_path / "gold.tsv").write_text("".join(f"{word}\t{other}\n" for word, other in zip(words, others, strict=True)) + "no\tsuch\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--start", "unsupervised"],
        ["--start", "gold.tsv", "--method", "procrustes"],
        ["--method", "procrustes", "--mode", "full"],
        ["--start", "gold.tsv", "--mode", "orthogonal", "--all"],
    ],
)
def test_a_lexicon_is_written_and_measured(options: list[str], call: Call, place: Path) -> None:
    status, out, err = call("x.vec", "y.vec.gz", "--out", "lexicon.tsv", "--evaluate", "gold.tsv", "--json", *options)
    assert status == 0, err
    found = json.loads(out.splitlines()[-1])
    assert found["p_at_1"] > 0.95
    assert found["p_at_1"] <= found["p_at_5"] <= found["p_at_10"] <= 1
    assert found["coverage"] == pytest.approx(SIZE / (SIZE + 1))
    assert found["reliable"] is True
    assert {"mean_csls", "cycle_consistency", "seconds", "method", "start", "mode"} <= found.keys()
    assert ("agreement" in found) == (found["method"] != "procrustes")
    entries = read_lexicon("lexicon.tsv")
    assert len(entries) == found["pairs"] > 0.9 * SIZE
    assert {("w0", "w0"), ("w200", "z200")} <= {(one, other) for one, other, _ in entries}
    assert all(score > 0 for *_, score in entries)


def test_the_same_command_writes_the_same_bytes(call: Call, place: Path) -> None:
    for name in ("a.tsv.gz", "b.tsv.gz"):
        status, out, _ = call("x.vec", "y.vec.gz", "--start", "unsupervised", "--out", name, "--evaluate", "gold.tsv")
        assert status == 0
        assert out.startswith(f"{name}: 300 pairs; mean CSLS ")
    assert (place / "a.tsv.gz").read_bytes() == (place / "b.tsv.gz").read_bytes()


@pytest.mark.parametrize(
    "options", [["--start", "gold.tsv"], ["--start", "unsupervised"], ["--start", "gold.tsv", "--method", "procrustes"]]
)
def test_a_map_that_failed_says_so_and_writes_nothing(options: list[str], call: Call, place: Path) -> None:
    before = sorted(path.name for path in place.iterdir())
    status, out, err = call("x.vec", "noise.vec", "--out", "lexicon.tsv", "--json", *options)
    assert (status, out) == (2, "")
    assert err.startswith("lingraft: The two spaces could not be mapped onto one another")
    assert err.count("\n") == 1
    assert "cycle consistency" in err
    assert "mean CSLS" in err
    assert ("agreement of restarts" in err) == ("procrustes" not in options)
    assert sorted(path.name for path in place.iterdir()) == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["x.vec", "gone.vec"], "gone.vec"),
        (["x.vec", "y.vec.gz", "--start", "gone.tsv"], "gone.tsv"),
        (["x.vec", "y.vec.gz", "--evaluate", "gone.tsv"], "gone.tsv"),
        (["x.vec", "y.vec.gz", "--evaluate", "other.tsv"], "None of the 1 entries"),
        (["x.vec", "y.vec.gz", "--start", "other.tsv"], "Only 0 entries of the lexicon"),
        (["x.vec", "y.vec.gz", "--start", "unsupervised", "--method", "procrustes"], "an unsupervised start has none"),
        (["x.vec", "y.vec.gz", "--out", "x.vec"], "is one of the inputs"),
        (["x.vec", "y.vec.gz", "--out", "."], "is a folder"),
    ],
)
def test_mistakes_are_one_message(arguments: list[str], said: str, call: Call, place: Path) -> None:
    (place / "other.tsv").write_text("a\tb\n")
    status, out, err = call("--out", "lexicon.tsv", *arguments)
    assert (status, out) == (2, ""), err
    assert said in err
    assert err.count("\n") == 1
    assert not (place / "lexicon.tsv").exists()
    assert read_lexicon("gold.tsv")
