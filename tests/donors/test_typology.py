"""The bundled WALS excerpt."""

import pytest

from lingraft.donors.typology import distance, features, known, shared


def test_what_wals_says_of_languages() -> None:
    assert len(known()) == 41
    assert list(known()) == sorted(known())
    assert len(features()) == 179
    assert sum(len(language.features) for language in known().values()) == 4316
    swedish, japanese = known()["sv"], known()["ja"]
    assert (swedish.name, swedish.family, swedish.genus) == ("Swedish", "Indo-European", "Germanic")
    assert features()["81A"] == "Order of Subject, Object and Verb"
    assert (swedish.features["81A"], japanese.features["81A"]) == ("SVO", "SOV")
    assert japanese.family == japanese.genus == "Japanese"
    assert {feature for language in known().values() for feature in language.features} == features().keys()
    assert list(features())[:3] == ["1A", "2A", "3A"]


def test_pairs_of_languages() -> None:
    swedish, danish, japanese = (known()[code] for code in ("sv", "da", "ja"))
    same, both = shared(swedish, danish)
    assert 0 < same <= both <= 58
    assert same / both > shared(swedish, japanese)[0] / shared(swedish, japanese)[1]
    assert distance(swedish, swedish) == 0
    assert distance(swedish, japanese) == distance(japanese, swedish) == pytest.approx(73, abs=4)
