"""Sentences with the distances between their words in the tree of dependencies."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from conllu import parse
from conllu.exceptions import ParseException
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree, shortest_path

from lingraft.errors import TextError
from lingraft.evaluate.probes.base import read_lines
from lingraft.evaluate.task import Array

COLUMNS = ["id", "form", "lemma", "upos", "xpos", "feats", "head"]
Edges = set[tuple[int, int]]


@dataclass(frozen=True)
class Sentence:
    """Words, from 0. heads: (n,) the number of each word's head, -1: root. is_word: (n,) False for punctuation."""

    words: list[str]
    heads: Array
    is_word: Array

    @cached_property
    def distances(self) -> Array:
        """(n, n) edges between two words in the tree."""
        return np.asarray(shortest_path(_adjacency(self.heads), directed=False, unweighted=True), dtype=np.float32)

    @cached_property
    def edges(self) -> Edges:
        """Gold edges without punctuation."""
        return spanning_edges(self.distances, self.is_word)


def spanning_edges(distances: Array, is_word: Array) -> Edges:
    """Edges (smaller, larger word) of the minimum spanning tree of distances (n, n), punctuation left out (Hewitt & Manning 2019, UUAS)."""
    kept = np.flatnonzero(is_word)
    if len(kept) < 2:
        return set()
    inner = np.triu(distances[np.ix_(kept, kept)] + 1.0, 1)  # scipy takes 0 for no edge; 1 more everywhere leaves the tree as it is
    rows, columns = minimum_spanning_tree(inner).nonzero()
    return {(int(min(pair)), int(max(pair))) for pair in zip(kept[rows], kept[columns], strict=True)}


def read_sentences(path: Path) -> list[Sentence]:
    """The sentences of a CoNLL-U file that have two words or more: no multiword tokens, no empty nodes.

    Raises TextError, naming the line, where it is not CoNLL-U or a sentence is not a tree.
    """
    found, block = [], []
    for number, line in enumerate([*read_lines(path), ""], 1):
        if line.strip():
            block.append(line)
        elif block:
            found.append(_sentence(block, f"{path}, line {number - len(block)}"))
            block = []
    return [sentence for sentence in found if len(sentence.words) > 1]


def _sentence(block: list[str], place: str) -> Sentence:
    try:
        tokens = [token for tokens in parse("\n".join(block) + "\n", fields=COLUMNS) for token in tokens if isinstance(token["id"], int)]
        heads = np.array([int(token["head"]) for token in tokens]) - 1
    except (ParseException, KeyError, TypeError, ValueError) as error:
        reason = "a word without a head" if isinstance(error, TypeError) else str(error).splitlines()[0]
        raise TextError(f"{place}: this sentence is not CoNLL-U with heads ({reason}). Its ten columns are separated by tabs.") from None
    is_inside = bool(len(heads)) and bool(((heads >= -1) & (heads < len(heads))).all())
    if len(heads) and not (is_inside and (heads < 0).sum() == 1 and connected_components(_adjacency(heads), directed=False)[0] == 1):
        raise TextError(f"{place}: the heads of this sentence do not make a tree with one root. Correct them, or leave the sentence out.")
    return Sentence([token["form"] for token in tokens], heads, np.array([token["upos"] != "PUNCT" for token in tokens], dtype=bool))


def _adjacency(heads: Array) -> csr_array:
    below = np.flatnonzero(heads >= 0)
    return csr_array((np.ones(len(below)), (below, heads[below])), shape=(len(heads), len(heads)))
