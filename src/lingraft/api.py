"""Row methods on plain arrays, without models and files."""

from typing import Any

import numpy as np
import numpy.typing as npt

from lingraft.embeddings import ROWS, NewRows, Vocabularies
from lingraft.errors import RecipeError, suggest


def rows(
    method: str,
    *,
    num_new: int,
    num_old: int,
    roles: npt.ArrayLike = (),
    text: npt.ArrayLike | None = None,
    **aids: Any,
) -> NewRows:
    """The rows that a method of lingraft.embeddings.ROWS gives; `rows(...).apply(old, generator)` makes the (num_new, dim) matrix.

    num_new, num_old: sizes of the two vocabularies. roles: (n, 2) pairs (new id, old id) of special tokens. text: (num_old,) True where the
    old row stands for text (default: all). aids: what the method's own parameters name, as arrays.
    Raises RecipeError for an unknown method.
    """
    if method not in ROWS:
        raise RecipeError(f"There is no row method {method!r}. {suggest(method, ROWS)}")
    pairs = np.asarray(roles, dtype=np.int64).reshape(-1, 2)
    usable = np.ones(num_old, dtype=bool) if text is None else np.asarray(text, dtype=bool)
    return ROWS[method](Vocabularies(num_new, num_old, pairs, usable), **aids)
