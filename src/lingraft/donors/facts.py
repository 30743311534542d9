"""What corpus.json says of a corpus beside its plan: counts, and the checks."""

from collections.abc import Callable, Iterator, Mapping
from itertools import chain, islice
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from lingraft.donors.checks import correlation, distances, profile
from lingraft.donors.contamination import foreign_sentences, script_share

FULL_SENTENCES = 200_000
"""Sentences of the full text whose lengths are measured, evenly spaced."""

Lines = list[list[str]]


def facts(
    parts: Mapping[str, tuple[Lines, Lines]], full: Mapping[str, Path], tokenizer: Tokenizer, seed: int, tell: Callable[[str], None]
) -> dict[str, Any]:
    """The report of a corpus, as JSON.

    parts: language -> sentences by document, to train on and held out; full: language -> file with a sentence on each line.

    counts         language -> sentences, characters, bytes, words, tokens, distinct_tokens of the training text
    held_out       the same of what is held out
    correlation    of tokens with distinct tokens over the languages: see checks.correlation
    distances      language -> kind of length -> distance to the full text: see checks.distances
    contamination  language -> other_script, the share of letters, and what contamination.foreign_sentences says
    """
    counts: dict[str, dict[str, int]] = {}
    held_out: dict[str, dict[str, int]] = {}
    moved = {}
    for code, (train, held) in parts.items():
        tell(f"measuring {code}")
        sample = profile(chain.from_iterable(train), tokenizer)
        counts[code] = sample.counts()
        held_out[code] = profile(chain.from_iterable(held), tokenizer).counts()
        moved[code] = distances(sample, profile(_spread(full[code]), tokenizer))
    tell("looking for other languages")
    texts = {code: list(chain.from_iterable(train)) for code, (train, _) in parts.items()}
    foreign = foreign_sentences(texts)
    return {
        "counts": counts,
        "held_out": held_out,
        "correlation": correlation(counts, seed),
        "distances": moved,
        "contamination": {code: {"other_script": script_share(lines, code)} | foreign[code] for code, lines in texts.items()},
    }


def _spread(path: Path) -> Iterator[str]:
    """At most FULL_SENTENCES of a file's sentences, evenly spaced."""
    with path.open(encoding="utf-8", newline="\n") as file:
        step = -(-sum(line != "\n" for line in file) // FULL_SENTENCES)
        file.seek(0)
        yield from islice((line.removesuffix("\n") for line in file if line != "\n"), 0, None, max(step, 1))
