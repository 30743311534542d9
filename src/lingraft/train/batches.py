"""Which tokens a step sees: blocks of ids in an order that is a pure function of seed and step, so that a resume needs no state."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from lingraft.errors import TextError
from lingraft.text.balance import repeats

Ids = npt.NDArray[np.int64]
Keys = npt.NDArray[np.uint64]
MULTIPLE = 8  # rows of sentences are as long as the longest of them, rounded up: fewer shapes, and kinder ones


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a model is given, before anything is masked.

    ids: (batch, length). more: further inputs (batch, length) by transformers' names. follows: (batch,) 1 where the second text follows
    the first in its document, 0 where it does not; None where that is not asked. answers: (batch, length) what is to be predicted at each
    place of the output, NOT_ASKED where nothing is (cdlm). partners: (batch, length) for each place the place of its row that holds the
    token it is linked with, itself where there is none (brlm).
    """

    ids: Ids
    more: Mapping[str, Ids] = field(default_factory=dict)
    follows: Ids | None = None
    answers: Ids | None = None
    partners: Ids | None = None


LENGTHS = ("attention_mask", "target_mask")  # of what goes in, and of what comes out


def rounded(longest: int, length: int) -> int:
    """Tokens of a row that has room for the longest, `length` at most."""
    return min(length, -(-longest // MULTIPLE) * MULTIPLE)


def shortest_first(inputs: Inputs) -> Inputs:
    """The rows in the order of their lengths; as they are where none is filled up."""
    masks = [inputs.more[name] for name in LENGTHS if name in inputs.more]
    if not masks:
        return inputs
    order = np.argsort(np.max([mask.sum(axis=1) for mask in masks], axis=0), kind="stable")
    others = {name: value[order] for name in ("follows", "answers", "partners") if (value := getattr(inputs, name)) is not None}
    return Inputs(inputs.ids[order], {name: values[order] for name, values in inputs.more.items()}, **others)


def mixed(values: npt.NDArray[np.uint64], key: int) -> npt.NDArray[np.uint64]:
    """A 64-bit mixing function (the finaliser of splitmix64), elementwise."""
    with np.errstate(over="ignore"):
        mixed = values * np.uint64(0x9E3779B97F4A7C15) + np.uint64(key)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return np.asarray(mixed ^ (mixed >> np.uint64(31)))


def shuffled(indices: Ids, size: int, key: int) -> Ids:
    """Where a seeded permutation of range(size) sends `indices`, in constant memory: a Feistel network that walks its cycles."""
    half = np.uint64(max(1, (max(size - 1, 1).bit_length() + 1) // 2))
    low = np.uint64((1 << int(half)) - 1)
    values = indices.astype(np.uint64)
    pending = np.ones(len(values), dtype=bool)
    while pending.any():
        left, right = values[pending] >> half, values[pending] & low
        for round_number in range(4):
            left, right = right, left ^ (mixed(right, key * 4 + round_number & 0xFFFFFFFFFFFFFFFF) & low)
        values[pending] = (left << half) | right
        pending = values >= size
    return values.astype(np.int64)


class Readable(Protocol):
    """A text cut into rows of a batch."""

    def __len__(self) -> int: ...

    def read(self, indices: Ids, keys: Keys) -> Ids | Inputs: ...


@dataclass(frozen=True, slots=True)
class Blocks:
    """Token ids cut into blocks of `length`, without padding; every block starts with `prefix` and ends with `suffix`.

    tokens: (num_tokens,) ids, memory-mapped. table: what each of them is in the model's vocabulary; None: the same.
    """

    tokens: npt.NDArray[np.integer]
    length: int
    prefix: tuple[int, ...]
    suffix: tuple[int, ...]
    table: Ids | None = None

    @property
    def inner(self) -> int:
        """Text tokens in a block."""
        return self.length - len(self.prefix) - len(self.suffix)

    def __len__(self) -> int:
        return len(self.tokens) // self.inner

    def check(self, what: str) -> "Blocks":
        """Itself. Raises TextError where there is not one block."""
        if self.inner < 1 or len(self) < 1:
            raise TextError(
                f"The {what} text has {len(self.tokens)} tokens, less than one block of {self.length}. Give more text, or --set length=N."
            )
        return self

    def read(self, indices: Ids, keys: Keys | None = None) -> Ids:
        """(len(indices), length) ids. keys: not needed."""
        text = np.asarray(self.tokens)[indices[:, None] * self.inner + np.arange(self.inner)].astype(np.int64)
        if self.table is not None:
            text = self.table[text]
        rows = len(indices)
        prefix, suffix = (np.tile(np.array(part, dtype=np.int64), (rows, 1)) for part in (self.prefix, self.suffix))
        return np.concatenate([prefix, text, suffix], axis=1)

    def batch(self, step: int, size: int, seed: int) -> Ids:
        """(size, length) ids of the step's global batch: epoch after epoch, each in an order of its own."""
        return self.read(drawn(step, size, seed, len(self)))


@dataclass(frozen=True, slots=True)
class Sentences:
    """Sentences, one a row, cut to `length` and padded: what Malkin et al. (2022) train on.

    tokens: (num_tokens,) ids. starts, sizes: (num_sentences,) of each, without specials. before, after: specials around it.
    """

    tokens: Ids
    starts: Ids
    sizes: Ids
    length: int
    before: tuple[int, ...]
    after: tuple[int, ...]
    pad: int

    def __len__(self) -> int:
        return len(self.starts)

    def cut(self, indices: Ids) -> Ids:
        """(len(indices),) tokens of rows that are text: specials and what is too long left out."""
        return np.minimum(self.sizes[indices], self.length - len(self.before) - len(self.after))

    def read(self, indices: Ids, keys: Keys | None = None) -> Inputs:
        """(len(indices), longest) ids, with their attention mask. keys: not needed."""
        sizes, around = self.cut(indices), len(self.before) + len(self.after)
        width = rounded(int(sizes.max()) + around, self.length)
        columns, ends = np.arange(width), (sizes + len(self.before))[:, None]
        ids = np.full((len(indices), width), self.pad, dtype=np.int64)
        ids[:, : len(self.before)] = self.before
        text = (columns >= len(self.before)) & (columns < ends)
        ids[text] = self.tokens[((self.starts[indices] - len(self.before))[:, None] + columns)[text]]
        for place, special in enumerate(self.after):
            np.put_along_axis(ids, ends + place, special, axis=1)
        return Inputs(ids, {"attention_mask": (columns < ends + len(self.after)).astype(np.int64)})

    def batch(self, step: int, size: int, seed: int) -> Inputs:
        """`size` sentences: epoch after epoch, each in an order of its own."""
        return self.read(drawn(step, size, seed, len(self)))


@dataclass(frozen=True, slots=True)
class Spoken:
    """A text whose rows say which language they are in, by the number that the model has for it."""

    part: Any
    language: int

    def __len__(self) -> int:
        return len(self.part)

    def read(self, indices: Ids, keys: Keys) -> Inputs:
        """(len(indices), length) ids, with their language."""
        return self._told(self.part.read(indices, keys))

    def batch(self, step: int, size: int, seed: int) -> Inputs:
        """As of the text itself."""
        return self._told(self.part.batch(step, size, seed))

    def _told(self, found: Ids | Inputs) -> Inputs:
        inputs = found if isinstance(found, Inputs) else Inputs(found)
        return replace(inputs, more={**inputs.more, "languages": np.full_like(inputs.ids, self.language)})


@dataclass(frozen=True)
class Mixture:
    """Blocks of several texts as if of one. Of a text with the share p of the blocks, a share q ~ p^alpha of a batch comes on average
    (Conneau & Lample 2019, section 3.1): with alpha = 1 in proportion to its size, with less the small texts more often.

    An epoch has every block of the text that is seen least often once, those of the others as often as that takes.
    """

    parts: tuple[Readable, ...]
    alpha: float = 1.0

    @cached_property
    def slots(self) -> Ids:
        """(num_parts,) blocks of each text in an epoch."""
        sizes = np.array([len(part) for part in self.parts])
        return np.rint(sizes * repeats(sizes, self.alpha)).astype(np.int64)

    def __len__(self) -> int:
        return int(self.slots.sum())

    def read(self, indices: Ids, keys: Keys | None = None) -> Ids | Inputs:
        """(len(indices), length) ids, with what belongs to them. keys: as of `keys_of`. indices: counted on over epochs, so that a text
        seen 1.5 times in each is seen evenly."""
        keys = keys_of(0, len(indices), 0) if keys is None else keys
        epochs, slots = np.divmod(indices, len(self))
        ends = np.cumsum(self.slots)
        owner = np.searchsorted(ends, slots, side="right")
        places = [np.flatnonzero(owner == number) for number in range(len(self.parts))]
        found = []
        for part, size, end, here in zip(self.parts, self.slots, ends, places, strict=True):
            found.append(part.read((slots[here] - (end - size) + epochs[here] * size) % len(part), keys[here]))
        return in_order(found, places)

    def batch(self, step: int, size: int, seed: int) -> Ids | Inputs:
        """(size, length) ids of the step's global batch, as of `Blocks`."""
        epochs = np.arange(step * size, (step + 1) * size, dtype=np.int64) // len(self)
        return self.read(drawn(step, size, seed, len(self)) + epochs * len(self), keys_of(step, size, seed))


def mixture(parts: Sequence[Readable], alpha: float = 1.0) -> Any:
    """The parts as one; of one part, itself."""
    return parts[0] if len(parts) == 1 else Mixture(tuple(parts), alpha)


def in_order(found: Sequence[Ids | Inputs], places: Sequence[Ids]) -> Ids | Inputs:
    """Rows of several texts, all of one kind, as one batch in which they have their `places`."""
    order = np.argsort(np.concatenate(places))
    inputs = [rows for rows in found if isinstance(rows, Inputs)]
    if not inputs:
        return np.concatenate(found)[order]  # type: ignore[arg-type]
    more = {name: np.concatenate([rows.more[name] for rows in inputs])[order] for name in inputs[0].more}
    follows = [rows.follows for rows in inputs if rows.follows is not None]
    return Inputs(np.concatenate([rows.ids for rows in inputs])[order], more, np.concatenate(follows)[order] if follows else None)


def keys_of(step: int, size: int, seed: int) -> Keys:
    """(size,) a random number for each row of a step's global batch, for whatever is to be drawn about it."""
    return mixed(np.arange(step * size, (step + 1) * size, dtype=np.uint64), seed)


def drawn(step: int, size: int, seed: int, total: int) -> Ids:
    """(size,) which of `total` blocks a step sees: epoch after epoch, each in an order of its own."""
    position = np.arange(step * size, (step + 1) * size, dtype=np.int64)
    epochs, places = np.divmod(position, total)
    order = np.empty_like(places)
    for epoch in np.unique(epochs):
        here = epochs == epoch
        order[here] = shuffled(places[here], total, seed * 1_000_003 + int(epoch))
    return order
