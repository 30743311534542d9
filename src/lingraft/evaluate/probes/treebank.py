"""Sentences with the distances between their words in the tree of dependencies."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import minimum_spanning_tree, shortest_path

from lingraft.evaluate.records import TREEBANK, in_folders
from lingraft.evaluate.task import Array
from lingraft.evaluate.trees import read_trees

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
    """The sentences of a CoNLL-U file, or of a folder's, that have two words or more. Raises TextError where one is no tree with one
    root."""
    return [
        Sentence(tree.words, np.array(tree.heads) - 1, np.array([tag != "PUNCT" for tag in tree.tags]))
        for tree in in_folders(read_trees, TREEBANK)(path)
        if len(tree.words) > 1
    ]


def _adjacency(heads: Array) -> csr_array:
    below = np.flatnonzero(heads >= 0)
    return csr_array((np.ones(len(below)), (below, heads[below])), shape=(len(heads), len(heads)))
