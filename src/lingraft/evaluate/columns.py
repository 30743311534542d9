"""Files of columns: one word a line, a blank line after each sentence. CoNLL-U for part-of-speech tags, and the layouts of NER."""

import re
from collections.abc import Iterator
from pathlib import Path

from conllu.exceptions import ParseException
from conllu.models import Token
from conllu.parser import DEFAULT_FIELD_PARSERS, DEFAULT_FIELDS, parse_line

from lingraft.errors import TextError
from lingraft.evaluate.tagging import Sentence
from lingraft.text.read import not_utf8, open_bytes, refuse_binary

Lines = list[tuple[int, str]]
"""The lines of a sentence, each with its number in the file."""
BIO = re.compile(r"O|[BI](-\S+)?")
LANGUAGE = re.compile(r"[a-z]{2,3}(-[a-z-]+)?:")  # WikiANN writes it before every word
PARSERS = {name: DEFAULT_FIELD_PARSERS[name] for name in ("id", "head")}


def blocks(path: Path) -> Iterator[Lines]:
    """The sentences of a file (.gz, .xz and .zst too). Raises TextError where it is missing, damaged, not UTF-8, or has no sentence."""
    block: Lines = []
    found = False
    with open_bytes(str(path)) as stream:
        for number, raw in enumerate(stream, 1):
            refuse_binary(raw, str(path))
            try:
                line = raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
            except UnicodeDecodeError as error:
                raise not_utf8(error, str(path), number) from None
            if line.strip():
                block.append((number, line))
            elif block:
                yield block
                found, block = True, []
    if block:
        yield block
    elif not found:
        raise TextError(f"{path} has no sentences: it is empty.")


def conllu_words(path: Path) -> Iterator[tuple[Lines, list[tuple[int, Token]]]]:
    """The sentences of a CoNLL-U file: their lines, and their words, each with the number of its line.

    Multiword tokens and empty nodes are in the lines only. Raises TextError where a line has not ten columns, or words are not numbered
    from 1.
    """
    for block in blocks(path):
        words = []
        for number, line in block:
            if line.startswith("#"):
                continue
            try:
                token = parse_line(line, DEFAULT_FIELDS, dict(PARSERS))
            except ParseException as error:
                raise TextError(f"{path}, line {number}: this is not CoNLL-U. {error}") from None
            if len(token) < len(DEFAULT_FIELDS):
                raise TextError(f"{path}, line {number}: {len(token)} columns where CoNLL-U has ten, separated by tabs.")
            if isinstance(token["id"], tuple):
                continue
            words.append((number, token))
            if token["id"] != len(words):
                raise TextError(f"{path}, line {number}: word {token['id']} comes where word {len(words)} should. Number the words from 1.")
        if words:
            yield block, words


def read_pos(path: Path) -> list[Sentence]:
    """Sentences of a CoNLL-U file with universal part-of-speech tags. Raises TextError where a word has none."""
    found = []
    for _, words in conllu_words(path):
        for number, token in words:
            if token["upos"] == "_":
                raise TextError(f"{path}, line {number}: {token['form']!r} has no part of speech in column 4 (UPOS).")
        found.append(Sentence([token["form"] for _, token in words], [token["upos"] for _, token in words]))
    return found


def read_ner(path: Path) -> list[Sentence]:
    """Sentences with BIO tags: a word first and its tag last on each line, between tabs (WikiANN and others) or spaces (CoNLL-2003).

    An empty word is a space. `-DOCSTART-` lines are left out, and WikiANN's `en:` before the words where all have it. Raises TextError
    where a line has one column, or its last is no BIO tag.
    """
    found = []
    for block in blocks(path):
        pairs = [_word_and_tag(path, *line) for line in block if not line[1].startswith("-DOCSTART-")]
        if pairs:
            found.append(Sentence(*map(list, zip(*pairs, strict=True))))
    matches = [LANGUAGE.match(word) for sentence in found for word in sentence.words]
    if matches and all(matches) and len({match[0] for match in matches if match}) == 1:
        return [Sentence([word.partition(":")[2] or " " for word in sentence.words], sentence.tags) for sentence in found]
    return found


def _word_and_tag(path: Path, number: int, line: str) -> tuple[str, str]:
    columns = line.split("\t") if "\t" in line else line.split()
    if len(columns) < 2:
        raise TextError(
            f"{path}, line {number}: one column, {line.strip()!r}. A line has a word and its tag, with a tab or a space between."
        )
    tag = columns[-1].strip()
    if not BIO.fullmatch(tag):
        raise TextError(f"{path}, line {number}: {tag!r} is no tag. Tags are O, B-TYPE (an entity begins) and I-TYPE (it goes on).")
    return columns[0].strip() or " ", tag
