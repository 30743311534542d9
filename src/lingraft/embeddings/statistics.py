"""Rows that know nothing of what a token means: draws, and the mapping by frequency rank."""

import scipy.sparse

from lingraft.embeddings.rows import Ints, NewRows, Vocabularies, copies, from_mix


def random(vocabularies: Vocabularies) -> NewRows:
    """Draw every row from the mean and standard deviation, per dimension, of the old rows; specials by role."""
    return from_mix(vocabularies, scipy.sparse.csr_array((vocabularies.num_new, vocabularies.num_old)))


def rank(vocabularies: Vocabularies, new_ranks: Ints, old_ranks: Ints) -> NewRows:
    """Gogoulou et al. 2022, section 3: the i-th most frequent new token gets the i-th most frequent old token's row.

    new_ranks, old_ranks: ids, most frequent first, specials left out. New ranks beyond the old ones are drawn.
    """
    shared = min(len(new_ranks), len(old_ranks))
    return from_mix(vocabularies, copies(vocabularies, new_ranks[:shared], old_ranks[:shared]))
