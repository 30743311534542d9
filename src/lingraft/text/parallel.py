"""Parallel text: pairs of a source text and its translation, streaming, from TSV files and from the bundled corpus.

    parallel = resolve_parallel(["en-sw.tsv.gz", "more/*.tsv"], "en", "sw")
    for english, swahili in parallel.pairs(): ...

A text of any size is read at constant memory; every pass reads the places again.
"""

import glob
import hashlib
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from lingraft.errors import TextError
from lingraft.languages import parse
from lingraft.text import bundled
from lingraft.text.read import Errors, not_utf8, open_bytes, refuse_binary

__all__ = ["Parallel", "ParallelSurvey", "resolve_parallel"]

LONGEST_ROW = 1 << 20  # bytes
WHAT_TO_GIVE = "Parallel text has one pair on each line: the source text, a tab, its translation."

Normalisation = Literal["NFC", "NFKC", "none"]
Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class ParallelSurvey:
    """What one pass over parallel text finds.

    pairs              pairs with text on both sides
    source_characters  Unicode code points of the pairs' source sides, target_characters of the others
    fingerprint        hash of the normalised pairs: equal for equal pairs, wherever they lie
    dropped            pairs of which a side is empty, blank lines included
    """

    pairs: int
    source_characters: int
    target_characters: int
    fingerprint: str
    dropped: int


@dataclass(frozen=True)
class Parallel:
    """Pairs of texts of two languages, in one or several places: TSV files, `bundled:SOURCE-TARGET`.

    source, target  codes of the languages, None where they are not known
    """

    places: tuple[str, ...]
    source: str | None
    target: str | None
    normalisation: Normalisation = "NFC"
    errors: Errors = "strict"

    @cached_property
    def survey(self) -> ParallelSurvey:
        """The result of a pass over the text. Raises TextError where there is no pair, or a place cannot be read."""
        digest = hashlib.sha256()
        pairs = source_characters = target_characters = dropped = 0
        for source, target in self.rows():
            if not (source and target):
                dropped += 1
                continue
            digest.update(f"{source}\t{target}\n".encode())
            pairs, source_characters, target_characters = pairs + 1, source_characters + len(source), target_characters + len(target)
        if not pairs:
            why = f"a side is empty in all of its {dropped:,} lines" if dropped else "it is empty"
            raise TextError(f"There is no pair in {', '.join(self.places)}: {why}. {WHAT_TO_GIVE}")
        return ParallelSurvey(pairs, source_characters, target_characters, digest.hexdigest(), dropped)

    def pairs(self) -> Iterator[Pair]:
        """(source, target) of every pair that has text on both sides. Raises TextError as `rows` does."""
        return (pair for pair in self.rows() if all(pair))

    def rows(self) -> Iterator[Pair]:
        """(source, target) of every line of the places, normalised and stripped; a side may be empty, both are on a blank line.

        Of the bundled text, the pairs of pages that are not held out. Raises TextError, with file and line, for a line without a tab or
        with more than two (after the second stands a score, which is not used), and where a place cannot be read.
        """
        for place in self.places:
            for source, target in _bundled(place) if place.startswith("bundled:") else _read(place, self.errors):
                yield self._prepare(source), self._prepare(target)

    def _prepare(self, text: str) -> str:
        return (text if self.normalisation == "none" else unicodedata.normalize(self.normalisation, text)).strip()


