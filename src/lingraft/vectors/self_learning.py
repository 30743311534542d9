"""Self-learning: a map gives pairs of nearest words, these give a better map, and so on (Artetxe et al. 2018, VecMap).

To be done in minutes it is shorter than theirs: they go through 20,000 words again and again, until 50 rounds bring no gain of 1e-6.
"""

import torch

from lingraft.vectors.neighbours import Matches, csls, unit
from lingraft.vectors.spaces import procrustes

SMALL, LARGE = 4_000, 20_000  # most frequent words: those that the search goes through again and again, and those it ends with
FIRST_KEPT = 0.1  # share of the candidates that a random dictionary is chosen from; doubled when it leads no further
CANDIDATES = 20  # nearest of a word, of which chance leaves some
PATIENCE, LEAST_GAIN = 5, 5e-4  # so many rounds without such a gain in CSLS lead no further
ROUNDS = 4  # with all words


def similar_profiles(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """(2, m) pairs of words whose similarities to the words of their own language look alike, whichever words these are.

    x, y: (n, d) rows of unit length, the most frequent words first. A word's profile is its row in the root of x x^T, sorted.
    """
    size = min(len(x), len(y), SMALL)
    return _pairs(csls(_profiles(x[:size]), _profiles(y[:size]), 1))


def learn(x: torch.Tensor, y: torch.Tensor, rotation: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, float]:
    """(d, d) the rotation that self-learning on the SMALL most frequent words ends with, starting from one, and the mean CSLS reached.

    The dictionary of a round pairs each word, in both directions, with its nearest by CSLS among a random part of the candidates. Chance
    leads out of poor beginnings; the part grows until it is all of them.
    """
    x, y = x[:SMALL], y[:SMALL]
    kept, best, idle = FIRST_KEPT, -1.0, 0
    while True:
        matches = csls(x @ rotation, y, CANDIDATES, CANDIDATES)
        nearness = float(matches.forward[:, 0].mean() + matches.backward[:, 0].mean()) / 2
        idle = 0 if nearness > best + LEAST_GAIN else idle + 1
        best = max(best, nearness)
        if idle > PATIENCE:
            if kept >= 1:
                return rotation, best
            kept, idle = min(1.0, 2 * kept), 0
        pairs = _pairs(matches, kept, generator)
        rotation = procrustes(x[pairs[0]], y[pairs[1]])


def widen(x: torch.Tensor, y: torch.Tensor, rotation: torch.Tensor) -> torch.Tensor:
    """(2, m) pairs among the LARGE most frequent words, after some rounds without chance."""
    x, y = x[:LARGE], y[:LARGE]
    for _ in range(ROUNDS):
        pairs = _pairs(csls(x @ rotation, y, 1, CANDIDATES))
        rotation = procrustes(x[pairs[0]], y[pairs[1]])
    return pairs


def _profiles(x: torch.Tensor) -> torch.Tensor:
    """(n, n) of each row its sorted row in the root of x x^T, normalised as vectors are."""
    left, values, _ = torch.linalg.svd(x, full_matrices=False)
    profiles = unit(((left * values) @ left.T).sort(dim=1).values)
    return unit(profiles - profiles.mean(dim=0))


def _pairs(matches: Matches, kept: float = 1, generator: torch.Generator | None = None) -> torch.Tensor:
    """(2, n + m) each source word with its nearest, and each target word with its own."""
    there, back = _chosen(matches.forward_ids, kept, generator), _chosen(matches.backward_ids, kept, generator)
    return torch.stack([torch.cat([torch.arange(len(there)), back]), torch.cat([there, torch.arange(len(back))])])


def _chosen(ids: torch.Tensor, kept: float, generator: torch.Generator | None) -> torch.Tensor:
    """(n,) of each row, which is sorted by nearness, the nearest that chance keeps; the first where it keeps none."""
    if kept >= 1:
        return ids[:, 0]
    keep = torch.rand(ids.shape, generator=generator) < kept
    return ids.gather(1, keep.int().argmax(dim=1, keepdim=True))[:, 0]
