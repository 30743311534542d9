"""Donors of a language that was never run, from what it has in common with those that were, and how well such guesses do."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from lingraft.donors.additive import Array, fit
from lingraft.donors.choose import Outlook
from lingraft.donors.gains import Gains
from lingraft.donors.records import read_plan
from lingraft.donors.typology import Typology, distance, known, shared
from lingraft.errors import LanguageError, RunError, TextError
from lingraft.languages import UNKNOWN_SCRIPT, parse
from lingraft.text.read import lines

FEATURES = ("same features", "same genus", "same family", "distance", "same script", "overlap", "donor's types", "recipient's types")
NAIVE = {"mean": "the mean of all pairs", "donor": "the donor's mean", "script": "the mean of pairs with as equal scripts",
         "genus": "the mean of pairs with as equal genera"}  # fmt: skip
PRIOR = 10.0  # features' worth of belief that two languages agree in half of them
LEAST = 4  # languages of a map that another one can be predicted from
LEAST_TOKENS, MOST_TOKENS = 100, 200_000
"""Of a text that is compared; more are not read."""

SURE = 0.05
"""The model is used where its error is smaller than the best naive guess's with a p below this (one-sided paired t-test over languages)."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """Of a text, its first tokens, as many as of every other one: which there are, and distinct ones per token."""

    types: frozenset[int]
    ratio: float


def pair_features(source: str, target: str, texts: Mapping[str, Tokens], table: Mapping[str, Typology] | None = None) -> list[float]:
    """FEATURES of a pair: share of typological features with the same value among those known of both, the same genus, the same family,
    distance in degrees, the same script, share of the recipient's distinct tokens that the donor has, distinct tokens per token of both.
    nan: unknown. table: what is known of languages, by default WALS.

    The share is (same + PRIOR / 2) / (both + PRIOR): of few features it says little, and is drawn towards ½, which is what WALS' pairs
    have in common on average.
    """
    table = known() if table is None else table
    one, other = table.get(source), table.get(target)
    found = [np.nan] * 4
    if one and other:
        same, both = shared(one, other)
        found = [
            (same + PRIOR / 2) / (both + PRIOR) if both else np.nan,
            one.genus == other.genus if one.genus and other.genus else np.nan,
            one.family == other.family if one.family and other.family else np.nan,
            distance(one, other),
        ]
    scripts = _script(source, table), _script(target, table)
    found.append(np.nan if UNKNOWN_SCRIPT in scripts else scripts[0] == scripts[1])
    if source in texts and target in texts:
        a, b = texts[source], texts[target]
        return [float(value) for value in (*found, len(a.types & b.types) / len(b.types), a.ratio, b.ratio)]
    return [float(value) for value in found] + [np.nan] * 3


def _script(code: str, table: Mapping[str, Typology]) -> str:
    if code in table and table[code].script:
        return table[code].script
    try:
        return parse(code).script
    except LanguageError:
        return UNKNOWN_SCRIPT


def read_tokens(grid: Path, languages: Sequence[str], code: str, text: str | Path, corpus: str | Path | None) -> dict[str, Tokens]:
    """Tokens of the map's languages and of a text in the language `code`, under the corpus' tokenizer. Raises LingraftError."""
    from tokenizers import Tokenizer

    from lingraft.donors.corpus import read

    if corpus is None:
        raise RunError("--text is compared with the text of the map's languages. Say where that is with --corpus CORPUS.")
    found = read(corpus)
    plan = read_plan(grid)
    if plan.get("corpus", found.fingerprint) != found.fingerprint:
        raise RunError(f"{grid} was run on another corpus than {corpus}. Give that one as --corpus.")
    tokenizer = Tokenizer.from_file(str(found.tokenizer / "tokenizer.json"))
    ids = {one: _ids(found.text(one), tokenizer) for one in found.languages if one in languages} | {code: _ids(Path(text), tokenizer)}
    size = min(map(len, ids.values()))
    if size < LEAST_TOKENS:
        short = min(ids, key=lambda one: len(ids[one]))
        raise TextError(f"The text in {short!r} has {size} tokens: too few to compare. Give {LEAST_TOKENS} or more.")
    return {one: Tokens(frozenset(some[:size]), len(set(some[:size])) / size) for one, some in ids.items()}


