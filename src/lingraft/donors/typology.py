"""What WALS Online says of languages: family, place, and structural features. The excerpt and its licence are in `lingraft/data/wals`.

Dryer & Haspelmath (eds.) 2013, CC BY 4.0, version v2020: the 41 languages of Malkin et al. 2022.
"""

import difflib
import lzma
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from lingraft.errors import LanguageError, TextError
from lingraft.evaluate.formats import records
from lingraft.languages import parse

COLUMNS = ("name", "family", "genus", "latitude", "longitude", "script")
"""Of a file of one's own, those beside `language` that are no features."""


@dataclass(frozen=True, slots=True)
class Typology:
    """A language in WALS, or in a file of one's own. family, genus, macroarea and script are empty where they are unknown; latitude and
    longitude in degrees, or not a number; features: id ("81A") -> name of the value."""

    code: str
    name: str
    family: str
    genus: str
    macroarea: str
    latitude: float
    longitude: float
    features: dict[str, str]
    script: str = ""


@cache
def known() -> dict[str, Typology]:
    """The bundled languages by code, in the order of codes. Shared: not to be changed."""
    values: dict[str, dict[str, str]] = {}
    for code, feature, value in _read("values.tsv.xz"):
        values.setdefault(code, {})[feature] = value
    return {
        code: Typology(code, name, family, genus, area, float(latitude), float(longitude), values.get(code, {}))
        for code, _, name, family, genus, area, latitude, longitude in _read("languages.tsv")
    }


@cache
def features() -> dict[str, str]:
    """Names of the features by id ("81A": "Order of Subject, Object and Verb"), in the order of chapters. Shared: not to be changed."""
    return dict(_read("features.tsv"))  # type: ignore[arg-type]


def read_own(path: Path | str) -> dict[str, Typology]:
    """Languages by code from a file (.tsv, .csv, …) with a column `language`, any of COLUMNS, and one for each feature; empty: unknown.

    What the file does not say of a language that is bundled is taken from there. A value that WALS writes in another case is WALS'.
    Raises TextError or LanguageError, naming the line.
    """
    found: dict[str, Typology] = {}
    for place, record in records(path):
        row = {column: str(value).strip() for column, value in record.items() if value is not None}
        _check_columns(list(record), place)
        try:
            language = parse(row.pop("language", ""))
            own = _own(language.code, row.pop("name", "") or language.name, row, place)
        except LanguageError as error:
            raise LanguageError(f"{place}: {error}") from None
        if language.code in found:
            raise TextError(f"{place}: {language.code!r} has a row already. Give each language one.")
        found[language.code] = own
    return found


def _check_columns(columns: list[str], place: str) -> None:
    """Raises TextError where there is no column `language` or none beside it, or one has no name or nearly that of one of COLUMNS."""
    if "language" not in columns:
        raise TextError(f"{place}: there is no column 'language'. The first line must name it, and one column for each feature.")
    if len(columns) < 2:
        raise TextError(f"{place}: there is no column beside 'language'. Add one for each feature, or any of {', '.join(COLUMNS)}.")
    if not all(map(str.strip, columns)):
        raise TextError(f"{place}: a column has no name. Name it in the first line, or take it away.")
    for column in columns:
        close = difflib.get_close_matches(column.strip().lower(), ("language", *COLUMNS), n=1, cutoff=0.85)
        if close and column != close[0]:
            raise TextError(f"{place}: is the column {column!r} {close[0]!r}, or a feature? Write {close[0]!r}, or give it another name.")


def _own(code: str, name: str, row: Mapping[str, str], place: str) -> Typology:
    """A row of a file, its columns but for language and name. Raises TextError, LanguageError."""
    before = known().get(code, Typology(code, name, "", "", "", math.nan, math.nan, {}))
    told: dict[str, Any] = {column: row[column] for column in ("family", "genus") if row.get(column)}
    if row.get("script"):
        told["script"] = parse(f"{code.split('-')[0]}-{row['script']}").script
    degrees: dict[str, Any] = {column: _degrees(row[column], column, place) for column in ("latitude", "longitude") if row.get(column)}
    if len(degrees) == 1:
        raise TextError(f"{place}: {next(iter(degrees))} stands alone. Give both latitude and longitude, or neither.")
    own = {column: _spelt().get((column, value.lower()), value) for column, value in row.items() if value and column not in COLUMNS}
    return replace(before, name=name, features=before.features | own, **told, **degrees)


@cache
def _spelt() -> dict[tuple[str, str], str]:
    """Feature and name of a value in lower case -> that name."""
    return {(feature, value.lower()): value for one in known().values() for feature, value in one.features.items()}


def _degrees(text: str, column: str, place: str) -> float:
    """A latitude or longitude. Raises TextError."""
    most = 90 if column == "latitude" else 180
    try:
        degrees = float(text)
    except ValueError:
        degrees = math.nan
    if not -most <= degrees <= most:
        raise TextError(
            f"{place}: the {column} is {text!r}. It must be a number of degrees from -{most} to {most}, south and west below 0."
        )
    return degrees


def _read(name: str) -> list[list[str]]:
    """The rows of a data file."""
    data = (files("lingraft") / "data" / "wals" / name).read_bytes()
    text = lzma.decompress(data) if name.endswith(".xz") else data
    return [line.split("\t") for line in text.decode().splitlines()]


def distance(one: Typology, other: Typology) -> float:
    """Great-circle distance in degrees, 0 to 180; not a number where a place is unknown."""
    a, b = math.radians(one.latitude), math.radians(other.latitude)
    turn = math.radians(one.longitude - other.longitude)
    haversine = math.sin((a - b) / 2) ** 2 + math.cos(a) * math.cos(b) * math.sin(turn / 2) ** 2
    return math.degrees(2 * math.asin(math.sqrt(min(haversine, 1.0))))  # in this order nan stays nan


def shared(one: Typology, other: Typology) -> tuple[int, int]:
    """(features with the same value, features that both have a value of)."""
    both = one.features.keys() & other.features.keys()
    return sum(one.features[feature] == other.features[feature] for feature in both), len(both)
