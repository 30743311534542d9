"""The text that a tokenizer is trained on, read once."""

import itertools
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from lingraft.errors import TokenizerError


def some(lines: Iterable[str]) -> Iterator[str]:
    """The lines as they come. Raises TokenizerError where there is none."""
    count = 0
    for count, line in enumerate(lines, 1):  # noqa: B007
        yield line
    if not count:
        raise TokenizerError("There is no text to train a tokenizer on. Give text with --text.")


class TrainingText:
    """Lines kept in a temporary file while their characters are counted; iterated, they come without the characters too rare to keep."""

    def __init__(self, lines: Iterable[str], size: int, alphabet: int | None = None) -> None:
        counts = np.zeros(sys.maxunicode + 1, dtype=np.int64)
        self.file = tempfile.TemporaryFile("w+", encoding="utf-8", newline="\n")  # noqa: SIM115
        lines = iter(lines)
        while block := list(itertools.islice(lines, 10_000)):
            text = "".join(" ".join(line.splitlines()) + "\n" for line in block)
            counts += np.bincount(np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32), minlength=len(counts))
            self.file.write(text)
        order = np.lexsort((np.arange(len(counts)), -counts))
        ranked = [chr(code) for code in order[: np.count_nonzero(counts)]]
        visible = [letter for letter in ranked if not letter.isspace()]
        num_kept = min(alphabet or max(256, size // 4), sum(counts[ord(letter)] > 1 for letter in visible))
        self.kept, self.rare = visible[:num_kept], visible[num_kept:]

    def alphabet(self, normalizer: Any) -> list[str]:
        """The characters kept, as the tokenizer will see them, sorted."""
        return sorted(set("".join(normalizer.normalize_str(letter) for letter in self.kept)) - {" "})

    def __iter__(self) -> Iterator[str]:
        rare = re.compile(f"[{re.escape(''.join(self.rare))}]" if self.rare else "(?!)")
        self.file.seek(0)
        return (rare.sub(" ", line.removesuffix("\n")) for line in self.file)

    def __enter__(self) -> "TrainingText":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
