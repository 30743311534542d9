"""Spaces as maps see them: rows at unit length around their mean, and the linear maps that bring two of them together."""

from collections.abc import Iterable

import numpy as np
import torch

from lingraft.vectors.neighbours import unit
from lingraft.vectors.static import Floats, Vectors

Maps = tuple[torch.Tensor, torch.Tensor]  # (d, d) of the source and of the target, both into the common space


def mean_of(matrix: Floats) -> torch.Tensor:
    """(d,) mean of the rows at unit length."""
    return unit(torch.from_numpy(matrix)).mean(dim=0)


def normalised(matrix: Floats, mean: torch.Tensor) -> torch.Tensor:
    """(n, d) unit length, centred, unit length; zeros stay zeros."""
    tensor = torch.from_numpy(np.ascontiguousarray(matrix))
    return unit(torch.where(tensor.any(dim=1, keepdim=True), unit(tensor) - mean, 0))


def undone(vectors: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
    """(n, d) rows of unit length that `normalised` makes `vectors` of: mean + t v with t > 0. vectors: (n, d) of unit length."""
    along = (vectors @ mean)[:, None]
    return mean + ((along**2 + 1 - mean @ mean).clamp(min=0).sqrt() - along) * vectors


def procrustes(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The orthogonal W with the least |x W - y|: U V^T of the singular value decomposition of x^T y (Schönemann 1966)."""
    left, _, right = torch.linalg.svd(x.T @ y)
    return left @ right


def reweighted(x: torch.Tensor, y: torch.Tensor) -> Maps:
    """Whitening, rotation, weights, and the way back from whitening (Artetxe et al. 2018a, steps 1 to 4).

    x, y: (n, d) the pairs, row by row. Both sides are rotated to where they agree, direction by direction; each direction is weighted by
    the root of how well it agrees, so that what the two spaces do not share counts less.
    """
    (white_x, colour_x), (white_y, colour_y) = _whitening(x), _whitening(y)
    left, agreement, right = torch.linalg.svd((x @ white_x).T @ (y @ white_y))
    weights = agreement.sqrt()
    return (
        white_x @ (left * weights) @ (left.T @ colour_x @ left),
        white_y @ (right.T * weights) @ (right @ colour_y @ right.T),
    )


def _whitening(x: torch.Tensor) -> Maps:
    """(d, d) that makes the rows' directions uncorrelated, and its inverse; directions that the rows do not have are left alone."""
    squares, directions = torch.linalg.eigh(x.double().T @ x.double())
    values = torch.where(squares > squares[-1] * 1e-10, squares, 1).sqrt()
    return ((directions / values) @ directions.T).to(x.dtype), ((directions * values) @ directions.T).to(x.dtype)


def rows_of(pairs: Iterable[tuple[str, str]], source: Vectors, target: Vectors) -> torch.Tensor:
    """(2, n) rows of the pairs of which both words have vectors, in the order of the source's, each once."""
    rows = ((row_of(source, one), row_of(target, other)) for one, other in pairs)
    return (
        torch.tensor(sorted({(one, other) for one, other in rows if one is not None and other is not None}), dtype=torch.int64)
        .reshape(-1, 2)
        .T
    )


def row_of(vectors: Vectors, word: str) -> int | None:
    """The row of a word; where it has none, of its lower case, as vectors often have no capitals."""
    return vectors.index.get(word, vectors.index.get(word.lower()))
