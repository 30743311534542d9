"""fast_align (Dyer et al. 2013): IBM Model 2 with a diagonal prior, trained by expectation maximisation on arrays.

p(f, a | e) = prod over j of p(a_j | j, m, n) p(f_j | e_{a_j}); p(a_j = 0) = 0.08 for the empty word, p(a_j = i) = 0.92 exp(-tension
|i/m - j/n|) / Z_j. The lexical table has a Dirichlet prior (variational Bayes).

Only words that stand in a pair of sentences together have a cell in it.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

import numpy as np
import scipy.sparse
from scipy.special import digamma

EMPTY_WORD = np.float32(0.08)  # prior probability that a target word has no source word
ALPHA = 0.01  # of the Dirichlet prior over the translations of a word
# Fixed. Fitted to the data, as in the paper, the tension grows to 8-14, and fewer links agree with a dictionary (docs/log.md).
TENSION = np.float32(2)
UNSEEN = 1e-9  # probability of two words without a cell
LEAST = 1e-20  # of those with one: never 0, so that no sum is
FILE = "table.safetensors"
BLOCK = 1 << 21  # pairs of word positions at a time: about 100 MB

Ints = np.ndarray[Any, np.dtype[np.int32]]
Floats = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True, slots=True)
class Side:
    """One side of many pairs: the ids of their words, one after the other, and the number of words of each."""

    ids: Ints
    lengths: Ints

    def part(self, first: int, last: int) -> "Side":
        """The pairs from `first` to before `last`."""
        start = int(self.lengths[:first].sum())
        return Side(self.ids[start : start + int(self.lengths[first:last].sum())], self.lengths[first:last])

    def relative(self) -> Floats:
        """(words,) position of every word in its sentence, the last one 1."""
        positions = np.arange(1, len(self.ids) + 1, dtype=np.int32) - np.repeat(_starts(self.lengths), self.lengths)
        return (positions / np.repeat(self.lengths, self.lengths)).astype(np.float32)


def _starts(lengths: Ints) -> Ints:
    return np.cumsum(lengths, dtype=np.int32) - lengths


@dataclass(frozen=True, slots=True)
class Block:
    """All pairs of positions of some pairs of sentences: a target word with every source word, then the next target word.

    source, target  (cells,) ids of the words
    prior           (cells,) weight of the source position, the nearer to the diagonal the higher
    words           (words,) ids of the target words
    widths, starts  (words,) how many cells each has, and the first of them
    """

    source: Ints
    target: Ints
    prior: Floats
    words: Ints
    widths: Ints
    starts: Ints

    @classmethod
    def of(cls, source: Side, target: Side) -> "Block":
        """All cells of the pairs."""
        widths = np.repeat(source.lengths, target.lengths)
        starts = _starts(widths)
        firsts = np.repeat(_starts(source.lengths), target.lengths) - starts
        places = np.arange(widths.sum(), dtype=np.int32) + np.repeat(firsts, widths)
        distance = np.abs(source.relative()[places] - np.repeat(target.relative(), widths))
        return cls(source.ids[places], np.repeat(target.ids, widths), np.exp(-TENSION * distance), target.ids, widths, starts)

    def sums(self, values: Floats) -> Floats:
        """(words,) sums over the cells of every target word."""
        return np.add.reduceat(values, self.starts)

    def spread(self, values: Floats) -> Floats:
        """(cells,) the value of every target word, for each of its cells."""
        return np.repeat(values, self.widths)


def _blocks(source: Side, target: Side) -> Iterator[Block]:
    """The pairs in blocks of about BLOCK cells."""
    ends = np.cumsum(source.lengths.astype(np.int64) * target.lengths)
    cuts = np.unique(np.append(np.searchsorted(ends, np.arange(0, ends[-1:].sum(), BLOCK)), len(ends)))
    return (Block.of(source.part(first, last), target.part(first, last)) for first, last in pairwise(cuts.tolist()))


@dataclass(frozen=True)
class FastAlign:
    """A trained model of one direction: every target word has at most one source word.

    places   (num_source + 1, num_target + 1) int32: where p(target | source) stands in `lexical`; the last row and column are unknown words
    lexical  (cells + 1,) p(target | source); the first is UNSEEN, for words without a cell
    empty    (num_target + 1,) p(target | the empty word)
    """

    places: scipy.sparse.csr_array
    lexical: Floats
    empty: Floats

    @classmethod
    def train(cls, source: Side, target: Side, iterations: int) -> "FastAlign":
        """A model of pairs none of which has an empty side."""
        places = _together(source, target)
        model = cls(places, np.ones(places.nnz + 1, np.float32), np.ones(places.shape[1], np.float32))
        with tempfile.TemporaryFile() as spool:
            for iteration in range(iterations):
                model = model._improved(source, target, spool, is_first=iteration == 0)
        return model

    def best(self, source: Side, target: Side) -> Ints:
        """(target words,) the likeliest source position of every target word, counted from 1; 0 for none."""
        found = [np.zeros(0, np.int32)]
        for block in _blocks(source, target):
            weights = self.lexical[self.places[block.source, block.target]] * block.prior
            most = np.maximum.reduceat(weights, block.starts)
            hits = np.flatnonzero(weights == block.spread(most)).astype(np.int32)
            first = hits[np.searchsorted(hits, block.starts)]
            is_linked = most * ((1 - EMPTY_WORD) / block.sums(block.prior)) > EMPTY_WORD * self.empty[block.words]
            found.append(np.where(is_linked, first - block.starts + 1, 0))
        return np.concatenate(found)

    def save(self, folder: Path) -> None:
        """Write the model into a folder."""
        from safetensors.numpy import save_file

        arrays = {"indptr": self.places.indptr, "indices": self.places.indices, "lexical": self.lexical, "empty": self.empty}
        save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, folder / FILE)

    @classmethod
    def load(cls, folder: Path) -> "FastAlign":
        """The model that `save` wrote."""
        from safetensors.numpy import load_file

        arrays = load_file(folder / FILE)
        numbers = np.arange(1, len(arrays["indices"]) + 1, dtype=np.int32)
        shape = (len(arrays["indptr"]) - 1, len(arrays["empty"]))
        places = scipy.sparse.csr_array((numbers, arrays["indices"], arrays["indptr"]), shape=shape)
        return cls(places, arrays["lexical"], arrays["empty"])

    def _improved(self, source: Side, target: Side, spool: IO[bytes], is_first: bool) -> "FastAlign":
        """One iteration: expected counts of links, then the table that they give. The first one notes in `spool` where each cell stands."""
        counts, empty = np.zeros(len(self.lexical)), np.zeros(len(self.empty))
        spool.seek(0)
        for block in _blocks(source, target):
            if is_first:
                (places := self.places[block.source, block.target]).tofile(spool)
            else:
                places = np.fromfile(spool, np.int32, len(block.source))
            weights = self.lexical[places] * block.prior
            factor = (1 - EMPTY_WORD) / block.sums(block.prior)
            none = EMPTY_WORD * self.empty[block.words]
            total: Floats = factor * block.sums(weights) + none
            weights *= block.spread(factor / total)
            counts += np.bincount(places, weights, len(counts))
            empty += np.bincount(block.words, none / total, len(empty))
        rows = np.repeat(np.arange(self.places.shape[0]), np.diff(self.places.indptr))
        seen = np.bincount(target.ids, minlength=len(empty)) > 0
        return FastAlign(
            self.places,
            np.append(np.float32(UNSEEN), _probabilities(counts[1:], rows)),
            np.where(seen, _probabilities(empty, np.where(seen, 0, 1)), np.float32(UNSEEN)),
        )


def _together(source: Side, target: Side) -> scipy.sparse.csr_array:
    """(source words + 1, target words + 1) a number, from 1 on, for every two words that stand in a pair of sentences together."""
    together = scipy.sparse.csr_array(_presence(source).T.tocsr() @ _presence(target))
    together.sort_indices()
    together.data = np.arange(1, together.nnz + 1, dtype=np.int32)
    return together


def _presence(side: Side) -> scipy.sparse.csr_array:
    """(pairs, words + 1) a 1 for every word of every pair; the last column is for unknown words."""
    parts = np.ones(len(side.ids), np.float32), side.ids, np.append(0, np.cumsum(side.lengths))
    return scipy.sparse.csr_array(parts, shape=(len(side.lengths), int(side.ids.max()) + 2))


def _probabilities(counts: np.ndarray[Any, Any], group: np.ndarray[Any, Any]) -> Floats:
    """exp of the mean log probability within each group, given expected counts and the Dirichlet prior."""
    totals = np.bincount(group, counts + ALPHA)
    return np.maximum(np.exp(digamma(counts + ALPHA) - digamma(totals)[group]), LEAST).astype(np.float32)
