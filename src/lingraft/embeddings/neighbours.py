"""Rows as mixtures of the rows of similar tokens, where similar is what vectors of tokens say."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import scipy.sparse

from lingraft.embeddings.rows import Bools, Floats, Ints, NewRows, Vocabularies, copies, from_mix
from lingraft.errors import RecipeError

Weigh = Callable[[Floats], scipy.sparse.csr_array]

AT_ONCE = 1 << 24  # similarities that are held at once
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
    to_old = copies(vocabularies, shared, overlap[shared])  # (num_new, num_old)
    return from_mix(vocabularies, to_old + similar(queries, vectors, keys, weigh) @ to_old)


def _has_vector(vectors: Floats) -> Bools:
    return np.asarray(np.abs(vectors).max(axis=1, initial=0) > 0)


def unit(vectors: Floats) -> Floats:
    """Rows at length 1; zeros stay zeros."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(norms > 0, norms, 1)).astype(np.float32)


def similar(queries: Floats, keys: Floats, usable: Bools, weigh: Weigh) -> scipy.sparse.csr_array:
    """(num_queries, num_keys) weights of usable keys for each query, by `weigh` of their cosines; empty rows where a side has no vector.

    usable: (num_keys,). weigh: from (n, m) cosines to (n, m) sparse weights.
    """
    asked, allowed = np.flatnonzero(_has_vector(queries)), np.flatnonzero(_has_vector(keys) & usable)
    shape = (len(queries), len(keys))
    if not len(asked) or not len(allowed):
        return scipy.sparse.csr_array(shape, dtype=np.float32)
    chosen, rows, columns, values = unit(keys[allowed]), [], [], []
    step = max(1, AT_ONCE // len(allowed))
    for start in range(0, len(asked), step):
        some = asked[start : start + step]
        found = weigh(unit(queries[some]) @ chosen.T).tocoo()
        rows.append(some[found.row])
        columns.append(allowed[found.col])
        values.append(found.data.astype(np.float32))
    return scipy.sparse.csr_array((np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), shape=shape)


def _largest(scores: Floats, count: int) -> tuple[Ints, Floats]:
    """Columns and values of the `count` largest scores of each row, largest first; the lower column of equal ones first."""
    columns = (
        np.argpartition(-scores, count - 1, axis=1)[:, :count] if count < scores.shape[1] else np.tile(np.arange(count), (len(scores), 1))
    )
    columns.sort(axis=1)
    order = np.argsort(-np.take_along_axis(scores, columns, axis=1), axis=1, kind="stable")
    columns = np.take_along_axis(columns, order, axis=1)
    return columns, np.take_along_axis(scores, columns, axis=1)


def _sparse(columns: Ints, weights: npt.NDArray[np.floating], width: int) -> scipy.sparse.csr_array:
    rows = np.repeat(np.arange(len(columns)), columns.shape[1])
    made = scipy.sparse.csr_array((weights.ravel(), (rows, columns.ravel())), shape=(len(columns), width))
    made.eliminate_zeros()
    return made


def softmax_of_nearest(scores: Floats) -> scipy.sparse.csr_array:
    """The NEIGHBOURS largest scores of each row, through a softmax at TEMPERATURE."""
    columns, top = _largest(scores, min(NEIGHBOURS, scores.shape[1]))
    weights = np.exp((top - top[:, :1]) / TEMPERATURE)
    return _sparse(columns, weights / weights.sum(axis=1, keepdims=True), scores.shape[1])


def sparsemax(scores: Floats) -> scipy.sparse.csr_array:
    """Each row's nearest point on the probability simplex (Martins & Astudillo 2016), exactly.

    Only the largest scores have weight; how many is found among the largest few, and among eight times as many where that is not enough.
    """
    pending, width, parts = np.arange(len(scores)), 64, []
    while len(pending):
        width = min(width, scores.shape[1])
        columns, top = _largest(scores[pending], width)
        excess = np.cumsum(top, axis=1, dtype=np.float64) - 1
        support = (top * np.arange(1, width + 1) > excess).sum(axis=1)
        threshold = excess[np.arange(len(top)), support - 1] / support
        settled = (support < width) | (width == scores.shape[1])
        weights = np.maximum(top[settled] - threshold[settled, None], 0)
        found = _sparse(columns[settled], weights, scores.shape[1]).tocoo()
        parts.append((found.data, pending[settled][found.row], found.col))
        pending, width = pending[~settled], width * 8
    data, rows, columns = (np.concatenate(part) for part in zip(*parts, strict=True))
    return scipy.sparse.csr_array((data, (rows, columns)), shape=scores.shape)


def _proportional(scores: Floats) -> scipy.sparse.csr_array:
    total = scores.sum(axis=1, keepdims=True)
    balanced = total < 0.01 * np.abs(scores).sum(axis=1, keepdims=True)
    return scipy.sparse.csr_array(np.where(balanced, 0, scores / np.where(balanced, 1, total)))
