"""Rows that are static vectors of the new tokens: as they are, for a model that is to be trained on them, or mapped onto the old rows."""

from dataclasses import replace

import numpy as np

from lingraft.embeddings.neighbours import similar, softmax_of_nearest
from lingraft.embeddings.rows import Floats, Ints, NewRows, Vocabularies, from_mix
from lingraft.embeddings.statistics import random


def static(vocabularies: Vocabularies, static_vectors: tuple[Ints, Floats], old_rows: Floats) -> NewRows:
    """Skip-gram vectors of the tokens, around zero, as long as the old rows are on average: for a model that is to be trained on them.

    static_vectors: ids, and (n, dim) of unit length. Rows of other tokens are drawn. old_rows: (num_old, dim).
    """
    return _direct(vocabularies, random(vocabularies), *static_vectors, old_rows)


def mapped(vocabularies: Vocabularies, mapped_vectors: tuple[Ints, Floats], old_rows: Floats) -> NewRows:
    """Skip-gram vectors of the tokens mapped onto the old rows, which stay (TreLM 2020; Artetxe et al. 2020, CLWE), and as long as these.

    mapped_vectors: ids, and (n, dim) of unit length. Rows of other tokens are drawn. old_rows: (num_old, dim). What else a token has (an
    untied output row, a bias) is mixed from the nearest old rows'.
    """
    ids, vectors = mapped_vectors
    queries = np.zeros((vocabularies.num_new, old_rows.shape[1]), dtype=np.float32)
    queries[ids] = vectors
    near = similar(queries, old_rows, vocabularies.text, softmax_of_nearest)
    return _direct(vocabularies, from_mix(vocabularies, near), ids, vectors, old_rows)


def _direct(vocabularies: Vocabularies, others: NewRows, ids: Ints, vectors: Floats, old_rows: Floats) -> NewRows:
    """Vectors of unit length as long as the old rows that stand for text are on average, at `ids` but those of special tokens; `others`
    elsewhere."""
    length = np.linalg.norm(old_rows[vocabularies.text], axis=1).mean()
    is_text = vocabularies.new_text()[ids]
    order = np.argsort(ids[is_text])
    return replace(others, direct_ids=ids[is_text][order], direct=(vectors[is_text] * length)[order])
