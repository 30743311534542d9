"""The bundled corpus: the LibreOffice help in several languages, monolingual and parallel, with no download.

Its files, their licence (MPL-2.0) and where they come from are in `lingraft/data/libreoffice_help`. Row i of every file is the same
paragraph of the same page; an empty row is not translated. Pages have the same number in every language, so that the held-out pages are
the same everywhere (see `lingraft.text.corpus`).
"""

import lzma
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from itertools import groupby

from lingraft.errors import LanguageError, suggest
from lingraft.languages import parse
from lingraft.text.read import Document

LANGUAGES = ("de", "en", "es", "eu", "fr", "ja", "ru")
HELD_OUT_EVERY = 20


def documents(code: str) -> Iterator[Document]:
    """One document for each help page, in page order; `Document.number` is the page's number. No paragraph comes twice.

    Raises LanguageError where the language is not bundled.
    """
    texts = _texts(known(code))
    rows = (row for row in zip(_pages(), texts, strict=True) if row[1])
    seen: set[str] = set()
    for number, page in groupby(rows, key=lambda row: row[0]):
        lines = [text for _, text in page if not (text in seen or seen.add(text))]  # type: ignore[func-returns-value]
        if lines:
            yield Document(lines, number)


def parallel(source: str, target: str) -> Iterator[tuple[int, str, str]]:
    """(page number, source text, target text) of every distinct pair of paragraphs, in page order.

    A text may stand on several pages, with different translations, while `documents` has it on the first of them only. Pairs of
    which a side would be held out and another not are left out (under 1 %), so that the training pages' pairs tell nothing about
    the documents of the held-out pages. Raises LanguageError where a language is not bundled.
    """
    sides = _texts(known(source)), _texts(known(target))
    first: tuple[dict[str, int], dict[str, int]] = {}, {}
    seen: set[tuple[str, str]] = set()
    for page, *pair in zip(_pages(), *sides, strict=True):
        pages = {page} | {first_page.setdefault(text, page) for first_page, text in zip(first, pair, strict=True) if text}
        if all(pair) and (key := (pair[0], pair[1])) not in seen and len({_held_out(number) for number in pages}) == 1:
            seen.add(key)
            yield page, *key


def rows(code: str) -> Iterator[tuple[int, str]]:
    """(page number, text) of every row, the same paragraph in every language; "" where it is not translated.

    Raises LanguageError where the language is not bundled.
    """
    return zip(_pages(), _texts(known(code)), strict=True)


def _held_out(page: int) -> bool:
    return page % HELD_OUT_EVERY == HELD_OUT_EVERY // 2


def known(code: str) -> str:
    """The bundled language that a code, in any of its spellings, stands for. Raises LanguageError where it is not bundled."""
    language = parse(code).code
    if language not in LANGUAGES:
        raise LanguageError(f"There is no bundled text for {code!r}. {suggest(code, LANGUAGES)} Give your own with --text.")
    return language


@cache
def _pages() -> list[int]:
    """The page number of every row."""
    return [int(line.split("\t", 1)[0]) for line in _read("pages.tsv.xz")]


def _texts(code: str) -> list[str]:
    return _read(f"{code}.txt.xz")


def _read(name: str) -> list[str]:
    """The lines of a data file."""
    data = (files("lingraft") / "data" / "libreoffice_help" / name).read_bytes()
    return lzma.decompress(data).decode().split("\n")[:-1]
