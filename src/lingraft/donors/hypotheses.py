"""What zero-shot scores say of the paper's assumptions and hypotheses (Malkin et al. 2022, sections 4.2 and 6)."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lingraft.donors.findings import Finding, finding, spearman
from lingraft.files import read_json

CONTROL = "control"
NO_DRAWS = np.array([])


def results(grid: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """What `lingraft donors zero-shot` wrote, by task and by the name of the set of pretraining languages."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for path in sorted((grid / "zero-shot").glob("*/*.json")):
        if "Z" in (told := read_json(path)):
            found.setdefault(path.parent.name, {})[path.stem] = told
    return found


def zero_shot_mean(Z: Mapping[str, Mapping[str, float]], languages: Sequence[str]) -> float:
    """Z of a set (equation 2): mean of Z(s→t) over its pairs of different languages."""
    return float(np.mean([Z[s][t] for s, t in itertools.permutations(languages, 2)]))


def in_language_mean(Z: Mapping[str, Mapping[str, float]], languages: Sequence[str]) -> float:
    """Mean score of a model fine-tuned and tested in the same language (equation 11)."""
    return float(np.mean([Z[code][code] for code in languages]))


def hypotheses(grid: Path, told: Mapping[str, Any]) -> dict[str, Finding]:
    """Findings for each task that was run; nothing where none was. told: scores, with D and R."""
    return {f"{task}_{name}": one for task, sets in results(grid).items() for name, one in _of_task(task, sets, told)}


def _of_task(task: str, sets: Mapping[str, Mapping[str, Any]], told: Mapping[str, Any]) -> Iterable[tuple[str, Finding]]:
    recipients = next(iter(sets.values()))
    up, down = recipients["recipient"], recipients["least recipient"]
    both = [*up, *down]
    means = {name: zero_shot_mean(found["Z"], both) for name, found in sets.items()}
    order = sorted(means, key=lambda name: -means[name])
    shown = " > ".join(f"{name} {100 * means[name]:.1f}" for name in order)
    yield "order", _say(means[order[0]] - means[order[-1]], len(order), f"{task}, (10), zero-shot over {', '.join(both)}: {shown}.")
    gaps = {name: zero_shot_mean(found["Z"], up) - zero_shot_mean(found["Z"], down) for name, found in sets.items()}
    held = sum(gap > 0 for gap in gaps.values())
    listed = ", ".join(f"{name} {100 * gap:+.1f}" for name, gap in gaps.items())
    text = f"{task}, (9): most recipient languages score above least recipient ones for {held} of {len(gaps)} sets ({listed} points)."
    yield "recipients", _say(float(np.mean(list(gaps.values()))), len(gaps), text)
    own = {name: in_language_mean(found["Z"], both) for name, found in sets.items()}
    listed = ", ".join(f"{name} {100 * mean:.1f}" for name, mean in own.items())
    yield (
        "in_language",
        _say(float(np.mean(list(own.values()))), len(own), f"{task}, (11), fine-tuned and tested in one language: {listed}."),
    )
    if CONTROL in means and len(means) > 1:
        better = {name: mean - means[CONTROL] for name, mean in means.items() if name != CONTROL}
        held = sum(gain >= 0 for gain in better.values())
        text = f"{task}, (3): more pretraining languages do not make it worse for {held} of {len(better)} sets."
        yield "monotonic", _say(float(min(better.values())), len(better), text)
    for equation, measure, letter in (("7", "recipience", "R"), ("8", "donation", "D")):
        sums = {
            name: sum(told[letter][code]["mean"] for code in found["languages"] if code in told[letter]) for name, found in sets.items()
        }
        rank = spearman([sums[name] for name in order], [means[name] for name in order])
        shown = "too few sets to say" if not np.isfinite(rank) else f"Spearman {rank:.2f} over {len(order)} sets"
        yield (
            measure,
            _say(rank, len(order), f"{task}, ({equation}), summed {measure} of the pretraining languages against zero-shot: {shown}."),
        )


def _say(value: float, n: int, says: str) -> Finding:
    """Without an interval: too few sets are run for one."""
    return finding(value, NO_DRAWS, n, says)
