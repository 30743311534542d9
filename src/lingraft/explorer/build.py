"""Put a map's scores, what WALS says of its languages, and the page's scripts into one HTML file that needs no network."""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from lingraft.donors import typology
from lingraft.donors.typology import Typology
from lingraft.errors import RunError
from lingraft.files import read_json, write_text

SCRIPTS = ("data", "state", "scene", "tip", "graph", "heatmap", "scatter", "features", "table", "card", "app")
"""Files of page/, in the order in which they are read; one script in the page, since modules do not load from disk."""


class Estimate(BaseModel):
    """A mean and the ends of its interval; n: how many seeds or values stand behind it. A bare number is a mean of unknown interval."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    mean: float
    low: float | None = None
    high: float | None = None
    n: int | None = None


class Language(BaseModel):
    """What scores.json says of a language; what it leaves out is filled in from WALS where that knows the language."""

    model_config = ConfigDict(frozen=True)

    name: str = ""
    script: str = ""
    family: str | None = None
    genus: str | None = None
    monolingual: Estimate | None = None


class Finding(BaseModel):
    """A result as a sentence."""

    model_config = ConfigDict(frozen=True)

    says: str


class Scores(BaseModel):
    """The parts of scores.json that the page shows. F: source -> target -> fraction by which the source makes the target better."""

    model_config = ConfigDict(frozen=True)

    mode: str = "joint"
    seeds: int = 1
    languages: dict[str, Language] = Field(min_length=2)
    F: dict[str, dict[str, Estimate]]
    D: dict[str, Estimate]
    R: dict[str, Estimate]
    types: dict[str, str] = {}
    sure: dict[str, bool] = {}
    notes: list[str] = []
    missing: list[str] = []
    failed: list[str] = []
    findings: dict[str, Finding] = {}

    @field_validator("F", mode="before")
    @classmethod
    def _numbers_in_pairs(cls, value: Any) -> Any:
        return {source: _estimates(row) for source, row in value.items()} if isinstance(value, dict) else value

    @field_validator("D", "R", mode="before")
    @classmethod
    def _numbers(cls, value: Any) -> Any:
        return _estimates(value)


def _estimates(row: Any) -> Any:
    return {code: {"mean": cell} if isinstance(cell, int | float) else cell for code, cell in row.items()} if isinstance(row, dict) else row


def explore(grid: Path, out: Path, features: Path | None = None) -> Path:
    """Write the explorer of the map in `grid` to `out`/index.html and return that path. features: see `typology.read_own`.

    Raises RunError where grid/scores/scores.json is missing or damaged, TextError or LanguageError for the file of features.
    """
    path = grid / "scores" / "scores.json"
    if not path.is_file():
        raise RunError(f"{path} is not there: the explorer shows scores. Make them with: lingraft donors scores {grid}")
    try:
        scores = Scores.model_validate(read_json(path))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise RunError(f"{path} is damaged at {place}: {first['msg']}. Make it again with: lingraft donors scores {grid}") from error
    write_text(out / "index.html", page(data(scores, typology.read_own(features) if features else {})))
    return out / "index.html"


def data(scores: Scores, own: Mapping[str, Typology]) -> dict[str, Any]:
    """What the page embeds. F is a list of [source, target, mean, low, high, n], languages by their place in the list of languages.
    own: languages by code whose facts are the user's."""
    codes = sorted(scores.languages)
    place = {code: index for index, code in enumerate(codes)}
    facts = {code: [each for each in (own.get(code), scores.languages[code], typology.known().get(code)) if each] for code in codes}
    languages = [_language(code, scores, facts[code]) for code in codes]
    names = typology.features()
    names = names | {feature: "(own)" for language in own.values() for feature in language.features if feature not in names}
    return {
        "mode": scores.mode,
        "seeds": scores.seeds,
        "languages": languages,
        "F": [
            [place[source], place[target], *_numbers(cell), cell.n]
            for source, row in scores.F.items()
            for target, cell in row.items()
            if source != target and {source, target} <= place.keys()
        ],
        "clusters": [place[code] for code in clustered(codes, scores.F)],
        "notes": scores.notes,
        "missing": scores.missing,
        "failed": scores.failed,
        "findings": [finding.says for finding in scores.findings.values()],
        "features": {feature: name for feature, name in names.items() if any(feature in language["features"] for language in languages)},
    }


def _language(code: str, scores: Scores, facts: Sequence[Language | Typology]) -> dict[str, Any]:
    """facts: what is said of the language, first who is believed first."""
    estimates = {"D": scores.D.get(code), "R": scores.R.get(code), "monolingual": scores.languages[code].monolingual}

    def told(name: str, unknown: str) -> Any:
        return next((value for each in facts if (value := getattr(each, name, None))), unknown)

    return {
        "code": code,
        "name": told("name", code),
        "script": told("script", "unknown"),
        "family": told("family", "unknown"),
        "genus": told("genus", ""),
        "type": scores.types.get(code, ""),
        "typeSure": scores.sure.get(code, True),
        **{name: _numbers(estimate) if estimate else None for name, estimate in estimates.items()},
        "features": next((each.features for each in facts if isinstance(each, Typology)), {}),
    }


def _numbers(estimate: Estimate) -> list[float | None]:
    """[mean, low, high] to six places: enough for any picture, and half the page."""
    return [None if value is None else round(value, 6) for value in (estimate.mean, estimate.low, estimate.high)]


def clustered(codes: list[str], pairs: dict[str, dict[str, Estimate]]) -> list[str]:
    """Codes in an order that puts languages side by side that give and take alike (average linkage over their rows and columns of F)."""
    import numpy as np
    from scipy.cluster.hierarchy import leaves_list, linkage

    if len(codes) < 3:
        return codes
    nothing = Estimate(mean=0.0)
    given = np.array([[pairs.get(source, {}).get(target, nothing).mean for target in codes] for source in codes])
    return [codes[place] for place in leaves_list(linkage(np.hstack([given, given.T]), "average", optimal_ordering=True))]


def page(values: dict[str, Any]) -> str:
    """The page as HTML around `values`: scripts and styles are inside, and its policy lets nothing else in or out."""
    d3, script, style = _read("d3", "d3.min.js"), "\n".join(_read(f"{name}.js") for name in SCRIPTS), _read("style.css")
    environment = jinja2.Environment(loader=jinja2.PackageLoader("lingraft.explorer", "page"), autoescape=True)
    return environment.get_template("index.html").render(
        policy="; ".join(
            [
                "default-src 'none'",
                f"script-src {_source(d3)} {_source(script)}",
                f"style-src {_source(style)}",
                "base-uri 'none'",
                "form-action 'none'",
                "require-trusted-types-for 'script'",
                "trusted-types 'none'",
            ]
        ),
        d3=Markup(d3),
        script=Markup(script),
        style=Markup(style),
        data=Markup(embedded(values)),
        licence=_read("d3", "LICENSE"),
    )


def embedded(values: Any) -> str:
    """JSON that can stand in a script element: no `<`, and no line ends that JavaScript would see."""
    text = json.dumps(values, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _source(text: str) -> str:
    """The name of an inline script or style in a Content-Security-Policy: its hash."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _read(*names: str) -> str:
    return (files("lingraft.explorer") / "page").joinpath(*names).read_text(encoding="utf-8")
