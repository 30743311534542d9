"""Which cells to run next, so that donors and recipients stand in the right order long before all pairs are run."""

import itertools
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import norm, spearmanr

from lingraft.donors.additive import Additive, Array, fit, noise_of
from lingraft.donors.choose import check_grid
from lingraft.donors.gains import Gains, gains
from lingraft.donors.records import Cell, Mode, cell, read_records
from lingraft.errors import RunError
from lingraft.files import atomic_write, read_json

Pair = tuple[int, int]
EACH = 2
"""Pairs that every language is in, in the design that comes first."""
ORDERS = 10
"""Of a simulation: orders in which languages are taken, and random orders of pairs, over which it is averaged."""
FRACTIONS = (0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
DRAWS = 200


def all_pairs(num_languages: int, mode: Mode = "joint") -> list[Pair]:
    """Of a whole map: jointly, i < j, each gives F in both directions; in sequence, every ordered one."""
    both = itertools.permutations if mode == "sequential" else itertools.combinations
    return list(both(range(num_languages), 2))


def next_cells(
    languages: Sequence[str], done: Collection[str], number: int, gains: Gains | None = None, *, mode: Mode = "joint", seeds: int = 1
) -> list[Cell]:
    """The `number` cells to run next, or as many as are left. done: names of cells.

    For each seed, first the languages alone, which every F needs; then a connected design in which each language is in about as many
    pairs as any other; then, with `gains`, pairs whose outcome is expected to settle most of the order of donation and of recipience;
    without, the balanced design goes on.
    """
    chosen: list[Cell] = []
    for seed in range(seeds):
        alone = [cell(code, seed=seed) for code in languages]
        chosen += [one for one in alone if one.name not in done]
        of = {pair: cell(*(languages[i] for i in pair), mode=mode, seed=seed) for pair in all_pairs(len(languages), mode)}
        ran = [pair for pair, one in of.items() if one.name in done]
        wanted = number - len(chosen)
        if wanted > 0:
            chosen += [of[pair] for pair in next_pairs(len(languages), ran, wanted, _state(gains, languages), mode)]
    return chosen[:number]


def _state(gains: Gains | None, languages: Sequence[str]) -> tuple[Array, Array] | None:
    """F and the variance of its noise, in the order of `languages`."""
    if gains is None or set(gains.languages) != set(languages):
        return None
    order = [gains.languages.index(code) for code in languages]
    return gains.F[np.ix_(order, order)], noise_of(gains)[0][np.ix_(order, order)]


def next_pairs(
    num_languages: int, ran: Collection[Pair], number: int, state: tuple[Array, Array] | None = None, mode: Mode = "joint"
) -> list[Pair]:
    """The same for pairs of languages, as indices. state: F (n, n), nan where it is not known, and the variance of its noise (n, n)."""
    have, chosen = list(ran), []
    model = fit(*state) if state is not None and np.isfinite(state[0]).sum() > 2 else None
    noise = _usual_noise(state)
    for _ in range(number):
        left = sorted(set(all_pairs(num_languages, mode)) - set(have))
        if not left:
            break
        degree = np.bincount(np.array(have, dtype=int).ravel(), minlength=num_languages)
        if model is None or degree.min() < EACH or len(set(_parts(num_languages, have))) > 1:
            best = _balanced(left, degree, _parts(num_languages, have))
        else:
            best = left[int(np.argmax(_settled(model, left, noise, mode)))]
        chosen.append(best)
        have.append(best)
        if model is not None:
            model = _foreseen(model, best, noise, mode)
    return chosen


def _usual_noise(state: tuple[Array, Array] | None) -> float:
    there = np.isfinite(state[0]) if state is not None else np.zeros(0, dtype=bool)
    return float(state[1][there].mean()) if state is not None and there.any() else 0.0


def _parts(num_languages: int, pairs: Collection[Pair]) -> list[int]:
    """For each language the first one that pairs connect it with."""
    part = list(range(num_languages))
    for one, other in pairs:
        low, high = sorted((part[one], part[other]))
        part = [low if each == high else each for each in part]
    return part


def _balanced(left: Sequence[Pair], degree: Array, part: Sequence[int]) -> Pair:
    """The pair of languages that are in fewest pairs; of those, one that connects what was not; then the nearest in order."""
    return min(
        left,
        key=lambda pair: (max(degree[list(pair)]), sum(degree[list(pair)]), part[pair[0]] == part[pair[1]], abs(pair[0] - pair[1]), pair),
    )


def _settled(model: Additive, left: Sequence[Pair], noise: float, mode: Mode) -> Array:
    """(pairs,) how much each pair is expected to tell of the order of D and of R.

    Where the sums of two languages differ by m, and what is not known of it has the variance v, taking them in the order of m costs
    √v φ(m/√v) − m Φ(−m/√v) on average: their difference, where they stand the other way round. An observation that removes a little of v
    lowers it by that, times φ(m/√v) / 2√v. This is added up over pairs of languages, of both sums.
    """
    n, gain = len(model.mean), np.zeros(len(left))
    off = ~np.eye(n, dtype=bool)
    trusted = np.where(off, 1 - model.weight, 0)
    rows = np.concatenate([trusted.sum(axis=1)[:, None], np.diag(trusted.sum(axis=1)), trusted], axis=1)
    columns = np.concatenate([trusted.sum(axis=0)[:, None], trusted.T, np.diag(trusted.sum(axis=0))], axis=1)
    own = np.where(off, model.own, 0)
    mean = np.where(off, model.mean, 0)
    ways = [np.array(left)] + ([np.array(left)[:, ::-1]] if mode == "joint" else [])
    for sums, effects, axis in ((mean.sum(axis=1), rows, 0), (mean.sum(axis=0), columns, 1)):
        covariance = effects @ model.covariance @ effects.T + np.diag(own.sum(axis=1 - axis))
        variance = np.diag(covariance)
        apart = np.maximum(variance[:, None] + variance[None, :] - 2 * covariance, 1e-18)
        open_ = norm.pdf((sums[:, None] - sums[None, :]) / np.sqrt(apart)) / np.sqrt(apart) * off
        towards = effects @ model.covariance
        for pairs in ways:
            s, t = pairs.T
            shift = trusted[s, t] * (towards[:, 0, None] + towards[:, 1 + s] + towards[:, 1 + n + t])
            shift[pairs[:, axis], np.arange(len(pairs))] += own[s, t]
            seen = model.unsure()[s, t] + noise
            squares = (open_.sum(axis=1)[:, None] * shift**2).sum(axis=0) - (shift * (open_ @ shift)).sum(axis=0)
            gain += squares / seen
    return gain


def _foreseen(model: Additive, pair: Pair, noise: float, mode: Mode) -> Additive:
    """The model once a pair has been run whose outcome is what is expected: the means stay, what is not known shrinks."""
    F = np.where(model.weight > 0, model.mean, np.nan)
    ways = [pair, pair[::-1]] if mode == "joint" else [pair]
    for way in ways:
        F[way] = model.mean[way]
    before = np.where(model.weight > 0, model.noise(), noise)
    return fit(F, before, model.shared, model.variances)


def simulate(
    F: Array,
    seed: int = 0,
    *,
    noise: Array | None = None,
    mode: Mode = "joint",
    orders: int = ORDERS,
    fractions: Sequence[float] = FRACTIONS,
) -> list[dict[str, float]]:
    """Run a whole map over again, pair by pair, in the order of `next_pairs` and in random order.

    F: (n, n) of a map without a gap. noise: (n, n) variances. Returns for each fraction of pairs that were run {"fraction", "pairs",
    "active_D", "active_R", "random_D", "random_R"}: Spearman's correlation of the estimated D and R with those of the whole map, the
    mean over `orders`. For both, what was not run is taken from the additive model. Raises RunError where pairs are missing.
    """
    n = len(F)
    off = ~np.eye(n, dtype=bool)
    if n < 4 or not np.isfinite(F[off]).all():
        raise RunError("A simulation needs a map of 4 languages or more in which every pair was run. Run the cells that are missing.")
    noise = np.zeros((n, n)) if noise is None else noise
    pairs, generator = all_pairs(n, mode), np.random.default_rng(seed)
    sizes = sorted({max(1, round(len(pairs) * fraction)) for fraction in fractions})
    rows: list[dict[str, float]] = [{"fraction": size / len(pairs), "pairs": size} for size in sizes]
    for _ in range(orders):
        some = generator.permutation(n)
        state_F, state_noise = F[np.ix_(some, some)], noise[np.ix_(some, some)]
        shuffled = [pairs[i] for i in generator.permutation(len(pairs))]
        for kind in ("active", "random"):
            ran: list[Pair] = []
            for row, size in zip(rows, sizes, strict=True):
                state = (_shown(state_F, ran, mode), state_noise)
                ran += next_pairs(n, ran, size - len(ran), state, mode) if kind == "active" else shuffled[len(ran) : size]
                there = _shown(state_F, ran, mode)
                estimate = np.where(np.isfinite(there), there, fit(there, state_noise).mean)
                estimate, truth = np.where(off, estimate, 0), np.where(off, state_F, 0)
                for name, axis in (("D", 1), ("R", 0)):
                    right = _rank(estimate.sum(axis=axis), truth.sum(axis=axis))
                    row[f"{kind}_{name}"] = row.get(f"{kind}_{name}", 0.0) + right / orders
    return rows


def _shown(F: Array, ran: Sequence[Pair], mode: Mode) -> Array:
    """F of the pairs that were run; nan elsewhere."""
    there = np.zeros(F.shape, dtype=bool)
    for pair in ran:
        there[pair] = True
    return np.where(there | there.T if mode == "joint" else there, F, np.nan)


def _rank(estimate: Array, truth: Array) -> float:
    """Spearman's correlation; 0 where all are estimated alike."""
    return float(spearmanr(estimate, truth).statistic) if np.ptp(estimate) > 1e-12 and np.ptp(truth) > 0 else 0.0


def propose(grid: str | Path, number: int, mode: Mode | None = None) -> list[Cell]:
    """`next_cells` of a grid, from its records. Raises RunError where it is none."""
    grid = Path(grid)
    check_grid(grid)
    plan, records = (read_json(grid / "grid.json") if (grid / "grid.json").exists() else {}), read_records(grid)
    languages = list(plan.get("languages") or sorted({code for record in records.values() for code in record.cell.languages}))
    chosen: Mode = mode or plan.get("mode") or "joint"
    seeds = max([plan.get("seeds", 1), *(record.cell.seed + 1 for record in records.values())])
    alone = {record.cell.languages[0] for record in records.values() if len(record.cell.languages) == 1}
    pairs = [one.cell for one in records.values() if len(one.cell.languages) == 2 and one.cell.mode == chosen]
    found = gains(grid, chosen, draws=DRAWS) if any(alone & set(one.languages) for one in pairs) else None
    return next_cells(languages, set(records), number, found, mode=chosen, seeds=seeds)


def rehearse(grid: str | Path, mode: Mode | None = None, seed: int = 0) -> dict[str, Any]:
    """`simulate` of a grid, and a picture of it in GRID/scores/sampling.png. Raises RunError where it is none, or pairs are missing."""
    grid = Path(grid)
    check_grid(grid)
    found = gains(grid, mode, draws=DRAWS)
    table = simulate(found.F, seed, noise=noise_of(found)[0], mode=found.mode, orders=ORDERS)
    picture(table, grid / "scores" / "sampling.png")
    return {"languages": len(found.languages), "pairs": table[-1]["pairs"], "orders": ORDERS, "table": table}


def picture(table: Sequence[dict[str, float]], path: Path) -> None:
    """Rank correlation with the whole map against the fraction of pairs that were run."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axes = figure.add_subplot(xlabel="fraction of the pairs that were run", ylabel="Spearman's ρ with the whole map")
    for name, colour, kind in (("D", "#0072b2", "donation"), ("R", "#d55e00", "recipience")):
        for order, dashes in (("active", "-"), ("random", ":")):
            points = [(row["fraction"], row[f"{order}_{name}"]) for row in table]
            axes.plot(*zip(*points, strict=True), dashes, color=colour, marker="o", markersize=4, label=f"{kind}, {order} order")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format="png", dpi=150)
