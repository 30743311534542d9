"""Parallel text: every way to write a pair, what is dropped and counted, and the message for every damage."""

import gzip
import lzma
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pyarrow
import pytest

from lingraft.errors import LanguageError, TextError
from lingraft.text import bundled
from lingraft.text.parallel import LONGEST_ROW, resolve_parallel

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "": lambda data: data,
    ".gz": gzip.compress,
    ".xz": lzma.compress,
    ".zst": lambda data: pyarrow.compress(data, "zstd", asbytes=True),
}
PAIRS = [("a house", "ein Haus"), ("a door", "eine Tür")]


@pytest.mark.parametrize("packed", COMPRESS)
@pytest.mark.parametrize(
    "text",
    [
        "a house\tein Haus\na door\teine Tür\n",
        "\ufeffa house\tein Haus\r\na door\teine Tür",
        " a house \t ein Haus\t0.5\na door\teine Tu\u0308r\t1\n",
    ],
)
def test_every_spelling_gives_the_same_pairs(tmp_path: Path, text: str, packed: str) -> None:
    path = tmp_path / f"x.tsv{packed}"
    path.write_bytes(COMPRESS[packed](text.encode()))
    parallel = resolve_parallel([str(path)], "en", "de")
    assert [*parallel.pairs()] == PAIRS == [*parallel.pairs()]
    survey = parallel.survey
    assert (survey.pairs, survey.source_characters, survey.target_characters, survey.dropped) == (2, 13, 16, 0)
    (tmp_path / "plain.tsv").write_text("a house\tein Haus\na door\teine Tür\n")
    assert survey.fingerprint == resolve_parallel([str(tmp_path / "plain.tsv")]).survey.fingerprint


def test_what_has_no_translation_is_dropped_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    path.write_text("a\tb\n\t\nonly here\t \n\tonly there\t0.1\n\nc\td\n")
    parallel = resolve_parallel([str(path)])
    assert [*parallel.pairs()] == [("a", "b"), ("c", "d")]
    assert [*parallel.rows()] == [("a", "b"), ("", ""), ("only here", ""), ("", "only there"), ("", ""), ("c", "d")]
    assert (parallel.survey.pairs, parallel.survey.dropped) == (2, 4)


def test_only_a_line_feed_ends_a_line(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    path.write_bytes("a\u2028b\x0bc\td\x85e\n".encode())
    assert [*resolve_parallel([str(path)]).pairs()] == [("a\u2028b\x0bc", "d\x85e")]


def test_normalisation_is_a_choice(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    path.write_text("u\u0308\tﬁ\n")
    found = {form: next(resolve_parallel([str(path)], normalisation=form).pairs()) for form in ("NFC", "NFKC", "none")}  # type: ignore[arg-type]
    assert found == {"NFC": ("ü", "ﬁ"), "NFKC": ("ü", "fi"), "none": ("u\u0308", "ﬁ")}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a\tb\nno tab here\n", r"x\.tsv, line 2 has no tab: 'no tab here'\. Parallel text has one pair on each line"),
        (b"a\tb\n\na\tb\tc\td\n", r"x\.tsv, line 3 has 4 columns: 'a\\tb\\tc\\td'\. .*A third column, a score, may follow"),
        ("a\tb\nc\tß\n".encode("latin-1"), r"x\.tsv, line 2: byte 0xdf is not valid UTF-8"),
        (b"a\tb\nc\0\td\n", r"x\.tsv has NUL bytes, so it is binary"),
        ("a\tb\n".encode("utf-16"), r"x\.tsv has NUL bytes, so it is UTF-16"),
        (b"", r"x\.tsv is empty"),
        (b"\n\n", r"There is no pair in .*x\.tsv: a side is empty in all of its 2 lines\. Parallel text has"),
        (b"a" * LONGEST_ROW + b"\tb\n", r"x\.tsv, line 1 is longer than 1,048,576 bytes"),
    ],
)
def test_every_damage_is_named_with_file_and_line(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "x.tsv").write_bytes(data)
    with pytest.raises(TextError, match=message):
        _ = resolve_parallel([str(tmp_path / "x.tsv")]).survey


def test_invalid_utf8_can_be_replaced(tmp_path: Path) -> None:
    (tmp_path / "x.tsv").write_bytes(b"a\t\xdf\n")
    assert [*resolve_parallel([str(tmp_path / "x.tsv")], errors="replace").pairs()] == [("a", "\ufffd")]


def test_a_damaged_archive_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "x.tsv.gz").write_bytes(gzip.compress(b"a\tb\n" * 9999)[:-20])
    with pytest.raises(TextError, match=r"x\.tsv\.gz cannot be read"):
        list(resolve_parallel([str(tmp_path / "x.tsv.gz")]).pairs())


def test_several_files_and_globs_come_in_order_and_once(tmp_path: Path) -> None:
    for name in "ba":
        (tmp_path / f"{name}.tsv").write_text(f"{name}\t{name.upper()}\n")
    specs = [str(tmp_path / "*.tsv"), str(tmp_path / "b.tsv")]
    assert [*resolve_parallel(specs).pairs()] == [("a", "A"), ("b", "B")]


@pytest.mark.parametrize(
    ("specs", "message"),
    [
        ([], "No parallel text is named"),
        (["gone.tsv"], "There is no file 'gone.tsv'"),
        (["gone-*.tsv"], r"No file matches 'gone-\*.tsv'"),
        (["bundled"], "'bundled' does not say of which languages. Write bundled:SOURCE-TARGET"),
        (["bundled:de"], "does not say of which languages"),
        (["bundled:en-de", "bundled:en-fr"], "'bundled:en-fr' is en to fr, but the source is 'en' and the target 'de'"),
    ],
)
def test_mistakes_in_what_is_named(specs: list[str], message: str) -> None:
    with pytest.raises(TextError, match=message):
        resolve_parallel(specs)


def test_the_other_direction_is_refused_with_the_right_one() -> None:
    with pytest.raises(TextError, match="Write bundled:en-de"):
        resolve_parallel(["bundled:de-en"], "en", "de")
    with pytest.raises(LanguageError, match="no bundled text for 'sw'"):
        resolve_parallel(["bundled:en-sw"])


def test_held_out_pages_of_the_bundled_text_stay_unseen() -> None:
    pairs = [*resolve_parallel(["bundled"], "eng", "de").pairs()]
    assert pairs == [*resolve_parallel(["bundled:en-de"]).pairs()]
    everything = [*bundled.parallel("en", "de")]
    held_out = {(source, target) for page, source, target in everything if page % 20 == 10}
    assert 1000 < len(held_out) == len(everything) - len(pairs)
    assert held_out.isdisjoint(pairs)


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv.gz"
    path.write_bytes(gzip.compress(b"one side\tand the other one\n" * 400_000, compresslevel=1))
    parallel = resolve_parallel([str(path)])
    tracemalloc.start()
    count = sum(1 for _ in parallel.pairs())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 400_000
    assert peak < 6_000_000
