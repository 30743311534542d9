"""Objectives: from the ids of a batch to what the model sees, where it predicts, and what."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from lingraft.train.batches import LENGTHS, Ids, Inputs, rounded

NOT_ASKED = -100  # what torch's cross entropy passes over
SAME_AS = {"target_mask": "attention_mask", "target_language": "languages"}  # of the output, and the input's that stands in for it


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What masking needs to know of a vocabulary.

    specials: ids that are never masked. starts: (size,) True where a token begins a word. new: ids that the source has no token for.
    choices: ids a random replacement is taken from.
    """

    size: int
    mask: int | None
    specials: Ids
    starts: npt.NDArray[np.bool_]
    new: Ids = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    @property
    def rows(self) -> dict[str, Ids]:
        """Part -> ids of its rows, for the parts that are some rows only."""
        return {"specials": self.specials, "new": self.new}

    @property
    def choices(self) -> Ids:
        """Ids that stand for text."""
        return np.setdiff1d(np.arange(self.size), self.specials)


@dataclass(frozen=True, slots=True)
class Example:
    """What the model is shown, and what it predicts.

    inputs: (batch, length) ids; positions: (n,) into the flattened batch; targets: (n,) ids. more: further inputs, (batch, length) each,
    by transformers' names. follows: (batch,) 1 where the second text follows the first, 0 where it does not, NOT_ASKED elsewhere.
    """

    inputs: Ids
    positions: Ids
    targets: Ids
    more: Mapping[str, Ids] = field(default_factory=dict)
    follows: Ids | None = None


def part_of(example: Example, index: int, parts: int) -> Example:
    """Rows `index` of `parts` equal shares of a batch, no longer than the longest of them."""
    rows, length = example.inputs.shape
    first, last = index * rows // parts, (index + 1) * rows // parts
    low, high = np.searchsorted(example.positions, [first * length, last * length])
    more = {name: values[first:last] for name, values in example.more.items()}
    follows = None if example.follows is None else example.follows[first:last]
    return _cut(Example(example.inputs[first:last], example.positions[low:high] - first * length, example.targets[low:high], more, follows))


def _cut(example: Example) -> Example:
    """Without the columns in which all rows are filled up."""
    masks = [example.more[name].any(axis=0) for name in LENGTHS if name in example.more]
    length = example.inputs.shape[1]
    kept = rounded(max((int(np.flatnonzero(mask)[-1]) + 1 for mask in masks if mask.any()), default=length), length)
    if kept == length:
        return example
    rows, columns = np.divmod(example.positions, length)
    more = {name: values[:, :kept] for name, values in example.more.items()}
    return replace(example, inputs=example.inputs[:, :kept], positions=rows * kept + columns, more=more)


def joined(examples: Sequence[Example]) -> Example:
    """The examples of several objectives, all of one length, as one batch. Inputs that some have not are for them what the model takes
    where it is given none: all is looked at, in segment 0, at positions that count from the first, and stays in its place and language."""
    if len(examples) == 1:
        return examples[0]
    starts = np.cumsum([0, *(example.inputs.size for example in examples)])
    names = list(dict.fromkeys(name for example in examples for name in example.more))
    more = {name: np.concatenate([_given(example, name, examples) for example in examples]) for name in names}
    follows = [np.full(len(example.inputs), NOT_ASKED) if example.follows is None else example.follows for example in examples]
    return Example(
        np.concatenate([example.inputs for example in examples]),
        np.concatenate([example.positions + start for example, start in zip(examples, starts[:-1], strict=True)]),
        np.concatenate([example.targets for example in examples]),
        more,
        np.concatenate(follows) if any(example.follows is not None for example in examples) else None,
    )


def _given(example: Example, name: str, others: Sequence[Example]) -> Ids:
    """(batch, length) a further input of an example, or what stands for it."""
    if name in example.more:
        return example.more[name]
    if name == "position_ids":  # families differ in where they count from
        first = min(int(other.more[name].min()) for other in others if name in other.more)
        return np.broadcast_to(first + np.arange(example.inputs.shape[1]), example.inputs.shape)
    if name == "alignment":
        return np.broadcast_to(np.arange(example.inputs.shape[1]), example.inputs.shape)
    if name in SAME_AS:
        return _given(example, SAME_AS[name], others)
    return np.full_like(example.inputs, name == "attention_mask")


def choose_masked(
    ids: Ids, vocabulary: Vocabulary, rate: float, whole_words: bool, generator: np.random.Generator
) -> npt.NDArray[np.bool_]:
    """(batch, length) True at `rate` of the positions that are no specials: independently, or word by word (a word is masked whole)."""
    special = np.isin(ids, vocabulary.specials)
    if not whole_words:
        return (generator.random(ids.shape, dtype=np.float32) < rate) & ~special
    begins = vocabulary.starts[ids] | special
    begins[:, 0] = True
    words = np.cumsum(begins.ravel()) - 1
    return (generator.random(int(words[-1]) + 1)[words].reshape(ids.shape) < rate) & ~special


def masked_language_model(ids: Ids, vocabulary: Vocabulary, rate: float, whole_words: bool, generator: np.random.Generator) -> Example:
    """Devlin et al. 2019: `rate` of the tokens are predicted; 80 % of them show the mask, 10 % a random token, 10 % themselves."""
    chosen = choose_masked(ids, vocabulary, rate, whole_words, generator)
    if not chosen.any():
        chosen.flat[np.flatnonzero(~np.isin(ids, vocabulary.specials))[:1]] = True
    assert vocabulary.mask is not None
    positions = np.flatnonzero(chosen)
    shown = ids.copy().ravel()
    kind = generator.random(len(positions))
    shown[positions[kind < 0.8]] = vocabulary.mask
    replaced = positions[(kind >= 0.8) & (kind < 0.9)]
    shown[replaced] = generator.choice(vocabulary.choices, size=len(replaced))
    return Example(shown.reshape(ids.shape), positions, ids.ravel()[positions])


def causal_language_model(ids: Ids, vocabulary: Vocabulary, rate: float, whole_words: bool, generator: np.random.Generator) -> Example:
    """Every token but the first of a block is predicted from those before it."""
    positions = np.arange(ids.size).reshape(ids.shape)[:, :-1].ravel()
    return Example(ids, positions, ids[:, 1:].ravel())


def bridge_language_model(example: Example, partners: Ids) -> Example:
    """BRLM with hard alignment (Ji et al. 2020): what is predicted at a place is predicted at its partner's, from that state."""
    rows, columns = np.divmod(example.positions, example.inputs.shape[1])
    places = rows * example.inputs.shape[1] + partners[rows, columns]
    order = np.argsort(places, kind="stable")
    return replace(example, positions=places[order], targets=example.targets[order])


def cross_lingual_language_model(inputs: Inputs) -> Example:
    """CdLM (TreLM 2020, section 3.1): all that there is an answer to is predicted; of the input nothing is masked."""
    assert inputs.answers is not None
    positions = np.flatnonzero(inputs.answers != NOT_ASKED)
    return Example(inputs.ids, positions, inputs.answers.ravel()[positions], inputs.more)


OBJECTIVES: dict[str, Callable[..., Example]] = {
    "mlm": masked_language_model,
    "clm": causal_language_model,
    "tlm": masked_language_model,  # Conneau & Lample 2019: on a text and its translation
    "brlm": masked_language_model,  # the same; bridge_language_model then moves where it is predicted
}
