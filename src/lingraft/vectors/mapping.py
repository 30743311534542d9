"""One space of word vectors mapped onto another, from known pairs of words or from none, and whether the result can be trusted.

mapping = map_spaces(english, german, start="identical")
mapping.source(english.matrix), mapping.target(german.matrix)   # in one space, if mapping.trust.reliable
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from lingraft.errors import TextError
from lingraft.vectors.adversarial import AdversarialSettings, play
from lingraft.vectors.neighbours import unit
from lingraft.vectors.self_learning import learn, similar_profiles, widen
from lingraft.vectors.spaces import Maps, mean_of, normalised, procrustes, reweighted, rows_of, undone
from lingraft.vectors.static import Floats, Vectors
from lingraft.vectors.trust import Trust, judge

Method = Literal["procrustes", "self-learning", "adversarial"]
Mode = Literal["orthogonal", "full"]
Pairs = Sequence[tuple[str, str]]
Start = Literal["identical", "unsupervised"] | Pairs

FEWEST_PAIRS = 10
RESTARTS = 2  # whose agreement tells a map from noise


@dataclass(frozen=True, slots=True)
class Mapping:
    """Linear maps (d, d) of both sides' normalised vectors into one space, and the means of both."""

    maps: Maps
    means: tuple[torch.Tensor, torch.Tensor]
    trust: Trust

    def source(self, matrix: Floats) -> Floats:
        """(n, d) source vectors in the common space, of unit length."""
        return np.asarray(unit(normalised(matrix, self.means[0]) @ self.maps[0]))

    def target(self, matrix: Floats) -> Floats:
        """(n, d) target vectors in the common space, of unit length."""
        return np.asarray(unit(normalised(matrix, self.means[1]) @ self.maps[1]))

    def source_as_target(self, matrix: Floats) -> Floats:
        """(n, d) source vectors, of unit length, among the target's own as these are: turned, and around their mean. Mode "orthogonal"."""
        return np.asarray(undone(normalised(matrix, self.means[0]) @ self.maps[0], self.means[1]))


def map_spaces(
    source: Vectors,
    target: Vectors,
    *,
    start: Start = "identical",
    method: Method = "self-learning",
    mode: Mode = "orthogonal",
    seed: int = 0,
    adversarial: AdversarialSettings | None = None,
) -> Mapping:
    """Map the two spaces into one.

    start: identical strings, pairs of words, or nothing ("unsupervised"); method "adversarial" needs nothing, and pairs only test it.
    mode: "orthogonal" rotates the source onto the target; "full" also weights directions by how well the two agree in them.
    The most frequent words come first in both. Raises TextError where there are too few pairs to start from, none for "procrustes", or
    the two have different dimensions.
    """
    dimensions = source.matrix.shape[1], target.matrix.shape[1]
    if dimensions[0] != dimensions[1]:
        raise TextError(f"The source's vectors have {dimensions[0]} dimensions, the target's {dimensions[1]}. Give equal ones.")
    if method == "procrustes" and start == "unsupervised":
        raise TextError("Procrustes maps by known pairs, and an unsupervised start has none. Start from identical strings or a lexicon.")
    is_start = start != "unsupervised" and method != "adversarial"
    known = rows_of([(word, word) for word in source.words] if isinstance(start, str) else start, source, target)
    if is_start and known.shape[1] < FEWEST_PAIRS:
        what = "words are spelled alike in both languages" if start == "identical" else "entries of the lexicon have vectors on both sides"
        raise TextError(f"Only {known.shape[1]} {what}, too few to map vectors by. Give a larger lexicon, or vectors of more words.")
    means = mean_of(source.matrix), mean_of(target.matrix)
    x, y = normalised(source.matrix, means[0]), normalised(target.matrix, means[1])
    pairs, runs = _found(x, y, known if is_start else None, method, seed, adversarial or AdversarialSettings())
    rotation = procrustes(x[pairs[0]], y[pairs[1]])
    maps = reweighted(x[pairs[0]], y[pairs[1]]) if mode == "full" else (rotation, torch.eye(len(rotation)))
    return Mapping(maps, means, judge(x, y, rotation, runs, known, is_start=is_start))


def _found(
    x: torch.Tensor, y: torch.Tensor, known: torch.Tensor | None, method: Method, seed: int, settings: AdversarialSettings
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """(2, n) pairs to map by, and the rotations of the runs that the best was chosen from; none where the pairs are the known ones."""
    if method == "procrustes":
        assert known is not None
        return known, []
    seeds = [seed + number for number in range(RESTARTS)]
    if method == "adversarial":
        firsts = [play(x, y, settings, seed)[0] for seed in seeds]
    else:
        pairs = similar_profiles(x, y) if known is None else known
        firsts = [procrustes(x[pairs[0]], y[pairs[1]])] * RESTARTS
    runs = [learn(x, y, first, torch.Generator().manual_seed(seed)) for first, seed in zip(firsts, seeds, strict=True)]
    best, _ = max(runs, key=lambda run: run[1])
    return widen(x, y, best), [rotation for rotation, _ in runs]
