"""Which cells to run next, so that donors and recipients stand in the right order long before all pairs are run."""

import itertools
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import rankdata

from lingraft.donors.additive import Additive, Array, fit, noise_of, variance_of_pairs
from lingraft.donors.choose import check_grid
from lingraft.donors.gains import Gains, gains
from lingraft.donors.records import Cell, Mode, cell, read_plan, read_records
from lingraft.errors import RunError
from lingraft.files import atomic_write

Pair = tuple[int, int]
Belief = tuple[Additive, float]
"""What is known of a map, and the usual variance of the noise of a pair."""
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
    belief = _belief_of(gains, languages)
    for seed in range(seeds):
        alone = [cell(code, seed=seed) for code in languages]
        chosen += [one for one in alone if one.name not in done]
        of = {pair: cell(*(languages[i] for i in pair), mode=mode, seed=seed) for pair in all_pairs(len(languages), mode)}
        ran = [pair for pair, one in of.items() if one.name in done]
        wanted = number - len(chosen)
        if wanted > 0:
            chosen += [of[pair] for pair in next_pairs(len(languages), ran, wanted, belief, mode)]
    return chosen[:number]


def _belief(F: Array, noise: Array) -> Belief:
    """What is known from F (n, n), nan where it is not, whose noise has these variances (n, n)."""
    return fit(F, noise), float(noise[np.isfinite(F)].mean())


def _belief_of(gains: Gains | None, languages: Sequence[str]) -> Belief | None:
    """What is known of a map, in the order of `languages`; None where that is next to nothing."""
    if gains is None or set(gains.languages) != set(languages) or np.isfinite(gains.F).sum() <= 2:
        return None
    order = np.ix_(*2 * [[gains.languages.index(code) for code in languages]])
    return _belief(gains.F[order], noise_of(gains)[0][order])


def next_pairs(num_languages: int, ran: Collection[Pair], number: int, belief: Belief | None = None, mode: Mode = "joint") -> list[Pair]:
    """The same for pairs of languages, as indices. Each outcome is taken to be what is expected, before the next pair is chosen."""
    left, chosen = np.zeros((num_languages, num_languages), dtype=bool), []
    degree, part = np.zeros(num_languages, dtype=int), list(range(num_languages))
    left[tuple(np.array(all_pairs(num_languages, mode)).T)] = True
    for pair in ran:
        left[pair], part = False, _joined(part, pair)
        degree[list(pair)] += 1
    model, noise = belief or (None, 0.0)
    for _ in range(min(number, int(left.sum()))):
        if model is None or degree.min() < EACH or len(set(part)) > 1:
            pair = _balanced(np.argwhere(left), degree, np.array(part))
        else:
            best = np.where(left, _settled(model, noise, mode), -np.inf).argmax()
            pair = divmod(int(best), num_languages)
        chosen.append(pair)
        left[pair], part = False, _joined(part, pair)
        degree[list(pair)] += 1
        if model is not None:
            model = _foreseen(model, pair, noise, mode)
    return chosen


def _joined(part: list[int], pair: Pair) -> list[int]:
    """For each language the first one that pairs connect it with, once this pair is there too."""
    low, high = sorted(part[i] for i in pair)
    return [low if each == high else each for each in part]


def _balanced(left: Array, degree: Array, part: Array) -> Pair:
    """The pair of languages that are in fewest pairs; of those, one that connects what was not; then the nearest in order.

    left: (pairs, 2), sorted.
    """
    one, other = left.T
    keys = (abs(one - other), part[one] == part[other], degree[one] + degree[other], np.maximum(degree[one], degree[other]))
    source, target = left[np.lexsort(keys)[0]]
    return int(source), int(target)


def _settled(model: Additive, noise: float, mode: Mode) -> Array:
    """(n, n) how much each pair is expected to tell of the order of D and of R.

    Where the sums of two languages differ by m, and what is not known of it has the variance v, taking them in the order of m costs
    √v φ(m/√v) − m Φ(−m/√v) on average: their difference, where they stand the other way round. An observation that removes a little of v
    lowers it by that, times φ(m/√v) / 2√v. This is added up over pairs of languages, of both sums.
    """
    n = len(model.mean)
    off = ~np.eye(n, dtype=bool)
    mean, trusted, own = (np.where(off, values, 0) for values in (model.mean, 1 - model.weight, model.own))
    swapped = np.r_[0, n + 1 : 2 * n + 1, 1 : n + 1]
    of_donors = _lowered(mean, trusted, own, model.covariance)
    of_recipients = _lowered(mean.T, trusted.T, own.T, model.covariance[np.ix_(swapped, swapped)]).T
    told = (of_donors + of_recipients) / np.maximum(model.unsure() + noise, 1e-18)
    return told + told.T if mode == "joint" else told


