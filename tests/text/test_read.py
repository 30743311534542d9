"""Reading files: encodings, compression, formats, limits on memory, and the message for every damage."""

import gzip
import io
import json
import lzma
import re
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from lingraft.errors import TextError
from lingraft.text.read import CHUNK, LONGEST_LINE, read

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "": lambda data: data,
    ".gz": gzip.compress,
    ".xz": lzma.compress,
    ".zst": lambda data: pyarrow.compress(data, "zstd", asbytes=True),
}


def parquet(columns: dict[str, list[object]]) -> bytes:
    sink = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(columns), sink, row_group_size=2)
    return sink.getvalue()


def jsonl(*records: object) -> bytes:
    return "".join(json.dumps(record) + "\n" for record in records).encode()


def lines_of(tmp_path: Path, name: str, data: bytes, errors: str = "strict") -> list[str]:
    """The stripped lines of a file with these bytes, an empty one for the end of a document, repeated ones squeezed."""
    path = tmp_path / name
    path.write_bytes(data)
    lines = [line.strip() for batch in read(str(path), errors) for line in batch]  # type: ignore[arg-type]
    return [line for line, before in zip(lines, ["", *lines], strict=False) if line or before]


@pytest.mark.parametrize("packed", COMPRESS)
@pytest.mark.parametrize(
    ("ending", "data"),
    [
        (".txt", "Ä b\nc\n\n \nd".encode()),
        ("", "Ä b\nc\n\nd\n\n".encode()),
        (".txt", "\ufeffÄ b\r\nc\r\n\r\nd\r\n".encode()),
        (".txt", "Ä b\rc\r\rd\r".encode()),
        (".jsonl", jsonl({"id": "1", "text": "Ä b\n\n c"}, {"id": "2", "text": ""}, {"id": "3", "text": None}, {"id": "4", "text": "d"})),
        (".jsonl", "\ufeff".encode() + jsonl({"content": "Ä b\r\nc", "year": 1}) + b"\r\n" + jsonl({"content": "d", "year": 2})),
        (".parquet", parquet({"text": ["Ä b\nc", None, "d"], "title": ["x", "y", "z"]})),
        (".parquet", parquet({"page": ["Ä b\nc", "", "d"], "year": [1, 2, 3]})),
    ],
)
def test_every_format_and_compression_gives_the_same_lines(tmp_path: Path, ending: str, data: bytes, packed: str) -> None:
    if packed and not ending:
        ending = ".txt"
    assert lines_of(tmp_path, "text" + ending + packed, COMPRESS[packed](data)) == ["Ä b", "c", "", "d", ""]


@pytest.mark.parametrize("packed", [".gz", ".xz", ".zst"])
def test_archives_joined_one_after_the_other_are_read_to_the_end(tmp_path: Path, packed: str) -> None:
    data = COMPRESS[packed](b"a\n") + COMPRESS[packed](b"b\n")
    assert lines_of(tmp_path, "x.txt" + packed, data) == ["a", "b", ""]


