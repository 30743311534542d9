"""One space of word vectors mapped onto another: Procrustes from known pairs, and self-learning that finds more of them itself.

mapping = map_spaces(english, german, start="identical")
mapping.source(english.matrix), mapping.target(german.matrix)   # in one space, if mapping.trust.reliable
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from lingraft.errors import TextError
from lingraft.vectors.neighbours import csls, unit
from lingraft.vectors.static import Floats, Vectors

Method = Literal["procrustes", "self-learning"]
Pairs = Sequence[tuple[str, str]]

FEWEST_PAIRS = 10
FOUND_AMONG = 10
LEAST_FOUND = 0.1  # of held-back pairs among the nearest ten; by chance ten in the size of the vocabulary are
CUTOFFS = (4_000, 20_000)  # most frequent words that self-learning looks at, first few, then more
ROUNDS, LEAST_GAIN = 8, 1e-3


@dataclass(frozen=True, slots=True)
class Trust:
    """Whether a mapping can be trusted.

    found: share of the starting pairs, held back in turn by halves, that a map of the other half puts among the ten nearest.
    by_chance: the share that a random map would.
    """

    found: float
    by_chance: float
    pairs: int

    @property
    def reliable(self) -> bool:
        """Whether clearly more is found than by chance."""
        return self.found >= max(LEAST_FOUND, 3 * self.by_chance)

    @property
    def reason(self) -> str:
        """What the judgement rests on."""
        found = f"{self.found:.1%} are among the ten nearest; by chance {self.by_chance:.1%}"
        return f"of {self.pairs:,} starting pairs, held back by halves, {found}"


@dataclass(frozen=True, slots=True)
class Mapping:
    """An orthogonal map (d, d) from the normalised source space into the normalised target space, and the means of both."""

    rotation: torch.Tensor
    means: tuple[torch.Tensor, torch.Tensor]
    trust: Trust

    def source(self, matrix: Floats) -> Floats:
        """(n, d) source vectors in the common space."""
        return np.asarray(_placed(matrix, self.means[0]) @ self.rotation)

    def target(self, matrix: Floats) -> Floats:
        """(n, d) target vectors in the common space."""
        return np.asarray(_placed(matrix, self.means[1]))


def map_spaces(
    source: Vectors, target: Vectors, *, start: Literal["identical"] | Pairs = "identical", method: Method = "self-learning", seed: int = 0
) -> Mapping:
    """Map the source's space onto the target's, from identical strings or from pairs of words.

    Raises TextError where there are too few pairs to start from, or the two have different dimensions.
    """
    dimensions = source.matrix.shape[1], target.matrix.shape[1]
    if dimensions[0] != dimensions[1]:
        raise TextError(f"The source's vectors have {dimensions[0]} dimensions, the target's {dimensions[1]}. Give equal ones.")
    pairs = _known(source, target, start)
    means = _mean(source.matrix), _mean(target.matrix)
    x, y = _placed(source.matrix, means[0]), _placed(target.matrix, means[1])
    trust = _trust(x, y, pairs)
    if method == "self-learning" and trust.reliable:
        for cutoff in CUTOFFS:
            pairs = _learn(x[:cutoff], y[:cutoff], pairs)
    return Mapping(procrustes(x[pairs[0]], y[pairs[1]]), means, trust)


def procrustes(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The orthogonal W with the least |x W - y|: U V^T of the singular value decomposition of x^T y (Schönemann 1966)."""
    left, _, right = torch.linalg.svd(x.T @ y)
    return left @ right


def _known(source: Vectors, target: Vectors, start: Literal["identical"] | Pairs) -> torch.Tensor:
    """(2, n) places of the pairs of which both words have vectors, the most frequent source words first."""
    wanted = [(word, word) for word in source.words] if start == "identical" else start
    found = sorted({(source.index[one], target.index[other]) for one, other in wanted if one in source.index and other in target.index})
    if len(found) < FEWEST_PAIRS:
        what = "words are spelled alike in both languages" if start == "identical" else "entries of the lexicon have vectors on both sides"
        raise TextError(f"Only {len(found)} {what}, too few to map vectors by. Give a larger --lexicon, or vectors of more words.")
    return torch.tensor(found).T


def _mean(matrix: Floats) -> torch.Tensor:
    return unit(torch.from_numpy(matrix)).mean(dim=0)


def _placed(matrix: Floats, mean: torch.Tensor) -> torch.Tensor:
    """Unit length, centred, unit length; zeros stay zeros."""
    tensor = torch.from_numpy(np.ascontiguousarray(matrix))
    return unit(torch.where(tensor.any(dim=1, keepdim=True), unit(tensor) - mean, 0))


def _trust(x: torch.Tensor, y: torch.Tensor, pairs: torch.Tensor) -> Trust:
    """Every second pair held back, then the others."""
    halves = pairs[:, ::2], pairs[:, 1::2]
    found = 0
    for known, held in (halves, halves[::-1]):
        near = torch.topk(x[held[0]] @ procrustes(x[known[0]], y[known[1]]) @ y.T, min(FOUND_AMONG, len(y))).indices
        found += int((near == held[1][:, None]).any(dim=1).sum())
    return Trust(found / pairs.shape[1], min(1.0, FOUND_AMONG / len(y)), pairs.shape[1])


def _learn(x: torch.Tensor, y: torch.Tensor, pairs: torch.Tensor) -> torch.Tensor:
    """Self-learning (Artetxe et al. 2018): map by the pairs, pair each word with its nearest by CSLS in both directions, and again, as long
    as these come nearer."""
    inside = (pairs[0] < len(x)) & (pairs[1] < len(y))
    pairs, best = pairs[:, inside], -1.0
    for _ in range(ROUNDS):
        matches = csls(unit(x @ procrustes(x[pairs[0]], y[pairs[1]])), y, 1)
        nearness = float(matches.forward.mean() + matches.backward.mean()) / 2
        if nearness < best + LEAST_GAIN:
            break
        best = nearness
        there, back = torch.arange(len(x)), torch.arange(len(y))
        pairs = torch.stack([torch.cat([there, matches.backward_ids[:, 0]]), torch.cat([matches.forward_ids[:, 0], back])])
    return pairs
