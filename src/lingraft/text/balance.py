"""Up-sampling of the languages that have less text (Conneau & Lample 2019, section 3.1): q_i ~ p_i^alpha instead of p_i."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from lingraft.text.corpus import Corpus

Floats = npt.NDArray[np.float64]


def shares(sizes: Sequence[int] | npt.NDArray[np.int64], alpha: float) -> Floats:
    """(num_texts,) the share of each text after up-sampling, from its size in any unit; alpha = 1: as it is, 0: all alike."""
    sizes = np.asarray(sizes, dtype=np.float64)
    weights = (sizes / sizes.sum()) ** alpha
    return np.asarray(weights / weights.sum())


def repeats(sizes: Sequence[int] | npt.NDArray[np.int64], alpha: float) -> Floats:
    """(num_texts,) how often each text is read so that these are its shares; the one that is read least often is read once."""
    if alpha == 1:
        return np.ones(len(sizes))
    times = shares(sizes, alpha) / np.asarray(sizes)
    return np.asarray(times / times.min())


def training_lines(corpora: Sequence[Corpus], alpha: float) -> Iterator[str]:
    """The lines of the training parts, text after text, each text as often as its up-sampling by lines asks."""
    for corpus, times in zip(corpora, repeats([corpus.survey.lines for corpus in corpora], alpha), strict=True):
        for _ in range(int(times)):
            yield from _lines(corpus)
        yield from evenly(_lines(corpus), times % 1)


def _lines(corpus: Corpus) -> Iterator[str]:
    return (line for document in corpus.split("train") for line in document.lines)


def evenly(lines: Iterable[str], part: float) -> Iterator[str]:
    """A part of the lines (0 to 1), spread evenly."""
    if part:
        yield from (line for number, line in enumerate(lines) if int((number + 1) * part) > int(number * part))
