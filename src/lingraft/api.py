"""Row methods on plain arrays, without models and files."""

from collections.abc import Sequence
from inspect import signature
from typing import Any

import numpy as np
import numpy.typing as npt

from lingraft.embeddings import ROWS, NewRows, Vocabularies
from lingraft.errors import RecipeError, suggest

Vocabulary = int | Sequence[str] | npt.NDArray[Any]


def rows(
    method: str, *, old: Vocabulary, new: Vocabulary, roles: npt.ArrayLike = (), text: npt.ArrayLike | None = None, **aids: Any
) -> NewRows:
    """The rows that a method of lingraft.embeddings.ROWS gives; `rows(...).apply(matrix, generator)` makes the (new, dim) matrix.

    old, new: the two vocabularies: how many tokens, or the tokens themselves (in one spelling), or a matrix with a row for each.
    roles: (n, 2) pairs (new id, old id) of special tokens. text: (old,) True where the old row stands for text (default: all).
    aids: what the method's own parameters name, as arrays; `overlap` may be left out where both vocabularies are tokens.
    Raises RecipeError for an unknown method, and where an aid is missing that it needs.
    """
    if method not in ROWS:
        raise RecipeError(f"There is no row method {method!r}. {suggest(method, ROWS)}")
    num_new, num_old = (size if isinstance(size, int) else len(size) for size in (new, old))
    pairs = np.asarray(roles, dtype=np.int64).reshape(-1, 2)
    usable = np.ones(num_old, dtype=bool) if text is None else np.asarray(text, dtype=bool)
    if _is_tokens(old) and _is_tokens(new):
        number = {token: i for i, token in enumerate(old)}  # type: ignore[arg-type]
        aids = {"overlap": np.array([number.get(token, -1) for token in new], dtype=np.int64), **aids}  # type: ignore[union-attr]
    wanted = list(signature(ROWS[method]).parameters)[1:]
    if missing := [name for name in wanted if name not in aids]:
        raise RecipeError(f"The row method {method!r} needs {', '.join(missing)}, as arrays.")
    if unknown := set(aids) - set(wanted) - {"overlap"}:
        raise RecipeError(f"The row method {method!r} does not take {sorted(unknown)[0]!r}. It takes {', '.join(wanted) or 'no aids'}.")
    return ROWS[method](Vocabularies(num_new, num_old, pairs, usable), **{name: aids[name] for name in wanted})


def _is_tokens(vocabulary: Vocabulary) -> bool:
    return not isinstance(vocabulary, int | np.ndarray)
