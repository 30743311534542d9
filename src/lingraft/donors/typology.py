"""What WALS Online says of languages: family, place, and structural features. The excerpt and its licence are in `lingraft/data/wals`.

Dryer & Haspelmath (eds.) 2013, CC BY 4.0, version v2020: the 41 languages of Malkin et al. 2022.
"""

import lzma
import math
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Typology:
    """A language in WALS. macroarea may be empty; latitude and longitude in degrees; features: id ("81A") -> name of the value."""

    code: str
    name: str
    family: str
    genus: str
    macroarea: str
    latitude: float
    longitude: float
    features: dict[str, str]


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
    return math.degrees(2 * math.asin(math.sqrt(min(1.0, haversine))))


def shared(one: Typology, other: Typology) -> tuple[int, int]:
    """(features with the same value, features that both have a value of)."""
    both = one.features.keys() & other.features.keys()
    return sum(one.features[feature] == other.features[feature] for feature in both), len(both)
