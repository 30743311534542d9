"""Text as token ids on disk, memory-mapped: `tokens.bin`, with the offsets of documents and sentences beside it.

10 GB of text needs no more memory than 10 MB. The fast path is a bounded table from a space-delimited word to its ids, so that a word is
tokenized once and not each time it occurs; it is taken only where cutting at spaces changes no id (see `_Encoder`).
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from tokenizers import AddedToken, Tokenizer
from transformers import PreTrainedTokenizerBase

from lingraft.errors import TokenizerError
from lingraft.files import atomic_folder
from lingraft.text.read import Document
from lingraft.text.words import count_words, sentences

Ints = npt.NDArray[np.int64]
CHUNK = 1 << 21  # characters that are encoded at once
MOST_IDS = 1 << 21  # ids that the table may hold before it starts anew
MOST_UNITS = 1 << 19
JOINED = 256  # units that are encoded as one text
_CUT, _SENTENCE, _END = "\0", "\x1d", "\x1e"  # white space that texts do not have, and lose if they do
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
    dtype = "uint16" if max(tokenizer.get_vocab().values()) < 1 << 16 else "uint32"
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

    def __init__(self, *units: str) -> None:
        super().__init__(zip(units, range(len(units)), strict=True))
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
        self.tokenizer.add_special_tokens([AddedToken(_CUT, normalized=False)])
        self.between = self.tokenizer.token_to_id(_CUT)
        self.end = [] if end_id is None else [end_id]
        broken = self.tokenizer.encode("a\na", add_special_tokens=False).ids
        self.line_break = "\n" if "\n" in self.tokenizer.decode(broken) else ""
        self.cuts: bool | None = None
        self._forget()

    def encode(self, documents: Iterable[Document]) -> Iterator[_Chunk]:
        """The documents' ids, chunk by chunk."""
        for some in _chunks(documents):
            if self.cuts is None:
                self.cuts = self._cuts_exactly([line for document in some for line in document.lines][:500])
            yield self._encode(some)
            if len(self.ids) > MOST_IDS or len(self.table) > MOST_UNITS or not self.cuts:
                self._forget()

    def _forget(self) -> None:
        """Start with a table that knows two units: the end of a document, number 0, and the start of a sentence, number 1.

        starts, lengths  (units,): unit u is ids[starts[u] : starts[u] + lengths[u]]
        words, bytes     (units,)
        inner            for units that have sentences starting inside them, the tokens these start with
        """
        self.table, self.inner = _Table(_END, _SENTENCE), dict[int, list[int]]()
        self.ids = np.array(self.end, dtype=np.int32)
        self.starts, self.lengths = np.zeros(2, dtype=np.int64), np.array([len(self.end), 0])
        self.words, self.bytes = np.zeros(2, dtype=np.int64), np.zeros(2, dtype=np.int64)

    def _encode(self, documents: list[Document]) -> _Chunk:
        # Millions of words a second: from here on no Python statement is run for each of them, only for each one not seen before.
        text = self._cut(documents).encode()
        buffers = pa.py_buffer(np.array([0, len(text)], dtype=np.int32)), pa.py_buffer(text)  # arrow's own conversions import pandas
        found = pc.split_pattern(pa.StringArray.from_buffers(1, *buffers), _CUT).values.dictionary_encode()
        indices = np.frombuffer(found.indices.buffers()[1], dtype=np.int32, count=len(found))
        numbers = np.array([self.table[unit] for unit in found.dictionary.to_pylist()])[indices]
        self._learn()
        lengths = self.lengths[numbers]
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        ids = self.ids[np.arange(offsets[-1]) + np.repeat(self.starts[numbers] - offsets[:-1], lengths)]
        ends, sentence_starts = offsets[1:][numbers == 0], offsets[:-1][numbers == 1]
        if self.inner:
            places = np.flatnonzero(np.isin(numbers, list(self.inner)))
            inner = [offsets[place] + start for place in places for start in self.inner[numbers[place]]]
            sentence_starts = np.concatenate([sentence_starts, np.array(inner, dtype=np.int64)])
        sentence_starts = np.unique(sentence_starts[sentence_starts < len(ids)])
        times = np.bincount(numbers, minlength=len(self.words))
        return _Chunk(ids, np.concatenate([[0], ends[:-1]]), sentence_starts, int(times @ self.words), int(times @ self.bytes))

    def _cut(self, documents: list[Document]) -> str:
        """The text of some documents as units, with what stands for ends of documents and starts of sentences, _CUT between all."""
        bodies = (_without_ours("\n".join(document.lines)) for document in documents)
        text = "".join(f"{_SENTENCE}{_CUT}{body}{_CUT}{_END}{_CUT}" for body in bodies)[: -len(_CUT)]
        if self.cuts:
            # A sentence that no space precedes (after 。) starts inside a unit; `inner` knows where.
            text = "".join(f"{_CUT}{_SENTENCE}{piece}" if piece.startswith(" ") else piece for piece in sentences(text))
            text = text.replace(" ", f"{_CUT} ")
            while f" {_CUT} " in text:  # several spaces are one place to cut
                text = text.replace(f" {_CUT} ", "  ")
        return text.replace("\n", f"{self.line_break}{_CUT}{_SENTENCE}{_CUT}")

    def _learn(self) -> None:
        """Encode the units that wait, and add them to the table."""
        new, self.table.new = self.table.new, []
        first = len(self.words)
        # Many units as one text, a special token between them, cost a third of one by one. A unit that starts a line is spelled as
        # such only at the start of a text.
        order = sorted(range(len(new)), key=lambda place: new[place].startswith(" "))
        num_alone = sum(not unit.startswith(" ") for unit in new)
        texts = [new[place] for place in order[:num_alone]]
        texts += [_CUT.join(new[place] for place in order[i : i + JOINED]) for i in range(num_alone, len(new), JOINED)]
        encodings = self.tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        ids = np.fromiter(chain.from_iterable(chain(encoding.ids, (self.between,)) for encoding in encodings), dtype=np.int32)
        ends = np.flatnonzero(ids == self.between)
        starts = np.concatenate([[0], ends + 1])[:-1]
        place_of = np.argsort(order)
        self.starts = np.concatenate([self.starts, len(self.ids) + starts[place_of]])
        self.lengths = np.concatenate([self.lengths, (ends - starts)[place_of]])
        self.ids = np.concatenate([self.ids, ids])
        self.words = np.concatenate([self.words, np.array([count_words(unit) for unit in new], dtype=np.int64)])
        self.bytes = np.concatenate([self.bytes, np.array([len(unit.encode()) - unit.endswith("\n") for unit in new], dtype=np.int64)])
        if len(sentences("\n".join(new))) > 1:
            pieces_of = {number: sentences(unit) for number, unit in enumerate(new, first)}
            self.inner |= {number: self._starts_within(pieces) for number, pieces in pieces_of.items() if len(pieces) > 1}

    def _starts_within(self, pieces: list[str]) -> list[int]:
        """Which token of a unit each of its sentences but the first begins with."""
        begins = np.array([start for start, _ in self.tokenizer.encode("".join(pieces), add_special_tokens=False).offsets])
        characters = np.cumsum([len(piece) for piece in pieces[:-1]])
        starts: list[int] = np.searchsorted(begins, characters).tolist()
        return starts

    def _cuts_exactly(self, lines: list[str]) -> bool:
        """Whether units may be words: see the class."""
        vocabulary = self.tokenizer.get_vocab()
        if type(self.tokenizer.model).__name__ != "WordPiece" and any(map(_SPACE_INSIDE.search, vocabulary)):
            return False
        tried = lines + [line[:40] + gap + line[40:] for line in lines[:50] for gap in _GAPS]
        whole = [text + self.line_break for text in tried[:-1]] + tried[-1:]
        self.cuts = True
        ids = self._encode([Document(tried, 0)]).ids
        self._forget()
        encodings = self.tokenizer.encode_batch_fast([_without_ours(text) for text in whole], add_special_tokens=False)
        return ids.tolist() == [number for encoding in encodings for number in encoding.ids] + self.end


