"""Similarity of words in context (Huang et al. 2012): Spearman correlation of cosines of contextual states with people's ratings."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import Field
from scipy.stats import spearmanr

from lingraft.errors import TextError
from lingraft.evaluate.probes.base import Answer, ProbeSettings, Question, chosen_layers, read_lines, some
from lingraft.evaluate.probes.states import Span, load_encoder, marked_states
from lingraft.evaluate.task import Array

MARK = re.compile(r"<b>\s*(.+?)\s*</b>")


class ScwsSettings(ProbeSettings):
    """Which states are compared."""

    layer: int = Field(-1, description="0: embeddings, -1: the last")


@dataclass(frozen=True, slots=True)
class Rated:
    """Two words in context, where they stand (start, end in characters), and the mean rating of how alike they are, 0 to 10."""

    words: tuple[str, str]
    texts: tuple[str, str]
    spans: tuple[Span, Span]
    rating: float


def read_ratings(path: Path) -> list[Rated]:
    """ratings.txt: id, word1, POS1, word2, POS2, context1, context2, mean rating, ten ratings, tab separated; words as <b>word</b>.

    Raises TextError, naming the line, where a line is not of that form.
    """
    found = []
    for number, line in enumerate(read_lines(path), 1):
        columns = line.split("\t")
        place = f"{path}, line {number}"
        if not line.strip():
            continue
        if len(columns) < 8:
            raise TextError(f"{place}: {len(columns)} columns. SCWS has id, word, POS, word, POS, context, context, mean rating, ratings.")
        try:
            rating = float(columns[7])
        except ValueError:
            raise TextError(f"{place}: the mean rating {columns[7]!r} is not a number.") from None
        (text1, span1), (text2, span2) = (_unmarked(columns[i], place) for i in (5, 6))
        found.append(Rated((columns[1], columns[3]), (text1, text2), (span1, span2), rating))
    return found


def _unmarked(context: str, place: str) -> tuple[str, Span]:
    """A context without its marks, and where its word is."""
    mark = MARK.search(context)
    if not mark:
        raise TextError(f"{place}: a context has no word marked as <b>word</b>.")
    return context[: mark.start()] + mark[1] + context[mark.end() :], (mark.start(), mark.start() + len(mark[1]))


def cosines(one: Array, other: Array) -> Array:
    """(n,) cosine of rows (n, dim)."""
    size = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return np.asarray((one * other).sum(axis=1) / np.maximum(size, 1e-12))


def answer(question: Question) -> Answer:
    """Nothing is trained: one score, whatever the seeds. The baseline is a rating that is always the same."""
    examples = some(read_ratings(question.evaluation), question.evaluation)
    encoder = load_encoder(question.model, question.settings.length)
    layers = chosen_layers([question.settings.layer], encoder.num_layers)
    sides = [
        marked_states(encoder, [(pair.texts[i],) for pair in examples], [(pair.spans[i],) for pair in examples], layers)[0, :, 1]
        for i in (0, 1)
    ]
    found, gold = cosines(*sides), np.array([pair.rating for pair in examples])
    varies = len(examples) > 1 and np.ptp(found) > 0 and np.ptp(gold) > 0
    score = float(spearmanr(found, gold).statistic) if varies else 0.0
    lines = [{"words": pair.words, "gold": pair.rating, "predicted": float(value)} for pair, value in zip(examples, found, strict=True)]
    return Answer([{"spearman": score}], {"spearman": 0.0}, lines, {"layer": layers[0], "examples": {"evaluation": len(examples)}})
