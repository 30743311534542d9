"""Rows from what the two vocabularies share: copies of identical strings, and means over a token's old pieces."""

from dataclasses import replace

import numpy as np
import scipy.sparse

from lingraft.embeddings.rows import Floats, Ints, NewRows, Vocabularies, copies, from_mix
from lingraft.errors import RecipeError


def copy(vocabularies: Vocabularies, overlap: Ints) -> NewRows:
    """Copy the row of the identical string; draw the rest.

    overlap: (num_new,) old id of the same string in one spelling, -1 where there is none.
    """
    shared = np.flatnonzero(overlap >= 0)
    return from_mix(vocabularies, copies(vocabularies, shared, overlap[shared]))


def pieces(vocabularies: Vocabularies, overlap: Ints, old_pieces: list[Ints]) -> NewRows:
    """FVT (Gee et al. 2022): copy the identical string, else the mean of the rows of the token's old pieces; none: draw.

    old_pieces: for each new token the old ids of its text, unknowns left out.
    """
    chosen = [np.array([same]) if same >= 0 else parts for same, parts in zip(overlap, old_pieces, strict=True)]
    lengths = np.array([len(parts) for parts in chosen])
    rows = np.repeat(np.arange(len(chosen)), lengths)
    weights = np.repeat(1.0 / np.maximum(lengths, 1), lengths)
    columns = np.concatenate(chosen) if len(rows) else np.zeros(0, dtype=np.int64)
    mix = scipy.sparse.coo_array((weights, (rows, columns)), shape=(vocabularies.num_new, vocabularies.num_old))
    return from_mix(vocabularies, mix)


def distilled(vocabularies: Vocabularies, overlap: Ints, old_pieces: list[Ints], distilled_rows: tuple[Ints, Floats]) -> NewRows:
    """Token distillation (Dobler et al. 2025): as `pieces`, with trained rows for what is not copied; the rest of a token (an untied
    output row, a bias) stays the mean of its pieces'.

    distilled_rows: ids, and (n, dim) rows of the input matrix.
    """
    ids, rows = distilled_rows
    return replace(pieces(vocabularies, overlap, old_pieces), direct_ids=ids, direct=rows)


def keep(vocabularies: Vocabularies) -> NewRows:
    """The old matrix as it is: for recipes that keep the source's vocabulary. Raises RecipeError where the sizes differ."""
    if vocabularies.num_new != vocabularies.num_old:
        raise RecipeError(
            "rows.method = 'keep' needs the source's vocabulary. Add --set tokenizer.vocabulary=source, or choose another method."
        )
    ids = np.arange(vocabularies.num_old)
    return NewRows(copies(vocabularies, ids, ids), np.full(vocabularies.num_new, -1, dtype=np.int32), ())
