"""Rows by orthogonal matching pursuit: a token's vector as few others' vectors, and its row as these others' rows."""

import numpy as np
import scipy.sparse

from lingraft.embeddings.rows import Floats, Ints, NewRows, Vocabularies, copies, from_mix
from lingraft.errors import RecipeError

MOST_ATOMS = 64
AT_ONCE = 1 << 24  # numbers that are held at once


def omp(vocabularies: Vocabularies, overlap: Ints, helper_vectors: Floats) -> NewRows:
    """Copy identical strings; write every other token's vector as a combination of at most 64 of theirs, and mix their rows alike.

    overlap: (num_new,) old id of the same string, -1 for none. helper_vectors: (num_new, d) embeddings of the new tokens in another
    model; a row of zeros has none, and is drawn.
    """
    shared = np.flatnonzero((overlap >= 0) & vocabularies.new_text())
    if not len(shared):
        raise RecipeError("No token of the new vocabulary is also in the source's, so there is nothing to combine. Use another row method.")
    lengths = np.linalg.norm(helper_vectors, axis=1)
    atoms, asked = shared[lengths[shared] > 0], np.flatnonzero((overlap < 0) & (lengths > 0) & vocabularies.new_text())
    to_old = copies(vocabularies, shared, overlap[shared])
    if not len(atoms) or not len(asked):
        return from_mix(vocabularies, to_old)
    chosen, weights = pursue(helper_vectors[asked], (helper_vectors[atoms] / lengths[atoms, None]).astype(np.float32))
    values = weights / lengths[atoms][chosen]
    rows = np.repeat(asked, chosen.shape[1])
    size = (vocabularies.num_new, vocabularies.num_new)
    combined = scipy.sparse.csr_array((values.ravel(), (rows, atoms[chosen].ravel())), shape=size)
    return from_mix(vocabularies, to_old + combined @ to_old)


def pursue(vectors: Floats, atoms: Floats) -> tuple[Ints, Floats]:
    """(n, k) columns and weights, such that vectors ~ sum of weights * atoms[columns]: each step takes the atom nearest to what is left.

    vectors: (n, d). atoms: (m, d) of length 1. k is 64, or m or d where they are less.
    """
    step = max(1, AT_ONCE // max(len(atoms), MOST_ATOMS * atoms.shape[1]))
    parts = [_pursue(vectors[start : start + step], atoms) for start in range(0, len(vectors), step)]
    return np.concatenate([columns for columns, _ in parts]), np.concatenate([weights for _, weights in parts])


def _pursue(vectors: Floats, atoms: Floats) -> tuple[Ints, Floats]:
    count = min(MOST_ATOMS, *atoms.shape)
    rows = np.arange(len(vectors))
    basis = np.zeros((len(vectors), count, atoms.shape[1]), dtype=np.float32)
    triangle = np.zeros((len(vectors), count, count))
    columns = np.zeros((len(vectors), count), dtype=np.int64)
    left, taken = vectors.astype(np.float32), np.zeros((len(vectors), len(atoms)), dtype=bool)
    for k in range(count):
        closeness = np.abs(left @ atoms.T)
        closeness[taken] = -1
        columns[:, k] = closeness.argmax(axis=1)
        taken[rows, columns[:, k]] = True
        new = atoms[columns[:, k]].copy()
        for _ in range(2):  # once more, for what rounding left of it
            parts = np.einsum("nkd,nd->nk", basis[:, :k], new)
            new -= np.einsum("nk,nkd->nd", parts, basis[:, :k])
            triangle[:, :k, k] += parts
        norm = np.linalg.norm(new, axis=1)
        triangle[:, k, k] = np.where(norm > 1e-6, norm, 1)
        basis[:, k] = np.where(norm[:, None] > 1e-6, new / np.maximum(norm, 1e-6)[:, None], 0)
        left = left - np.einsum("nd,nd->n", basis[:, k], left)[:, None] * basis[:, k]
    along = np.einsum("nkd,nd->nk", basis, vectors)
    return columns, np.linalg.solve(triangle, along[:, :, None])[:, :, 0].astype(np.float32)
