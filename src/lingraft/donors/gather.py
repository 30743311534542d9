"""From what the user names to the sentences of a language, or to the segments that several have in common."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import TypeVar

from lingraft.errors import TextError
from lingraft.text import bundled
from lingraft.text.corpus import TextSettings, resolve
from lingraft.text.read import COMPRESSIONS, lines
from lingraft.text.words import sentences

WHAT_TO_GIVE = (
    "Give 'bundled', or a folder of files CODE.tsv (an id, a tab, the text) or CODE.txt (the same lines in each), also compressed."
)

Segments = dict[str, tuple[str, str]]
"""Id -> (document, text), in the order of the text."""
Held = TypeVar("Held", str, tuple[str, ...])


def sentence_units(specs: Sequence[str], code: str, section: int) -> Iterator[list[str]]:
    """The sentences of each document, long documents in pieces of about `section` characters. Raises TextError where there is no text.

    specs: what `lingraft transfer --text` takes, with {} for the code; of a folder also CODE.tsv.
    """
    named = [spec.replace("{}", code) for spec in specs]
    if _table(named, code):
        yield from _cut(segments(specs, code).values(), section)
        return
    for document in resolve(named, code, settings=TextSettings()).documents(section):
        if found := [sentence for line in document.lines for piece in sentences(line) if (sentence := piece.strip())]:
            yield found


def segments(specs: Sequence[str], code: str) -> Segments:
    """The segments of a language. Raises TextError where there are none, or the file is not of that form."""
    named = [spec.replace("{}", code) for spec in specs]
    if named in (["bundled"], [f"bundled:{code}"]):
        found = {str(number): (str(page), text) for number, (page, text) in enumerate(bundled.rows(code)) if text}
    elif table := _table(named, code):
        found = dict(_rows_of_table(table))
    else:
        found = dict(_rows_of_lines(resolve(named, code, settings=TextSettings()).places))
    if not found:
        raise TextError(f"There is no segment of {code!r} in {', '.join(named)}. {WHAT_TO_GIVE}")
    return found


def common_units(texts: Mapping[str, Segments], section: int) -> Iterator[list[tuple[str, ...]]]:
    """The rows, a text in each language, that all languages have, by document of the first, in pieces of at most `section` rows.

    No row comes twice. A row with the same text in two languages (a name, a command, what was left untranslated) is none: it would be
    one language's text in the other's corpus.
    """
    first, *others = texts.values()
    rows: dict[tuple[str, ...], str] = {}
    for key, (document, text) in first.items():
        if all(key in other for other in others):
            row = (text, *(other[key][1] for other in others))
            if len(set(row)) == len(row):
                rows.setdefault(row, document)
    yield from _cut(((document, row) for row, document in rows.items()), section)


def _cut(rows: Iterable[tuple[str, Held]], section: int) -> Iterator[list[Held]]:
    """The texts (or rows) of each document, in pieces of at most `section` characters (or rows)."""
    for _, group in groupby(rows, key=lambda row: row[0]):
        unit: list[Held] = []
        total = 0
        for _, held in group:
            weight = len(held) if isinstance(held, str) else 1
            if unit and total + weight > section:
                yield unit
                unit, total = [], 0
            unit.append(held)
            total += weight
        yield unit


def _table(named: Sequence[str], code: str) -> str | None:
    """The TSV file of a language: named as such, or in a folder that is named."""
    if len(named) != 1:
        return None
    if re.search(r"\.tsv(\.\w+)?$", named[0]):
        return named[0]
    paths = [Path(named[0]) / f"{code}.tsv{packed}" for packed in ("", *COMPRESSIONS)]
    return next((str(path) for path in paths if path.is_file()), None)


def _rows_of_table(path: str) -> Iterator[tuple[str, tuple[str, str]]]:
    """Of the lines `id TAB text`; the document is the id up to its last part: page.html#paragraph, Gen.1.2, GEN 1:2."""
    for number, line in enumerate(lines(path), 1):
        key, tab, text = line.partition("\t")
        if line and not tab:
            raise TextError(f"{path}, line {number} has no tab: {line[:40]!r}. {WHAT_TO_GIVE}")
        if tidy := _tidy(text):
            yield key, (key.partition("#")[0] if "#" in key else re.split("[.:](?=[^.:]*$)", key)[0], tidy)


def _rows_of_lines(paths: Iterable[str]) -> Iterator[tuple[str, tuple[str, str]]]:
    """Of plain text: the line's number is its id, a blank line ends a document."""
    document = 0
    for number, line in enumerate(line for path in paths for line in lines(path)):
        document += not line
        if text := _tidy(line):
            yield str(number), (str(document), text)


def _tidy(text: str) -> str:
    """In one line, whatever Unicode calls a line break."""
    return unicodedata.normalize("NFC", " ".join(text.splitlines())).strip()
