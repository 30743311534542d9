"""Word in context: does a word mean the same in two sentences? A linear classifier on frozen states (Pilehvar & Camacho-Collados 2019).

pair        [CLS] and the two marked words, from the two sentences read as one input (Wang et al. 2019, SuperGLUE, whose program
            Gogoulou et al. 2022 used)
summary     [CLS] alone (the last token in decoders): the "fixed sentence pair representation" of Artetxe et al. 2020
words       the two marked words, from the sentences read apart
difference  |u - v| and u * v of these
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from lingraft.errors import TextError
from lingraft.evaluate import formats
from lingraft.evaluate.probes.base import Answer, LayeredSettings, Question, chosen_layers, some, train_and_development
from lingraft.evaluate.probes.states import Encoder, Span, load_encoder, marked_states
from lingraft.evaluate.task import Array

TAGS = {"T": True, "F": False, "True": True, "False": False, "true": True, "false": False, "1": True, "0": False}


class WicSettings(LayeredSettings):
    """The classifier's settings."""

    representation: Literal["pair", "summary", "words", "difference"] = Field("pair", description="what the classifier sees")
    strengths: list[float] = Field([1e-4, 1e-3, 1e-2, 1e-1], min_length=1, description="C of logistic regression to choose from")


@dataclass(frozen=True, slots=True)
class Pair:
    """Two texts, the marked word in each (start, end in characters), and whether it means the same."""

    texts: tuple[str, str]
    spans: tuple[Span, Span]
    same: bool


def read_pairs(path: Path) -> list[Pair]:
    """Records (JSON lines, a table with a header, Parquet, the hub's) of MCL-WiC (start1, end1, …, or ranges1 and ranges2; tag) or of
    SuperGLUE (label).

    Raises TextError, naming the record, where a column is missing or a span is outside its sentence.
    """
    return [_pair(record, place) for place, record in formats.records(path)]


def _pair(record: formats.Record, place: str) -> Pair:
    try:
        texts = (record["sentence1"], record["sentence2"])
        spans = (_span(record, 1), _span(record, 2))
        tag = str(record["tag"] if "tag" in record else record["label"])
    except (ValueError, KeyError, TypeError) as error:
        what = f"the key {error} is missing" if isinstance(error, KeyError) else str(error)
        raise TextError(f"{place}: not a pair of WiC ({what}). It has sentence1, sentence2, start1, end1, start2, end2, tag.") from None
    if tag not in TAGS:
        raise TextError(f"{place}: the tag {tag!r} is not T or F (or true or false).")
    for text, (start, end) in zip(texts, spans, strict=True):
        if not 0 <= start < end <= len(text):
            raise TextError(f"{place}: characters {start} to {end} are not inside {text!r} ({len(text)} characters).")
    return Pair(texts, spans, TAGS[tag])


def _span(record: formats.Record, which: int) -> Span:
    """Where the marked word is; of several ranges ("3-5,9-12"), the first."""
    if f"ranges{which}" in record:
        start, end = str(record[f"ranges{which}"]).split(",")[0].split("-")
        return int(start), int(end)
    return int(record[f"start{which}"]), int(record[f"end{which}"])


def features(encoder: Encoder, pairs: Sequence[Pair], representation: str, layers: Sequence[int]) -> Array:
    """(layers, n, width) what the classifier sees."""
    if representation in ("pair", "summary"):
        states = marked_states(encoder, [pair.texts for pair in pairs], [pair.spans for pair in pairs], layers)
        return states[:, :, 0] if representation == "summary" else states.reshape(len(layers), len(pairs), -1)
    sides = [
        marked_states(encoder, [(pair.texts[i],) for pair in pairs], [(pair.spans[i],) for pair in pairs], layers)[:, :, 1] for i in (0, 1)
    ]
    both = sides if representation == "words" else [np.abs(sides[0] - sides[1]), sides[0] * sides[1]]
    return np.concatenate(both, axis=2)


def fit(seen: Array, same: Array, strength: float, seed: int) -> Pipeline:
    """Logistic regression on standardised features (n, width)."""
    return make_pipeline(StandardScaler(), LogisticRegression(C=strength, tol=1e-3, max_iter=1000, random_state=seed)).fit(seen, same)


def answer(question: Question) -> Answer:
    """Choose layer and C on development, then score. Seeds draw which of the training pairs are seen twice or not (a bootstrap) from seed
    1 on; seed 0 sees each once.

    The regression has one solution, so that nothing else could differ between seeds.
    """
    settings = question.settings
    train, development = train_and_development(question, read_pairs, "wic")
    test = some(read_pairs(question.evaluation), question.evaluation)
    gold = [np.array([pair.same for pair in pairs]) for pairs in (train, development, test)]
    if len(set(gold[0].tolist())) < 2:
        raise TextError("All training pairs have the same tag. Give pairs of both.")
    encoder = load_encoder(question.model, settings.length)
    layers = chosen_layers(settings.layers, encoder.num_layers)
    seen = [features(encoder, pairs, settings.representation, layers) for pairs in (train, development, test)]
    grid = [
        (float(fit(seen[0][i], gold[0], strength, 0).score(seen[1][i], gold[1])), i, strength)
        for i in range(len(layers))
        for strength in settings.strengths
    ]
    _, index, strength = max(grid, key=lambda row: row[0])
    scores, predictions = [], []
    for seed in range(question.seeds):
        rows = np.arange(len(train)) if seed == 0 else np.random.default_rng(seed).integers(len(train), size=len(train))
        found = fit(seen[0][index][rows], gold[0][rows], strength, seed).predict(seen[2][index])
        scores.append({"accuracy": float((found == gold[2]).mean())})
        predictions += [{"seed": seed, "gold": bool(a), "predicted": bool(b)} for a, b in zip(gold[2], found, strict=True)]
    facts = {
        "layer": layers[index],
        "strength": strength,
        "development": [
            {"layer": layer, "accuracy": max(score for score, where, _ in grid if where == i)} for i, layer in enumerate(layers)
        ],
        "examples": {"train": len(train), "development": len(development), "evaluation": len(test)},
    }
    return Answer(scores, {"accuracy": _majority(gold[0], gold[2])}, predictions, facts)


def _majority(train: Array, test: Array) -> float:
    """Accuracy of the answer that is more frequent in training (a tie: yes)."""
    return float((test == (train.mean() >= 0.5)).mean())