def _lowered(mean: Array, trusted: Array, own: Array, covariance: Array) -> Array:
    """(n, n) the same for the order of the rows' sums alone, times the variance of what is observed. mean, own: as in `Additive`;
    trusted (n, n): how far a pair hangs on the effects, whose covariance is (2n + 1, 2n + 1). The diagonals are 0.

    With Δ a sum's covariance with the observation, the cost is lowered by the sum of φ/√v (Δ_i − Δ_j)² over pairs i, j: a quadratic form of
    a graph's Laplacian, in Δ = trusted · (covariance with μ + d_s + r_t) + own, so that all observations are had from one product.
    """
    n, total = len(mean), trusted.sum(axis=1)
    effects = np.concatenate([total[:, None], np.diag(total), trusted], axis=1)
    towards = effects @ covariance
    sums, spread = mean.sum(axis=1), towards @ effects.T + np.diag(own.sum(axis=1))
    apart = np.maximum(np.diag(spread)[:, None] + np.diag(spread) - 2 * spread, 1e-18)
    open_ = np.exp(-((sums[:, None] - sums) ** 2) / (2 * apart)) / np.sqrt(2 * np.pi * apart)
    np.fill_diagonal(open_, 0)
    laplacian = np.diag(open_.sum(axis=1)) - open_
    moved = laplacian @ towards
    cross = moved[:, [0]] + np.diag(moved[:, 1 : n + 1])[:, None] + moved[:, n + 1 :]
    return trusted**2 * variance_of_pairs(towards.T @ moved) + 2 * trusted * own * cross + own**2 * np.diag(laplacian)[:, None]


def _foreseen(model: Additive, pair: Pair, noise: float, mode: Mode) -> Additive:
    """The model once a pair has been run whose outcome is what is expected; one that is known from another seed stays as it is."""
    for way in [pair, pair[::-1]] if mode == "joint" else [pair]:
        model = model if model.weight[way] > 0 else model.foreseen(*way, noise)
    return model


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
    if n < 4 or not np.isfinite(F[~np.eye(n, dtype=bool)]).all():
        raise RunError("A simulation needs a map of 4 languages or more in which every pair was run. Run the cells that are missing.")
    noise = np.zeros((n, n)) if noise is None else noise
    pairs, generator = all_pairs(n, mode), np.random.default_rng(seed)
    sizes = sorted({max(1, round(len(pairs) * fraction)) for fraction in fractions})
    rows: list[dict[str, float]] = [{"fraction": size / len(pairs), "pairs": size} for size in sizes]
    for _ in range(orders):
        some = generator.permutation(n)
        state = F[np.ix_(some, some)], noise[np.ix_(some, some)]
        shuffled = [pairs[i] for i in generator.permutation(len(pairs))]
        for kind, order in (("active", None), ("random", shuffled)):
            for row, right in zip(rows, _run_again(*state, sizes, mode, order), strict=True):
                for name in "DR":
                    row[f"{kind}_{name}"] = row.get(f"{kind}_{name}", 0.0) + right[name] / orders
    return rows


def _run_again(F: Array, noise: Array, sizes: Sequence[int], mode: Mode, order: Sequence[Pair] | None) -> Iterator[dict[str, float]]:
    """For each number of pairs the rank correlations of D and R with those of the whole map. order: of pairs; None: `next_pairs`."""
    ran: list[Pair] = []
    belief, truth = None, np.where(np.isfinite(F), F, 0)
    for size in sizes:
        ran += next_pairs(len(F), ran, size - len(ran), belief, mode) if order is None else order[len(ran) : size]
        estimate = _shown(F, ran, mode)
        if len(ran) < len(all_pairs(len(F), mode)):
            belief = _belief(estimate, noise)
            estimate = np.where(np.isfinite(estimate), estimate, belief[0].mean)
        np.fill_diagonal(estimate, 0)
        yield {name: _rank(estimate.sum(axis=axis), truth.sum(axis=axis)) for name, axis in (("D", 1), ("R", 0))}


def _shown(F: Array, ran: Sequence[Pair], mode: Mode) -> Array:
    """F of the pairs that were run; nan elsewhere."""
    there = np.zeros(F.shape, dtype=bool)
    for pair in ran:
        there[pair] = True
    return np.where(there | there.T if mode == "joint" else there, F, np.nan)


def _rank(estimate: Array, truth: Array) -> float:
    """Spearman's correlation; 0 where all are estimated alike."""
    return float(np.corrcoef(rankdata(estimate), rankdata(truth))[0, 1]) if np.ptp(estimate) > 1e-12 and np.ptp(truth) > 0 else 0.0


def propose(grid: str | Path, number: int, mode: Mode | None = None) -> list[Cell]:
    """`next_cells` of a grid, from its records. Raises RunError where it is none."""
    grid = Path(grid)
    check_grid(grid)
    plan, records = read_plan(grid), read_records(grid)
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
