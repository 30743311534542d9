"""From what the user names with --text to documents, streaming: places, normalisation, the held-out split, a survey.

    corpus = resolve(["news.txt.gz", "sw=wiki/*.jsonl"], "sw")
    for document in corpus.split("train"): ...

A text of any size is read at constant memory; every pass reads the places again.
"""

import glob
import hashlib
import re
import shutil
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from lingraft.errors import LanguageError, TextError
from lingraft.languages import parse
from lingraft.text import bundled
from lingraft.text.clean import Cleaner
from lingraft.text.read import COMPRESSIONS, FORMATS, Batch, Document, as_text, choose_column, read, records

__all__ = ["Corpus", "Document", "Survey", "TextSettings", "language_of", "resolve", "survey"]

Part = Literal["train", "held-out"]
HUB = re.compile(r"hub:(?P<name>[^@#:]+)(?:@(?P<config>[^#:]+))?(?:#(?P<split>[^:]+))?(?::(?P<column>.+))?")


class TextSettings(BaseModel):
    """How text is read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    normalisation: Literal["NFC", "NFKC", "none"] = Field(default="NFC", description="Unicode normalisation of every line")
    errors: Literal["strict", "replace"] = Field(default="strict", description="what to do with invalid UTF-8: stop, or put U+FFFD")
    column: str | None = Field(
        default=None, description="of records: the one that holds the text; by default `text`, or the only one with strings"
    )
    clean: list[Literal["duplicates", "script"]] = Field(
        default=[], description="lines to drop: those seen before, those with most letters outside the language's script"
    )


@dataclass(frozen=True, slots=True)
class Survey:
    """What one pass over a corpus finds.

    documents, lines  counts; a document is as the text has it, before long ones are cut into units
    characters        Unicode code points of the lines, line breaks not counted
    bytes             the same in UTF-8
    fingerprint       hash of the normalised text: equal for equal text, whatever its format
    dropped           lines dropped by each of the cleaning steps
    """

    documents: int
    lines: int
    characters: int
    bytes: int
    fingerprint: str
    dropped: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Corpus:
    """Text of one language in one or several places: files, `bundled:CODE`, `hub:…`."""

    language: str
    places: tuple[str, ...]
    settings: TextSettings

    @cached_property
    def survey(self) -> Survey:
        """The result of a pass over the text. Raises TextError where there is none, or it cannot be read."""
        return _survey(self)

    @cached_property
    def held_out_every(self) -> int:
        """One unit in so many is held out: in 20, and in more where the text has more than 40 MB (so about 2 MB are)."""
        return max(bundled.HELD_OUT_EVERY, self.survey.bytes // 2_000_000)

    @cached_property
    def section(self) -> int:
        """Characters above which a document is cut into units."""
        return min(max(self.survey.characters // 20, 200), 20_000)

    def is_held_out(self, document: Document) -> bool:
        """Whether a unit belongs to the held-out part."""
        return document.number % self.held_out_every == self.held_out_every // 2

    def documents(self, section: int | None = None) -> Iterator[Document]:
        """All units: the documents, long ones cut at line borders into units of at most `section` characters (by default, the property).

        A line longer than that is a unit; pages of the bundled text are never cut. Raises TextError where a place cannot be read.
        """
        cleaner, number = Cleaner(self.settings.clean, self.language), 0
        for place in self.places:
            if place.startswith("bundled:"):
                for page in bundled.documents(place.removeprefix("bundled:")):
                    if lines := self._prepare(page.lines, cleaner):
                        yield Document(lines, page.number)
                continue
            for lines in _units(self._batches(place, cleaner), section or self.section):
                yield Document(lines, number)
                number += 1

    def split(self, part: Part) -> Iterator[Document]:
        """The units of the training part or of the held-out part. Raises TextError where a place cannot be read."""
        return (document for document in self.documents() if self.is_held_out(document) == (part == "held-out"))

    def _batches(self, place: str, cleaner: Cleaner) -> Iterator[Batch]:
        """Lists of prepared lines, with a single empty line after each document that has any."""
        before = ""
        for batch in _read(place, self.settings):
            lines = self._prepare(batch, cleaner)
            yield [line for line, previous in zip(lines, [before, *lines], strict=False) if line or previous]
            before = lines[-1] if lines else before

    def _prepare(self, lines: Batch, cleaner: Cleaner) -> Batch:
        """Lines normalised, stripped, cleaned; a blank one becomes empty."""
        form = self.settings.normalisation
        if form == "none":
            return cleaner.keep([line.strip() for line in lines])
        return cleaner.keep([unicodedata.normalize(form, line).strip() for line in lines])


def survey(corpus: Corpus) -> Survey:
    """What is in a corpus; reads it once, the first time. Raises TextError where there is no text, or it cannot be read."""
    return corpus.survey


def _survey(corpus: Corpus) -> Survey:
    cleaner, digest = Cleaner(corpus.settings.clean, corpus.language), hashlib.blake2b(digest_size=16)
    documents = lines = characters = size = 0
    for place in corpus.places:
        for batch in corpus._batches(place, cleaner):
            text = "\n".join([*batch, ""])
            data = text.encode()
            digest.update(data)
            ends = batch.count("")
            documents, lines = documents + ends, lines + len(batch) - ends
            characters, size = characters + len(text) - len(batch), size + len(data) - len(batch)
    if not lines:
        dropped = ", ".join(f"{count} lines by '{step}'" for step, count in cleaner.dropped.items() if count)
        why = f"cleaning dropped all of it ({dropped})" if dropped else "it is empty"
        raise TextError(f"There is no text for {corpus.language!r} in {', '.join(corpus.places)}: {why}.")
    return Survey(documents, lines, characters, size, digest.hexdigest(), cleaner.dropped)


def _units(batches: Iterator[Batch], section: int) -> Iterator[list[str]]:
    """The lines of each document, in pieces of at most `section` characters."""
    unit: list[str] = []
    size = 0
    for line in chain.from_iterable(batches):
        if unit and (not line or size + len(line) > section):
            yield unit
            unit, size = [], 0
        if line:
            unit.append(line)
            size += len(line)


def _read(place: str, settings: TextSettings) -> Iterator[Batch]:
    """Batches of raw lines of a place."""
    if place.startswith("bundled:"):
        return ([*page.lines, ""] for page in bundled.documents(place.removeprefix("bundled:")))
    return records(_hub_texts(place, settings.column)) if place.startswith("hub:") else read(place, settings.errors, settings.column)


def _hub_texts(place: str, wanted: str | None) -> Iterator[str]:
    """The text of every record of a data set on the Hugging Face hub, streamed. Raises TextError where it cannot be had."""
    parts = HUB.fullmatch(place)
    assert parts, f"{place!r} does not come from resolve()"
    column, chosen = "", parts["column"] or wanted
    try:
        import datasets

        data = datasets.load_dataset(parts["name"], parts["config"], split=parts["split"] or "train", streaming=True)
        for record in data:
            column = column or choose_column(record, place, chosen)
            yield as_text(record[column], f"{place}, column {column!r}")
    except TextError:
        raise
    except Exception as error:  # whatever the hub, the network or the data set's files raise
        raise TextError(f"{place} cannot be read: {error}. Is the name right, and the hub within reach?") from error


def resolve(specs: Sequence[str], language: str, *, settings: TextSettings, spool: Path | None = None) -> Corpus:
    """The corpus of a language (`und`: it is not known) among what the user named.

    A spec is a file, a quoted glob, a folder that holds CODE.txt (or another format), `bundled[:CODE]`,
    `hub:owner/name[@config][#split][:column]` or `-` (standard input, copied to the file `spool`, since it can be read only once).
    `CODE=SPEC` and `bundled:CODE` are taken where they name this language; a spec without a code always is.
    Raises TextError where there is nothing, LanguageError where a code does not exist.
    """
    code = language if language == "und" else parse(language).code
    named = [_name_language(spec, code) for spec in specs]
    places = [place for owner, spec in named if owner == code for place in _expand(spec, code, spool)]
    if not places:
        given = f" among {', '.join(map(repr, specs))}" if specs else ""
        raise TextError(f"No text for {language!r} is named{given}. Give some with --text {code}=PATH.")
    return Corpus(code, tuple(dict.fromkeys(places)), settings)


def language_of(specs: Sequence[str], default: str) -> str:
    """The language that the first of `specs` with a code names (`CODE=PATH`, `bundled:CODE`), else `default`."""
    return next((owner for spec in specs if (owner := _name_language(spec, "")[0])), default)


def by_language(specs: Sequence[str], default: str | None) -> dict[str, list[str]]:
    """Code -> the specs of that language, in the order given; `default` is the language of specs without a code.

    Raises TextError where a spec has no code and there is no default, LanguageError where a code does not exist.
    """
    found: dict[str, list[str]] = {}
    for spec in specs:
        owner, place = _name_language(spec, parse(default).code if default else "")
        if not owner:
            raise TextError(f"Which language is {spec!r}? Name it: --text CODE={spec}, or --language CODE.")
        found.setdefault(owner, []).append(f"{owner}={place}")
    if not found:
        raise TextError("No text is named. Give some with --text CODE=PATH.")
    return found


def _name_language(spec: str, code: str) -> tuple[str, str]:
    """(language, spec without its `CODE=`); a file whose name has a '=' is a file."""
    owner, equals, rest = spec.partition("=")
    if equals and re.fullmatch(r"\w+([-_]\w+)*", owner) and not Path(spec).exists() and not glob.glob(spec):
        try:
            return parse(owner).code, rest
        except LanguageError as error:
            raise LanguageError(f"{spec!r} is no file, so it is read as CODE=PATH. {error}") from None
    return (parse(spec.removeprefix("bundled:")).code if spec.startswith("bundled:") else code), spec


def _expand(spec: str, code: str, spool: Path | None) -> list[str]:
    """The places that one spec stands for. Raises TextError where there are none."""
    if spec == "-":
        return [_spool(spool)]
    if spec.startswith("hub:"):
        if not HUB.fullmatch(spec):
            raise TextError(f"{spec!r} is not understood. Write hub:owner/name[@config][#split][:column].")
        return [spec]
    if spec == "bundled" or spec.startswith("bundled:"):
        return ["bundled:" + bundled.known(spec.removeprefix("bundled:") if ":" in spec else code)]
    if Path(spec).is_dir():
        return _in_folder(Path(spec), code)
    files = [spec] if Path(spec).exists() else sorted(path for path in glob.glob(spec, recursive=True) if Path(path).is_file())
    if not files:
        what = "No file matches" if glob.has_magic(spec) else "There is no file"
        raise TextError(f"{what} {spec!r}. Check the path.")
    for file in files:
        if Path(file).is_file() and not Path(file).stat().st_size:
            raise TextError(f"{file} is empty. Give a file with text, or leave it out.")
    return files


def _in_folder(folder: Path, code: str) -> list[str]:
    """The file of a language in a folder: CODE.txt, CODE.jsonl.gz …, or the Wikipedia dumps CODEwiki-*.xml.bz2.

    Raises TextError unless there is exactly one file, or a dump.
    """
    endings = [form + packed for form in FORMATS for packed in ("", *COMPRESSIONS)]
    found = [str(folder / (code + ending)) for ending in endings if (folder / (code + ending)).is_file()]
    if len(found) > 1:
        raise TextError(f"{folder} holds the text of {code!r} more than once: {', '.join(found)}. Name one of them.")
    found = found or sorted(map(str, folder.glob(f"{code.replace('-', '_').lower()}wiki-*.xml*")))
    if not found:
        raise TextError(f"{folder} holds no {code}.txt (nor .jsonl or .parquet, nor one of them as .gz, .bz2, .xz or .zst).")
    return found


def _spool(spool: Path | None) -> str:
    """Copy standard input to a file, whole or not at all, and return its path. A copy that is there stays where nothing comes."""
    if spool is None:
        raise TextError("'-', standard input, cannot be read here, because it can be read only once. Name a file.")
    if sys.stdin.isatty():
        if spool.exists():
            return str(spool)
        raise TextError("'-' is standard input, but nothing is piped into it. Use a pipe (cat FILE | lingraft …), or name the file.")
    partial = spool.with_name(spool.name + ".partial")
    with open(partial, "wb") as copy:
        shutil.copyfileobj(sys.stdin.buffer, copy)
    if partial.stat().st_size or not spool.exists():
        partial.replace(spool)
    partial.unlink(missing_ok=True)
    return str(spool)
