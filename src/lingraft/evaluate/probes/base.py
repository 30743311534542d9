"""What a probe is asked and what it answers. The table of them is PROBES (lingraft.evaluate.probes)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from lingraft.errors import RecipeError, RunError, TextError
from lingraft.evaluate.formats import lines

Example = TypeVar("Example")


class ProbeSettings(BaseModel):
    """What all probes can be told."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    length: int = Field(512, ge=8, description="tokens of an input at most, specials included; never more than the model reads")


class LayeredSettings(ProbeSettings):
    """Of probes that look at layers."""

    layers: list[int] | None = Field(None, description="layers to choose from on development; 0: embeddings, -1: the last; none: all")


@dataclass(frozen=True, slots=True)
class Question:
    """A model (folder or hub id) and the data it is probed with. out: folder for pictures. settings: of the probe's own model."""

    model: str
    evaluation: Path
    out: Path
    settings: Any
    train: Path | None = None
    development: Path | None = None
    seeds: int = 1


@dataclass(frozen=True, slots=True)
class Answer:
    """scores: for each seed, by name. baseline: by name. predictions: lines of predictions.jsonl. facts: what else a reader should know."""

    scores: list[dict[str, float]]
    baseline: dict[str, float]
    predictions: list[dict[str, Any]]
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Probe:
    """answer(question) -> scores. Raises LingraftError for what the user gave wrong. is_trained: on data of its own, from several seeds."""

    settings: type[ProbeSettings]
    answer: Callable[[Question], Answer]
    about: str
    is_trained: bool = True


def read_lines(path: Path) -> list[str]:
    """The lines of a text file, .gz, .xz and .zst too. Raises TextError where it cannot be read as UTF-8."""
    return [line.rstrip("\r\n") for _, line in lines(str(path))]


def some(examples: list[Example], path: Path) -> list[Example]:
    """The examples. Raises TextError where there are none."""
    if not examples:
        raise TextError(f"{path} has no examples. Give a file in the format that docs/probes.md describes.")
    return examples


def train_and_development(
    question: Question, read: Callable[[Path], list[Example]], probe: str
) -> tuple[Sequence[Example], Sequence[Example]]:
    """Training and development examples; without a development file the last tenth of the training examples, at least one, is held out.

    Raises RunError without --train, TextError where there are too few.
    """
    if question.train is None:
        raise RunError(f"The {probe} probe is trained: give --train PATH, and --dev PATH if you have one.")
    train = some(read(question.train), question.train)
    if question.development is not None:
        return train, some(read(question.development), question.development)
    held_out = max(1, len(train) // 10)
    if len(train) <= held_out:
        raise TextError(f"{question.train} has {len(train)} example: a tenth is held out. Give more, or --dev PATH.")
    return train[:-held_out], train[-held_out:]


def chosen_layers(layers: list[int] | None, total: int) -> list[int]:
    """Numbers of layers, 0 (embeddings) to `total`, in order. Raises RecipeError for one that does not exist."""
    wanted = range(total + 1) if layers is None else layers
    wrong = [layer for layer in wanted if not -total - 1 <= layer <= total]
    if wrong or not wanted:
        raise RecipeError(f"--set layers={layers}: this model has layers 0 (its embeddings) to {total}; -1 is the last.")
    return sorted({layer % (total + 1) for layer in wanted})
