"""Pieces of words: the ids that a tokenizer cuts texts into, and vectors of pieces from vectors of words."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import TypeVar

import numpy as np
import scipy.sparse
from transformers import PreTrainedTokenizerBase

from lingraft.vectors.static import Floats, Vectors

Item = TypeVar("Item")
AT_ONCE = 10_000


def batched(items: Iterable[Item]) -> Iterator[list[Item]]:
    """Lists of at most AT_ONCE of the items."""
    rest = iter(items)
    while some := list(islice(rest, AT_ONCE)):
        yield some


def encode(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[list[int]]:
    """Ids of each text, without specials and unknowns."""
    unknown, fast = tokenizer.unk_token_id, getattr(tokenizer, "_tokenizer", None)
    if fast is None:
        encoded = tokenizer(list(texts), add_special_tokens=False)["input_ids"] if texts else []
    else:  # straight from the backend: transformers takes twice as long to make its own objects of the same ids
        fast.no_truncation()
        fast.no_padding()
        encoded = [encoding.ids for encoding in fast.encode_batch_fast(list(texts), add_special_tokens=False)]
    return [[i for i in ids if i != unknown] if unknown in ids else ids for ids in encoded]


def before_words(tokenizer: PreTrainedTokenizerBase) -> str:
    """What makes a lone word spelled as inside a text: a space, where the tokenizer neither ignores one nor puts one there itself."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    tried = zip(encode(tokenizer, list(letters)), encode(tokenizer, [f" {letter}" for letter in letters]), strict=True)
    return " " if any(len(inside) == len(alone) and inside != alone for alone, inside in tried) else ""


def subword_vectors(tokenizer: PreTrainedTokenizerBase, vectors: Vectors, matrix: Floats, size: int) -> Floats:
    """(size, d) mean of the vectors of the words that each token is a piece of (with and without a space before them), by frequency.

    matrix: (words, d), the rows of `vectors` as they are to be used. Zeros for tokens in no word.
    """
    words = vectors.words
    frequency = 1 / np.arange(1, len(words) + 1) if vectors.counts is None else np.asarray(vectors.counts, dtype=float)
    pieces = scipy.sparse.csr_array((size, len(words)), dtype=np.float64)
    for before in sorted({"", before_words(tokenizer)}):
        encoded = [ids for some in batched(words) for ids in encode(tokenizer, [before + word for word in some])]
        lengths = np.fromiter(map(len, encoded), dtype=np.int64, count=len(words))
        tokens = np.fromiter(chain.from_iterable(encoded), dtype=np.int64, count=lengths.sum())
        found = scipy.sparse.csr_array((np.ones(len(tokens)), (tokens, np.repeat(np.arange(len(words)), lengths))), shape=pieces.shape)
        found.data[:] = frequency[found.indices]  # a piece that comes twice in a word counts once, as in WECHSEL
        pieces += found
    total = np.asarray(pieces.sum(axis=1))
    pieces.data /= np.repeat(total, np.diff(pieces.indptr))
    return np.asarray(pieces.astype(np.float32) @ matrix)
