"""Nearest neighbours of vectors in another set: by cosine, and by CSLS, which takes from a cosine what both sides give to everyone."""

from dataclasses import dataclass

import torch

AT_ONCE = 1 << 24  # cosines that are held at once
DENSITY = 10  # neighbours that say how dense a place is
POOL = 64  # nearest by cosine among which the nearest by CSLS are sought


def unit(vectors: torch.Tensor) -> torch.Tensor:
    """Rows at length 1; zeros stay zeros."""
    norms = torch.linalg.vector_norm(vectors, dim=1, keepdim=True)
    return vectors / torch.where(norms > 0, norms, 1)


def nearest(queries: torch.Tensor, keys: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The `count` largest of queries @ keys.T in each row, largest first, and whose they are: (num_queries, count) each.

    queries, keys: (n, dim), (m, dim) of unit length. A few rows of the product at a time are all that is ever held of it.
    """
    count = min(count, len(keys))
    values, ids = queries.new_empty(len(queries), count), torch.empty(len(queries), count, dtype=torch.int64)
    step, columns = max(1, AT_ONCE // len(keys)), keys.T
    for start in range(0, len(queries), step):
        part = slice(start, start + step)
        torch.topk(queries[part] @ columns, count, out=(values[part], ids[part]))
    return values, ids


def _both(x: torch.Tensor, y: torch.Tensor, count: int) -> tuple[tuple[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]:
    """The nearest of x in y, and of y in x."""
    if len(x) * len(y) > AT_ONCE:
        return nearest(x, y, count), nearest(y, x, count)
    product = x @ y.T
    there, back = (torch.topk(cosines, min(count, cosines.shape[1])) for cosines in (product, product.T.contiguous()))
    return (there.values, there.indices), (back.values, back.indices)


@dataclass(frozen=True, slots=True)
class Matches:
    """The nearest of each vector by CSLS, nearest first: CSLS and ids, (n, count) from x to y and (m, count) back."""

    forward: torch.Tensor
    forward_ids: torch.Tensor
    backward: torch.Tensor
    backward_ids: torch.Tensor

    def mutual(self) -> torch.Tensor:
        """(n,) True where a vector is the nearest of its nearest."""
        there = self.forward_ids[:, 0]
        return self.backward_ids[there, 0] == torch.arange(len(there))


def csls(x: torch.Tensor, y: torch.Tensor, count: int, pool: int = POOL) -> Matches:
    """CSLS(x, y) = 2 cos(x, y) - r(x) - r(y), r the mean cosine of the DENSITY nearest on the other side (Conneau et al. 2018).

    x, y: (n, dim), (m, dim) of unit length. r is exact; the nearest by CSLS are those among the nearest `pool` by cosine, so that
    two products of the matrices are enough for r and both directions; one, where it can be held.
    """
    (there, there_ids), (back, back_ids) = _both(x, y, pool)
    dense_x, dense_y = there[:, :DENSITY].mean(dim=1), back[:, :DENSITY].mean(dim=1)
    forward, order = torch.topk(2 * there - dense_x[:, None] - dense_y[there_ids], min(count, there.shape[1]))
    backward, back_order = torch.topk(2 * back - dense_y[:, None] - dense_x[back_ids], min(count, back.shape[1]))
    return Matches(forward, there_ids.gather(1, order), backward, back_ids.gather(1, back_order))
