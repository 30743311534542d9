"""Dependency trees: CoNLL-U in and out, the best tree of scores, UAS and LAS."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from conllu.models import Token
from ufal.chu_liu_edmonds import chu_liu_edmonds

from lingraft.errors import TextError
from lingraft.evaluate.columns import Lines, conllu_words
from lingraft.evaluate.task import Array
from lingraft.files import write_text

ROOT = "root"
"""The relation of the word whose head is 0, in Universal Dependencies."""


@dataclass(frozen=True, slots=True)
class Tree:
    """A sentence with its dependencies. heads: the number of each word's head, from 1; 0: it is the root. lines: as in the file.
    tags: universal parts of speech."""

    words: list[str]
    heads: list[int]
    relations: list[str]
    lines: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)


Prediction = list[list[int | str]]
"""[head, relation] of each word."""


def read_trees(path: Path) -> list[Tree]:
    """The trees of a CoNLL-U file. Raises TextError where a sentence is no tree with one root, as the CoNLL 2018 evaluation does."""
    return [_tree(path, block, words) for block, words in conllu_words(path)]


def _tree(path: Path, block: Lines, words: list[tuple[int, Token]]) -> Tree:
    forms, heads, relations, tags = ([token[name] for _, token in words] for name in ("form", "head", "deprel", "upos"))
    check_tree(heads, forms, [f"{path}, line {number}" for number, _ in words])
    return Tree(forms, heads, relations, [line for _, line in block], tags)


def check_tree(heads: Sequence[int | None], words: Sequence[str], places: Sequence[str]) -> None:
    """Raise TextError where heads, numbers of words from 1 or 0, are no tree with one root. places: where each word stands."""
    for head, word, place in zip(heads, words, places, strict=True):
        if head is None or not 0 <= head <= len(words):
            shown = "_" if head is None else head
            raise TextError(f"{place}: the head of {word!r} is {shown}. It must be a word of 1 to {len(words)}, or 0.")
    whole = [head for head in heads if head is not None]
    roots = [place for place, head in zip(places, heads, strict=True) if head == 0]
    if len(roots) > 1:
        raise TextError(f"{roots[1]}: a second root in this sentence (the first is in {roots[0]}). A tree has one.")
    for start, (word, place) in enumerate(zip(words, places, strict=True), 1):
        if not _reaches_root(whole, start):
            raise TextError(f"{place}: the heads above {word!r} form a circle. A tree leads every word to head 0.")


def _reaches_root(heads: Sequence[int], word: int) -> bool:
    for _ in heads:
        word = heads[word - 1]
        if word == 0:
            return True
    return False


def write_conllu(examples: Sequence[Tree], predictions: Sequence[Prediction], path: Path) -> None:
    """Write predicted heads and relations as CoNLL-U; all else stays as it was read.

    Enhanced dependencies (column 9) of words are left out: they would be those of the trees that were read. Raises OSError.
    """
    write_text(path, "".join(_predicted(*pair) for pair in zip(examples, predictions, strict=True)))


def _predicted(example: Tree, prediction: Prediction) -> str:
    lines = example.lines or ["\t".join([str(n), word, *"________"]) for n, word in enumerate(example.words, 1)]
    arcs, found = iter(prediction), []
    for line in lines:
        columns = line.split("\t")
        if columns[0].isdigit():
            columns[6:9] = [*map(str, next(arcs)), "_"]
        found.append("\t".join(columns))
    return "\n".join(found) + "\n\n"


def best_tree(scores: Array) -> Array:
    """(n,) heads, 0 to n, of the best tree with one root. scores: (n, n + 1) of each word (row) for each head (column 0: root).

    Chu and Liu's and Edmonds' algorithm. What every arc from the root loses outweighs all else that arcs can differ by, so that the best
    tree has the fewest such arcs: one.
    """
    size = len(scores)
    square = np.zeros((size + 1, size + 1))
    square[1:] = scores
    words = np.arange(1, size + 1)
    square[words, words] = np.inf  # no word is its own head: kept out of the minimum
    low = square[1:].min()
    square[words, words] = low
    square[1:, 0] -= (size + 1) * (square[1:].max() - low + 1)
    return np.array(chu_liu_edmonds(square)[0][1:], dtype=np.int64)


def tree_row(example: Tree, prediction: Prediction) -> tuple[int, int, int]:
    """Words whose head is right, those whose universal relation (before a colon) is right too, and all: as the CoNLL 2018 evaluation."""
    pairs = list(zip(example.heads, example.relations, prediction, strict=True))
    heads = [head == found for head, _, (found, _) in pairs]
    relations = [_universal(relation) == _universal(str(found)) for _, relation, (_, found) in pairs]
    return sum(heads), sum(a and b for a, b in zip(heads, relations, strict=True)), len(pairs)


def _universal(relation: str) -> str:
    return relation.partition(":")[0]


def attachment(rows: Array) -> dict[str, float]:
    """Unlabelled and labelled attachment score: the shares of all words, punctuation included."""
    heads, both, total = rows.sum(axis=0)
    return {"uas": heads / max(total, 1), "las": both / max(total, 1)}
