"""Bilingual lexicons: pairs of words with a score, read from TSV, MUSE's format and FreeDict's two, and written as TSV."""

import gzip
import io
import math
import re
import string
from collections.abc import Iterable, Iterator
from itertools import product
from pathlib import Path
from typing import IO
from xml.etree import ElementTree

from lingraft.errors import TextError
from lingraft.files import atomic_write
from lingraft.text.read import COMPRESSIONS, open_bytes, refuse_binary

Pair = tuple[str, str]
Entry = tuple[str, str, float]

WHAT_TO_GIVE = "An entry is a line with source, a tab, target, and a tab and a score where there is one; or source, one space, target."
XML = re.compile(rb"(\xef\xbb\xbf)?\s*<(\?xml|!DOCTYPE|TEI)")
DIGITS = {digit: value for value, digit in enumerate(string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/")}  # dictd's
SENSE = re.compile(r"\s*\d+\.\s+(.+)")
NOTES = re.compile(r"\([^()]*\)|\[[^][]*\]|\{[^{}]*\}|<[^<>]*>|(?<!\S)/+[^/]+/+|\s\d+\.\s*$")  # grammar, subject, sound; the next number


def read_lexicon(path: Path | str) -> list[Entry]:
    """(source, target, score) of the entries of a file, in its order; the score is 1 where there is none.

    The formats: TSV; MUSE's, two words on a line with a space or a tab between; FreeDict's TEI XML; each also .gz, .xz or .zst; and
    dictd's .index with a .dict or .dict.dz beside it. Of a pair that comes again the highest score stands, and a pair with capitals is
    left out where the same with a side in lower case is there. Raises TextError where the file is missing, damaged, empty or none of these.
    """
    name = str(path)
    plain = name.removesuffix(Path(name).suffix) if Path(name).suffix in COMPRESSIONS else name
    if plain.endswith((".index", ".dict", ".dict.dz")):
        entries = _distinct(_dictd(plain.removesuffix(".dz").rpartition(".")[0]))
    else:
        with open_bytes(name) as stream:
            is_xml = plain.endswith((".tei", ".xml")) or XML.match(stream.read(1000))
        with open_bytes(name) as stream:
            entries = _distinct(_tei(stream, name) if is_xml else _lines(stream, name))
    if not entries:
        raise TextError(f"{name} has no entries. {WHAT_TO_GIVE}")
    return entries


def write_lexicon(path: Path, entries: Iterable[Entry]) -> None:
    """Write entries as TSV with scores to a plain file or .gz, atomically. Raises as `write_lines` does."""
    write_lines(path, (f"{source}\t{target}\t{score}" for source, target, score in entries))


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write lines in UTF-8, atomically; compressed where the name ends in .gz. Same lines, same bytes.

    Raises TextError for other compressions, RunError where the file cannot be written.
    """
    if path.suffix in COMPRESSIONS and path.suffix != ".gz":
        raise TextError(f"{path}: files with {path.suffix} are read, but not written. Write .gz, or a plain file.")
    with atomic_write(path) as temporary, open(temporary, "wb") as raw:
        stream = gzip.GzipFile("", "wb", fileobj=raw, mtime=0) if path.suffix == ".gz" else raw
        with io.TextIOWrapper(stream, encoding="utf-8", newline="\n") as text:
            text.writelines(f"{line}\n" for line in lines)


def _distinct(entries: Iterable[Entry]) -> list[Entry]:
    """Each pair once, and not once per letter case."""
    scores: dict[Pair, float] = {}
    for source, target, score in entries:
        scores[source, target] = max(score, scores.get((source, target), score))

    def is_repeated(source: str, target: str) -> bool:
        lower = product({source, source.lower()}, {target, target.lower()})
        return any(pair in scores for pair in lower if pair != (source, target))

    return [(*pair, score) for pair, score in scores.items() if not is_repeated(*pair)]


def _lines(stream: IO[bytes], path: str) -> Iterator[Entry]:
    """The entries of TSV and of MUSE's format. Only a line feed ends a line."""
    for number, data in enumerate(stream, 1):
        refuse_binary(data, path)
        place = f"{path}, line {number}"
        try:
            line = data.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError:
            raise TextError(f"{place} is not valid UTF-8. Convert the file (for example: iconv -f latin1 -t utf-8).") from None
        if line.strip():
            yield _entry(line.rstrip(), place)


def _entry(line: str, place: str) -> Entry:
    """The entry on a line. Raises TextError."""
    columns = [column.strip() for column in (line.split("\t") if "\t" in line else re.split(" +", line.strip()))]
    if len(columns) not in ((2, 3) if "\t" in line else (2,)) or not all(columns):
        count = "one column" if len(columns) == 1 else "no source and target"
        raise TextError(f"{place} has {count}: {line[:40]!r}. {WHAT_TO_GIVE}")
    try:
        score = float(columns[2]) if len(columns) == 3 else 1.0
    except ValueError:
        score = math.nan
    if not 0 <= score < math.inf:
        raise TextError(f"{place}: the score {columns[2]!r} is not a number from 0 up. {WHAT_TO_GIVE}")
    return columns[0], columns[1], score


# FreeDict


def _tei(stream: IO[bytes], path: str) -> Iterator[Entry]:
    """The entries of TEI XML. Python's parser fetches nothing from outside the file."""
    try:
        for _, element in ElementTree.iterparse(stream):
            if _tag(element) == "entry":
                forms = [form for form in element if _tag(form) == "form" and not form.get("type", "").startswith("infl")]
                heads = [_text(part) for form in forms for part in form if _tag(part) == "orth"]
                translations = list(_translations(element))
                yield from ((source, target, 1.0) for source, target in product(heads, translations) if source and target)
                element.clear()  # else the whole file would stay in memory
    except ElementTree.ParseError as error:
        raise TextError(f"{path}, line {error.position[0]}: not XML ({error}). It may be damaged or incomplete.") from None


def _translations(element: ElementTree.Element) -> Iterator[str]:
    """The translations in an entry, those of its examples left out."""
    for child in element:
        if _tag(child) == "cit":
            if child.get("type") in ("trans", "translation"):
                yield from (_text(part) for part in child if _tag(part) in ("quote", "orth"))
        elif _tag(child) == "tr":  # as in TEI P4
            yield _text(child)
        elif _tag(child) not in ("form", "eg"):
            yield from _translations(child)


def _tag(element: ElementTree.Element) -> str:
    """An element's name without its namespace."""
    return str(element.tag).rpartition("}")[2]


def _text(element: ElementTree.Element) -> str:
    return " ".join("".join(element.itertext()).split())


def _dictd(base: str) -> Iterator[Entry]:
    """The entries of a dictionary of dictd: `base`.index says where in `base`.dict the article of a head is."""
    body = next((name for name in (f"{base}.dict.dz", f"{base}.dict") if Path(name).exists()), f"{base}.dict")
    with open_bytes(body) as stream:
        articles = gzip.decompress(stream.read()) if body.endswith(".dz") else stream.read()
    with open_bytes(f"{base}.index") as stream:
        for number, line in enumerate(stream, 1):
            try:
                head, offset, size = line.decode().rstrip("\n").split("\t")[:3]
                start = _number(offset)
                article = articles[start : start + _number(size)].decode()
            except (KeyError, ValueError):
                raise TextError(f"{base}.index, line {number} does not fit {body}. One of them may be damaged, or not in UTF-8.") from None
            if not head.startswith(("00database", "00-database")):  # what is said of the dictionary itself
                yield from _article(article, head)


def _number(digits: str) -> int:
    """A number as dictd writes it, in base 64. Raises KeyError."""
    value = 0
    for digit in digits:
        value = value * 64 + DIGITS[digit]
    return value


def _article(article: str, head: str) -> Iterator[Entry]:
    """The entries in an article: its first line, which has the capitals that the index has lost, with the words of its numbered senses,
    or of the next line where there are none; notes removed."""
    first, *lines = [line for line in article.splitlines() if line.strip()] or [""]
    senses = [match[1] for line in lines if (match := SENSE.match(line))] or lines[:1]
    source = " ".join(NOTES.sub(" ", first).split()) or head
    targets = (" ".join(part.split()) for sense in senses for part in re.split("[,;]", NOTES.sub(" ", sense)))
    return ((source, target, 1.0) for target in targets if source and target)
