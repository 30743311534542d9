"""Tagging: a label for each word, predicted at its first piece (Devlin et al. 2019, section 5.3)."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from lingraft.evaluate.heads import load_with_head
from lingraft.evaluate.task import Array, Batch, Item, Kind, TaskSettings


@dataclass(frozen=True, slots=True)
class Sentence:
    """Words and their labels."""

    words: list[str]
    tags: list[str]


@dataclass(frozen=True, slots=True)
class Window:
    """A part of a sentence as the model reads it. ids: (length,) with specials. starts: (n,) where its words begin. words: which of the
    sentence's these are.

    first: (n,) the place of each word's first piece that is no space alone, as Unigram writes the space before a mark that text has only
    behind words.
    """

    ids: list[int]
    starts: list[int]
    first: list[int]
    words: range


def windows(words: Sequence[str], tokenizer: Any, length: int) -> list[Window]:
    """A sentence as inputs of at most `length` tokens, each word in one of them; a word longer than that is cut."""
    before, after = specials_around(tokenizer)
    room = length - len(before) - len(after)
    pieces = [ids[:room] for ids in encode_words(words, tokenizer)]
    found, start, spaces = [], 0, _spaces(tokenizer)
    while start < len(pieces):
        end, ids, starts = start, list(before), []
        while end < len(pieces) and len(ids) + len(pieces[end]) <= length - len(after):
            starts.append(len(ids))
            ids += pieces[end]
            end += 1
        first = [place + (len(own) > 1 and own[0] in spaces) for place, own in zip(starts, pieces[start:end], strict=True)]
        found.append(Window(ids + after, starts, first, range(start, end)))
        start = end
    return found


def _spaces(tokenizer: Any) -> set[int]:
    """The ids of tokens that are a space alone."""
    found = (tokenizer.convert_tokens_to_ids(mark) for mark in ("▁", "Ġ"))
    return {i for i in found if i is not None and i != tokenizer.unk_token_id}


def encode_words(words: Sequence[str], tokenizer: Any) -> list[list[int]]:
    """The pieces of each word, as they are inside the sentence. One without any gets unknown, or else mask, or 0."""
    texts = [word if number == 0 else f" {word}" for number, word in enumerate(words)]
    encoded = tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"] if texts else []
    nothing = next((i for i in (tokenizer.unk_token_id, tokenizer.mask_token_id) if i is not None), 0)
    return [ids or [nothing] for ids in encoded]


def specials_around(tokenizer: Any) -> tuple[list[int], list[int]]:
    """The special tokens that stand before and after a text of one sequence."""
    mask = tokenizer("a", return_special_tokens_mask=True)
    ids, special = mask["input_ids"], np.array(mask["special_tokens_mask"], dtype=bool)
    text = np.flatnonzero(~special)
    first, last = (int(text[0]), int(text[-1]) + 1) if len(text) else (1, 1)
    return ids[:first], ids[last:]


def labels(examples: Sequence[Sentence]) -> list[str]:
    """All tags, sorted."""
    return sorted({tag for sentence in examples for tag in sentence.tags})


def encode(examples: Sequence[Sentence], tokenizer: Any, names: list[str], settings: TaskSettings) -> list[Item]:
    """Items of input_ids, labels (length,) with -100 at all but first pieces, first (n,) where words begin, and words (): how many."""
    number = {name: i for i, name in enumerate(names)}
    items = []
    for place, sentence in enumerate(examples):
        for window in windows(sentence.words, tokenizer, settings.length):
            targets = np.full(len(window.ids), -100)
            targets[window.first] = [number.get(sentence.tags[word], -100) for word in window.words]
            first = np.array(window.first, dtype=np.int64)
            items.append(
                {
                    "input_ids": np.array(window.ids),
                    "labels": targets,
                    "first": first,
                    "words": np.array(len(first)),
                    "example": np.array(place),
                }
            )
    return items


def loss(model: Any, batch: Batch) -> torch.Tensor:
    """Cross entropy at the first pieces, summed."""
    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    return functional.cross_entropy(logits.flatten(0, 1).float(), batch["labels"].flatten(), reduction="sum")


def outputs(model: Any, batch: Batch) -> list[tuple[Array, ...]]:
    """The number of the best label at each first piece."""
    best = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits.argmax(-1)
    chosen = best.gather(1, batch["first"]).cpu().numpy()
    return [(row[:words],) for row, words in zip(chosen, batch["words"].tolist(), strict=True)]


def decode(
    examples: Sequence[Sentence],
    items: Sequence[Item],
    found: Sequence[tuple[Array, ...]],
    names: list[str],
    settings: TaskSettings,
) -> list[list[str]]:
    """The tags of each sentence."""
    tags: list[list[str]] = [[] for _ in examples]
    for item, (best,) in zip(items, found, strict=True):
        tags[int(item["example"])] += [names[i] for i in best]
    return tags


def most_frequent(train: Sequence[Sentence], examples: Sequence[Sentence]) -> list[list[str]]:
    """The one most frequent tag everywhere: the majority baseline."""
    counts = Counter(tag for sentence in (train or examples) for tag in sentence.tags)
    tag = min(counts, key=lambda name: (-counts[name], name))
    return [[tag] * len(sentence.words) for sentence in examples]


def tag_of_each_word(train: Sequence[Sentence], examples: Sequence[Sentence]) -> list[list[str]]:
    """Every word gets the tag it most often had in training, an unknown one the most frequent of all; without training `most_frequent`."""
    if not train:
        return most_frequent(train, examples)
    seen: dict[str, Counter[str]] = defaultdict(Counter)
    for sentence in train:
        for word, tag in zip(sentence.words, sentence.tags, strict=True):
            seen[word][tag] += 1
            seen[""][tag] += 1
    best = {word: min(counts, key=lambda name: (-counts[name], name)) for word, counts in seen.items()}
    return [[best.get(word, best[""]) for word in sentence.words] for sentence in examples]


def count(batch: Batch) -> int:
    """Words that are predicted."""
    return int((batch["labels"] >= 0).sum())


def build(name: str, names: list[str]) -> Any:
    """A model with transformers' own token classification head."""
    return load_with_head(name, "token", names)


