"""`lingraft donors choose`: which languages to start from, for one that is in the map or one that was never run."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lingraft.donors.additive import Additive, fit, noise_of
from lingraft.donors.gains import Gains, gains
from lingraft.donors.records import Mode
from lingraft.donors.typology import Typology, read_own
from lingraft.errors import LanguageError, RunError
from lingraft.languages import parse

NORMAL = 1.96  # 95 % of a normal distribution lie within so many standard deviations
MODEL = "A set's gain is the mean of its donors' gains: a model, not a measurement. What donors give together was not measured."


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is expected of every donor for one recipient.

    gain    donor -> expected F
    known   donor -> measured F, for those that were run with the recipient
    reach   of the mean gain of some donors: half of its interval that holds 95 %
    error   how far such expectations were off where they could be checked
    compared  of a prediction: how much typology it stands on, see `predict.compared`
    """

    gain: Mapping[str, float]
    known: Mapping[str, float]
    reach: Callable[[Sequence[str]], float]
    error: dict[str, Any]
    compared: dict[str, Any] | None = None


def choose(
    grid: str | Path,
    code: str,
    size: int,
    *,
    mode: Mode | None = None,
    text: str | Path | None = None,
    corpus: str | Path | None = None,
    features: str | Path | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Donors for the language `code`, the best first, and sets of `size` donors.

    grid: folder of `lingraft donors run`. mode: joint or sequential, where it has pairs of both. text: a file with text in a language that
    is not in the map; with it `corpus`, that the map was made of, whose tokenizer and text it is compared with. features: a file with what
    is known of languages, see `typology.read_own`; it names them, and counts where the language was never run. seed: of the random set.

    Returns {"for", "name", "known", "donors": [{"code", "name", "gain", "low", "high", "measured", "F"}], "sets": {most, least, random,
    control: {"languages", "gain", "low", "high"}}, "error", "compared", "notes"}; "known" says whether the language was run;
    "compared" is of one that was not, see `predict.compared`.
    Raises RunError where there is no map, or it has no `size` donors; LanguageError where nothing is known of the language.
    """
    check_grid(Path(grid))
    own = read_own(features) if features is not None else {}
    found = gains(Path(grid), mode)
    code = code if code in found.languages else parse(code).code
    is_known = code in found.languages and bool(np.isfinite(found.F[:, found.languages.index(code)]).any())
    model = fit(found.F, *noise_of(found))
    if is_known:
        outlook = measured_outlook(found, model, code)
    else:
        from lingraft.donors.predict import outlook as predicted

        outlook = predicted(found, code, Path(grid), text, corpus, own)
    if not 1 <= size <= (most := len(outlook.gain)):
        raise RunError(f"--size {size}: the map has {most} languages that can help {code!r}. Ask for 1 to {most}.")
    ranked = sorted(outlook.gain, key=lambda donor: -outlook.gain[donor])  # equal gains: as predicted, the better giver first
    return {
        "for": code,
        "name": name_of(code, own),
        "known": is_known,
        "donors": [_donor(outlook, donor, own) for donor in ranked[:size]],
        "sets": {name: _set(outlook, some) for name, some in sets(ranked, taking(found, model), size, seed).items()},
        "error": outlook.error,
        "compared": outlook.compared,
        "notes": notes(found, code, outlook),
    }


def name_of(code: str, own: Mapping[str, Typology]) -> str:
    """Of a language, as the user's file has it, else in English; of one that no register has, its code."""
    if code in own:
        return own[code].name
    try:
        return parse(code).name
    except LanguageError:
        return code


def check_grid(grid: Path) -> None:
    """Raises RunError where a folder is no grid."""
    if not (grid / "grid.json").is_file() and not (grid / "cells").is_dir():
        raise RunError(f"{grid} is no grid: it has no grid.json and no cells. Make one with: lingraft donors run CORPUS --out {grid}")


def measured_outlook(found: Gains, model: Additive, code: str) -> Outlook:
    """Of a language that is in the map: its measured pairs drawn towards what donor and recipient do elsewhere."""
    n, place = len(found.languages), found.languages.index(code)
    others = [i for i in range(n) if i != place]

    def reach(donors: Sequence[str]) -> float:
        shares = np.zeros((n, n))
        shares[[found.languages.index(donor) for donor in donors], place] = 1 / len(donors)
        return NORMAL * float(np.sqrt(model.variance(shares)))

    gain = {found.languages[i]: float(model.mean[i, place]) for i in others}
    known = {found.languages[i]: float(found.F[i, place]) for i in others if np.isfinite(found.F[i, place])}
    return Outlook(gain, known, reach, additive_error(found, model))


def additive_error(found: Gains, model: Additive) -> dict[str, Any]:
    """Mean absolute error of a pair that was not run, each measured one left out in turn, beside that of the mean of all others."""
    there = np.isfinite(found.F)
    if there.sum() < 3:
        return {"says": "Too few pairs were run to tell how well one that was not run is guessed."}
    F = found.F[there]
    by_effects = float(np.abs(model.left_out(found.F)[there] - F).mean())
    by_mean = float(np.abs((F.sum() - F) / (len(F) - 1) - F).mean())
    says = f"A measured pair that is left out is guessed from donor and recipient to {by_effects:.1%}, by the mean of all to {by_mean:.1%}."
    return {"model": {"mae": by_effects}, "naive": {"mean": {"mae": by_mean}}, "better": by_effects < by_mean, "n": len(F), "says": says}


def taking(found: Gains, model: Additive) -> dict[str, float]:
    """Expected recipience R of every language that is in a measured pair."""
    F = np.where(np.eye(len(found.languages), dtype=bool), 0, model.mean)
    return {code: float(F[:, i].sum()) for i, code in enumerate(found.languages) if np.isfinite(found.F[:, i]).any()}


def sets(ranked: Sequence[str], recipience: Mapping[str, float], size: int, seed: int) -> dict[str, list[str]]:
    """The four kinds of sets of Malkin et al. 2022, table 2, for one language: its best donors, its worst, any, and the control, half of
    which are the languages that take most from others and half those that take least."""
    takers = sorted((code for code in ranked if code in recipience), key=lambda code: -recipience[code])
    most, least = -(-size // 2), size // 2
    random = np.random.default_rng(seed).choice(len(ranked), size=size, replace=False)
    return {
        "most": list(ranked[:size]),
        "least": list(reversed(ranked[-size:])),
        "random": [ranked[i] for i in sorted(random)],
        "control": takers[:most] + takers[max(most, len(takers) - least) :],
    }


def _donor(outlook: Outlook, code: str, own: Mapping[str, Typology]) -> dict[str, Any]:
    gain, reach = outlook.gain[code], outlook.reach([code])
    F = outlook.known.get(code)
    return {
        "code": code,
        "name": name_of(code, own),
        "gain": gain,
        "low": gain - reach,
        "high": gain + reach,
        "measured": F is not None,
        "F": F,
    }


def _set(outlook: Outlook, codes: Sequence[str]) -> dict[str, Any]:
    gain, reach = float(np.mean([outlook.gain[code] for code in codes])), outlook.reach(codes)
    return {"languages": list(codes), "gain": gain, "low": gain - reach, "high": gain + reach}


def notes(found: Gains, code: str, outlook: Outlook) -> list[str]:
    """What a reader must know of the numbers."""
    told = [MODEL]
    if outlook.compared is None and found.seeds == 1:
        told.append("One seed: intervals leave out how much a number moves from seed to seed.")
    if outlook.compared is not None:
        told.append(_basis(code, **outlook.compared))
    if found.missing:
        told.append(f"{len(found.missing)} cells of the map are missing.")
    return told


def _basis(code: str, known: int, of: int, donors: Mapping[str, int], among: Sequence[float]) -> str:
    """How much typology a prediction stands on, as a sentence."""
    both, (least, median, most) = sorted(donors.values()), among
    return (
        f"Of {code} {known} of {of} typological features are known; with a donor it is compared in {both[0]} to {both[-1]} of them "
        f"(median {np.median(both):.0f}), the map's languages with each other in {least} to {most} ({median:.0f})."
    )
