"""Rows as mixtures of the rows of similar tokens, where similar is what vectors of tokens say."""

from collections.abc import Callable

import numpy as np
import scipy.sparse

from lingraft.embeddings.rows import Bools, Floats, Ints, NewRows, Vocabularies, copies, from_mix
from lingraft.errors import RecipeError

Weigh = Callable[[Floats], scipy.sparse.csr_array]

AT_ONCE = 1 << 23  # similarities that are held at once
NEIGHBOURS, TEMPERATURE = 10, 0.1


def wechsel(vocabularies: Vocabularies, new_vectors: Floats, old_vectors: Floats) -> NewRows:
    """WECHSEL (Minixhofer et al. 2022): the 10 nearest old tokens, weighted by the softmax of their cosines at temperature 0.1.

    new_vectors, old_vectors: (num_new, d), (num_old, d) in one space; a row of zeros has no vector, and its token's row is drawn.
    """
    return from_mix(vocabularies, similar(new_vectors, old_vectors, vocabularies.text, softmax_of_nearest))


def ofa(vocabularies: Vocabularies, overlap: Ints, new_vectors: Floats, old_vectors: Floats) -> NewRows:
    """OFA (Liu et al. 2024): copy identical strings; others as `wechsel`. (Its two factors are made by `rows.rank`, for any method.)

    overlap: (num_new,) old id of the same string, -1 for none. new_vectors, old_vectors: as for `wechsel`.
    """
    shared = np.flatnonzero(overlap >= 0)
    near = similar(np.where((overlap < 0)[:, None], new_vectors, 0), old_vectors, vocabularies.text, softmax_of_nearest)
    return from_mix(vocabularies, copies(vocabularies, shared, overlap[shared]) + near)


def ramen_mono(vocabularies: Vocabularies, new_vectors: Floats, old_vectors: Floats) -> NewRows:
    """RAMEN from monolingual text (Tran 2020): the sparsemax of the cosines to all old tokens.

    new_vectors, old_vectors: as for `wechsel`.
    """
    return from_mix(vocabularies, similar(new_vectors, old_vectors, vocabularies.text, sparsemax))


def focus(vocabularies: Vocabularies, overlap: Ints, own_vectors: Floats) -> NewRows:
    """FOCUS (Dobler & de Melo 2023): copy identical strings; others by the sparsemax of their cosines to those, in the target's own space.

    overlap: (num_new,) old id of the same string, -1 for none. own_vectors: (num_new, d), a row of zeros where there is none.
    """
    return _by_the_copied(vocabularies, overlap, own_vectors, sparsemax)


def clp(vocabularies: Vocabularies, overlap: Ints, helper_vectors: Floats) -> NewRows:
    """CLP-Transfer (Ostendorff & Rehm 2023): copy identical strings; others in proportion to all their cosines to those.

    helper_vectors: (num_new, d) embeddings of the new tokens in another model. Weights may be negative. Where they nearly cancel out, or
    the negative ones outweigh the others, dividing by their sum would blow them up or turn them round: the row is drawn where the sum is
    below a hundredth of the sum of absolute values.
    """
    return _by_the_copied(vocabularies, overlap, helper_vectors, _proportional)


def clp_plus(vocabularies: Vocabularies, overlap: Ints, helper_vectors: Floats) -> NewRows:
    """CLP+ (Yamaguchi et al. 2024): as `clp`, with the sparsemax of the cosines for weights."""
    return _by_the_copied(vocabularies, overlap, helper_vectors, sparsemax)


def _by_the_copied(vocabularies: Vocabularies, overlap: Ints, vectors: Floats, weigh: Weigh) -> NewRows:
    """Copies where there is an overlap; else mixtures of the copied rows by the similarity of the new tokens' own vectors."""
    shared = np.flatnonzero((overlap >= 0) & vocabularies.new_text())
    if not len(shared):
        raise RecipeError(
            "No token of the new vocabulary is also in the source's, so this method has nothing to mix. Use rows.method = 'wechsel' "
            "(with vectors), 'ramen' (with --parallel) or 'rank'."
        )
    known = _has_vector(vectors)
    keys = np.zeros(len(overlap), dtype=bool)
    keys[shared] = known[shared]
    queries = np.where((overlap < 0)[:, None], vectors, 0)
    near = similar(queries, vectors, keys, weigh)
    mixed = scipy.sparse.csr_array((near.data, overlap[near.indices], near.indptr), shape=(vocabularies.num_new, vocabularies.num_old))
    return from_mix(vocabularies, copies(vocabularies, shared, overlap[shared]) + mixed)


def _has_vector(vectors: Floats) -> Bools:
    return np.asarray(vectors.any(axis=1))


