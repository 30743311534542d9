"""Grids whose F is planted: cells with reciprocal ranks from which it follows, and no model behind them."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lingraft.donors.records import Cell, Mode, Record, Score, cell, write_record
from lingraft.files import write_json

COUNT = 5
"""Masked positions of a sentence."""


def write_cell(grid: Path, one: Cell, scores: Mapping[str, Any], recipe: str = "same", count: int = COUNT) -> None:
    """A finished cell. scores: language -> mean reciprocal rank of each held-out sentence, (sentences,)."""
    ranks = {
        code: (np.asarray(values, dtype=np.float32) * count, np.full(len(values), count, dtype=np.int32)) for code, values in scores.items()
    }
    told = {code: Score(mrr=float(np.mean(values)), loss=1.0, positions=count * len(values)) for code, values in scores.items()}
    record = Record(cell=one, scores=told, epochs=1, steps=1, tokens=1, seconds=1, engine="local", recipe=recipe)
    write_record(grid / "cells" / one.name, record, ranks)


def made_grid(
    grid: Path,
    F: Mapping[tuple[str, str], float],
    languages: Sequence[str],
    *,
    mode: Mode = "joint",
    seeds: int = 1,
    sentences: int = 20,
    noise: float = 0.0,
    alone: Mapping[str, float] | None = None,
) -> Path:
    """A grid with F of (source, target); pairs that it has in neither direction are missing. noise: of sentences, standard deviation."""
    generator = np.random.default_rng(0)
    own = {code: (alone or {}).get(code, 0.2) for code in languages}

    def scored(value: float) -> Any:
        return value + noise * generator.standard_normal(sentences)

    write_json(grid / "grid.json", {"languages": list(languages), "mode": mode, "seeds": seeds})
    for seed in range(seeds):
        for code in languages:
            write_cell(grid, cell(code, seed=seed), {code: scored(own[code])})
        for a, b in (itertools.permutations if mode == "sequential" else itertools.combinations)(languages, 2):
            given = {t: scored(own[t] * (1 + F[s, t])) for s, t in ((a, b), (b, a)) if (s, t) in F and (t == b or mode == "joint")}
            if given:
                write_cell(grid, cell(a, b, mode=mode, seed=seed), given)
    return grid


def additive_map(n: int, seed: int, pair: float = 0.3) -> np.ndarray:
    """(n, n) gains of donors, recipients and pairs, normal; the diagonal is nan."""
    generator = np.random.default_rng(seed)
    F = generator.normal(size=(n, 1)) + generator.normal(size=(1, n)) + pair * generator.normal(size=(n, n))
    np.fill_diagonal(F, np.nan)
    return F / 10
