"""What zero-shot scores say of the paper's assumptions and hypotheses (Malkin et al. 2022, sections 4.2 and 6), with intervals.

In a draw the recipients are drawn again, from each half for itself, and every score anew from a normal distribution as wide as its
interval. What a model would score that was pretrained with another seed is not in them.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lingraft.donors.findings import Finding, between, finding, spearman
from lingraft.donors.gains import DRAWS, Array
from lingraft.files import read_json

CONTROL = "control"
NORMAL = 1.96
LIKELY = 0.05
"""Share of the draws from which on an order is told."""

Result = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Transfer:
    """Zero-shot scores of m pretraining sets, first those measured, then one row a draw: each (1 + draws, m).

    all, recipient, least   Z (equation 2) over all recipients, over the most and over the least recipient ones
    own                     mean score where fine-tuning and test are in one language (equation 11)
    """

    sets: list[str]
    languages: list[list[str]]
    num_recipients: int
    all: Array
    recipient: Array
    least: Array
    own: Array


def results(grid: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """What `lingraft donors zero-shot` wrote, by task and by the name of the set of pretraining languages."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for path in sorted((grid / "zero-shot").glob("*/*.json")):
        if "Z" in (told := read_json(path)):
            found.setdefault(path.parent.name, {})[path.stem] = told
    return found


def hypotheses(grid: Path, told: Mapping[str, Any], draws: int = DRAWS, seed: int = 0) -> dict[str, Finding]:
    """Findings for each task that was run; nothing where none was. told: scores, with D and R."""
    found = {}
    for task, sets in results(grid).items():
        of_task = transfer(alike(sets), draws, seed)
        for name, equation, tell in (
            ("order", 10, _order),
            ("recipients", 9, _recipients),
            ("in_language", 11, _in_language),
            ("monotonic", 3, _monotonic),
            ("recipience", 7, lambda found: _sums(found, "recipience", told["R"])),
            ("donation", 8, lambda found: _sums(found, "donation", told["D"])),
        ):
            one = tell(of_task)
            found[f"{task}_{name}"] = one | {"says": f"{task}, ({equation}), {one['says']}"}
    return found


def alike(sets: Mapping[str, Result]) -> dict[str, Result]:
    """The results that were tested on the same recipients: after a change of the map others may be left of the old ones."""
    groups: dict[tuple[str, ...], dict[str, Result]] = {}
    for name, found in sets.items():
        groups.setdefault((*found["recipient"], "", *found["least recipient"]), {})[name] = found
    return max(groups.values(), key=len)


def transfer(sets: Mapping[str, Result], draws: int, seed: int) -> Transfer:
    """The results as arrays, with draws."""
    first = next(iter(sets.values()))
    half, control = len(first["recipient"]), [*first["recipient"], *first["least recipient"]]
    Z = np.stack([_matrix(found, control, "Z") for found in sets.values()])
    widths = [_matrix(found, control, "high") - _matrix(found, control, "low") if "low" in found else 0 * Z[0] for found in sets.values()]
    noise, generator, every = np.stack(widths) / (2 * NORMAL), np.random.default_rng(seed), np.arange(len(control))
    rows = [_measures(Z, every, half)]
    for _ in range(draws):
        chosen = np.concatenate([generator.choice(part, len(part)) for part in (every[:half], every[half:])])
        rows.append(_measures(Z + noise * generator.standard_normal(Z.shape), chosen, half))
    languages = [list(found["languages"]) for found in sets.values()]
    return Transfer(list(sets), languages, len(control), *np.moveaxis(np.array(rows), 1, 0))


def _matrix(found: Result, control: Sequence[str], what: str) -> Array:
    """(n, n) a row a language of fine-tuning, a column one of the test."""
    return np.array([[found[what][source][target] for target in control] for source in control], dtype=float)


def _measures(Z: Array, chosen: Array, half: int) -> Array:
    """(4, m) what Transfer holds, of (m, n, n) scores and the chosen languages; a language drawn twice makes no pair with itself."""
    parts = (chosen, chosen[:half], chosen[half:])
    return np.stack([*(np.array([zero_shot_mean(scores, part) for scores in Z]) for part in parts), Z[:, chosen, chosen].mean(axis=1)])


def zero_shot_mean(Z: Array, chosen: Array) -> float:
    """Z of a set (equation 2): mean of Z(s→t) over its pairs of different languages; nan where it has none."""
    pairs = chosen[:, None] != chosen[None, :]
    return float(Z[np.ix_(chosen, chosen)][pairs].mean()) if pairs.any() else np.nan


def _order(found: Transfer) -> Finding:
    """(10), whose subscripts are lost: the order that was measured, and how often draws have which. Value: the first minus the last."""
    here, draws = found.all[0], found.all[1:]
    order = np.argsort(-here, kind="stable")
    made = finding(here[order[0]] - here[order[-1]], draws[:, order[0]] - draws[:, order[-1]], len(here), "")
    shown = " > ".join(f"{found.sets[i]} {100 * here[i]:.1f}" for i in order)
    drawn = np.argsort(-draws[np.isfinite(draws).all(axis=1)], axis=1, kind="stable")
    orders, counts = np.unique(drawn, axis=0, return_counts=True)
    often = [(count / len(drawn), row) for count, row in zip(counts, orders, strict=True) if count >= LIKELY * len(drawn)]
    likely = "; ".join(f"{' > '.join(found.sets[i] for i in row)} {share:.0%}" for share, row in sorted(often, key=lambda one: -one[0]))
    says = f"zero-shot over {found.num_recipients} recipients: {shown}; first minus last {_points(made)}. Orders of the draws: {likely}."
    return made | {"says": says}


def _recipients(found: Transfer) -> Finding:
    """(9) Z(R↑) > Z(R↓) for every set. Value: the mean difference."""
    gaps = found.recipient - found.least
    made = finding(gaps[0].mean(), gaps[1:].mean(axis=1), gaps.shape[1], "")
    listed, held = _listed(found.sets, gaps[0], "+.1f"), (gaps[0] > 0).sum()
    if not np.isfinite(gaps[0]).all():
        return made | {"says": "one recipient of a kind makes no pair: nothing to compare."}
    says = f"most recipient languages score above least recipient ones for {held} of {made['n']} sets ({listed}); mean {_points(made)}."
    return made | {"says": says}


def _in_language(found: Transfer) -> Finding:
    """(11) Value: the mean over the sets."""
    made = finding(found.own[0].mean(), found.own[1:].mean(axis=1), len(found.sets), "")
    return made | {
        "says": f"fine-tuned and tested in one language: {_listed(found.sets, found.own[0], '.1f')}; mean {_points(made, '.1f')}."
    }


def _monotonic(found: Transfer) -> Finding:
    """(3) More pretraining languages, no lower Z. Value: the mean gain of a set over one that is part of it."""
    pairs = [(i, j) for i, j in itertools.permutations(range(len(found.sets)), 2) if set(found.languages[i]) < set(found.languages[j])]
    if not pairs:
        return finding(np.nan, np.array([]), 0, "no set is part of another.")
    small, large = np.array(pairs).T
    gains = found.all[:, large] - found.all[:, small]
    made = finding(gains[0].mean(), gains[1:].mean(axis=1), len(pairs), "")
    held = (gains[0] >= 0).sum()
    return made | {"says": f"more pretraining languages do not make it worse for {held} of {len(pairs)} sets; mean {_points(made)}."}


def _sums(found: Transfer, measure: str, numbers: Mapping[str, Mapping[str, float]]) -> Finding:
    """(7), (8) Z against the sum of R or D over the pretraining languages. Value: Spearman's correlation over the sets."""
    sums = [sum(numbers[code]["mean"] if code in numbers else np.nan for code in languages) for languages in found.languages]
    made = finding(spearman(sums, found.all[0]), np.array([spearman(sums, row) for row in found.all[1:]]), len(sums), "")
    pairs = [(i, j) for i, j in itertools.permutations(range(len(sums)), 2) if sums[i] < sums[j]]
    held = sum(found.all[0, i] <= found.all[0, j] for i, j in pairs)
    rank = "too few sets to say" if made["value"] is None else f"Spearman {made['value']:.2f} (95 % interval {between(made)})"
    says = f"summed {measure} of the pretraining languages against zero-shot: {rank}; {held} of {len(pairs)} pairs of sets in order."
    return made | {"says": says}


def _listed(names: Iterable[str], values: Array, form: str) -> str:
    return ", ".join(f"{name} {format(100 * value, form)}" for name, value in zip(names, values, strict=True))


def _points(made: Finding, form: str = "+.1f") -> str:
    """A finding in points, with its interval."""
    if made["low"] is None:
        return f"{format(100 * made['value'], form)} points"
    low, high = (format(100 * made[end], form) for end in ("low", "high"))
    return f"{format(100 * made['value'], form)} points (95 % interval {low} to {high})"
