"""What a map says as a whole, with intervals: asymmetry, harm, donation against monolingual score, script, family, English.

A finding is {value, low, high, n, says}; a test has its `p` too. Two kinds of interval: of a number that describes these languages seeds
and sentences are drawn again; of one that is to hold for languages (a correlation, a ratio) languages are too.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from lingraft.donors.gains import Array, Gains, ends, summed

Finding = dict[str, Any]
Statistic = Callable[[Array, Array, Array], float]
"""(F (n, n), monolingual (n,), which languages (n,)) -> a number, nan where there is none."""

CATEGORIES = {"negative": (-np.inf, -0.1), "neutral": (-0.1, 0.1), "positive": (0.1, 0.55), "very positive": (0.55, np.inf)}
"""Transfer by its F, from the first bound to below the second (Malkin et al. 2022, appendix, "Transfer Distribution")."""

PERMUTATIONS = 2000
LEAST = 4
"""Points that a correlation is asked of, and pairs that a variance is."""


def findings(gains: Gains, groups: Mapping[str, Mapping[str, str]], seed: int = 0) -> dict[str, Finding]:
    """All of them. groups: "script" and "family", each with the label of every language that has one."""
    found = {
        "asymmetry_pearson": asymmetry(gains, "Pearson", seed),
        "asymmetry_spearman": asymmetry(gains, "Spearman", seed),
        "detrimental_pairs": detrimental(gains),
        "donation_monolingual": against_monolingual(gains, "donation", seed),
        "recipience_monolingual": against_monolingual(gains, "recipience", seed),
    }
    for group, labels in groups.items():
        found[f"{group}_mean"] = grouped(gains, group, labels, "mean", seed)
        found[f"{group}_variance"] = grouped(gains, group, labels, "variance", seed)
    return found | ({"english_donor_rank": donor_rank(gains, "en")} if "en" in gains.languages else {})


def finding(value: float, draws: Array, n: int, says: str, **more: float) -> Finding:
    """A finding whose interval is that of the draws that are numbers; null where there is no number."""
    low, high = ends(draws[np.isfinite(draws)]) if np.isfinite(draws).any() else (np.nan, np.nan)
    numbers = {"value": value, "low": low, "high": high}
    told = {key: float(number) if np.isfinite(number) else None for key, number in (numbers | more).items()}
    return {**told, "n": int(n), "says": says}


def between(found: Finding, form: str = "{:.2f}") -> str:
    """Its interval in words."""
    return f"{form.format(found['low'])} to {form.format(found['high'])}" if found["low"] is not None else "no interval"


def asymmetry(gains: Gains, kind: str, seed: int) -> Finding:
    """Correlation of F(i→j) with F(j→i) over pairs of languages, each counted in both directions, so that no order of languages matters.

    The paper finds a moderate negative one (section 5, figure 3).
    """
    measure = CORRELATIONS[kind]

    def statistic(F: Array, _: Array, chosen: Array) -> float:
        sub = F[np.ix_(chosen, chosen)]
        there = np.isfinite(sub) & np.isfinite(sub.T)
        return measure(sub[there], sub.T[there])

    both = np.isfinite(gains.F) & np.isfinite(gains.F.T)
    found = finding(_value(gains, statistic), over_languages(gains, statistic, seed), both.sum() // 2, "")
    return found | {"says": f"F(i→j) and F(j→i) {_correlate(found)} ({kind}, {found['n']} pairs of languages)."}


def detrimental(gains: Gains) -> Finding:
    """Pairs whose source makes the target worse, F < 0 (section 5)."""
    F, n = gains.F, int(np.isfinite(gains.F).sum())
    count = int((F < 0).sum())
    sure = int((ends(gains.F_draws)[1] < 0).sum())
    source, target = np.unravel_index(np.nanargmin(F), F.shape)
    worst = f"the lowest is {gains.languages[source]}→{gains.languages[target]} with {100 * F[source, target]:+.1f} %"
    says = f"{count} of {n} pairs have F < 0, {sure} of them with an interval that lies below 0; {worst}."
    return finding(count, (gains.F_draws < 0).sum(axis=(1, 2)), n, says, surely=sure)


def against_monolingual(gains: Gains, which: str, seed: int) -> Finding:
    """Correlation of D or R with the score of the language's own model (section 5, figure 4: better models donate more and receive less).

    The score is in the denominator of R's sum: noise in it alone makes that correlation a little negative.
    """
    axis = {"donation": -1, "recipience": -2}[which]

    def statistic(F: Array, monolingual: Array, chosen: Array) -> float:
        return pearson(summed(F, axis)[chosen], monolingual[chosen])

    values = summed(gains.F, axis)
    there = np.isfinite(values) & np.isfinite(gains.monolingual)
    found = finding(_value(gains, statistic), over_languages(gains, statistic, seed), there.sum(), "")
    ranks = spearman(values[there], gains.monolingual[there])
    says = f"{which.capitalize()} and the monolingual score {_correlate(found)} (Pearson; Spearman {ranks:.2f}; {found['n']} languages)."
    return found | {"says": says}


def grouped(gains: Gains, group: str, labels: Mapping[str, str], what: str, seed: int) -> Finding:
    """Whether F differs between pairs that share a script or family and those that do not (section 5, figure 5).

    mean: that within minus that across. variance: that across over that within; 1: no difference. p: of a permutation of the labels over
    the languages, as the pairs of a language are no independent numbers; Levene's test takes them for such, and is told for comparison.
    """
    known = np.array([code in labels for code in gains.languages])
    codes = np.array([labels.get(code, "") for code in gains.languages])
    compare = _difference if what == "mean" else _log_ratio

    def split(F: Array, chosen: Array, own: Array) -> tuple[Array, Array]:
        usable = np.isfinite(F := F[np.ix_(chosen, chosen)]) & np.outer(known[chosen], known[chosen])
        same = own[:, None] == own[None, :]
        return F[usable & same], F[usable & ~same]

    every = np.arange(len(codes))
    within, across = split(gains.F, every, codes)
    if min(len(within), len(across)) < LEAST:
        return finding(np.nan, np.array([]), 0, f"Too few pairs to compare: {len(within)} within a {group}, {len(across)} across.")
    generator, value = np.random.default_rng(seed), compare(within, across)
    permuted = np.array([compare(*split(gains.F, every, _permuted(codes, known, generator))) for _ in range(PERMUTATIONS)])
    p = (1 + (np.abs(permuted[np.isfinite(permuted)]) >= abs(value) - 1e-12).sum()) / (1 + np.isfinite(permuted).sum())
    draws = over_languages(gains, lambda F, _, chosen: compare(*split(F, chosen, codes[chosen])), seed)
    scale = (lambda x: x) if what == "mean" else np.exp
    found = finding(scale(value), scale(draws), len(within) + len(across), "", p=p)
    return found | {"says": _group_says(found, group, what, within, across)}


def _group_says(found: Finding, group: str, what: str, within: Array, across: Array) -> str:
    verdict = "differs" if found["p"] < 0.05 else "does not differ surely"
    if what == "mean":
        numbers = (
            f"{100 * within.mean():+.1f} % within a {group} ({len(within)} pairs), {100 * across.mean():+.1f} % across ({len(across)})"
        )
        return f"Mean F {verdict}: {numbers}; permutation p = {found['p']:.3f}."
    levene = stats.levene(within, across, center="median").pvalue
    numbers = f"standard deviation {100 * within.std(ddof=1):.1f} % within a {group}, {100 * across.std(ddof=1):.1f} % across"
    return f"Variance of F {verdict}: {numbers}; permutation p = {found['p']:.3f} (Levene {levene:.3f})."


def donor_rank(gains: Gains, code: str) -> Finding:
    """Which place a language has among donors, 1 the best. The paper's English is among the least (section 6.1)."""
    place = gains.languages.index(code)
    values, draws = summed(gains.F, -1), summed(gains.F_draws, -1)
    if not np.isfinite(values[place]):
        return finding(np.nan, np.array([]), 0, f"No pair has {code} as its source.")
    n = int(np.isfinite(values).sum())
    found = finding(1 + (values > values[place]).sum(), 1 + (draws > draws[:, [place]]).sum(axis=1), n, "")
    return found | {"says": f"{code} is donor {found['value']:.0f} of {n} (95 % interval {between(found, '{:.0f}')})."}


