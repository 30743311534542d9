"""`lingraft donors scores`: F, D, R, blood types and all that follows from them, as one JSON file, tidy CSV files and plots."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lingraft.donors.findings import CATEGORIES, findings
from lingraft.donors.gains import DRAWS, Array, Gains, ends, gains, summed
from lingraft.donors.hypotheses import hypotheses
from lingraft.donors.records import Mode
from lingraft.files import read_json, write_json, write_text
from lingraft.languages import parse

FOLDER = "scores"
TYPES = {(True, False): "O", (False, True): "AB+", (True, True): "A", (False, False): "B"}
"""Blood type by (gives, D > 0; receives, R > 0). O and AB+ are the paper's; A does both, B neither: pairs hurt it and those it is in."""


def scores(grid: str | Path, *, mode: Mode | None = None, draws: int = DRAWS, seed: int = 0, plots: bool = True) -> dict[str, Any]:
    """What GRID/scores/scores.json holds, after writing it, CSV files and plots beside it.

    grid: folder of `lingraft donors run`. mode: joint or sequential, where it has pairs of both. draws: of the bootstrap, seeded with
    `seed`. Raises RunError where there is nothing to compare, or cells were not run alike.
    """
    grid = Path(grid)
    found = gains(grid, mode, draws, seed)
    told = assemble(found, seed)
    told["failed"] = failed(grid, found.missing)
    told["findings"] |= hypotheses(grid, told, draws, seed)
    out = grid / FOLDER
    write_tables(told, out)
    if plots:
        from lingraft.donors.pictures import draw

        draw(told, out)
    write_json(out / "scores.json", told)
    return told


def assemble(found: Gains, seed: int = 0) -> dict[str, Any]:
    """The scores of a sample, of plain JSON types."""
    about = {code: facts(code) for code in found.languages}
    groups = {group: {code: fact[group] for code, fact in about.items() if fact[group]} for group in ("script", "family")}
    F = dict(zip(("mean", "low", "high"), (found.F, *ends(found.F_draws)), strict=True))
    alone = _numbers(found.languages, found.monolingual, found.monolingual_draws)
    D = _numbers(found.languages, summed(found.F, -1), summed(found.F_draws, -1))
    R = _numbers(found.languages, summed(found.F, -2), summed(found.F_draws, -2))
    for numbers, axis in ((D, -1), (R, -2)):
        there = np.isfinite(found.F).sum(axis=axis)
        for code, number in numbers.items():
            number |= {"n": int(there[found.languages.index(code)])}
            number |= {"scaled": number["n"] < len(found.languages) - 1}
    typed = [code for code in found.languages if code in D and code in R]
    return {
        "mode": found.mode,
        "seeds": found.seeds,
        "draws": len(found.F_draws),
        "notes": notes(found),
        "languages": {code: {**about[code], **({"monolingual": alone[code]} if code in alone else {})} for code in found.languages},
        "F": _pairs(found, F),
        "D": D,
        "R": R,
        "types": {code: TYPES[D[code]["mean"] > 0, R[code]["mean"] > 0] for code in typed},
        "sure": {code: not any(number["low"] <= 0 <= number["high"] for number in (D[code], R[code])) for code in typed},
        "histogram": histogram(found),
        "missing": found.missing,
        "failed": [],
        "findings": findings(found, groups, seed),
    }


def _numbers(languages: Sequence[str], values: Array, draws: Array) -> dict[str, dict[str, Any]]:
    low, high = ends(draws)
    return {
        code: {"mean": float(values[i]), "low": float(low[i]), "high": float(high[i])}
        for i, code in enumerate(languages)
        if np.isfinite(values[i])
    }


def _pairs(found: Gains, F: Mapping[str, Array]) -> dict[str, dict[str, Any]]:
    """F by source and target; pairs that were not run are absent."""
    table: dict[str, dict[str, Any]] = {code: {} for code in found.languages}
    for i, j in np.argwhere(np.isfinite(found.F)):
        numbers = {name: float(array[i, j]) for name, array in F.items()}
        table[found.languages[i]][found.languages[j]] = {**numbers, "n": int(found.count[i, j])}
    return table


