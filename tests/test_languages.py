"""Language codes: what is accepted, what it becomes, and what a mistake is told."""

import pytest

from lingraft.errors import LanguageError
from lingraft.languages import UNKNOWN_SCRIPT, Language, parse


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("de", Language("de", "German", "Latn", False)),
        ("deu", Language("de", "German", "Latn", False)),
        ("ger", Language("de", "German", "Latn", False)),
        (" SWA ", Language("sw", "Swahili", "Latn", False)),
        ("gsw", Language("gsw", "Swiss German", "Latn", False)),
        ("no", Language("no", "Norwegian", "Latn", False)),
        ("sr_cyrl", Language("sr-Cyrl", "Serbian (Cyrillic)", "Cyrl", False)),
        ("sr-Latn", Language("sr-Latn", "Serbian (Latin)", "Latn", False)),
        ("zh-Hant", Language("zh-Hant", "Chinese (Traditional)", "Hant", False)),
        ("cmn", Language("cmn", "Mandarin Chinese", "Hans", False)),
        ("ja", Language("ja", "Japanese", "Jpan", False)),
        ("ar", Language("ar", "Arabic", "Arab", True)),
        ("iw", Language("he", "Hebrew", "Hebr", True)),
        ("dv", Language("dv", "Divehi", "Thaa", True)),
    ],
)
def test_codes_are_normalised(code: str, expected: Language) -> None:
    assert parse(code) == expected


def test_a_language_without_data_is_not_taken_for_one_in_latin_script() -> None:
    assert parse("aaa").script == UNKNOWN_SCRIPT
    assert parse("aaa-Latn").script == "Latn"


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("german", "Did you mean 'de'?"),
        ("Deutsch", "Did you mean 'de'?"),
        ("jp", "'jp' is the country Japan; did you mean 'ja'?"),
        ("swe1", "Did you mean 'swe'?"),
        ("de-Xxxx", "Did you mean 'de'?"),
        ("xx", "iso639-3.sil.org"),
        ("und", "iso639-3.sil.org"),
        ("", "iso639-3.sil.org"),
        ("a b", "iso639-3.sil.org"),
    ],
)
def test_unknown_codes_name_the_nearest(code: str, hint: str) -> None:
    with pytest.raises(LanguageError) as error:
        parse(code)
    assert f"There is no language {code!r}" in str(error.value)
    assert hint in str(error.value)