@pytest.mark.parametrize("packed", [".gz", ".xz", ".zst"])
def test_damaged_archives_are_an_error(tmp_path: Path, packed: str) -> None:
    whole = COMPRESS[packed]("".join(f"line {n * n}\n" for n in range(5000)).encode())
    garbled = whole[: len(whole) // 2] + bytes(100) + whole[len(whole) // 2 + 100 :]
    for data in (whole[: len(whole) // 2], garbled, b"plain text\n" * 9):
        with pytest.raises(TextError, match=rf"x\.txt\{packed} (cannot be read: .*damaged or incomplete|has NUL bytes)"):
            lines_of(tmp_path, "x.txt" + packed, data)


@pytest.mark.parametrize(("ending", "before"), [(".txt", b"ok\n"), (".txt", b"fine\n" * CHUNK), (".jsonl", jsonl({"text": "a"}))])
def test_invalid_utf8_names_file_and_line(tmp_path: Path, ending: str, before: bytes) -> None:
    data = before + b'{"text": "Stra\xdfe"}\n'
    with pytest.raises(TextError, match=rf"x\{ending}, line {before.count(10) + 1}: byte 0xdf is not valid UTF-8.*--errors replace"):
        lines_of(tmp_path, "x" + ending, data)
    assert "Stra\ufffde" in lines_of(tmp_path, "x" + ending, data, "replace")[-2]


def test_half_a_surrogate_pair_in_json(tmp_path: Path) -> None:
    data = b'{"text": "a"}\n{"text": "\\ud83d\\ude00 \\ud83d"}\n'
    with pytest.raises(TextError, match=r"x\.jsonl, line 2.*'\\ud83d' is half a character"):
        lines_of(tmp_path, "x.jsonl", data)
    assert lines_of(tmp_path, "x.jsonl", data, "replace")[2] == "\U0001f600 \ufffd"


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("x.txt", b"a\n\0b\n", "x.txt has NUL bytes, so it is binary"),
        ("x.txt", "Straße\n".encode("utf-16"), "UTF-16: convert it to UTF-8"),
        ("x.jsonl", b'{"text": "a\n', r"x.jsonl, line 1: not JSON \(.*one object on each line"),
        ("x.jsonl", b'{"text": "a"}\n["b"]\n', "x.jsonl, line 2: a record must be an object.*not list"),
        ("x.jsonl", b'{"text": 3}\n', "x.jsonl, line 1, column 'text' holds int, not text"),
        ("x.jsonl", b'{"a": "x", "b": "y"}\n', "which column holds the text.*'a', 'b'.*text.column=NAME"),
        ("x.parquet", b"no parquet at all", "x.parquet is not a Parquet file"),
        ("x.parquet", parquet({"a": [1], "b": [2]}), "which column holds the text.*'a', 'b'"),
        ("x.parquet", parquet({"text": [1]}), "column 'text' holds int, not text"),
    ],
)
def test_what_is_not_text_is_said_so(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    with pytest.raises(TextError, match=message):
        lines_of(tmp_path, name, data)


def test_the_column_that_is_named_is_read(tmp_path: Path) -> None:
    records = {"a": ["eins"], "b": ["zwei"]}
    (tmp_path / "x.jsonl").write_bytes(b'{"a": "eins", "b": "zwei"}\n')
    (tmp_path / "x.parquet").write_bytes(parquet(records))
    for name in ("x.jsonl", "x.parquet"):
        assert [line for batch in read(str(tmp_path / name), "strict", "b") for line in batch if line] == ["zwei"]
        with pytest.raises(TextError, match="no column 'c'"):
            list(read(str(tmp_path / name), "strict", "c"))


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(TextError, match=r"no file '.*gone\.txt'"):
        list(read(str(tmp_path / "gone.txt"), "strict"))


@pytest.mark.parametrize("word", ["word ", "漢字かな", "ä"])
def test_long_lines_are_cut_wherever_the_reading_buffer_ends(tmp_path: Path, word: str) -> None:
    line = (word * (2 * CHUNK // len(word.encode()) + 1)).strip()
    texts = [lines_of(tmp_path, "x.txt", start.encode() + line.encode() + b"\nend\n") for start in ("", "start\n\n" * 1000)]
    pieces, shifted = texts[0][:-2], texts[1][2000:-2]
    assert pieces == shifted
    assert max(map(len, pieces)) <= LONGEST_LINE
    assert re.sub(" ", "", "".join(pieces)) == line.replace(" ", "")
    assert all(set(piece.split()) == {"word"} for piece in pieces if word == "word ")


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.txt.gz"
    path.write_bytes(gzip.compress(b"one line without an end " * 1_500_000, compresslevel=1))  # 36 MB
    tracemalloc.start()
    size = sum(len(line) for batch in read(str(path), "strict") for line in batch)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size == 36_000_000
    assert peak < 12_000_000
