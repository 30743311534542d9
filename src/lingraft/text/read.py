"""From the bytes of a file to lines, at constant memory: encodings, compression, and the formats .txt, .jsonl, .parquet
and .xml, a Wikipedia dump.

Every reader yields *batches*: lists of raw lines in which an empty line ends a document. That one convention carries documents of any
length, since a batch may end anywhere.
"""

import bz2
import codecs
import gzip
import io
import json
import lzma
import re
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

from lingraft.errors import TextError, suggest
from lingraft.text.wiki import articles

COMPRESSIONS = (".gz", ".bz2", ".xz", ".zst")
FORMATS = (".txt", ".jsonl", ".parquet")
CHUNK = 1 << 20
LONGEST_LINE = 20_000  # characters
BATCH = 1_000  # records
SURROGATE = re.compile("[\ud800-\udfff]")

Batch = list[str]
Errors = Literal["strict", "replace"]


@dataclass(frozen=True, slots=True)
class Document:
    """A text, or a piece of a long one.

    lines   non-empty, stripped, normalised
    number  what decides the held-out split: the unit's place in the corpus, or the page of the bundled text
    """

    lines: list[str]
    number: int


def read(path: str, errors: Errors, column: str | None = None) -> Iterator[Batch]:
    """The lines of a file, an empty one after each document. Its format is known by its name, compression included.

    column: of records, the one that holds the text; by default "text", or the only one with strings. A line of plain text longer than
    LONGEST_LINE is cut at its last space before that. Raises TextError where the file is missing, binary, damaged, not UTF-8 (with
    errors="strict"), or has no column of text.
    """
    suffix = Path(path.removesuffix(Path(path).suffix) if Path(path).suffix in COMPRESSIONS else path).suffix
    with open_bytes(path) as stream:
        if suffix == ".jsonl":
            yield from records(_json_texts(stream, path, errors, column))
        elif suffix == ".parquet":
            yield from records(_parquet_texts(stream, path, column))
        elif suffix.startswith(".xml"):  # of a dump in parts: .xml-p1p1000.bz2
            yield from records(articles(stream, path))
        else:
            yield from _plain(stream, path, errors)


def records(texts: Iterator[str]) -> Iterator[Batch]:
    """Batches of records: the lines of a record are one document."""
    batch: Batch = []
    for count, text in enumerate(texts, 1):
        batch += [line for line in text.splitlines() if line and not line.isspace()]
        batch.append("")
        if count % BATCH == 0:
            yield batch
            batch = []
    yield batch


def choose_column(record: dict[str, Any], place: str, column: str | None = None) -> str:
    """The column that holds the text: `column`, else "text", else the only one with strings. Raises TextError."""
    if column:
        if column not in record:
            raise TextError(f"{place} has no column {column!r}. {suggest(column, record)}")
        return column
    strings = [name for name, value in record.items() if isinstance(value, str)]
    if "text" in record or len(strings) == 1:
        return "text" if "text" in record else strings[0]
    found = ", ".join(map(repr, record)) or "none"
    raise TextError(
        f"{place}: which column holds the text? It has no column 'text' (columns: {found}). Name it with --set text.column=NAME."
    )


def lines(path: str) -> Iterator[str]:
    """The lines of a text file in UTF-8 one by one, stripped, empty ones too; compressed as its name says. Only a line feed ends a line.

    Raises TextError where the file is missing, binary, damaged or not UTF-8.
    """
    with open_bytes(path) as stream:
        for number, data in enumerate(stream, 1):
            refuse_binary(data, path)
            try:
                yield data.decode("utf-8-sig" if number == 1 else "utf-8").strip()
            except UnicodeDecodeError:
                raise TextError(f"{path}, line {number} is not valid UTF-8. Convert the file (iconv -f latin1 -t utf-8).") from None


@contextmanager
def open_bytes(path: str) -> Iterator[IO[bytes]]:
    """The uncompressed bytes of a file; whatever goes wrong while they are read is a TextError."""
    try:
        with open(path, "rb") as raw, _decompressed(raw, Path(path).suffix) as stream:
            yield stream
    except FileNotFoundError:
        raise TextError(f"There is no file {path!r}. Check the path.") from None
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise TextError(f"{path} cannot be read: {error}. It may be damaged or incomplete, or have the wrong ending.") from None


def _decompressed(raw: IO[bytes], suffix: str) -> IO[bytes]:
    """The stream that a file's ending asks for."""
    if suffix == ".gz":
        return io.BufferedReader(gzip.GzipFile(fileobj=raw), CHUNK)
    if suffix == ".bz2":
        return bz2.BZ2File(raw)
    if suffix == ".xz":
        return lzma.LZMAFile(raw)
    if suffix == ".zst":
        import pyarrow  # its reader says when a file is cut off; zstandard's own does not

        return io.BufferedReader(pyarrow.CompressedInputStream(raw, "zstd"), CHUNK)
    return raw


