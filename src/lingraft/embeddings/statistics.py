"""Rows that know nothing of what a token means: draws, and the mapping by frequency rank."""

import numpy as np
import scipy.sparse

from lingraft.embeddings.rows import Group, Ints, NewRows, Vocabularies, copies, from_mix


def random(vocabularies: Vocabularies) -> NewRows:
    """Draw every row from the mean and standard deviation, per dimension, of the old rows; specials by role."""
    return from_mix(vocabularies, scipy.sparse.csr_array((vocabularies.num_new, vocabularies.num_old)))


def rank(vocabularies: Vocabularies, new_ranks: Ints, old_ranks: Ints) -> NewRows:
    """Gogoulou et al. 2022, section 3: the i-th most frequent new token gets the i-th most frequent old token's row.

    new_ranks, old_ranks: ids, most frequent first, specials left out. New ranks beyond the old ones are drawn.
    """
    shared = min(len(new_ranks), len(old_ranks))
    return from_mix(vocabularies, copies(vocabularies, new_ranks[:shared], old_ranks[:shared]))


def heuristic(vocabularies: Vocabularies, overlap: Ints, new_classes: Ints, old_classes: Ints) -> NewRows:
    """Downey et al. 2023: copy identical strings; draw others from the old rows of the same script and position in the word.

    new_classes, old_classes: (num_new,), (num_old,) numbers of classes. A class that no old text row has is drawn from all of them.
    """
    shared = np.flatnonzero(overlap >= 0)
    everything = Group(np.flatnonzero(vocabularies.text))
    members = {int(c): np.flatnonzero((old_classes == c) & vocabularies.text) for c in np.unique(new_classes)}
    found = {c: rows for c, rows in members.items() if len(rows) > 1}
    number = {c: i for i, c in enumerate(found, 1)}
    group = np.array([number.get(int(c), 0) for c in new_classes], dtype=np.int64)
    groups = (everything, *(Group(rows) for rows in found.values()))
    return from_mix(vocabularies, copies(vocabularies, shared, overlap[shared]), groups=groups, group=group)
