"""Two texts in a block: sentence pairs for next-sentence prediction, and translations for translation language modelling.

Which pairs a step sees is a pure function of seed and step, as with `Blocks`; documents, sentences and tokens stay on disk.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from transformers import PreTrainedTokenizerBase

from lingraft.errors import TextError
from lingraft.model.parts import first_position, has_segments
from lingraft.text.read import Document
from lingraft.text.shards import Shards, encode_to_shards
from lingraft.tokenizer import vocabulary
from lingraft.train.batches import Ids, Inputs, Keys, drawn, keys_of, mixed
from lingraft.train.links import NONE, Linked

Segments = tuple[int, int, int, int, int]
CHUNK = 1 << 20  # documents that are looked at in one go
SECOND = (0, 0, 0, 1, 1)
SIDES = ("source", "target")
SMALL = "have no room for two texts. Use a larger --set length=N."


@dataclass(frozen=True, slots=True)
class Frame:
    """What stands around two texts in a block, in the model's ids, and what the model takes beside ids.

    before, between, after: special ids. pad: what fills a block up. opens: how many of `between` open the second text (RoBERTa: 1).
    segments: those of `before`, the first text, `between`, the second text, `after`; None where the model has no segments.
    first_position: row of its position table for the first token; None where it has none or lets nobody choose.
    speaks: whether it is told which language a token is of.
    """

    before: tuple[int, ...]
    between: tuple[int, ...]
    after: tuple[int, ...]
    pad: int
    opens: int = 0
    segments: Segments | None = None
    first_position: int | None = None
    speaks: bool = False

    def room(self, length: int) -> int:
        """Tokens of text that both texts have in a block of `length`."""
        return length - len(self.before) - len(self.between) - len(self.after)


def frame_of(tokenizer: PreTrainedTokenizerBase, model: Any, place: Callable[[Sequence[int]], Ids]) -> Frame:
    """The tokenizer's own template for two texts. place: from the tokenizer's ids to the model's."""
    outside, segments = _template(tokenizer)
    before, between, after = (tuple(place(ids).tolist()) for ids in outside)
    roles = vocabulary.roles(tokenizer)
    pad = int(place([roles.get("pad", roles.get("end", 0))])[0])
    inputs = signature(model.forward).parameters
    told = "token_type_ids" in inputs and has_segments(model)
    first = first_position(model) if "position_ids" in inputs else None
    opens = max(0, len(between) - len(after))
    return Frame(before, between, after, pad, opens, segments if told else None, first, speaks(model))


def speaks(model: Any) -> bool:
    """Whether a model is told which language a token is of: it has language embeddings."""
    return bool(getattr(getattr(model, "config", None), "lingraft_language_embeddings", False))


def _template(tokenizer: PreTrainedTokenizerBase) -> tuple[list[list[int]], Segments]:
    """Special ids before, between and after two texts, and the segments of all five. Where the tokenizer's template is for single texts
    only, that one is used twice, with one beginning; where it has no segments, the second text is of segment 1."""
    rows = vocabulary.frame(tokenizer, 2)
    places = [[place for place, row in enumerate(rows) if row[0] == text] for text in (0, 1)]
    if len(rows) == sum(map(len, places)) or not all(places):
        before, after = vocabulary.blocks(tokenizer)
        return [before, after, after], SECOND
    (first, one), (two, last) = ((inside[0], inside[-1]) for inside in places)
    cuts = rows[:first], rows[one + 1 : two], rows[last + 1 :]
    opened, closed, ended = (next((segment for _, _, segment in cut), 0) for cut in cuts)
    segments = opened, rows[first][2], closed, rows[two][2], ended
    return [[token for _, token, _ in cut] for cut in cuts], segments if any(segments) else SECOND