def _plain(stream: IO[bytes], path: str, errors: Errors) -> Iterator[Batch]:
    """Batches of about CHUNK bytes of plain text; a blank line ends a document."""
    decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder("utf-8-sig")(errors), translate=True)
    rest, num_lines = "", 0
    while chunk := stream.read(CHUNK):
        refuse_binary(chunk, path)
        try:
            text = rest + decoder.decode(chunk)
        except UnicodeDecodeError as error:
            raise not_utf8(error, path, num_lines + error.object.count(b"\n", 0, error.start) + 1) from None
        num_lines += chunk.count(b"\n")
        end = text.rfind("\n") + 1
        lines, rest = text[:end].splitlines(), text[end:]
        if len(rest) > LONGEST_LINE:
            *pieces, rest = _cut(rest)
            lines += pieces
        yield _cut_long(lines)
    yield _cut_long((rest + decoder.decode(b"", final=True)).splitlines())
    yield [""]


def _cut_long(lines: list[str]) -> list[str]:
    """The same lines, none longer than LONGEST_LINE."""
    if max(map(len, lines), default=0) <= LONGEST_LINE:
        return lines
    return [piece for line in lines for piece in _cut(line)]


def _cut(line: str) -> list[str]:
    """Pieces of a line of at most LONGEST_LINE characters, cut before a space where there is one.

    A piece depends on nothing that follows it, so that a line may be cut while it is still being read.
    """
    pieces, start = [], 0
    while len(line) - start > LONGEST_LINE:
        space = line.rfind(" ", start + 1, start + LONGEST_LINE)
        end = space if space > 0 else start + LONGEST_LINE
        pieces.append(line[start:end])
        start = end
    return [*pieces, line[start:]]


def refuse_binary(data: bytes, path: str) -> None:
    """Raise TextError where bytes cannot be text in UTF-8."""
    if b"\0" in data:
        utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        what = "UTF-16: convert it to UTF-8, for example with iconv" if utf16 else "binary: give plain text, .jsonl or .parquet"
        raise TextError(f"{path} has NUL bytes, so it is {what}.")


def not_utf8(error: UnicodeDecodeError, path: str, line: int) -> TextError:
    byte = error.object[error.start]
    return TextError(
        f"{path}, line {line}: byte 0x{byte:02x} is not valid UTF-8. Convert the file (for example: iconv -f latin1 -t utf-8), "
        "or read it with --errors replace, which puts U+FFFD for such bytes."
    )


def _json_texts(stream: IO[bytes], path: str, errors: Errors, wanted: str | None) -> Iterator[str]:
    """The text of every record of a JSON-lines file."""
    column = ""
    for number, line in enumerate(stream, 1):
        refuse_binary(line, path)
        try:
            record = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8", errors)) if line.strip() else {}
        except UnicodeDecodeError as error:
            raise not_utf8(error, path, number) from None
        except json.JSONDecodeError as error:
            raise TextError(f"{path}, line {number}: not JSON ({error.msg}). A .jsonl file has one object on each line.") from None
        if not isinstance(record, dict):
            raise TextError(f'{path}, line {number}: a record must be an object such as {{"text": "..."}}, not {type(record).__name__}.')
        column = column or (choose_column(record, f"{path}, line {number}", wanted) if record else "")
        place = f"{path}, line {number}, column {column!r}"
        text = as_text(record.get(column), place)
        if b"\\u" in line and (half := SURROGATE.search(text)):  # JSON's escapes can spell what is no character
            if errors == "strict":
                raise TextError(f"{place}: {half[0]!a} is half a character. Correct it, or read the file with --errors replace.")
            text = SURROGATE.sub("\ufffd", text)
        yield text


def _parquet_texts(stream: IO[bytes], path: str, wanted: str | None) -> Iterator[str]:
    """The text of every record of a Parquet file, a thousand at a time."""
    import pyarrow
    import pyarrow.parquet

    with tempfile.TemporaryFile() as spool:
        if Path(path).suffix in COMPRESSIONS:  # Parquet is read from its end, which a compressed stream cannot do
            shutil.copyfileobj(stream, spool)
            stream = spool
        try:
            file = pyarrow.parquet.ParquetFile(stream)
            kinds = {field.name: "" if re.fullmatch("(large_)?string(_view)?", str(field.type)) else None for field in file.schema_arrow}
            column = choose_column(kinds, path, wanted)
            for batch in file.iter_batches(BATCH, columns=[column]):
                yield from (as_text(text, f"{path}, column {column!r}") for text in batch.column(0).to_pylist())
        except pyarrow.ArrowInvalid as error:
            raise TextError(f"{path} is not a Parquet file: {error}.") from None


def as_text(value: Any, place: str) -> str:
    """A record's text; a missing one is an empty document. Raises TextError where it is anything else than text."""
    if value is None or isinstance(value, str):
        return value or ""
    raise TextError(f"{place} holds {type(value).__name__}, not text.")
