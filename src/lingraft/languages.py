"""Language codes: BCP 47 (`de`, `sr-Latn`, `zh-Hant`) and ISO 639-3 (`deu`, `gsw`) in, one normalised `Language` out."""

import difflib
from contextlib import suppress
from dataclasses import dataclass
from functools import cache

from langcodes import Language as Tag
from langcodes import find
from langcodes.data_dicts import LANGUAGE_ALPHA3, LIKELY_SUBTAGS
from langcodes.tag_parser import LanguageTagError

from lingraft.errors import LanguageError

UNKNOWN_SCRIPT = "Zzzz"
RIGHT_TO_LEFT = (
    "Adlm Arab Aran Armi Avst Chrs Cprt Elym Gara Hatr Hebr Hung Khar Lydi Mand Mani Mend Merc Mero Narb Nbat Nkoo Orkh Ougr Palm "
    "Phli Phlp Phnx Prti Rohg Samr Sarb Sogd Sogo Syrc Thaa Yezi"
)
LOOK_UP = "All codes are listed at https://iso639-3.sil.org/code_tables/639/data."


@dataclass(frozen=True, slots=True)
class Language:
    """A language as the user means it.

    code           normalised BCP 47 tag, the shortest form: "de" for "deu" and "ger"
    name           its name in English
    script         ISO 15924 code of the script it is (most likely) written in; "Zzzz" where that is not known
    right_to_left  whether that script runs from right to left
    """

    code: str
    name: str
    script: str
    right_to_left: bool


@cache
def parse(code: str) -> Language:
    """The language of a BCP 47 or ISO 639-3 code, upper or lower case, with - or _.

    Raises LanguageError where the code, or a part of it, is in no register; the message names the nearest code.
    """
    try:
        tag = Tag.get(code.strip())
    except LanguageTagError:
        tag = None
    if tag is None or tag.language in (None, "und") or not tag.is_valid():
        raise LanguageError(f"There is no language {code!r}. {_nearest(code.strip())}")
    script = _script(tag)
    return Language(tag.to_tag(), tag.display_name("en"), script, script in RIGHT_TO_LEFT.split())


def _script(tag: Tag) -> str:
    """The script that a tag names, else its likely one; a language without an entry would be taken for English."""
    if tag.script is not None:
        return tag.script
    known = {tag.language, tag.prefer_macrolanguage().language, f"{tag.language}-{tag.territory}"}
    return tag.maximize().script or UNKNOWN_SCRIPT if known & LIKELY_SUBTAGS.keys() else UNKNOWN_SCRIPT


def _nearest(code: str) -> str:
    """What the user may have meant: a language's name, a country's code, or a misspelt tag."""
    with suppress(LookupError):
        if (named := find(code).to_tag()) != code:  # a name, such as "german" or "Deutsch"
            return f"Did you mean {named!r}? {LOOK_UP}"
    language, *rest = code.replace("_", "-").split("-")
    country = Tag.make(territory=language.upper())
    if len(language) == 2 and not rest and country.is_valid() and f"und-{country.territory}" in LIKELY_SUBTAGS:
        return f"{code!r} is the country {country.territory_name()}; did you mean {country.maximize().language!r}? {LOOK_UP}"
    if rest and Tag.make(language=language.lower()).is_valid():
        return f"Did you mean {Tag.get(language).to_tag()!r}? After the first '-' comes a known script, region or variant. {LOOK_UP}"
    codes = {*LANGUAGE_ALPHA3, *LANGUAGE_ALPHA3.values(), *LIKELY_SUBTAGS}  # every language with data, not all 8,000
    close = difflib.get_close_matches(language.lower(), sorted(codes), n=1, cutoff=0.75)
    return f"Did you mean {close[0]!r}? {LOOK_UP}" if close else LOOK_UP