def _ids(path: Path, tokenizer: Any) -> list[int]:
    """The first MOST_TOKENS tokens of a text."""
    found: list[int] = []
    for line in lines(str(path)):
        found += tokenizer.encode(line, add_special_tokens=False).ids
        if len(found) >= MOST_TOKENS:
            break
    return found[:MOST_TOKENS]


def guess(F: Array, features: Array, new: Array) -> dict[str, Array]:
    """Guesses of F of every language of a map to a new one, (n,) each: the naive ones by their name, and the model's, "model".

    F: (n, n), nan where it is not known. features: (n, n, len(FEATURES)). new: (n, len(FEATURES)). The model is a ridge regression on the
    features, and to what it leaves the donors' effects, each shrunk by how much donors differ.
    """
    there = np.isfinite(F)
    mean, count = F[there].mean(), there.sum(axis=1)
    rows = np.where(count > 0, np.where(there, F, 0).sum(axis=1) / np.maximum(count, 1), mean)
    found = {"mean": np.full(len(F), mean), "donor": rows}
    for name, column in (("script", FEATURES.index("same script")), ("genus", FEATURES.index("same genus"))):
        alike = {flag: F[there & (features[..., column] == flag)] for flag in (0, 1)}
        if np.isfinite(new[:, column]).any():
            found[name] = np.array([alike[flag].mean() if flag in alike and len(alike[flag]) else mean for flag in new[:, column]])
    fitted, predicted = _ridge(features[there], F[there], new)
    left = np.full(F.shape, np.nan)
    left[there] = F[there] - fitted
    rest = fit(left)
    found["model"] = predicted + rest.donors
    return found


def _ridge(features: Array, values: Array, new: Array) -> tuple[Array, Array]:
    """Values of the pairs (pairs, features) and of the new ones, by a regression whose strength is chosen by leaving one out."""
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    usable = np.isfinite(new).any(axis=0) & np.isfinite(features).any(axis=0)
    if not usable.any():
        return np.full(len(values), values.mean()), np.full(len(new), values.mean())
    model = make_pipeline(SimpleImputer(), StandardScaler(), RidgeCV(np.logspace(-2, 5, 15))).fit(features[:, usable], values)
    return model.predict(features[:, usable]), model.predict(new[:, usable])


def leave_one_out(F: Array, features: Array) -> dict[str, Array]:
    """Guesses (n, n) of every column of F, the language of the column as if it had never been run: without its row and its column."""
    n = len(F)
    found: dict[str, Array] = {}
    for language in range(n):
        rest = F.copy()
        rest[language], rest[:, language] = np.nan, np.nan
        if np.isfinite(rest).any():
            for name, values in guess(rest, features, features[:, language]).items():
                found.setdefault(name, np.full((n, n), np.nan))[:, language] = values
    return {name: np.where(np.isfinite(F), values, np.nan) for name, values in found.items()}


def judge(F: Array, guesses: Mapping[str, Array]) -> dict[str, Any]:
    """How far guesses (n, n) are off, and which to use: the model, where it is surely better than the best naive one."""
    quality = {name: _quality(F, values) for name, values in guesses.items()}
    naive = {name: quality[name] for name in NAIVE if name in quality}
    best = min(naive, key=lambda name: naive[name]["mae"])
    model, other = (_by_language(np.abs(guesses[name] - F)) for name in ("model", best))
    told = [
        f"{kind} off by {found['mae']:.1%}{_ranks(found)}"
        for kind, found in (("the model is", quality["model"]), (NAIVE[best], naive[best]))
    ]
    p = float(stats.ttest_rel(model, other, alternative="less").pvalue) if len(model) > 2 and (model != other).any() else 1.0
    says = f"Each of {len(model)} languages left out in turn: {told[0]}, {told[1]} (p = {p:.3f}). "
    says += (
        "The model is used." if p < SURE else f"The model is not surely better than this naive guess, which is used instead: {NAIVE[best]}."
    )
    n = int(np.isfinite(F).sum())
    return {
        "model": quality["model"], "naive": naive, "best_naive": best, "better": p < SURE, "p": p, "used": "model" if p < SURE else best,
        "n": n, "says": says,
    }  # fmt: skip


