"""What tells whether corpora are alike in information and true to the text they come from (Malkin et al. 2022, section 3.1)."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from lingraft.text.words import word_spans

LENGTHS = ("words of a sentence", "tokens of a sentence", "characters of a word")
BLOCK = 10_000  # sentences tokenized at a time


@dataclass
class Profile:
    """Counts of sentences. distinct: tokens that occur; lengths: for each of LENGTHS, how many have which length."""

    sentences: int = 0
    characters: int = 0
    bytes: int = 0
    words: int = 0
    tokens: int = 0
    distinct: set[int] = field(default_factory=set)
    lengths: dict[str, Counter[int]] = field(default_factory=lambda: {name: Counter() for name in LENGTHS})

    def counts(self) -> dict[str, int]:
        """As corpus.json has them."""
        names = ("sentences", "characters", "bytes", "words", "tokens")
        return {name: getattr(self, name) for name in names} | {"distinct_tokens": len(self.distinct)}


def profile(sentences: Iterable[str], tokenizer: Tokenizer) -> Profile:
    """Count sentences, read once. Special tokens are not counted."""
    found, rest = Profile(), iter(sentences)
    while block := list(islice(rest, BLOCK)):
        ids = [encoding.ids for encoding in tokenizer.encode_batch_fast(block, add_special_tokens=False)]
        words = [[end - start for start, end in word_spans(sentence)] for sentence in block]
        found.sentences += len(block)
        found.characters += sum(map(len, block))
        found.bytes += sum(len(sentence.encode()) for sentence in block)
        found.words += sum(map(len, words))
        found.tokens += sum(map(len, ids))
        found.distinct.update(*ids)
        for name, lengths in zip(LENGTHS, (map(len, words), map(len, ids), (length for each in words for length in each)), strict=True):
            found.lengths[name].update(lengths)
    return found


def distances(sample: Profile, full: Profile) -> dict[str, dict[str, float]]:
    """For each of LENGTHS, the earth mover's distance of the sample's distribution to the full text's.

    distance    in words, tokens, characters: how far a sentence's (a word's) length must move on average
    normalised  of lengths in parts of the longest one, so from 0 to 1: what the paper's bound of 0.001 can be compared with
    """
    from scipy.stats import wasserstein_distance

    found = {}
    for name in LENGTHS:
        one, other = sample.lengths[name], full.lengths[name]
        moved = float(wasserstein_distance(list(one), list(other), list(one.values()), list(other.values())))
        found[name] = {"distance": moved, "normalised": moved / max(*one, *other, 1)}
    return found


def correlation(counts: Mapping[str, Mapping[str, int]], seed: int) -> dict[str, Any]:
    """Pearson's r over languages of number of tokens and number of distinct tokens, with the 95 % interval of drawing languages again.

    None where there is none: with fewer than three languages, or where a number is the same in all.
    """
    from lingraft.evaluate.bootstrap import interval

    rows = np.array([[count["tokens"], count["distinct_tokens"]] for count in counts.values()], dtype=np.float64)
    value = _pearson(rows)["r"] if len(rows) > 2 else float("nan")
    low, high = interval(rows, _pearson, "r", seed) if np.isfinite(value) else (value, value)
    return {name: None if np.isnan(found) else found for name, found in (("r", value), ("low", low), ("high", high))} | {"n": len(rows)}


def _pearson(rows: npt.NDArray[Any]) -> dict[str, float]:
    """rows: (n, 2). Draws of fewer than three different languages have none: two points always lie on a line."""
    if len(np.unique(rows, axis=0)) < 3:
        return {"r": float("nan")}
    with np.errstate(invalid="ignore"):
        return {"r": float(np.corrcoef(rows.T)[0, 1])}
