"""A bilingual lexicon read off two spaces that were mapped into one, and how good it is."""

from collections.abc import Sequence

import torch

from lingraft.errors import TextError
from lingraft.text.lexicon import Entry
from lingraft.vectors.mapping import Mapping
from lingraft.vectors.neighbours import Matches, csls
from lingraft.vectors.spaces import row_of
from lingraft.vectors.static import Vectors

AMONG = (1, 5, 10)


def translations(source: Vectors, target: Vectors, mapping: Mapping) -> Matches:
    """The nearest of every word of both sides by CSLS."""
    return csls(torch.from_numpy(mapping.source(source.matrix)), torch.from_numpy(mapping.target(target.matrix)), max(AMONG))


def entries(source: Vectors, target: Vectors, found: Matches, *, every: bool = False) -> list[Entry]:
    """(source word, target word, CSLS) of the words that are each other's nearest, or of every source word and its nearest.

    Words whose nearest is farther than what is near to either (CSLS below 0) are left out.
    """
    kept = (found.forward[:, 0] > 0) & (found.mutual() | every)
    rows = kept.nonzero()[:, 0].tolist()
    nearest, scores = found.forward_ids[:, 0].tolist(), found.forward[:, 0].tolist()
    return [(source.words[row], target.words[nearest[row]], round(scores[row], 4)) for row in rows]


def precision(source: Vectors, target: Vectors, found: Matches, lexicon: Sequence[Entry]) -> dict[str, float]:
    """How often a lexicon's translation is the nearest by CSLS or among the nearest five or ten: p_at_1, p_at_5, p_at_10.

    Measured on its source words that have a vector and a translation with one; coverage is the share of its source words that are so.
    """
    right: dict[str, set[int]] = {one: set() for one, *_ in lexicon}
    for one, other, _ in lexicon:
        if row_of(source, one) is not None and (row := row_of(target, other)) is not None:
            right[one].add(row)
    if not any(right.values()):
        raise TextError(f"None of the {len(lexicon):,} entries to evaluate against has vectors on both sides. Is it of these languages?")
    measured = {word: rows for word, rows in right.items() if rows}
    nearest = found.forward_ids[[row_of(source, word) for word in measured]].tolist()
    ranks = [
        next((rank for rank, row in enumerate(ids) if row in rows), max(AMONG))
        for ids, rows in zip(nearest, measured.values(), strict=True)
    ]
    shares = {f"p_at_{count}": sum(rank < count for rank in ranks) / len(ranks) for count in AMONG}
    return {**shares, "coverage": len(measured) / len(right), "measured": len(measured)}