def over_languages(gains: Gains, statistic: Statistic, seed: int) -> Array:
    """(draws,) a statistic with seeds, sentences and languages drawn again. A language that is drawn twice makes no pair with itself."""
    generator, n = np.random.default_rng(seed), len(gains.languages)
    chosen = generator.integers(n, size=(len(gains.F_draws), n))
    return np.array([statistic(*draw) for draw in zip(gains.F_draws, gains.monolingual_draws, chosen, strict=True)])


def _value(gains: Gains, statistic: Statistic) -> float:
    return statistic(gains.F, gains.monolingual, np.arange(len(gains.languages)))


def _permuted(codes: Array, known: Array, generator: np.random.Generator) -> Array:
    """The labels of the languages that have one, in another order."""
    found = codes.copy()
    found[known] = generator.permutation(codes[known])
    return found


def _difference(within: Array, across: Array) -> float:
    return float(within.mean() - across.mean()) if len(within) and len(across) else np.nan


def _log_ratio(within: Array, across: Array) -> float:
    if min(len(within), len(across)) < LEAST or within.var() == 0 or across.var() == 0:
        return np.nan
    return float(np.log(across.var(ddof=1) / within.var(ddof=1)))


def pearson(first: Sequence[float] | Array, second: Sequence[float] | Array) -> float:
    """Correlation of what is a number in both; nan for fewer than LEAST, or a constant."""
    both = np.array([first, second], dtype=float)
    both = both[:, np.isfinite(both).all(axis=0)]
    if both.shape[1] < LEAST or (np.ptp(both, axis=1) < 1e-12).any():
        return np.nan
    return float(np.corrcoef(both)[0, 1])


def spearman(first: Sequence[float] | Array, second: Sequence[float] | Array) -> float:
    """Pearson of the ranks."""
    both = np.array([first, second], dtype=float)
    return pearson(*stats.rankdata(both[:, np.isfinite(both).all(axis=0)], axis=1)) if both.size else np.nan


CORRELATIONS = {"Pearson": pearson, "Spearman": spearman}


def _correlate(found: Finding) -> str:
    """How strongly, and how sure that is."""
    value = found["value"]
    if value is None:
        return "have too few points to be correlated"
    strength = "hardly correlate" if abs(value) < 0.2 else f"correlate {'negatively' if value < 0 else 'positively'}"
    unsure = found["low"] is None or found["low"] <= 0 <= found["high"]
    return f"{strength}, {value:.2f} (95 % interval {between(found)}{', which holds 0' if unsure else ''})"
