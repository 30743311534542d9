"""The bundled WALS excerpt."""

import math
from pathlib import Path

import pytest

from lingraft.donors.typology import distance, features, known, read_own, shared
from lingraft.errors import LanguageError, TextError

HEAD = "language\tname\tfamily\tgenus\tlatitude\tlongitude\tscript\t81A\ttone\n"


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


def test_a_file_of_ones_own_stands_beside_wals(tmp_path: Path) -> None:
    (tmp_path / "own.tsv").write_text(
        HEAD + "gsw\tZurich German\tIndo-European\tGermanic\t47.4\t8.5\tlatn\tsvo\tno\nswe" + "\t" * 8 + "yes\nbar" + "\t" * 8 + "\n"
    )
    own = read_own(tmp_path / "own.tsv")
    assert list(own) == ["gsw", "sv", "bar"]
    swiss, swedish, bavarian = own.values()
    assert (swiss.name, swiss.genus, swiss.latitude, swiss.script) == ("Zurich German", "Germanic", 47.4, "Latn")
    assert swiss.features == {"81A": "SVO", "tone": "no"}  # as WALS spells it
    assert swedish.features == known()["sv"].features | {"tone": "yes"} and swedish.genus == "Germanic"
    assert "tone" not in known()["sv"].features
    assert shared(swiss, swedish) == (1, 2)
    assert (bavarian.name, bavarian.family, bavarian.features) == ("Bavarian", "", {}) and math.isnan(distance(bavarian, swiss))
    (tmp_path / "own.csv").write_text("language,81A\ngsw,SVO\n")
    assert read_own(tmp_path / "own.csv")["gsw"].features == {"81A": "SVO"}


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("code\t81A\ngsw\tSVO\n", TextError, "no column 'language'"),
        ("language\ngsw\n", TextError, "no column beside 'language'"),
        ("language\tLatitude\ngsw\t4\n", TextError, "Write 'latitude'"),
        ("language\tgenuss\ngsw\tx\n", TextError, "Write 'genus'"),
        ("language\t \ngsw\tx\n", TextError, "no name"),
        ("language\t81A\ngsw\tSVO\tSOV\n", TextError, "line 2 has 3 columns"),
        ("language\t81A\ngsw\tSVO\ngsw\tSOV\n", TextError, "line 3: 'gsw' has a row already"),
        ("language\t81A\nxxq\tSVO\n", LanguageError, "line 2: There is no language 'xxq'"),
        ("language\tscript\ngsw\tLatin\n", LanguageError, "line 2"),
        ("language\tlatitude\ngsw\t47\n", TextError, "stands alone"),
        ("language\tlatitude\tlongitude\ngsw\t91\t8\n", TextError, "the latitude is '91'"),
        ("language\tlatitude\tlongitude\ngsw\t47\tnan\n", TextError, "the longitude is 'nan'"),
        ("", TextError, "holds no examples"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(text: str, error: type[Exception], says: str, tmp_path: Path) -> None:
    (tmp_path / "own.tsv").write_text(text)
    with pytest.raises(error, match=says):
        read_own(tmp_path / "own.tsv")