def _quality(F: Array, values: Array) -> dict[str, Any]:
    """mae: mean absolute error. rank: mean over recipients of Spearman's correlation of donors, null where all are guessed alike."""
    ranks = []
    for truth, guessed in zip(F.T, values.T, strict=True):
        both = np.isfinite(truth) & np.isfinite(guessed)
        if both.sum() > 2 and np.ptp(guessed[both]) > 0 and np.ptp(truth[both]) > 0:
            ranks.append(stats.spearmanr(truth[both], guessed[both]).statistic)
    return {"mae": float(np.nanmean(np.abs(values - F))), "rank": float(np.mean(ranks)) if ranks else None}


def _ranks(found: Mapping[str, Any]) -> str:
    return "" if found["rank"] is None else f" (rank correlation of donors {found['rank']:.2f})"


def _by_language(values: Array) -> Array:
    """Mean of each column that has a number."""
    return np.array([column[np.isfinite(column)].mean() for column in values.T if np.isfinite(column).any()])


def reach(errors: Array, size: int) -> float:
    """Half of the interval that holds 95 % of the mean of `size` guesses for a new language. errors: (n, n) of languages left out.

    An error has a part that all guesses for a recipient share and a part of its own; only the second is averaged away.
    """
    columns = [column[np.isfinite(column)] for column in errors.T if np.isfinite(column).any()]
    own = sum(float(((column - column.mean()) ** 2).sum()) for column in columns) / max(sum(len(column) - 1 for column in columns), 1)
    common = float(np.mean([column.mean() ** 2 - own / len(column) for column in columns]))
    return float(stats.t.ppf(0.975, max(len(columns) - 1, 1)) * np.sqrt(max(common, 0) + own / size))


def outlook(
    found: Gains, code: str, grid: Path, text: str | Path | None, corpus: str | Path | None, own: Mapping[str, Typology] | None = None
) -> Outlook:
    """What is expected of every donor for a language that was never run. own: languages of the user's, beside those of WALS or in place
    of them. Raises LingraftError where nothing is known of the language."""
    table = {**known(), **(own or {})}
    if code not in table and text is None:
        raise LanguageError(
            f"{code!r} is not in the map, and the bundled typology has nothing of it. "
            "Give a text in it with --text FILE --corpus CORPUS, or what is known of it with --features FILE."
        )
    ran = [i for i, one in enumerate(found.languages) if one != code and np.isfinite(found.F[[i], :]).any()]
    if len(ran) < LEAST:
        raise RunError(f"{code!r} was not run. To predict its donors the map must have {LEAST} languages or more; it has {len(ran)}.")
    languages, F = [found.languages[i] for i in ran], found.F[np.ix_(ran, ran)]
    texts = read_tokens(grid, languages, code, text, corpus) if text is not None else {}
    new = np.array([pair_features(donor, code, texts, table) for donor in languages])
    features = np.array([[pair_features(source, target, texts, table) for target in languages] for source in languages])
    features[..., ~np.isfinite(new).any(axis=0)] = np.nan  # left out of the check too: it is to say how well such a language is guessed
    guesses = leave_one_out(F, features)
    error = judge(F, guesses)
    guessed = guess(F, features, new)
    errors = guesses[error["used"]] - F
    if np.ptp(guessed[error["used"]]) < 1e-12:
        error["says"] += " It guesses all donors alike: they stand in the order of their own means."
    order = np.argsort(-guessed["donor"], kind="stable")
    gain = {languages[i]: float(guessed[error["used"]][i]) for i in order}
    return Outlook(gain, {}, lambda donors: reach(errors, len(donors)), error, compared(code, languages, table))


def compared(code: str, languages: Sequence[str], table: Mapping[str, Typology]) -> dict[str, Any]:
    """How much typology a prediction for the language `code` stands on: {"known": features of it, "of": all that there are, "donors":
    {donor: those known of both}, "among": [least, median, most] known of both in pairs of the map's languages, of which the check is made}.
    """
    sets = {one: table[one].features.keys() if one in table else set[str]() for one in (code, *languages)}
    pairs = [len(sets[one] & sets[other]) for one, other in itertools.combinations(languages, 2)]
    return {
        "known": len(sets[code]),
        "of": len(set[str]().union(*(language.features for language in table.values()))),
        "donors": {donor: len(sets[donor] & sets[code]) for donor in languages},
        "among": [min(pairs), float(np.median(pairs)), max(pairs)],
    }
