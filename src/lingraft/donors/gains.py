"""F of every pair of a grid, with draws for intervals: seeds and held-out sentences are drawn again, with replacement."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from lingraft.donors.records import Mode, Ranks, Record, cell, read_plan, read_ranks, read_records
from lingraft.errors import RunError, suggest

Array = NDArray[Any]
DRAWS, LEVEL = 1000, 0.95
AT_ONCE = 100
"""Draws whose sentences are held in memory at a time."""


@dataclass(frozen=True, slots=True)
class Gains:
    """F of a grid (Malkin et al. 2022, equation 4). Where a cell is missing its numbers are nan; so is the diagonal.

    languages      n codes, in the order of the arrays
    seeds          how many each cell was to be run with
    F              (n, n) mean over seeds, as a fraction: row the source, column the target
    monolingual    (n,) mean reciprocal rank of the model of each language alone
    F_draws        (draws, n, n), monolingual_draws (draws, n): the same, with seeds and sentences drawn again
    count          (n, n) seeds behind each number
    missing        names of cells that have not been run
    """

    languages: list[str]
    mode: Mode
    seeds: int
    F: Array
    monolingual: Array
    F_draws: Array
    monolingual_draws: Array
    count: Array
    missing: list[str]


def gains(grid: Path, mode: Mode | None = None, draws: int = DRAWS, seed: int = 0) -> Gains:
    """Read the records of a grid. mode: whose pairs, where it has both kinds. seed: of the draws.

    In a draw the same sentences are taken for all models of a language, which share its masks, and the same seeds for all cells, as a seed
    decides the same things in each. Raises RunError where nothing is there to compare, or cells were not run alike.
    """
    records = read_records(grid)
    if not records:
        raise RunError(f"{grid} has no finished cells. Run them with: lingraft donors run CORPUS --out {grid}")
    plan = read_plan(grid)
    chosen = _mode(grid, records, plan, mode)
    languages, seeds = _languages(records, plan), _seeds(records, plan)
    generator = np.random.default_rng(seed)
    slots = generator.random((draws, len(seeds)))
    missing: dict[str, None] = {}
    n = len(languages)
    F, F_draws = np.full((n, n), np.nan), np.full((draws, n, n), np.nan)
    alone, alone_draws, count = np.full(n, np.nan), np.full((draws, n), np.nan), np.zeros((n, n), dtype=int)
    for column, target in enumerate(languages):
        own = [[cell(*dict.fromkeys((source, target)), mode=chosen, seed=s).name for s in seeds] for source in languages]
        missing |= dict.fromkeys(name for names in own for name in names if name not in records)
        models = [[name for name in names if name in records] for names in own]
        _check_alike(grid, records, [name for names in models for name in names])
        scored, drawn = _scored(grid, target, models, slots, generator)
        alone[column], alone_draws[:, column] = scored[column], drawn[:, column]
        F[:, column], F_draws[:, :, column] = scored / scored[column] - 1, drawn / drawn[:, [column]] - 1
        count[:, column] = [min(len(names), len(models[column])) for names in models]
    diagonal = np.arange(n)
    F[diagonal, diagonal] = F_draws[:, diagonal, diagonal] = np.nan
    if not np.isfinite(F).any():
        raise RunError(
            f"{grid} has no pair together with its target alone. {len(missing)} cells are missing, {next(iter(missing))!r} first."
        )
    return Gains(languages, chosen, len(seeds), F, alone, F_draws, alone_draws, count, list(missing))


def _scored(grid: Path, target: str, models: Sequence[Sequence[str]], slots: Array, generator: np.random.Generator) -> tuple[Array, Array]:
    """Mean reciprocal rank on the target, (models,), and its draws, (draws, models). models: for each its cells, one a seed.

    slots: (draws, seeds) numbers from 0 to 1 that say which of a model's cells are drawn.
    """
    cells = [name for names in models for name in names]
    if not cells:
        return np.full(len(models), np.nan), np.full((len(slots), len(models)), np.nan)
    sums, counts = _table(grid, target, cells)
    each, drawn = sums.sum(axis=1) / counts.sum(), []
    for start in range(0, len(slots), AT_ONCE):
        weights = _weights(len(counts), min(AT_ONCE, len(slots) - start), generator)
        drawn.append(weights @ sums.T / np.maximum(weights @ counts, 1)[:, None])
    of_cells = np.concatenate(drawn)
    means, draws, first = np.full(len(models), np.nan), np.full((len(slots), len(models)), np.nan), 0
    for i, names in enumerate(models):
        if names:
            means[i] = each[first : first + len(names)].mean()
            picked = first + (slots[:, : len(names)] * len(names)).astype(int)
            draws[:, i] = np.take_along_axis(of_cells, picked, axis=1).mean(axis=1)
            first += len(names)
    return means, draws


def _weights(size: int, draws: int, generator: np.random.Generator) -> Array:
    """(draws, size) how often each of `size` sentences is drawn, when as many are drawn as there are."""
    chosen = generator.integers(size, size=(draws, size)) + size * np.arange(draws)[:, None]
    return np.bincount(chosen.ravel(), minlength=draws * size).reshape(draws, size).astype(np.float64)


def _table(grid: Path, target: str, cells: Sequence[str]) -> tuple[Array, Array]:
    """Sums of reciprocal ranks (cells, sentences) and masked positions (sentences,) of one language."""
    found: list[Ranks] = []
    for name in cells:
        ranks = read_ranks(grid / "cells" / name)
        if target not in ranks:
            raise RunError(f"Cell {name!r} of {grid} was not scored on {target!r}. Remove its folder, and run the grid again.")
        if found and not np.array_equal(found[0][1], ranks[target][1]):
            raise RunError(f"Cells {cells[0]!r} and {name!r} of {grid} were scored on different masked positions of {target!r}.")
        found.append(ranks[target])
    return np.stack([sums for sums, _ in found]).astype(np.float64), found[0][1].astype(np.float64)


def _check_alike(grid: Path, records: Mapping[str, Record], names: Sequence[str]) -> None:
    for name in names:
        if records[name].recipe != records[names[0]].recipe:
            raise RunError(f"Cells {names[0]!r} and {name!r} of {grid} were run on another corpus or with other settings. Remove one kind.")


def _mode(grid: Path, records: Mapping[str, Record], plan: Mapping[str, Any], asked: Mode | None) -> Mode:
    """The mode asked for, or the grid's, or the only one there is."""
    found = {record.cell.mode for record in records.values() if len(record.cell.languages) == 2}
    if asked is not None and asked not in get_args(Mode):
        raise RunError(f"There is no mode {asked!r}. {suggest(asked, get_args(Mode))}")
    if asked is None and "mode" not in plan and len(found) > 1:
        raise RunError(f"{grid} has pairs that were trained jointly and in sequence. Say which with --mode.")
    chosen: Mode = asked or plan.get("mode") or (next(iter(found)) if found else "joint")
    if chosen not in found:
        raise RunError(f"{grid} has no finished pair in the mode {chosen!r}. Run them with: lingraft donors run CORPUS --out {grid}")
    return chosen


def _languages(records: Mapping[str, Record], plan: Mapping[str, Any]) -> list[str]:
    return list(plan.get("languages") or sorted({code for record in records.values() for code in record.cell.languages}))


def _seeds(records: Mapping[str, Record], plan: Mapping[str, Any]) -> list[int]:
    """Those of the plan and of the cells, which may be of a later one."""
    return sorted({*range(plan.get("seeds", 0)), *(record.cell.seed for record in records.values() if len(record.cell.languages) < 3)})


def summed(F: Array, axis: int) -> Array:
    """Sums over the other languages: axis -1 donation D (equation 5), -2 recipience R (equation 6), of (…, n, n) F.

    Where pairs are missing it is the mean of those there times n - 1; nan where there is none.
    """
    there = np.isfinite(F)
    count = there.sum(axis=axis)
    total = np.where(there, F, 0).sum(axis=axis)
    return np.where(count > 0, total / np.maximum(count, 1) * (F.shape[-1] - 1), np.nan)


def ends(draws: Array, level: float = LEVEL) -> tuple[Array, Array]:
    """The two ends that hold `level` of the draws (draws, …)."""
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high
