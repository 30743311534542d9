"""Text as token ids on disk, memory-mapped: `tokens.bin`, with the offsets of documents and sentences beside it.

10 GB of text needs no more memory than 10 MB. The fast path is a bounded table from a space-delimited word to its ids, so that a word is
tokenized once and not each time it occurs; it is taken only where cutting at spaces changes no id (see `_Encoder`).
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase

from lingraft.files import atomic_folder
from lingraft.text.read import Document
from lingraft.text.words import count_words, sentences

Ints = npt.NDArray[np.int64]
CHUNK = 1 << 20  # characters that are encoded at once
MOST_IDS = 1 << 21  # ids that the table may hold before it starts anew
MOST_UNITS = 1 << 19
_CUT = "\0"  # no text has it
_WORD = re.compile(" *[^ ]+| +")
_SPACE_INSIDE = re.compile("[^▁]▁|[^Ġ]Ġ|[^ ] ")  # of a token, after something else
_GAPS = ("  ", "\t", " \t ", "\u00a0", " \u00a0", " 's ", " - ", "   \u3000")


@dataclass(frozen=True, slots=True)
class ShardInfo:
    """Counts over a folder of shards.

    num_bytes, num_words  of the text, whatever the tokenizer: UTF-8 bytes of the lines without line breaks, words by `words.count_words`
    dtype                 of the ids: uint16, or uint32 where the vocabulary is larger than that
    end_id                the id that stands after each document, if any
    """

    num_tokens: int
    num_documents: int
    num_sentences: int
    num_words: int
    num_bytes: int
    dtype: str
    end_id: int | None


@dataclass(frozen=True)
class Shards:
    """An encoded text on disk.

    tokens     (num_tokens,) uint16 or uint32, memory-mapped
    documents  (num_documents + 1,) int64: document d is tokens[documents[d] : documents[d + 1]], its end id included
    sentences  (num_sentences + 1,) int64, alike; a document's end id belongs to its last sentence
    """

    folder: Path
    info: ShardInfo

    @classmethod
    def open(cls, folder: Path) -> "Shards":
        """The shards that `encode_to_shards` wrote to `folder`."""
        return cls(folder, ShardInfo(**json.loads((folder / "info.json").read_text())))

    @cached_property
    def tokens(self) -> npt.NDArray[np.unsignedinteger[Any]]:
        return _map(self.folder / "tokens.bin", self.info.dtype)

    @cached_property
    def documents(self) -> Ints:
        return _map(self.folder / "documents.bin", "int64")

    @cached_property
    def sentences(self) -> Ints:
        return _map(self.folder / "sentences.bin", "int64")

    def counts(self, size: int) -> Ints:
        """How often each id occurs, (size,), in constant memory."""
        total = np.zeros(size, dtype=np.int64)
        for start in range(0, len(self.tokens), CHUNK):
            total += np.bincount(self.tokens[start : start + CHUNK], minlength=size)
        return total


def _map(path: Path, dtype: str) -> npt.NDArray[Any]:
    return np.memmap(path, dtype=dtype, mode="r") if path.stat().st_size else np.zeros(0, dtype=dtype)


def encode_to_shards(documents: Iterable[Document], tokenizer: PreTrainedTokenizerBase, folder: Path, *, end_id: int | None) -> ShardInfo:
    """Encode documents into a folder, which appears when it is complete; `end_id`, where given, stands after each document.

    Lines are encoded one by one, without specials; where a special's string stands in the text, it is encoded as text. Line breaks inside
    a document are kept by the tokenizers that can spell them (byte-level, byte fallback) and are white space to the others.
    """
    encoder = _Encoder(tokenizer, end_id)
    dtype = "uint16" if len(encoder) <= 1 << 16 else "uint32"
    totals = dict.fromkeys(("num_tokens", "num_documents", "num_sentences", "num_words", "num_bytes"), 0)
    with atomic_folder(folder) as temporary:
        files = {name: open(temporary / f"{name}.bin", "wb") for name in ("tokens", "documents", "sentences")}  # noqa: SIM115
        try:
            for chunk in encoder.encode(documents):
                chunk.ids.astype(dtype).tofile(files["tokens"])
                for name, starts in (("documents", chunk.documents), ("sentences", chunk.sentences)):
                    (starts + totals["num_tokens"]).tofile(files[name])
                    totals[f"num_{name}"] += len(starts)
                totals["num_tokens"] += len(chunk.ids)
                totals["num_words"] += chunk.num_words
                totals["num_bytes"] += chunk.num_bytes
            for name in ("documents", "sentences"):
                np.array([totals["num_tokens"]]).tofile(files[name])
        finally:
            for file in files.values():
                file.close()
        info = ShardInfo(**totals, dtype=dtype, end_id=end_id)
        (temporary / "info.json").write_text(json.dumps(asdict(info)))
    return info


def token_counts(documents: Iterable[Document], tokenizer: PreTrainedTokenizerBase, size: int) -> Ints:
    """How often each id occurs in documents, (size,), streaming; any tokenizer, a pure Python one too."""
    total = np.zeros(size, dtype=np.int64)
    if tokenizer.is_fast:
        for chunk in _Encoder(tokenizer, None).encode(documents):
            total += np.bincount(chunk.ids, minlength=size)
    else:
        for line in (line for document in documents for line in document.lines):
            total += np.bincount(np.array(tokenizer.encode(line, add_special_tokens=False), dtype=np.int64), minlength=size)
    return total


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Some documents' ids, (n,), and where in them documents and sentences start."""

    ids: Ints
    documents: Ints
    sentences: Ints
    num_words: int
    num_bytes: int


