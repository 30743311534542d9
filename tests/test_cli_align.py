"""`lingraft align`: one line of links for each line of text, and every mistake in one message."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import World

Call = Callable[..., tuple[int, str, str]]
TEXT = "the house\tdas Haus\nthe book\tdas Buch\na book\tein Buch\na house\tein Haus\n"


@pytest.fixture
def call(call: Call) -> Call:
    """Run `lingraft align` in this process: (exit status, stdout, stderr)."""
    return lambda *arguments: call("align", *arguments)


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "x.tsv.gz"
    path.write_bytes(gzip.compress((TEXT * 5 + "no translation\t\n\n" + TEXT).encode()))
    return path


def lines(path: Path) -> list[str]:
    return path.read_text().split("\n")


def test_every_line_of_text_has_its_line_of_links(call: Call, text: Path, tmp_path: Path) -> None:
    status, out, err = call(text, "--out", tmp_path / "deep" / "x.pharaoh", "--json")
    assert (status, err) == (0, "")
    assert lines(tmp_path / "deep" / "x.pharaoh") == ["0-0 1-1"] * 20 + ["", ""] + ["0-0 1-1"] * 4 + [""]
    found = json.loads(out)
    assert found.pop("seconds") >= 0
    assert found == {
        "out": str(tmp_path / "deep" / "x.pharaoh"),
        "pairs": 24,
        "links": 48,
        "empty_lines": 2,
        "model": "fast_align",
        "symmetrisation": "grow-diag-final-and",
    }


def test_a_kept_aligner_is_applied_to_new_text(call: Call, text: Path, tmp_path: Path) -> None:
    assert call(text, "--out", tmp_path / "x.pharaoh", "--save", tmp_path / "kept", "--model", "ibm1", "--iterations", 3)[0] == 0
    (tmp_path / "new.tsv").write_text("house a\tein Haus\n")
    status, out, err = call(tmp_path / "new.tsv", "--out", tmp_path / "new.pharaoh", "--load", tmp_path / "kept", "--symmetrise", "union")
    assert (status, out) == (0, f"{tmp_path / 'new.pharaoh'}: 1 pairs, 2 links, 0 empty lines\n"), err
    assert lines(tmp_path / "new.pharaoh") == ["0-1 1-0", ""]


def test_scripts_without_spaces_are_aligned_by_character(call: Call, tmp_path: Path) -> None:
    (tmp_path / "x.tsv").write_text("big house\t大家\nbig book\t大本\nold book\t古本\nold house\t古家\n" * 5)
    assert call(tmp_path / "x.tsv", "--out", tmp_path / "x.pharaoh")[0] == 0
    assert lines(tmp_path / "x.pharaoh") == ["0-0 1-1"] * 20 + [""]


def test_an_encoder_needs_no_training(call: Call, pico: Callable[[str], Path], world: World, tmp_path: Path) -> None:
    words = list(dict.fromkeys(world.plain.read_text().split()))[:6]
    (tmp_path / "x.tsv").write_text(f"{' '.join(words)}\t{' '.join(words)}\n\t\n")
    status, out, err = call(tmp_path / "x.tsv", "--out", tmp_path / "x.pharaoh", "--encoder", pico("bert"), "--layer", 1, "--json")
    assert status == 0, err
    assert lines(tmp_path / "x.pharaoh") == ["0-0 1-1 2-2 3-3 4-4 5-5", "", ""]
    assert json.loads(out)["encoder"] == str(pico("bert"))
    for more, said in ((["--layer", 9], "has layers 0 to 2, not 9"), ([], "is not an encoder")):
        model = pico("bert" if more else "gpt2")
        check_refused(call(tmp_path / "x.tsv", "--out", tmp_path / "y.pharaoh", "--encoder", model, *more), said)


def check_refused(result: tuple[int, str, str], said: str) -> None:
    status, out, err = result
    assert (status, out) == (2, ""), err
    assert err.startswith("lingraft: ") and err.count("\n") == 1, err
    assert said in err


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--load", "kept", "--model", "hmm", "--save", "x"], "With --load nothing is trained, so --model and --save cannot be used"),
        (["--encoder", "m", "--symmetrise", "union"], "With --encoder nothing is trained, so --symmetrise cannot be used"),
        (["--encoder", "m", "--load", "kept"], "--load cannot be used"),
        (["--layer", "3"], "--layer is a layer of the --encoder"),
        (["--load", "nowhere"], "nowhere holds no trained aligner"),
        (["--encoder", "./nowhere"], "no model folder"),
        (["--save", "full"], "--save full is there already"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    more: list[str], said: str, call: Call, text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    check_refused(call(text, "--out", tmp_path / "x.pharaoh", *more), said)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full", "x.tsv.gz"]


def test_bad_text_leaves_nothing_and_the_text_is_never_overwritten(call: Call, text: Path, tmp_path: Path) -> None:
    check_refused(call(text, "--out", text), "is the text itself")
    check_refused(call(text, "--out", tmp_path), "is a folder")
    check_refused(call(tmp_path / "gone.tsv", "--out", tmp_path / "y.pharaoh"), "There is no file")
    for data, said in ((b"a\tb\nno tab\n", "line 2 has no tab"), (b"a\t\n", "There is no pair"), (b"a\t\xdf\n", "not valid UTF-8")):
        (tmp_path / "bad.tsv").write_bytes(data)
        check_refused(call(tmp_path / "bad.tsv", "--out", tmp_path / "y.pharaoh"), said)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.tsv", "x.tsv.gz"]
    assert call(tmp_path / "bad.tsv", "--out", tmp_path / "y.pharaoh", "--errors", "replace")[0] == 0