@dataclass(frozen=True, slots=True)
class Text:
    """One text for each row of a batch: tokens[start : start + size]. table: what tokens are in the model's vocabulary; None: the same."""

    tokens: npt.NDArray[np.integer]
    start: Ids
    size: Ids
    table: Ids | None = None


def framed(frame: Frame, length: int, first: Text, second: Text, restart: bool) -> tuple[Ids, dict[str, Ids]]:
    """Two texts a row as one block: ids (rows, length), and the model's further inputs, each (rows, length).

    restart: the second text is a translation: positions begin again in it, its first token has the position of the first text's, and
    its language is the next one.
    """
    columns, rows = np.arange(length), len(first.start)
    ids, segments = np.full((rows, length), frame.pad, dtype=np.int64), np.zeros((rows, length), dtype=np.int64)
    offset = np.zeros(rows, dtype=np.int64)
    before, between, after = (_constant(part, rows) for part in (frame.before, frame.between, frame.after))
    for number, text in enumerate((before, first, between, second, after)):
        inside = (columns >= offset[:, None]) & (columns < (offset + text.size)[:, None])
        found = np.asarray(text.tokens)[((text.start - offset)[:, None] + columns)[inside]].astype(np.int64)
        ids[inside] = found if text.table is None else text.table[found]
        segments[inside] = frame.segments[number] if frame.segments else 0
        offset += text.size
    more = {"attention_mask": (columns < offset[:, None]).astype(np.int64)}
    if frame.segments:
        more["token_type_ids"] = segments
    again = (len(frame.before) + first.size + len(frame.between) - frame.opens)[:, None]
    if restart and frame.speaks:
        more["languages"] = (columns >= again).astype(np.int64)
    if restart and frame.first_position is not None:
        places = np.where(columns < again, columns, columns - again + len(frame.before) - frame.opens)
        more["position_ids"] = frame.first_position + places
    return ids, more


def _constant(ids: Sequence[int], rows: int) -> Text:
    return Text(np.array(ids, dtype=np.int64), np.zeros(rows, dtype=np.int64), np.full(rows, len(ids), dtype=np.int64))


