"""Static vectors of tokens as rows of an embedding matrix: around zero, or among the rows that a model has."""

import warnings
from collections.abc import Callable, Container, Iterator, Sequence

import numpy as np

from lingraft.errors import LingraftWarning, RecipeError
from lingraft.vectors.mapping import Pairs, Start, map_spaces
from lingraft.vectors.spaces import mean_of, normalised
from lingraft.vectors.static import Floats, Vectors, VectorSettings, train_vectors
from lingraft.vectors.trust import Trust


def skipgram(sentences: Callable[[], Iterator[Sequence[str]]], known: Container[str], width: int, seed: int) -> Vectors:
    """Vectors (n, width) of the known tokens, named by token, the most frequent first. Same seed, same bytes."""
    settings = VectorSettings(architecture="skipgram", dimension=width, epochs=5, min_count=5, ngrams=False)
    return train_vectors(lambda: ([token for token in sentence if token in known] for sentence in sentences()), settings, seed)


def drawn(tokens: Sequence[str], width: int, seed: int) -> Vectors:
    """Vectors (n, width) of the tokens that say nothing: TreLM's control, "Rand" in table 5."""
    return Vectors(list(tokens), np.random.default_rng([seed, 2]).standard_normal((len(tokens), width), dtype=np.float32))


def centred(matrix: Floats) -> Floats:
    """(n, d) rows of unit length around zero, as maps see them."""
    return np.asarray(normalised(matrix, mean_of(matrix)))


def mapped_onto(new: Vectors, old: Vectors, how: str, pairs: Pairs, seed: int) -> tuple[Floats, Trust]:
    """The new vectors, (n, d) of unit length, among the old ones, which stay as they are; and what the map is worth.

    how: of `rows.mapping`. pairs: new and old tokens, for "lexicon". The most frequent tokens come first in both. "adversarial" is
    TreLM's (appendix A.1), the others are VecMap's orthogonal mode. Raises TextError where there are too few pairs to start from.
    """
    start: Start = pairs if how == "lexicon" else "unsupervised" if how == "unsupervised" else "identical"
    mapping = map_spaces(new, old, start=start, method="adversarial" if how == "adversarial" else "self-learning", seed=seed)
    return mapping.source_as_target(new.matrix), mapping.trust


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
    warnings.warn(f"{said} The rows made from them are noise, or little better.", LingraftWarning, stacklevel=2)