def _without_ours(text: str) -> str:
    for mark in (_CUT, _SENTENCE, _END):
        if mark in text:
            text = text.replace(mark, "")
    return text


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
    """The `tokenizers` object behind a tokenizer, as a copy to which every text is text: it knows no specials, adds none, cuts nothing off.

    Its specials keep their ids under names that no text has: a model of the Unigram kind would find them in the text like any piece.
    Raises TokenizerError where there is none.
    """
    if not hasattr(tokenizer, "_tokenizer"):
        raise TokenizerError(
            f"{type(tokenizer).__name__} splits text in Python, far too slowly for a corpus. Use a vocabulary of the target's own, or put "
            "a tokenizer.json beside the model."
        )
    definition = json.loads(tokenizer._tokenizer.to_str())
    definition |= {"truncation": None, "padding": None, "post_processor": None}
    hidden = {token["content"]: _CUT + token["content"] for token in definition["added_tokens"] if token["special"]}
    for token in definition["added_tokens"]:
        token["normalized"] &= not token["special"]
        token["content"] = hidden.get(token["content"], token["content"])
    model = definition["model"]
    if isinstance(model["vocab"], list):
        model["vocab"] = [[hidden.get(piece, piece), score] for piece, score in model["vocab"]]
    else:
        model["vocab"] = {hidden.get(token, token): number for token, number in model["vocab"].items()}
        model["unk_token"] = hidden.get(model.get("unk_token"), model.get("unk_token"))
    return Tokenizer.from_str(json.dumps(definition))
