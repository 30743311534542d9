"""Optional cleaning: lines seen before, and lines in another script than the language's. What is dropped is counted."""

import mmap
from collections.abc import Callable, Iterable
from hashlib import blake2b

import regex

from lingraft.errors import LanguageError
from lingraft.languages import UNKNOWN_SCRIPT, parse

NUM_BUCKETS, BUCKET = 1 << 21, 64  # a bucket is 8 hashes of 8 bytes
SCRIPTS = {  # ISO 15924 codes that stand for several of Unicode's scripts
    "Aran": ["Arab"],
    "Hans": ["Hani", "Bopo"],
    "Hant": ["Hani", "Bopo"],
    "Jpan": ["Hani", "Hira", "Kana"],
    "Kore": ["Hang", "Hani"],
}


class Cleaner:
    """The cleaning of one pass over a corpus.

    steps     "duplicates" and "script", in any order
    language  code of the corpus's language
    dropped   lines dropped so far by each step

    Raises LanguageError for the step "script" where the language's script is not known.
    """

    def __init__(self, steps: Iterable[str], language: str) -> None:
        makers: dict[str, Callable[[], Callable[[str], bool]]] = {"script": lambda: foreign(language), "duplicates": _Seen}
        self._drops = {step: make() for step, make in makers.items() if step in list(steps)}
        self.dropped = dict.fromkeys(self._drops, 0)

    def keep(self, lines: list[str]) -> list[str]:
        """The lines that no step drops; empty ones always stay."""
        for step, drops in self._drops.items():
            kept = [line for line in lines if not line or not drops(line)]
            self.dropped[step] += len(lines) - len(kept)
            lines = kept
        return lines


class _Seen:
    """Whether a line came before, in at most 128 MB.

    A hash of 8 bytes is kept for every line, in the bucket that it points to; in a full bucket the oldest makes room. Up to five
    million different lines about one repetition in a thousand is missed; beyond that, those from long ago are.
    """

    def __init__(self) -> None:
        self._table = mmap.mmap(-1, NUM_BUCKETS * BUCKET)  # the system gives memory only for what is touched

    def __call__(self, line: str) -> bool:
        digest = blake2b(line.encode(), digest_size=8).digest()
        start = int.from_bytes(digest, "little") % NUM_BUCKETS * BUCKET
        bucket = self._table[start : start + BUCKET]
        if digest in bucket:
            return True
        self._table[start : start + BUCKET] = digest + bucket[:-8]
        return False


def foreign(language: str) -> Callable[[str], bool]:
    """A test whether most letters of a line are in another script than the language's; a line without letters never is.

    Raises LanguageError where the language's script is not known.
    """
    if parse(language).script == UNKNOWN_SCRIPT:
        raise LanguageError(
            f"The script of {language!r} is not known, so lines in another one cannot be dropped. "
            f"Name it in the code, as in '{language}-Latn', or leave 'script' out of the cleaning."
        )
    others, letters = letters_of(parse(language).script)
    # Most lines have no letter of another script: a search that finds none is ten times faster than counting.
    return lambda line: others.search(line) is not None and 2 * len(others.findall(line)) > len(letters.findall(line))


def letters_of(script: str) -> tuple[regex.Pattern[str], regex.Pattern[str]]:
    """What finds the letters of other scripts than this one (ISO 15924), and what finds those of any script."""
    own = "".join(rf"\p{{Script={name}}}" for name in SCRIPTS.get(script, [script]))
    return regex.compile(rf"[\p{{L}}--\p{{Script=Common}}--[{own}]]", regex.V1), regex.compile(r"[\p{L}--\p{Script=Common}]", regex.V1)