class _Table(dict[str, int]):
    """From a unit of text to its number; one not seen before gets the next number and waits in `new` to be encoded."""

    def __init__(self) -> None:
        self.new: list[str] = []

    def __missing__(self, unit: str) -> int:
        number = self[unit] = len(self)
        self.new.append(unit)
        return number


class _Encoder:
    """Encodes documents through a table of units already encoded.

    A unit is a word with the spaces before it (and the line break after it), where cutting there is exact: no token holds a space after
    something else, and on the text's first lines, also with their spaces disturbed, the ids are those of whole lines. Else it is a line.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, end_id: int | None) -> None:
        self.tokenizer = plain(tokenizer)
        self.end = [] if end_id is None else [end_id]
        broken = self.tokenizer.encode("a\na", add_special_tokens=False).ids
        self.line_break = "\n" if "\n" in self.tokenizer.decode(broken) else ""
        self.cuts: bool | None = None
        self._forget()

    def __len__(self) -> int:
        return self.tokenizer.get_vocab_size()

    def _forget(self) -> None:
        """Start with a table that knows one unit, the end of a document."""
        self.table, self.inner = _Table(), dict[int, list[int]]()
        self.table[_CUT] = 0
        self.ids = np.array(self.end, dtype=np.int64)
        self.starts, self.words, self.bytes = np.array([0, len(self.end)]), np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.int64)

    def encode(self, documents: Iterable[Document]) -> Iterator[_Chunk]:
        """The documents' ids, chunk by chunk."""
        for some in _chunks(documents):
            if self.cuts is None:
                self.cuts = self._cuts_exactly([line for document in some for line in document.lines][:500])
            yield self._encode(some)
            if len(self.ids) > MOST_IDS or len(self.table) > MOST_UNITS or not self.cuts:
                self._forget()

    def _encode(self, documents: list[Document]) -> _Chunk:
        units: list[str] = []
        document_starts, sentence_starts = [], []
        for document in documents:
            document_starts.append(len(units))
            last = len(document.lines) - 1
            for place, line in enumerate(document.lines):
                for sentence in self._sentences(line.replace(_CUT, "")):
                    sentence_starts.append(len(units))
                    units += self._units(sentence)
                if place < last and self.line_break:
                    units[-1] += self.line_break
            units.append(_CUT)
        numbers = np.fromiter(map(self.table.__getitem__, units), dtype=np.int64, count=len(units))
        self._learn()
        lengths = np.diff(self.starts)[numbers]
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        within = np.arange(offsets[-1]) - np.repeat(offsets[:-1] - self.starts[numbers], lengths)
        ids = self.ids[within]
        inner = [offsets[place] + start for place in self._places_of_inner(numbers) for start in self.inner[numbers[place]]]
        sentence_offsets = np.unique(np.concatenate([offsets[sentence_starts], inner]).astype(np.int64))
        words, size = int(self.words[numbers].sum()), int(self.bytes[numbers].sum())
        return _Chunk(ids, offsets[document_starts], sentence_offsets[sentence_offsets < len(ids)], words, size)

    def _places_of_inner(self, numbers: Ints) -> Ints:
        """Where units stand that have sentences starting inside them."""
        return np.flatnonzero(np.isin(numbers, list(self.inner))) if self.inner else np.zeros(0, dtype=np.int64)

    def _sentences(self, line: str) -> list[str]:
        """Sentences that begin with a unit: those that a space precedes, where units are words; else the line is one unit."""
        if not self.cuts:
            return [line]
        pieces = sentences(line)
        if all(piece[0] == " " for piece in pieces[1:]):
            return pieces
        merged = pieces[:1]
        for piece in pieces[1:]:
            if piece[0] == " ":
                merged.append(piece)
            else:
                merged[-1] += piece
        return merged

    def _units(self, sentence: str) -> list[str]:
        if not self.cuts:
            return [sentence]
        if "  " in sentence:
            return _WORD.findall(sentence)
        return sentence.replace(" ", _CUT + " ").lstrip(_CUT).split(_CUT)

    def _learn(self) -> None:
        """Encode the units that wait, and add them to the table."""
        new, self.table.new = self.table.new, []
        first = len(self.starts) - 1
        ids = self._encode_all(new)
        lengths = np.fromiter(map(len, ids), dtype=np.int64, count=len(ids))
        self.ids = np.concatenate([self.ids, np.fromiter(chain.from_iterable(ids), dtype=np.int64, count=lengths.sum())])
        self.starts = np.concatenate([self.starts, self.starts[-1] + np.cumsum(lengths)])
        self.words = np.concatenate([self.words, np.fromiter(map(count_words, new), dtype=np.int64, count=len(new))])
        sizes = (len(unit.encode()) - unit.endswith("\n") for unit in new)
        self.bytes = np.concatenate([self.bytes, np.fromiter(sizes, dtype=np.int64, count=len(new))])
        for number, unit in enumerate(new, first):
            if len(pieces := sentences(unit)) > 1:
                self.inner[number] = self._starts_within(pieces)

    def _starts_within(self, pieces: list[str]) -> list[int]:
        """Which token of a unit each of its sentences but the first begins with."""
        begins = np.array([start for start, _ in self.tokenizer.encode("".join(pieces), add_special_tokens=False).offsets])
        characters = np.cumsum([len(piece) for piece in pieces[:-1]])
        return np.searchsorted(begins, characters).tolist()

    def _cuts_exactly(self, lines: list[str]) -> bool:
        """Whether units may be words: see the class."""
        self.cuts = True
        model, vocabulary = type(self.tokenizer.model).__name__, self.tokenizer.get_vocab()
        if model != "WordPiece" and any(map(_SPACE_INSIDE.search, vocabulary)):
            return False
        tried = lines + [line[:40] + gap + line[40:] for line in lines[:50] for gap in _GAPS]
        units = [[unit for sentence in self._sentences(line) for unit in self._units(sentence)] for line in tried]
        whole = self._encode_all([line + self.line_break for line in tried])
        parts = iter(self._encode_all([unit for some in units for unit in [*some[:-1], some[-1] + self.line_break]]))
        return all(ids == list(chain.from_iterable(islice(parts, len(some)))) for ids, some in zip(whole, units, strict=True))

    def _encode_all(self, texts: list[str]) -> list[list[int]]:
        return [encoding.ids for encoding in self.tokenizer.encode_batch_fast(texts, add_special_tokens=False)]


def _chunks(documents: Iterable[Document]) -> Iterator[list[Document]]:
    """Documents in lists of about CHUNK characters."""
    some: list[Document] = []
    size = 0
    for document in documents:
        some.append(document)
        size += sum(map(len, document.lines))
        if size >= CHUNK:
            yield some
            some, size = [], 0
    if some:
        yield some


def plain(tokenizer: PreTrainedTokenizerBase) -> Tokenizer:
    """The `tokenizers` object behind a tokenizer, as a copy to which every text is text: it knows no specials, adds none, cuts nothing off."""
    definition = json.loads(tokenizer._tokenizer.to_str())
    definition |= {"truncation": None, "padding": None, "post_processor": None}
    special = {token["content"] for token in definition["added_tokens"] if token["special"]}
    definition["added_tokens"] = [token for token in definition["added_tokens"] if not token["special"]]
    model = definition["model"]
    if isinstance(model["vocab"], list):  # Unigram finds a special in the text as it finds any piece: give it a name that no text has
        model["vocab"] = [
            [_CUT + piece if piece in special and place != model["unk_id"] else piece, score]
            for place, (piece, score) in enumerate(model["vocab"])
        ]
    return Tokenizer.from_str(json.dumps(definition))