def fitted(first: Ids, second: Ids, room: int) -> tuple[Ids, Ids]:
    """Sizes of two texts cut down to `room` together: the longer one gives, until both are equal."""
    kept = np.minimum(first, np.maximum(room - second, room - room // 2))
    return kept, np.minimum(second, room - kept)


@dataclass(frozen=True, slots=True)
class Pairs:
    """Consecutive sentences of a document, cut in two at a sentence's end; every other time the second text is from another document.

    Devlin et al. 2019, section 3.1 and appendix A.2. ends: (num_documents,) cumulative count of the pairs that each document has;
    0 for those of one sentence. skipped: how many these are.
    """

    shards: Shards
    length: int
    frame: Frame
    table: Ids | None
    ends: Ids
    skipped: int

    def __len__(self) -> int:
        return int(self.ends[-1]) if len(self.ends) else 0

    @property
    def room(self) -> int:
        """Text tokens of a pair."""
        return self.frame.room(self.length)

    def batch(self, step: int, size: int, seed: int) -> Inputs:
        """`size` pairs of the step's global batch: epoch after epoch, each in an order and with cuts of its own."""
        return self.read(drawn(step, size, seed, len(self)), keys_of(step, size, seed))

    def read(self, indices: Ids, keys: Keys) -> Inputs:
        """(len(indices), length) ids, and which of them are true pairs. keys: what decides where each is cut, and what follows."""
        document, begin, cut = self._cut(indices, keys)
        follows = _below(keys, 1, 2) == 1
        first, count = self._first(document), self.ends[document] - self._first(document)
        others = _below(keys, 2, len(self) - count)
        other, _, elsewhere = self._cut(others + np.where(others >= first, count, 0), mixed(keys, 3))
        sentences = self.shards.sentences
        start, border = sentences[begin], sentences[cut]
        second = sentences[np.where(follows, cut, elsewhere)]
        end = self._reach(second, self.room - (border - start), np.where(follows, document, other))
        size, size_after = fitted(border - start, end - second, self.room)
        tokens = self.shards.tokens
        texts = Text(tokens, border - size, size, self.table), Text(tokens, second, size_after, self.table)
        ids, more = framed(self.frame, self.length, *texts, restart=False)
        return Inputs(ids, more, follows.astype(np.int64))

    def _first(self, document: Ids) -> Ids:
        return np.where(document > 0, self.ends[document - 1], 0)

    def _cut(self, indices: Ids, keys: Keys) -> tuple[Ids, Ids, Ids]:
        """Of each pair its document, the sentence it begins with, and the one its second text begins with.

        Beginnings are spread over the document; they move back a little from epoch to epoch, so that borders fall elsewhere. Of a
        document's last pairs every other one reaches its end.
        """
        document = np.searchsorted(self.ends, indices, side="right")
        sentences, (start, end) = self.shards.sentences, _text(self.shards, document)
        first = self._first(document)
        place = (indices - first) * (end - start) // (self.ends[document] - first)
        place = start + np.maximum(place - _below(keys, 4, self.room // 4 + 1), 0)
        is_last = indices == self.ends[document] - 1
        place = np.where(is_last, np.maximum(start, end - self.room), place)
        low, high = (np.searchsorted(sentences, border) for border in (start, end))
        begin = np.searchsorted(sentences, place, side="right") - 1
        begin += is_last & (sentences[begin] < place) & (_below(keys, 6, 2) == 1)
        begin = np.clip(begin, low, high - 2)
        last = self._within(sentences[begin], self.room, begin + 2, high, end)
        return document, begin, begin + 1 + _below(keys, 5, last - begin - 1)

    def _within(self, start: Ids, room: Ids | int, least: Ids, high: Ids, end: Ids) -> Ids:
        """The first sentence, from `least` on, that does not fit into `room` tokens from `start`; `high` where all to the `end` do."""
        reached = np.searchsorted(self.shards.sentences, start + room, side="right") - 1
        return np.where(end <= start + room, high, np.clip(reached, least, high))

    def _reach(self, start: Ids, room: Ids, document: Ids) -> Ids:
        """Where the whole sentences end that fit into `room` from `start` on, at least one, within the document."""
        sentences, (_, end) = self.shards.sentences, _text(self.shards, document)
        least, high = np.searchsorted(sentences, start) + 1, np.searchsorted(sentences, end)
        return np.minimum(sentences[self._within(start, room, least, high, end)], end)


def _text(shards: Shards, document: Ids) -> tuple[Ids, Ids]:
    """Where documents start and end, without what stands after each."""
    return shards.documents[document], shards.documents[document + 1] - (shards.info.end_id is not None)


def _below(keys: Keys, number: int, bound: Ids | int) -> Ids:
    """The keys' draw `number`, in range(bound)."""
    return (mixed(keys, number) % np.asarray(bound).astype(np.uint64)).astype(np.int64)


def pairs(shards: Shards, length: int, frame: Frame, table: Ids | None = None) -> Pairs:
    """The sentence pairs of an encoded text. Raises TextError where fewer than two documents have two sentences or more."""
    room, counts = frame.room(length), []
    if room < 2:
        raise TextError(f"Blocks of {length} tokens {SMALL}")
    for first in range(0, shards.info.num_documents, CHUNK):
        start, end = _text(shards, np.arange(first, min(first + CHUNK, shards.info.num_documents)))
        several = np.searchsorted(shards.sentences, end) - np.searchsorted(shards.sentences, start) >= 2
        counts.append(np.where(several, -(-(end - start) // room), 0))
    found = np.concatenate(counts) if counts else np.zeros(0, dtype=np.int64)
    if np.count_nonzero(found) < 2:
        raise TextError(
            f"Next-sentence prediction needs documents of several sentences: of {len(found):,} in the training text, "
            f"{np.count_nonzero(found):,} have two or more. A blank line ends a document; or use --set phases.NAME.next_sentence=false."
        )
    return Pairs(shards, length, frame, table, np.cumsum(found), int(np.count_nonzero(found == 0)))


def encode_sides(rows: Callable[[], Iterable[tuple[str, str]]], tokenizers: Sequence[PreTrainedTokenizerBase], folder: Path) -> None:
    """Encode both sides of parallel text, each by its tokenizer, as shards whose documents are its lines. rows: read once for each."""
    for number, (name, tokenizer) in enumerate(zip(SIDES, tokenizers, strict=True)):
        encode_to_shards((Document([row[number]], 0) for row in rows()), tokenizer, folder / name, end_id=None)


def open_sides(folder: Path) -> tuple[Shards, Shards]:
    """What `encode_sides` wrote: the source's side, the target's."""
    return Shards.open(folder / SIDES[0]), Shards.open(folder / SIDES[1])


@dataclass(frozen=True, slots=True)
class Translations:
    """A text and its translation in a block (TLM, Conneau & Lample 2019): document i of `target` translates document i of `source`."""

    source: Shards
    target: Shards
    length: int
    frame: Frame
    tables: tuple[Ids | None, Ids | None] = (None, None)
    links: Linked | None = None

    @property
    def numbers(self) -> Ids:
        """Numbers of the pairs: where links are known, of those that are good enough."""
        return np.arange(self.source.info.num_documents) if self.links is None else np.asarray(self.links.lines)

    def __len__(self) -> int:
        return self.source.info.num_documents if self.links is None else len(self.links.lines)

    def check(self) -> "Translations":
        """Itself. Raises TextError where a block has no room for a token of each side."""
        if self.frame.room(self.length) < 2:
            raise TextError(f"Blocks of {self.length} tokens {SMALL}")
        return self

    def text(self, lines: Ids, side: int, room: int | None = None) -> Text:
        """Lines of one side, 0 the source's, 1 the target's; of no more than `room` tokens."""
        shards = (self.source, self.target)[side]
        start, end = _text(shards, lines)
        return Text(shards.tokens, start, end - start if room is None else np.minimum(end - start, room), self.tables[side])

    def batch(self, step: int, size: int, seed: int) -> Inputs:
        """`size` translations of the step's global batch."""
        return self.read(drawn(step, size, seed, len(self)), keys_of(step, size, seed))

    def read(self, indices: Ids, keys: Keys) -> Inputs:
        """(len(indices), length) ids; what does not fit is cut off at the ends."""
        lines = indices if self.links is None else self.numbers[indices]
        first, second = self.text(lines, 0), self.text(lines, 1)
        sizes = fitted(first.size, second.size, self.frame.room(self.length))
        first, second = replace(first, size=sizes[0]), replace(second, size=sizes[1])
        ids, more = framed(self.frame, self.length, first, second, restart=True)
        return Inputs(ids, more, partners=None if self.links is None else self._partners(first, second))

    def _partners(self, first: Text, second: Text) -> Ids:
        """(rows, length) for each place the place of the token it is linked with; itself where there is none, or where it is cut off."""
        assert self.links is not None
        columns = np.arange(self.length)
        found = np.tile(columns, (len(first.start), 1))
        begins = [np.full(len(found), len(self.frame.before)), len(self.frame.before) + first.size + len(self.frame.between)]
        for side, (text, other) in enumerate(((first, second), (second, first))):
            place = columns - begins[side][:, None]
            rows, own = np.nonzero((place >= 0) & (place < text.size[:, None]))
            linked = np.asarray(self.links.of(side))[text.start[rows] + place[rows, own]]
            stays = (linked == NONE) | (linked >= other.size[rows])
            found[rows, own] = np.where(stays, own, begins[1 - side][rows] + linked)
        return found
