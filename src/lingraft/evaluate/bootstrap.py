"""How sure a score is: mean and deviation over seeds, and bootstrap intervals over seeds and examples (Efron's percentiles)."""

import statistics
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lingraft.evaluate.task import Array

DRAWS, LEVEL = 1000, 0.95

Reduce = Callable[[Array], dict[str, float]]


def summary(values: Sequence[float]) -> dict[str, Any]:
    """Mean and sample standard deviation over seeds; sd is None for one."""
    return {"mean": float(np.mean(values)), "sd": statistics.stdev(values) if len(values) > 1 else None, "n": len(values)}


def interval(rows: Array, reduce: Reduce, name: str, seed: int, draws: int = DRAWS, level: float = LEVEL) -> tuple[float, float]:
    """Interval of a score when its examples are drawn again, with replacement. rows: (n, k) numbers that `reduce` makes scores of."""
    return combined_interval([rows], reduce, name, seed, draws, level)


def combined_interval(
    rows: Sequence[Array], reduce: Reduce, name: str, seed: int, draws: int = DRAWS, level: float = LEVEL
) -> tuple[float, float]:
    """The two ends that hold `level` of the draws of a score's mean: seeds are drawn with replacement, and the examples, the same ones
    for all of them.

    rows: for each seed, (n, k) the numbers of every example that `reduce` makes scores of. Draws in which the score is not a number
    (a correlation of what is constant) are left out; both ends are nan where it never is one, or there is no example.
    """
    generator, size = np.random.default_rng(seed), len(rows[0])
    found = np.full(draws, np.nan)
    for draw in range(draws if size else 0):
        chosen = generator.integers(size, size=size)
        seeds, weights = np.unique(generator.integers(len(rows), size=len(rows)), return_counts=True)
        found[draw] = np.average([reduce(rows[i][chosen])[name] for i in seeds], weights=weights)
    found = found[np.isfinite(found)]
    if not len(found):
        return float("nan"), float("nan")
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
