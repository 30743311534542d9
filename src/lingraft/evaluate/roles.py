"""Semantic role labelling from end to end (Cai et al. 2018) on the encoder: predicates, their senses, and their arguments' roles."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from lingraft.evaluate.biaffine import Roles, inside
from lingraft.evaluate.heads import headed
from lingraft.evaluate.propositions import Prediction, Propositions, read_propositions, role_f1, role_row, write_propositions
from lingraft.evaluate.tagging import Sentence, tag_of_each_word, windows
from lingraft.evaluate.task import Array, Batch, Item, Kind, Task, TaskSettings

SENSE, ROLE = "sense ", "role "
"""What the names of labels begin with."""
LEMMA = "~"
"""Stands for the word's lemma in the name of a sense, so that a sense of words never seen can be predicted: ~.01 of come is come.01."""


def to_label(sense: str, lemma: str) -> str:
    """A sense as a label: its number where it is one of the lemma's, else the whole."""
    return LEMMA + sense[len(lemma) :] if sense == lemma or sense.startswith(f"{lemma}.") else sense


def to_sense(label: str, lemma: str) -> str:
    """The sense that a label says."""
    return lemma + label[len(LEMMA) :] if label.startswith(LEMMA) else label


def labels(examples: Sequence[Propositions]) -> list[str]:
    """All roles and all senses, each with its kind before it, sorted."""
    senses = {SENSE + to_label(sense, each.lemmas[word - 1]) for each in examples for word, sense in each.predicates}
    return sorted(senses | {ROLE + role for each in examples for _, _, role in each.arguments})


def _split(names: list[str], kind: str) -> list[str]:
    """The labels of a kind, without it. Their numbers begin at 1: 0 is none."""
    return [name.removeprefix(kind) for name in names if name.startswith(kind)]


def build(name: str, names: list[str]) -> Any:
    """The encoder and a role labeller."""
    return headed(name, lambda width: Roles(width, len(_split(names, SENSE)), len(_split(names, ROLE))), names)


def encode(examples: Sequence[Propositions], tokenizer: Any, names: list[str], settings: TaskSettings) -> list[Item]:
    """Items of input_ids, first (n,) where words begin, words () how many, labels (n,): senses, roles (p, n): of its p predicates.

    0 is none, -100 unknown (a predicate of unknown sense has no row of roles). Arguments outside their predicate's window are left out;
    of two roles of one pair the last is learnt.
    """
    senses = {name: i for i, name in enumerate(_split(names, SENSE), 1)}
    roles = {name: i for i, name in enumerate(_split(names, ROLE), 1)}
    items = []
    for place, each in enumerate(examples):
        for window in windows(each.words, tokenizer, settings.length):
            number = {word + 1: i for i, word in enumerate(window.words)}
            targets = np.zeros(len(number), dtype=np.int64)
            for word, sense in each.predicates:
                if word in number:
                    targets[number[word]] = senses.get(to_label(sense, each.lemmas[word - 1]), -100)
            rows = {int(i): row for row, i in enumerate(np.flatnonzero(targets > 0))}
            table = np.zeros((len(rows), len(number)), dtype=np.int64)
            for predicate, word, role in each.arguments:
                if word in number and number.get(predicate) in rows:
                    table[rows[number[predicate]], number[word]] = roles.get(role, -100)
            items.append(
                {
                    "input_ids": np.array(window.ids),
                    "first": np.array(window.first),
                    "words": np.array(len(number)),
                    "labels": targets,
                    "roles": table,
                    "example": np.array(place),
                }
            )
    return items


def count(batch: Batch) -> int:
    """Words."""
    return int(batch["words"].sum())


def loss(model: Any, batch: Batch) -> torch.Tensor:
    """Cross entropies of the words' senses, and of the roles of all words for the right predicates, summed."""
    senses, wanted = batch["labels"], batch["roles"]
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask", "first", "words")}
    scores, (numbers, _), roles = model(**inputs, senses=senses)
    wanted = wanted[inside((senses > 0).sum(dim=1), wanted.shape[1])]  # (p, n), the padding's rows left out
    wanted = wanted.masked_fill(~inside(batch["words"], senses.shape[1])[numbers], -100)
    return functional.cross_entropy(scores.flatten(0, 1), senses.flatten(), reduction="sum") + functional.cross_entropy(
        roles.flatten(0, 1), wanted.flatten(), reduction="sum"
    )


def outputs(model: Any, batch: Batch) -> list[tuple[Array, ...]]:
    """The numbers of the best senses (n,), and of the best roles (p, n) of the predicates among them."""
    scores, (numbers, _), roles = model(**{name: batch[name] for name in ("input_ids", "attention_mask", "first", "words")})
    senses, best, numbers = scores.argmax(-1).cpu().numpy(), roles.argmax(-1).cpu().numpy(), numbers.cpu().numpy()
    return [(senses[i, :words], best[numbers == i, :words]) for i, words in enumerate(batch["words"].tolist())]


def decode(
    examples: Sequence[Propositions], items: Sequence[Item], found: Sequence[tuple[Array, ...]], names: list[str], settings: TaskSettings
) -> list[Prediction]:
    """Predicates and arguments of each sentence, those of its windows one after the other."""
    senses, roles = ["", *_split(names, SENSE)], ["", *_split(names, ROLE)]
    predictions: list[Prediction] = [{"predicates": [], "arguments": []} for _ in examples]
    starts: Counter[int] = Counter()
    for item, (best, table) in zip(items, found, strict=True):
        place = int(item["example"])
        start, lemmas, prediction = starts[place] + 1, examples[place].lemmas, predictions[place]
        predicates = np.flatnonzero(best) + start
        prediction["predicates"] += [[int(word), to_sense(senses[best[word - start]], lemmas[word - 1])] for word in predicates]
        prediction["arguments"] += [
            [int(predicates[row]), int(word) + start, roles[table[row, word]]] for row, word in zip(*np.nonzero(table), strict=True)
        ]
        starts[place] += int(item["words"])
    return predictions


ROLES = Kind(labels, build, encode, count, loss, outputs, decode)


def most_frequent_senses(train: Sequence[Propositions], examples: Sequence[Propositions]) -> list[Prediction]:
    """Every word is what it most often was in training, a predicate of some sense or none; an unknown one is none. No arguments."""
    tags = tag_of_each_word(*([_as_tags(each) for each in part] for part in (train, examples)))
    return [
        {
            "predicates": [[word, to_sense(tag, each.lemmas[word - 1])] for word, tag in enumerate(row, 1) if tag],
            "arguments": [],
        }
        for each, row in zip(examples, tags, strict=True)
    ]


def _as_tags(each: Propositions) -> Sentence:
    senses = dict(each.predicates)
    return Sentence(each.words, [to_label(senses[i], lemma) if i in senses else "" for i, lemma in enumerate(each.lemmas, 1)])


def gold(example: Propositions) -> Prediction:
    """What is there, as predictions are written."""
    return {"predicates": [list(pair) for pair in example.predicates], "arguments": [list(triple) for triple in example.arguments]}


TASK = Task(
    ROLES,
    read_propositions,
    role_row,
    role_f1,
    most_frequent_senses,
    gold,
    main="f1",
    defaults={"learning_rate": 1e-4, "epochs": 10.0, "warmup": 0.1},
    about="semantic role labelling from end to end (CoNLL-2009, Universal Propositions), predicates' senses included",
    write=write_propositions,
    ending="conll",
)