def facts(code: str) -> dict[str, Any]:
    """Name, script, family and genus of a language; the last two null where typology does not know it."""
    language = parse(code)
    known = typology().get(language.code)
    family, genus = (known.family, known.genus) if known else (None, None)
    return {"name": language.name, "script": language.script, "family": family or None, "genus": genus or None}


def typology() -> Mapping[str, Any]:
    """What is known of languages, by code."""
    from lingraft.donors.typology import known

    return known()


def histogram(found: Gains) -> dict[str, dict[str, Any]]:
    """How many pairs are in each category of transfer, with an interval over seeds and sentences."""
    n, told = int(np.isfinite(found.F).sum()), {}
    for name, (low, high) in CATEGORIES.items():
        first, last = ends(((found.F_draws >= low) & (found.F_draws < high)).sum(axis=(1, 2)))
        count = int(((low <= found.F) & (high > found.F)).sum())
        bounds = {"from": low if np.isfinite(low) else None, "to": high if np.isfinite(high) else None}
        told[name] = {**bounds, "pairs": count, "low": float(first), "high": float(last), "n": n}
    return told


def notes(found: Gains) -> list[str]:
    """What a reader must know of the intervals and the sums."""
    both = {
        "joint": "One model is trained on both languages of a pair.",
        "sequential": "A pair's model is trained on the source, then on the target.",
    }
    told = [both[found.mode]]
    if found.seeds == 1:
        told.append("One seed: intervals are over held-out sentences alone, and leave out how much a number moves from seed to seed.")
    elif found.seeds < 5:
        told.append(f"Intervals are over {found.seeds} seeds and held-out sentences; so few seeds make them too narrow.")
    if found.missing:
        told.append(
            f"{len(found.missing)} cells are missing: D and R of their languages are means of the pairs there, times the full number."
        )
    return told


def failed(grid: Path, missing: Sequence[str]) -> list[str]:
    """Those of the missing cells that were tried."""
    place = grid / "failures.jsonl"
    tried = {json.loads(line)["cell"] for line in place.read_text(encoding="utf-8").splitlines() if line} if place.exists() else set()
    return [name for name in missing if name in tried]


def write_tables(told: Mapping[str, Any], out: Path) -> None:
    """The scores as tidy CSV files, one observation a line."""
    numbers = ("mean", "low", "high")
    F = [[s, t, *(F[key] for key in (*numbers, "n"))] for s, row in told["F"].items() for t, F in row.items()]
    _write_csv(out / "F.csv", ["source", "target", *numbers, "seeds"], F)
    for name in ("D", "R"):
        lines = [
            [code, *(number[key] for key in (*numbers, "n", "scaled")), told["types"].get(code), told["sure"].get(code)]
            for code, number in told[name].items()
        ]
        _write_csv(out / f"{name}.csv", ["language", *numbers, "pairs", "scaled", "type", "sure"], lines)
    own = ("name", "script", "family", "genus")
    alone = [
        [code, *(about[key] for key in own), *(about["monolingual"][key] for key in numbers)]
        for code, about in told["languages"].items()
        if "monolingual" in about
    ]
    _write_csv(out / "monolingual.csv", ["language", *own, *numbers], alone)
    for name, first, keys in (
        ("findings", "finding", ["value", "low", "high", "p", "n", "says"]),
        ("histogram", "category", ["from", "to", "pairs", "low", "high"]),
    ):
        _write_csv(out / f"{name}.csv", [first, *keys], [[each, *(found.get(key) for key in keys)] for each, found in told[name].items()])


def _write_csv(path: Path, columns: Sequence[str], lines: Sequence[Sequence[Any]]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([columns, *lines])
    write_text(path, text.getvalue())


def read_scores(grid: str | Path) -> dict[str, Any]:
    """The scores of a grid that were written last; they are made where there are none, or cells that were missing have been run."""
    path = Path(grid) / FOLDER / "scores.json"
    told = dict(read_json(path)) if path.exists() else None
    if told is None or any((Path(grid) / "cells" / name / "record.json").exists() for name in told["missing"]):
        return scores(grid, plots=False)
    return told
