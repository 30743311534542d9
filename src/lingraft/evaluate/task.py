"""What a task is: how its examples are read, become batches, and are predicted and scored. The table of them is TASKS (lingraft.evaluate).

A *kind* is a shape of problem (tagging, classification, …) with a head on the encoder; a *task* is a kind with a format and measures.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field, model_validator

from lingraft.errors import RecipeError
from lingraft.train.settings import TrainingSettings

Array = npt.NDArray[Any]
Item = dict[str, Array]
Batch = dict[str, torch.Tensor]
PADDING = {"labels": -100}
"""What fills the shorter arrays of a batch, by name; `input_ids` get the tokenizer's pad id, all others 0."""


class TaskSettings(TrainingSettings):
    """How a model is fine-tuned on a task and scored: the recipe of the field's papers unless changed."""

    learning_rate: float = Field(2e-5, gt=0, description="peak learning rate")
    batch: int = Field(32, ge=1, description="examples per optimiser step")
    epochs: float = Field(3.0, gt=0, description="passes over the training examples")
    patience: int | None = Field(None, ge=1, description="stop after so many looks at the development set without a gain")
    restarts: int = Field(0, ge=0, description="train again from another seed where development stays at the baseline, so many times")
    noise: float = Field(0.0, ge=0, description="standard deviation of noise on embeddings in training (0.075: Artetxe et al. 2020)")
    noise_relative: bool = Field(False, description="noise in parts of the root mean square of each table of embeddings")
    stride: int = Field(64, ge=0, description="tokens that neighbouring windows of a long context share")

    @model_validator(mode="after")
    def _no_new(self) -> "TaskSettings":
        if any("new" in parts for parts in (*self.all_parts(), self.freeze)):
            raise RecipeError("The part 'new' is of a transfer: a task model has no new tokens. Use 'words'.")
        return self


@dataclass(frozen=True, slots=True)
class Kind:
    """A shape of problem. Functions, in the order they are called:

    labels(examples) -> what the head tells apart, sorted; [] where it tells nothing apart.
    build(name, labels) -> the model `name` (folder or hub id) with a head, its new weights drawn by torch's global generator.
    encode(examples, tokenizer, labels, settings) -> items: named arrays of one input each, `input_ids` (length,) among them. Each has
        `example`, (): the number of its example (an example may have several items, or none). Names of one's own may be of any rank.
    count(batch) -> how many predictions a batch holds: losses are summed and divided by it over the whole global batch.
    loss(model, batch) -> summed loss, ().
    outputs(model, batch) -> for each item of the batch, a tuple of numpy arrays, cut to the item.
    decode(examples, items, outputs, labels, settings) -> a prediction for each example, of plain JSON types.
    """

    labels: Callable[[Sequence[Any]], list[str]]
    build: Callable[[str, list[str]], Any]
    encode: Callable[..., list[Item]]
    count: Callable[[Batch], int]
    loss: Callable[[Any, Batch], torch.Tensor]
    outputs: Callable[[Any, Batch], list[tuple[Array, ...]]]
    decode: Callable[..., list[Any]]


@dataclass(frozen=True, slots=True)
class Task:
    """A kind with a format and measures.

    read(path) -> examples of a file or folder. Raises TextError, naming file and line, where the format is another.
    row(example, prediction) -> numbers of one example, (k,). reduce(rows (n, k)) -> scores by name, 0 to 1 (correlations: -1 to 1).
    baseline(train, examples) -> predictions that need no model (the most frequent label, …); train may be empty: then from examples.
    main: the score that development sets are judged by. defaults: settings that differ for this task.
    gold(example) -> what is right, of plain JSON types, for the file of predictions.
    spellings: how labels may be written, in small letters, each with the label it means, where all labels are known beforehand.
    write(examples, predictions, path): predictions in the field's own format too, in a file with this `ending`.
    """

    kind: Kind
    read: Callable[[Path], list[Any]]
    row: Callable[[Any, Any], Sequence[float]]
    reduce: Callable[[Array], dict[str, float]]
    baseline: Callable[[Sequence[Any], Sequence[Any]], list[Any]]
    gold: Callable[[Any], Any]
    main: str = "accuracy"
    defaults: Mapping[str, Any] = field(default_factory=dict)
    about: str = ""
    spellings: Mapping[str, str] = field(default_factory=dict)
    write: Callable[[Sequence[Any], Sequence[Any], Path], None] | None = None
    ending: str = ""


def scores(task: Task, examples: Sequence[Any], predictions: Sequence[Any]) -> dict[str, float]:
    """Scores of predictions, one for each example."""
    return task.reduce(rows(task, examples, predictions))


def rows(task: Task, examples: Sequence[Any], predictions: Sequence[Any]) -> Array:
    """(n, k) the numbers that `reduce` makes scores of; resampling their rows gives bootstrap intervals."""
    return np.array([task.row(*pair) for pair in zip(examples, predictions, strict=True)], dtype=np.float64)


def collate(items: Sequence[Item], pad: int, device: torch.device | str = "cpu") -> Batch:
    """A batch of items: arrays padded at their ends to the longest, and `attention_mask` beside them where items have none of their own."""
    names = [name for name in items[0] if name != "example"]
    batch = {name: padded([item[name] for item in items], pad if name == "input_ids" else PADDING.get(name, 0)) for name in names}
    if "attention_mask" not in batch:
        batch["attention_mask"] = padded([np.ones(len(item["input_ids"]), dtype=np.int64) for item in items], 0)
    return {name: torch.from_numpy(array).to(device) for name, array in batch.items()}


def padded(arrays: Sequence[Array], value: int) -> Array:
    """Arrays of one rank as one, `value` at the ends of the shorter ones."""
    if not arrays[0].ndim:
        return np.array(arrays)
    found = np.full([len(arrays), *np.max([array.shape for array in arrays], axis=0)], value, dtype=arrays[0].dtype)
    for number, array in enumerate(arrays):
        found[number][tuple(slice(0, size) for size in array.shape)] = array
    return found
