"""MEASURES: what a model is scored on as it is, without a head and without training."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from lingraft.evaluate import retrieval
from lingraft.evaluate.likelihood import first_lines, language_model_scores
from lingraft.evaluate.settings import EvaluationSettings
from lingraft.model.load import kind_of, load_config, load_model, load_source, load_tokenizer
from lingraft.model.trelm import speak
from lingraft.text.corpus import TextSettings, language_of, resolve

Measured = tuple[dict[str, float], dict[str, float], int]


class LanguageModelSettings(EvaluationSettings):
    """Of `language-modelling`."""

    length: int = Field(128, ge=8, description="tokens of a block, specials included")


class RetrievalSettings(BaseModel):
    """Of `retrieval`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    layer: int | None = Field(None, ge=0, description="whose states; 0: the embeddings; by default the one at two thirds of the depth")
    csls: bool = Field(False, description="nearest by CSLS instead of the cosine")
    source_model: str = Field("", description="the model of the source side, where it is another")


@dataclass(frozen=True, slots=True)
class Measure:
    """measure(model, path, language, settings) -> scores, what a guess reaches, number of examples. main: the score that tables show."""

    settings: type[BaseModel]
    measure: Callable[[str, Path, str, Any], Measured]
    main: str
    about: str


def language_modelling(model: str, path: Path, language: str, settings: LanguageModelSettings) -> Measured:
    """Scores of a text, and how many lines of it are read; the guess is that all tokens are equally likely."""
    text = resolve([str(path)], language_of([str(path)], language), settings=TextSettings())
    source = load_source(model, seed=0)
    own = EvaluationSettings(**settings.model_dump(exclude={"length"}))
    speak(source.model, text.language)
    scores = language_model_scores(source.model.eval(), source.tokenizer, text, own, settings.length)
    uniform = math.log(len(source.tokenizer))
    guess = {"loss": uniform, "bits_per_token": uniform / math.log(2), "perplexity": math.exp(uniform)}
    return scores, guess, len(first_lines(text, settings.max_characters))


def sentence_retrieval(model: str, path: Path, language: str, settings: RetrievalSettings) -> Measured:
    """Scores of parallel text; the guess is to draw a sentence."""

    def loaded(name: str) -> tuple[Any, Any]:
        return load_model(name, kind_of(load_config(name)), seed=0)[0].base_model.eval(), load_tokenizer(name)

    pairs = retrieval.read_pairs(path)
    source = loaded(settings.source_model) if settings.source_model else None
    scores = retrieval.retrieval_scores(*loaded(model), pairs, source=source, layer=settings.layer, csls=settings.csls)
    return scores, retrieval.baseline(pairs), len(pairs)


MEASURES: dict[str, Measure] = {
    "language-modelling": Measure(
        LanguageModelSettings,
        language_modelling,
        "bits_per_byte",
        "text: bits per byte, word and token, MRR, perplexity, pseudo-log-likelihood",
    ),
    "retrieval": Measure(
        RetrievalSettings, sentence_retrieval, "accuracy", "parallel text: is a translation the nearest neighbour? (Tatoeba)"
    ),
}
