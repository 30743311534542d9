"""Whether a map can be trusted: what it does with words, and what it does when it is made from other ones."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from lingraft.vectors.neighbours import csls, nearest
from lingraft.vectors.spaces import procrustes

FREQUENT = 5_000  # words of each side that are looked at
FOUND_AMONG = 10
LEAST_FOUND, LEAST_AGREEMENT = 0.1, 0.15  # noise reached 0.0754 and 0.0275
FEWEST_UNSEEN = 100  # known pairs that a map was not made from are enough to judge it by


@dataclass(frozen=True, slots=True)
class Trust:
    """What tells a map from noise.

    mean_csls  of the frequent words that are each other's nearest
    cycle_consistency  share of the frequent source words that come back to themselves by way of their nearest
    agreement  share of them that have the same nearest in two runs, which chance led different ways; None for Procrustes
    found      share of known pairs (of the start, else identical strings) among the ten nearest; for Procrustes held back in turn by halves
    by_chance  the share that a random map would find
    known      how many pairs are known
    is_start   whether the map began with them
    """

    mean_csls: float
    cycle_consistency: float
    agreement: float | None
    found: float
    by_chance: float
    known: int
    is_start: bool

    @property
    def reliable(self) -> bool:
        """Whether the measures are beyond those of noise.

        Known pairs that the map has not seen decide alone where they are many: the best of two runs may be right though the other failed.
        """
        is_found = self.found >= max(LEAST_FOUND, 3 * self.by_chance)
        is_agreed = self.agreement is None or self.agreement >= LEAST_AGREEMENT
        if self.is_start:
            return is_found and is_agreed
        return is_found if self.known >= FEWEST_UNSEEN else is_agreed

    @property
    def reason(self) -> str:
        """What the judgement rests on."""
        said = f"of {self.known:,} {'starting' if self.is_start else 'known'} pairs {self.found:.1%} are among the ten nearest"
        said += f" (by chance {self.by_chance:.1%}), cycle consistency {self.cycle_consistency:.1%}, mean CSLS {self.mean_csls:.3f}"
        return said if self.agreement is None else f"{said}, agreement of restarts {self.agreement:.1%}"

    def measures(self) -> dict[str, Any]:
        """By name, without those that were not measured."""
        return {name: value for name, value in asdict(self).items() if value is not None} | {"reliable": self.reliable}


def judge(
    x: torch.Tensor, y: torch.Tensor, rotation: torch.Tensor, runs: Sequence[torch.Tensor], known: torch.Tensor, *, is_start: bool
) -> Trust:
    """Measure a map (d, d). x, y: (n, d), (m, d) normalised. runs: rotations of all runs that it is the best of. known: (2, k) pairs."""
    matches = csls(x[:FREQUENT] @ rotation, y[:FREQUENT], 1)
    mutual = matches.mutual()
    return Trust(
        mean_csls=float(matches.forward[mutual, 0].mean()),
        cycle_consistency=float(mutual.float().mean()),
        agreement=_agreement(x[:FREQUENT], y[:FREQUENT], runs) if runs else None,
        found=_found(x @ rotation, y, known) if runs else _held_back(x, y, known),
        by_chance=min(1.0, FOUND_AMONG / len(y)),
        known=known.shape[1],
        is_start=is_start,
    )


def _found(x: torch.Tensor, y: torch.Tensor, pairs: torch.Tensor) -> float:
    """Share of the pairs (2, n) that are among the nearest ten; 0 for no pairs. x, y: in one space, of unit length."""
    _, ids = nearest(x[pairs[0]], y, FOUND_AMONG)
    return int((ids == pairs[1][:, None]).any(dim=1).sum()) / max(1, pairs.shape[1])


def _held_back(x: torch.Tensor, y: torch.Tensor, pairs: torch.Tensor) -> float:
    """Share of the pairs (2, n) that a Procrustes map of the other half of them puts among the nearest ten."""
    halves = pairs[:, ::2], pairs[:, 1::2]
    found = (_found(x @ procrustes(x[known[0]], y[known[1]]), y, held) * held.shape[1] for known, held in (halves, halves[::-1]))
    return sum(found) / pairs.shape[1]


def _agreement(x: torch.Tensor, y: torch.Tensor, rotations: Sequence[torch.Tensor]) -> float:
    """Share of the rows of x that have the same nearest row of y by CSLS under all rotations."""
    ids = torch.stack([csls(x @ rotation, y, 1).forward_ids[:, 0] for rotation in rotations])
    return float((ids == ids[0]).all(dim=0).float().mean())
