"""The one place that says what a word is, and where a sentence ends."""

import re
import unicodedata
from typing import Literal

from lingraft.languages import parse

WORD_DEFINITION = (
    "a run of characters between white space; in scripts that are written without spaces "
    "(Han, kana, Thai, Lao, Khmer, Myanmar, Tibetan and others) every character, with its marks, is a word"
)
SPACELESS_SCRIPTS = "Bali Bopo Hani Hans Hant Hira Java Jpan Kana Khmr Lana Laoo Mymr Talu Tavt Thai Tibt"

_SPACELESS = (  # ranges for a regular expression; without U+3000, which is a space
    "\u0e01-\u0fff"  # Thai, Lao, Tibetan
    "\u1000-\u109f\ua9e0-\ua9ff\uaa60-\uaa7f"  # Myanmar
    "\u1780-\u17ff\u19e0-\u19ff"  # Khmer
    "\u1980-\u19df\u1a20-\u1aaf\uaa80-\uaadf"  # New Tai Lue, Tai Tham, Tai Viet
    "\u1b00-\u1b7f\ua980-\ua9df"  # Balinese, Javanese
    "\u2e80-\u2fdf\u3001-\u312f\u31a0-\u31bf\u31f0-\u31ff"  # Chinese and Japanese punctuation, kana, Bopomofo
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Han
    "\uff66-\uff9f\U0001b000-\U0001b16f"  # more kana
)
_MARKS = "".join(chr(c) for c in range(0x300, 0xFE10) if unicodedata.category(chr(c))[0] == "M") + "\U000e0100-\U000e01ef"
_ZERO_WIDTH_SPACE = "\u200b"  # what Khmer and Thai texts put between words
_UNUSUAL = re.compile(f"[{_SPACELESS}{_ZERO_WIDTH_SPACE}]")
_WORD = re.compile(rf"[{_SPACELESS}][{_MARKS}]*|[^\s{_SPACELESS}{_ZERO_WIDTH_SPACE}]+")
_RUN = re.compile(r"\S+")
_BEGINS = re.compile(rf"(?![{_MARKS}])[{_SPACELESS}]")
_TOKEN = re.compile(rf"\w[\w{_MARKS}]*(?:['’.-]\w[\w{_MARKS}]*)*|[^\w\s]")
_CLOSING = "\"'”’»›)\\]}」』）】"
_SENTENCE_END = re.compile(rf"[.!?…؟۔।॥։።༎။។][{_CLOSING}]* (?=\S)|[。！？｡][{_CLOSING}]*(?=[^\s{_CLOSING}。！？｡])")


def word_spans(text: str) -> list[tuple[int, int]]:
    """(start, end) of every word of a text, in characters; see WORD_DEFINITION."""
    pattern = _WORD if _UNUSUAL.search(text) else _RUN  # the same spans for usual text, sooner
    return [match.span() for match in pattern.finditer(text)]


def begins_word(text: str) -> bool:
    """Whether a text begins a word of its own, also directly behind other text: it does in scripts that are written without spaces."""
    return _BEGINS.match(text) is not None


def count_words(text: str) -> int:
    """How many words a text has: `len(word_spans(text))`, sooner."""
    return len(_WORD.findall(text)) if _UNUSUAL.search(text) else len(text.split())


def word_kind(language: str) -> Literal["whitespace", "character"]:
    """What a word mostly is in a language, to be named in its scores. Raises LanguageError where the code does not exist."""
    return "character" if parse(language).script in SPACELESS_SCRIPTS.split() else "whitespace"


def sentences(line: str) -> list[str]:
    """The sentences of a line, such that `"".join(sentences(line)) == line`.

    Cut is at a single space after . ! ? and their like (closing quotes and brackets may stand between), where no small letter follows; and
    directly after the full-width 。！？. After a cut at a space, the next sentence starts with that space.
    """
    cuts = [0]
    for match in _SENTENCE_END.finditer(line):
        end = match.end()
        if line[end - 1] != " ":
            cuts.append(end)
        elif not line[end].islower():
            cuts.append(end - 1)
    return [line[start:end] for start, end in zip(cuts, [*cuts[1:], len(line)], strict=True)]


def word_tokens(text: str) -> list[str]:
    """The words of a text for counting and vectors: as `word_spans`, with punctuation apart."""
    if not _UNUSUAL.search(text):
        return _TOKEN.findall(text)
    return [token for start, end in word_spans(text) for token in _TOKEN.findall(text[start:end])]
