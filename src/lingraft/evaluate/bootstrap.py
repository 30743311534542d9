"""How sure a score is: mean and deviation over seeds, and bootstrap intervals over examples (Efron's percentiles)."""

import statistics
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Reduce = Callable[[Array], dict[str, float]]


def summary(values: Sequence[float]) -> dict[str, float | int | None]:
    """Mean, sample standard deviation (None for one value) and number of the values of each seed. Raises ValueError where there is none."""
    return {"mean": statistics.fmean(values), "sd": statistics.stdev(values) if len(values) > 1 else None, "n": len(values)}


def interval(rows: Array, reduce: Reduce, name: str, seed: int, draws: int = 1000, level: float = 0.95) -> tuple[float, float]:
    """Where the score `name` lies when examples are drawn again, with replacement: the two ends that hold `level` of the draws.

    rows: (n, k) numbers of n examples. reduce: rows -> scores by name. Draws in which the score is not a number are left out; both
    ends are nan where it never is one.
    """
    return combined_interval([rows], reduce, name, seed, draws, level)


def combined_interval(
    runs: Sequence[Array], reduce: Reduce, name: str, seed: int, draws: int = 1000, level: float = 0.95
) -> tuple[float, float]:
    """The same for a mean over runs (seeds) scored on the same examples: each draw takes runs and examples again, all runs the same ones.

    runs: (n, k) rows of each. The variance between seeds is part of the width, as far as so few runs show it.
    """
    generator, size = np.random.default_rng(seed), len(runs[0])
    if not size:
        return float("nan"), float("nan")
    values = np.empty(draws)
    for draw in range(draws):
        chosen = generator.integers(len(runs), size=len(runs))
        examples = generator.integers(size, size=size)
        values[draw] = np.mean([reduce(runs[run][examples])[name] for run in chosen])
    values = values[np.isfinite(values)]
    if not len(values):
        return float("nan"), float("nan")
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
