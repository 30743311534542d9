"""Mean, deviation and bootstrap interval of scores over seeds and examples."""

import statistics
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lingraft.evaluate.task import Array

DRAWS, LEVEL = 1000, 0.95


def summary(values: Sequence[float]) -> dict[str, Any]:
    """Mean and sample standard deviation over seeds; sd is None for one."""
    return {"mean": float(np.mean(values)), "sd": statistics.stdev(values) if len(values) > 1 else None, "n": len(values)}


def combined_interval(
    rows: Sequence[Array], reduce: Callable[[Array], dict[str, float]], name: str, seed: int, draws: int = DRAWS
) -> tuple[float, float]:
    """95 % interval of the mean of a score: seeds are drawn with replacement, and the examples, the same ones for all of them.

    rows: for each seed, (n, k) the numbers of every example that `reduce` makes scores of.
    """
    generator, found = np.random.default_rng(seed), []
    for _ in range(draws):
        chosen = generator.integers(len(rows[0]), size=len(rows[0]))
        seeds = np.unique(generator.integers(len(rows), size=len(rows)), return_counts=True)
        found.append(np.average([reduce(rows[i][chosen])[name] for i in seeds[0]], weights=seeds[1]))
    low, high = np.quantile(found, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
