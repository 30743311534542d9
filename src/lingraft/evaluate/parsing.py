"""Dependency parsing: deep biaffine attention (Dozat & Manning 2017) on the encoder, a word being its first piece (TreLM, appendix A.6)."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from lingraft.evaluate.biaffine import Parser, inside
from lingraft.evaluate.heads import headed
from lingraft.evaluate.tagging import windows
from lingraft.evaluate.task import Array, Batch, Item, Kind, Task, TaskSettings
from lingraft.evaluate.trees import ROOT, Prediction, Tree, attachment, read_trees, tree_row, write_conllu

JOIN = "parataxis"
"""How a sentence's later windows hang on the root of its first."""


def labels(examples: Sequence[Tree]) -> list[str]:
    """All relations, subtypes included, sorted."""
    return sorted({relation for tree in examples for relation in tree.relations})


def build(name: str, names: list[str]) -> Any:
    """The encoder and a parser."""
    return headed(name, lambda width: Parser(width, len(names)), names)


def encode(examples: Sequence[Tree], tokenizer: Any, names: list[str], settings: TaskSettings) -> list[Item]:
    """Items of input_ids, first (n,) where words begin, words () how many, heads (n,) and labels (n,): their relations' numbers.

    Heads count from 1 in the window, 0 is the root; what is outside the window, or unknown, is -100.
    """
    number = {name: i for i, name in enumerate(names)}
    items = []
    for place, tree in enumerate(examples):
        for window in windows(tree.words, tokenizer, settings.length):
            start, size = window.words.start, len(window.words)
            heads = np.array([tree.heads[word] for word in window.words])
            near = np.where((heads > start) & (heads <= start + size), heads - start, np.where(heads == 0, 0, -100))
            relations = np.array([number.get(tree.relations[word], -100) for word in window.words])
            items.append(
                {
                    "input_ids": np.array(window.ids),
                    "first": np.array(window.first),
                    "words": np.array(size),
                    "heads": near,
                    "labels": np.where(near >= 0, relations, -100),
                    "example": np.array(place),
                }
            )
    return items


def count(batch: Batch) -> int:
    """Words."""
    return int(batch["words"].sum())


def loss(model: Any, batch: Batch) -> torch.Tensor:
    """Cross entropies of the heads, and of the relations at the right heads, summed."""
    arcs, heads, relations = model(**{name: batch[name] for name in ("input_ids", "attention_mask", "first", "words", "heads")})
    heads = heads.masked_fill(~inside(batch["words"], heads.shape[1]), -100)
    return functional.cross_entropy(arcs.flatten(0, 1), heads.flatten(), reduction="sum") + functional.cross_entropy(
        relations.flatten(0, 1), batch["labels"].flatten(), reduction="sum"
    )


def outputs(model: Any, batch: Batch) -> list[tuple[Array, ...]]:
    """Heads (n,) of the best tree, and scores of the relations there (n, relations)."""
    _, heads, relations = model(**{name: batch[name] for name in ("input_ids", "attention_mask", "first", "words")})
    pairs = zip(heads.cpu().numpy(), relations.cpu().numpy(), batch["words"].tolist(), strict=True)
    return [(row[:words], scores[:words]) for row, scores, words in pairs]


def decode(
    examples: Sequence[Tree], items: Sequence[Item], found: Sequence[tuple[Array, ...]], names: list[str], settings: TaskSettings
) -> list[Prediction]:
    """[head, relation] of each word; the root's relation is `root`, and only the root's.

    Where a sentence took several windows, each is parsed alone, and the later ones' roots become dependents of the first's.
    """
    trees: list[Prediction] = [[] for _ in examples]
    roots: dict[int, int] = {}
    others = [i for i, name in enumerate(names) if name != ROOT] or [0]
    for item, (heads, scores) in zip(items, found, strict=True):
        tree = trees[int(item["example"])]
        start = len(tree)
        best = [names[others[i]] for i in scores[:, others].argmax(axis=1)]
        top = int(np.flatnonzero(heads == 0)[0])
        arcs: Prediction = [[int(head) + start, relation] for head, relation in zip(heads, best, strict=True)]
        arcs[top] = [roots[int(item["example"])], JOIN] if start else [0, ROOT]
        roots.setdefault(int(item["example"]), top + 1)
        tree += arcs
    return trees


PARSING = Kind(labels, build, encode, count, loss, outputs, decode)


def neighbour(train: Sequence[Tree], examples: Sequence[Tree]) -> list[Prediction]:
    """Every word hangs on its left neighbour, or every one on its right: what is better in training, with the relation most frequent
    there."""
    known = train or examples
    counts = {side: Counter(relation for tree in known for relation in _neighbourly(tree, side)) for side in (-1, 1)}
    side = max(counts, key=lambda each: counts[each].total())
    relation = min(counts[side], key=lambda name: (-counts[side][name], name), default=ROOT)
    return [_chain(tree, side, relation) for tree in examples]


def _neighbourly(tree: Tree, side: int) -> list[str]:
    """The relations of words to their neighbour on that side."""
    return [
        relation for word, (head, relation) in enumerate(zip(tree.heads, tree.relations, strict=True), 1) if head and head == word + side
    ]


def _chain(tree: Tree, side: int, relation: str) -> Prediction:
    size = len(tree.words)
    heads = [word + side for word in range(1, size + 1)]
    return [[head, relation] if 0 < head <= size else [0, ROOT] for head in heads]


def gold(example: Tree) -> Prediction:
    """[head, relation] of each word."""
    return [list(pair) for pair in zip(example.heads, example.relations, strict=True)]


TASK = Task(
    PARSING,
    read_trees,
    tree_row,
    attachment,
    neighbour,
    gold,
    main="las",
    defaults={"learning_rate": 1e-4, "epochs": 10.0, "warmup": 0.1},
    about="dependency parsing (CoNLL-U): deep biaffine attention, scored as in the CoNLL 2018 evaluation",
    write=write_conllu,
    ending="conllu",
)