TAGGING = Kind(labels, build, encode, count, loss, outputs, decode)


def accuracy_row(example: Sentence, prediction: list[str]) -> tuple[float, float]:
    """Words that are right, and all."""
    return sum(a == b for a, b in zip(example.tags, prediction, strict=True)), len(example.tags)


def accuracy(rows: Array) -> dict[str, float]:
    """Share of the words that are right."""
    right, total = rows.sum(axis=0)
    return {"accuracy": right / max(total, 1)}


def spans(tags: Sequence[str]) -> set[tuple[str, int, int]]:
    """(type, first word, last word) of each entity, as CoNLL's evaluation reads BIO: a type that changes begins one, B or not."""
    found, start, kind = set(), 0, ""
    for place, tag in enumerate([*tags, "O"]):
        prefix, _, name = tag.partition("-")
        name = name or "_"
        if kind and (prefix in ("B", "O") or name != kind):
            found.add((kind, start, place - 1))
            kind = ""
        if prefix != "O" and not kind:
            start, kind = place, name
    return found


def span_row(example: Sentence, prediction: list[str]) -> tuple[int, int, int]:
    """Entities that are found exactly, found at all, and there."""
    gold, found = spans(example.tags), spans(prediction)
    return len(gold & found), len(found), len(gold)


def span_f1(rows: Array) -> dict[str, float]:
    """Micro-averaged precision, recall and F1 of entities."""
    right, found, gold = rows.sum(axis=0)
    return {"f1": 2 * right / max(found + gold, 1), "precision": right / max(found, 1), "recall": right / max(gold, 1)}
