"""Multiple choice: each option is read with the passage, and a softmax over the scores of a question's options picks one (SWAG's way,
Devlin et al. 2019, section 4.4), by transformers' own multiple choice head."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from lingraft.evaluate.classification import all_items, encode_texts, inputs, nothing
from lingraft.evaluate.clue import BLANK, Question, read_c3, read_chid, read_questions
from lingraft.evaluate.heads import load_with_head
from lingraft.evaluate.task import Array, Batch, Item, Kind, Task, TaskSettings, padded


def build(name: str, names: list[str]) -> Any:
    """A model with transformers' multiple choice head."""
    return load_with_head(name, "choice", [])


def encode(examples: Sequence[Question], tokenizer: Any, names: list[str], settings: TaskSettings) -> list[Item]:
    """Items of input_ids, token_type_ids and attention_mask (options, length), options (): how many, and labels (): the right one.

    An option is read as passage, then question and option, the passage cut to fit. The mask token stands for a BLANK.
    """
    blank = tokenizer.mask_token or "____"
    items = []
    for number, example in enumerate(examples):
        first = example.context.replace(BLANK, blank)
        seconds = [f"{example.question} {option}".strip() for option in example.options]
        encoded = encode_texts([first] * len(seconds), seconds, tokenizer, settings.length)
        item = {name: padded([option[name] for option in encoded], 0) for name in encoded[0]}
        item["attention_mask"] = padded([np.ones_like(option["input_ids"]) for option in encoded], 0)
        item |= {"options": np.array(len(seconds)), "labels": np.array(example.label), "example": np.array(number)}
        items.append(item)
    return items


def scores(model: Any, batch: Batch) -> torch.Tensor:
    """(batch, options) logits, minus infinity where a question has fewer options than another."""
    there = torch.arange(batch["input_ids"].shape[1], device=batch["options"].device) < batch["options"][:, None]
    given = inputs(model, batch)
    given["attention_mask"] = given["attention_mask"].clone()
    given["attention_mask"][~there] = 1  # attention over nothing is not a number
    return model(**given).logits.float().masked_fill(~there, -torch.inf)


def loss(model: Any, batch: Batch) -> torch.Tensor:
    """Cross entropy of the right options, summed."""
    return functional.cross_entropy(scores(model, batch), batch["labels"], reduction="sum")


def outputs(model: Any, batch: Batch) -> list[tuple[Array, ...]]:
    """The logits of each question's options, (options,)."""
    rows = scores(model, batch).cpu().numpy()
    return [(row[:number],) for row, number in zip(rows, batch["options"].tolist(), strict=True)]


def decode(
    examples: Sequence[Question], items: Sequence[Item], found: Sequence[tuple[Array, ...]], names: list[str], settings: TaskSettings
) -> list[int]:
    """The number of the best option of each question."""
    return [int(logits.argmax()) for (logits,) in found]


CHOICE = Kind(nothing, build, encode, all_items, loss, outputs, decode)


def right_row(example: Question, prediction: int) -> tuple[int]:
    """Whether it is right."""
    return (int(example.label == prediction),)


def accuracy(rows: Array) -> dict[str, float]:
    """Share of the questions that are answered right."""
    return {"accuracy": float(rows.mean()) if len(rows) else 0.0}


def most_frequent(train: Sequence[Question], examples: Sequence[Question]) -> list[int]:
    """The place at which the right option most often stands, or the last there is."""
    counts = Counter(example.label for example in (train or examples))
    best = min(counts, key=lambda place: (-counts[place], place))
    return [min(best, len(example.options) - 1) for example in examples]


def gold(example: Question) -> int:
    """The number of the right option."""
    return example.label


def _task(read: Any, about: str, **defaults: Any) -> Task:
    return Task(CHOICE, read, right_row, accuracy, most_frequent, gold, defaults=defaults, about=about)


CHOICE_TASKS: Mapping[str, Task] = {
    "choice": _task(read_questions, "questions of your own with options"),
    "clue/c3": _task(read_c3, "questions about Chinese dialogues and texts (Sun et al. 2020)", batch=24, length=512, epochs=8.0),
    "clue/chid": _task(read_chid, "the Chinese idiom that is missing (Zheng et al. 2019)", batch=24),
}
