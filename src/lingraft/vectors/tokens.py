"""Static vectors of tokens as rows of an embedding matrix: around zero, or among the rows that a model has."""

import warnings
from collections.abc import Callable, Container, Iterator, Sequence
from typing import Any

import numpy as np
import torch

from lingraft.errors import LingraftWarning, RecipeError
from lingraft.vectors.adversarial import AdversarialSettings
from lingraft.vectors.mapping import Method, Pairs, Start, map_spaces
from lingraft.vectors.neighbours import unit
from lingraft.vectors.spaces import mean_of, normalised
from lingraft.vectors.static import Floats, Vectors, VectorSettings, train_vectors
from lingraft.vectors.trust import Trust

Sentences = Callable[[], Iterator[Sequence[str]]]
Counts = np.ndarray[Any, np.dtype[np.int64]]


def skipgram(sentences: Sentences, known: Container[str], width: int, seed: int) -> Vectors:
    """Vectors (n, width) of the known tokens, named by token, the most frequent first. Same seed, same bytes."""
    settings = VectorSettings(architecture="skipgram", dimension=width, epochs=5, min_count=5, ngrams=False)
    return train_vectors(lambda: ([token for token in sentence if token in known] for sentence in sentences()), settings, seed)


def drawn(tokens: Sequence[str], width: int, seed: int) -> Vectors:
    """Vectors (n, width) of the tokens that say nothing: TreLM's control, "Rand" in table 5."""
    return Vectors(list(tokens), np.random.default_rng([seed, 2]).standard_normal((len(tokens), width), dtype=np.float32))


def centred(matrix: Floats) -> Floats:
    """(n, d) rows of unit length around zero, as maps see them."""
    return np.asarray(normalised(matrix, mean_of(matrix)))


def mapped_onto(new: Vectors, old: Vectors, how: str, pairs: Pairs, seed: int, adversary_steps: int = 1_000) -> tuple[Floats, Trust]:
    """The new vectors, (n, d) of unit length, among the old ones, which stay as they are; and what the map is worth.

    how, adversary_steps: as `rows.mapping` and its steps. pairs: new and old tokens, for "lexicon". The most frequent tokens come first in
    both. "adversarial" is TreLM's (appendix A.1), the others are VecMap's orthogonal mode. Raises TextError where there are too few pairs
    to start from.
    """
    start: Start = pairs if how == "lexicon" else "unsupervised" if how == "unsupervised" else "identical"
    method: Method = "adversarial" if how == "adversarial" else "self-learning"
    mapping = map_spaces(new, old, start=start, method=method, seed=seed, adversarial=AdversarialSettings(steps=adversary_steps))
    return mapping.source_as_target(new.matrix), mapping.trust


def of_both(
    sentences: Sequence[Sentences],
    counts: Sequence[Counts],
    names: Sequence[str],
    width: int,
    how: str,
    seed: int,
    adversary_steps: int = 1_000,
) -> tuple[Floats, Trust]:
    """(len(names), width) skip-gram vectors of a vocabulary's tokens, of unit length, those of two languages in one space; zeros where a
    token has none, or no name. And what the map of the target's onto the source's is worth.

    sentences, counts (len(names),): of the source's text and of the target's. A token of both has the vector of that text where it is the
    larger share of the tokens. how: as for `mapped_onto`, but no lexicon.
    """
    number = {name: place for place, name in enumerate(names) if name}
    old, new = (skipgram(side, number, width, seed) for side in sentences)
    mapped, trust = mapped_onto(new, old, how, [], seed, adversary_steps)
    share = [count / max(1, count.sum()) for count in counts]
    table = np.zeros((len(names), width), dtype=np.float32)
    for own, other, words, vectors in ((0, 1, old.words, np.asarray(unit(torch.from_numpy(old.matrix)))), (1, 0, new.words, mapped)):
        places = np.array([number[word] for word in words], dtype=np.int64)
        wins = (share[own][places] >= share[other][places]) | ~table[places].any(axis=1)
        table[places[wins]] = vectors[wins]
    return table, trust


def insist(trust: Trust, *, is_strict: bool) -> None:
    """Raise RecipeError where a map is not to be trusted; not strict: warn."""
    if trust.reliable:
        return
    said = f"The two languages' vectors could not be mapped onto one another ({trust.reason})."
    if is_strict:
        raise RecipeError(
            f"{said} Give a --lexicon, more --source-text and --text, or choose a recipe without vectors; to see what such rows are worth "
            "all the same: --set rows.trust=false --restart-from rows."
        )
    warnings.warn(f"{said} What is made of them is noise, or little better.", LingraftWarning, stacklevel=2)