def unit(vectors: Floats) -> Floats:
    """Rows at length 1; zeros stay zeros."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(norms > 0, norms, 1)).astype(np.float32, copy=False)


def similar(queries: Floats, keys: Floats, usable: Bools, weigh: Weigh) -> scipy.sparse.csr_array:
    """(num_queries, num_keys) weights of usable keys for each query, by `weigh` of their cosines; empty rows where a side has no vector.

    usable: (num_keys,). weigh: from (n, m) cosines to (n, m) sparse weights. A few rows of cosines at a time are all that is ever held.
    """
    asked, allowed = np.flatnonzero(_has_vector(queries)), np.flatnonzero(_has_vector(keys) & usable)
    lengths = np.zeros(len(queries), dtype=np.int64)
    if not len(asked) or not len(allowed):
        return scipy.sparse.csr_array((len(queries), len(keys)), dtype=np.float32)
    chosen, columns, values = unit(keys[allowed]).T, [], []
    step = min(len(asked), max(1, AT_ONCE // len(allowed)))
    scores = np.empty((step, len(allowed)), dtype=np.float32)
    for start in range(0, len(asked), step):
        some = asked[start : start + step]
        found = weigh(np.matmul(unit(queries[some]), chosen, out=scores[: len(some)]))
        lengths[some] = np.diff(found.indptr)
        columns.append(allowed[found.indices].astype(np.int32))
        values.append(found.data.astype(np.float32, copy=False))
    places = (np.concatenate(values), np.concatenate(columns), np.concatenate([[0], np.cumsum(lengths)]))
    return scipy.sparse.csr_array(places, shape=(len(queries), len(keys)))


def _maxima(scores: Floats, groups: int) -> Floats:
    """(n, groups) the largest score of each of so many groups of columns (n, m): scores that are there, found in one quick pass."""
    groups = min(groups, scores.shape[1])
    depth = scores.shape[1] // groups
    return np.asarray(scores[:, : depth * groups].reshape(len(scores), depth, groups).max(axis=1))


def _above(scores: Floats, bound: Floats) -> tuple[Ints, Ints, Floats]:
    """Rows, columns and values of the scores (n, m) that reach their row's bound (n,), row by row."""
    places = np.flatnonzero(scores >= bound[:, None])
    rows, columns = np.divmod(places, scores.shape[1])
    return rows, columns, scores.ravel()[places]


def _sparse(rows: Ints, columns: Ints, weights: Floats, shape: tuple[int, ...]) -> scipy.sparse.csr_array:
    ends = np.cumsum(np.bincount(rows, minlength=shape[0]))
    return scipy.sparse.csr_array((weights, columns, np.concatenate([[0], ends])), shape=shape)


def softmax_of_nearest(scores: Floats) -> scipy.sparse.csr_array:
    """The NEIGHBOURS largest scores of each row, through a softmax at TEMPERATURE; of equal ones the lower columns.

    The NEIGHBOURS-th largest of the maxima of groups of columns is at most the NEIGHBOURS-th largest score: what is below is not sorted.
    """
    count = min(NEIGHBOURS, scores.shape[1])
    rows, columns, values = _above(scores, np.partition(_maxima(scores, 64 * NEIGHBOURS), -count, axis=1)[:, -count])
    order = np.lexsort((columns, -values, rows))
    firsts = np.searchsorted(rows, np.arange(len(scores)))
    order = order[firsts[:, None] + np.arange(count)]
    top = values[order]
    weights = np.exp((top - top[:, :1]) / TEMPERATURE)
    weights /= weights.sum(axis=1, keepdims=True)
    return _sparse(rows[order.ravel()], columns[order.ravel()], weights.ravel(), scores.shape)


def sparsemax(scores: Floats) -> scipy.sparse.csr_array:
    """Each row's nearest point on the probability simplex (Martins & Astudillo 2016), exactly.

    The threshold below which scores have no weight is at least that of any part of the scores. The maxima of groups of columns are such a
    part; of what is above its threshold, the threshold is found by dropping what is below the mean excess until nothing is (Michelot 1986).
    """
    part = -np.sort(-_maxima(scores, 512), axis=1)
    means = (np.cumsum(part, axis=1, dtype=np.float64) - 1) / np.arange(1, part.shape[1] + 1)
    rows, columns, values = _above(scores, (means.max(axis=1) - 1e-6).astype(np.float32))
    while True:
        counts = np.bincount(rows, minlength=len(scores))
        threshold = (np.bincount(rows, weights=values, minlength=len(scores)) - 1) / counts
        weights = values - threshold[rows]
        kept = weights > 0
        if kept.all():
            return _sparse(rows, columns, weights.astype(np.float32), scores.shape)
        rows, columns, values = rows[kept], columns[kept], values[kept]


def _proportional(scores: Floats) -> scipy.sparse.csr_array:
    total = scores.sum(axis=1, keepdims=True)
    balanced = total < 0.01 * np.abs(scores).sum(axis=1, keepdims=True)
    return scipy.sparse.csr_array(np.where(balanced, 0, scores / np.where(balanced, 1, total)))