def _bundled(place: str) -> Iterator[Pair]:
    """The bundled pairs of the training pages: what is held out stays unseen, whatever the pairs are used for."""
    source, _, target = place.removeprefix("bundled:").partition("-")
    every = bundled.HELD_OUT_EVERY
    return (pair for page, *pair in bundled.parallel(source, target) if page % every != every // 2)  # type: ignore[misc]


def _read(path: str, errors: Errors) -> Iterator[Pair]:
    """The two sides of every line of a TSV file, as they stand there.

    Only a line feed ends a line: other line breaks of Unicode are part of the text.
    """
    with open_bytes(path) as stream:
        for number, data in enumerate(iter(lambda: stream.readline(LONGEST_ROW), b""), 1):
            refuse_binary(data, path)
            if len(data) == LONGEST_ROW and data[-1:] != b"\n":
                raise TextError(f"{path}, line {number} is longer than {LONGEST_ROW:,} bytes. {WHAT_TO_GIVE}")
            try:
                line = data.decode("utf-8-sig" if number == 1 else "utf-8", errors)
            except UnicodeDecodeError as error:
                raise not_utf8(error, path, number) from None
            yield _sides(line, f"{path}, line {number}")


def _sides(line: str, place: str) -> Pair:
    """The first two columns of a line. Raises TextError where there is one, or more than three."""
    columns = line.split("\t")
    if len(columns) in (2, 3):
        return columns[0], columns[1]
    if not line.strip():
        return "", ""
    start = line.strip()[:40]
    if len(columns) == 1:
        raise TextError(f"{place} has no tab: {start!r}. {WHAT_TO_GIVE}")
    raise TextError(f"{place} has {len(columns)} columns: {start!r}. {WHAT_TO_GIVE} A third column, a score, may follow.")


def resolve_parallel(
    specs: Sequence[str],
    source: str | None = None,
    target: str | None = None,
    normalisation: Normalisation = "NFC",
    errors: Errors = "strict",
) -> Parallel:
    """The parallel text that the user named, as source TAB target.

    A spec is a TSV file, also .gz, .xz or .zst, a quoted glob, `bundled` or `bundled:SOURCE-TARGET`. Languages that are not given are
    those of the bundled text, if that is named. Raises TextError where there is nothing, where the bundled text is of other languages
    or of none known; LanguageError where a code does not exist.
    """
    source, target = source and parse(source).code, target and parse(target).code
    places = []
    for spec in specs:
        if spec == "bundled" or spec.startswith("bundled:"):
            source, target = _bundled_languages(spec, source, target)
            places.append(f"bundled:{source}-{target}")
        else:
            places += _files(spec)
    if not places:
        raise TextError(f"No parallel text is named. {WHAT_TO_GIVE}")
    return Parallel(tuple(dict.fromkeys(places)), source, target, normalisation, errors)


def by_pair(specs: Sequence[str], codes: Sequence[str]) -> dict[tuple[str, str], list[str]]:
    """(source, target) -> the specs of that pair of languages, in the order given, each written as CODE-CODE=PATH or bundled:CODE-CODE.

    codes: the languages that there are. Raises TextError for a spec of other languages, or that names none.
    """
    found: dict[tuple[str, str], list[str]] = {}
    for spec in specs:
        named, _, place = (spec.removeprefix("bundled:"), "", spec) if spec.startswith("bundled:") else spec.partition("=")
        pair = tuple(parse(code).code for code in named.split("-")) if re.fullmatch(r"\w+-\w+", named) else ()
        if not place or len(pair) != 2 or not set(pair) <= set(codes):
            raise TextError(f"--parallel {spec!r} must name two of the languages {', '.join(codes)}: --parallel CODE-CODE=FILE.tsv.")
        found.setdefault((pair[0], pair[1]), []).append(place)
    return found


def _bundled_languages(spec: str, source: str | None, target: str | None) -> tuple[str, str]:
    """The languages of a bundled place. Raises TextError where they are not known, or not those of the rest."""
    named = spec.removeprefix("bundled").removeprefix(":").split("-") if ":" in spec else [source, target]
    if len(named) != 2 or not all(named):
        raise TextError(f"{spec!r} does not say of which languages. Write bundled:SOURCE-TARGET, for example bundled:en-de.")
    codes = bundled.known(str(named[0])), bundled.known(str(named[1]))
    if (source or codes[0], target or codes[1]) != codes:
        raise TextError(
            f"{spec!r} is {codes[0]} to {codes[1]}, but the source is {source or codes[0]!r} and the target {target or codes[1]!r}. "
            f"Write bundled:{source or codes[0]}-{target or codes[1]}, or name a file."
        )
    return codes


def _files(spec: str) -> list[str]:
    """The files that one spec stands for. Raises TextError where there is none, or one has nothing in it."""
    files = [spec] if Path(spec).is_file() else sorted(path for path in glob.glob(spec, recursive=True) if Path(path).is_file())
    if not files:
        what = "No file matches" if glob.has_magic(spec) else "There is no file"
        raise TextError(f"{what} {spec!r}. Check the path. {WHAT_TO_GIVE}")
    for file in files:
        if not Path(file).stat().st_size:
            raise TextError(f"{file} is empty. {WHAT_TO_GIVE}")
    return files
