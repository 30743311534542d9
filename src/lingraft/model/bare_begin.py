"""A first token without position and segment embedding: [CLS] always stands there, so that it needs neither (Artetxe et al. 2020).

In a stock model: the position row of the first place is minus segment row 0, so that the two cancel, and it stays that at every update.
The config's `lingraft_bare_begin` says so.
"""

from typing import Any

import torch
from torch import nn

from lingraft.errors import ModelError
from lingraft.model.parts import inner_body, position_tables

TOLERANCE = 1e-3


def _position(model: Any) -> tuple[torch.Tensor, int]:
    """The position table and the row of the first place: the one after the padding row where there is one. Raises ModelError."""
    tables = position_tables(model)
    if len(tables) != 1 or tables[0].weight.shape[1] != model.get_input_embeddings().weight.shape[1]:
        raise ModelError(
            f"The family {model.config.model_type!r} has no table of positions that is added to its word rows, so that its first token "
            "cannot do without one. Use bare_begin = false."
        )
    padding = tables[0].padding_idx
    return tables[0].weight, 0 if padding is None else padding + 1


def _segments(model: Any) -> torch.Tensor | None:
    """The segment table; None in families without."""
    named = inner_body(model).named_modules()
    return next((m.weight for name, m in named if isinstance(m, nn.Embedding) and "token_type" in name), None)


def check_bare_begin(model: Any, begin: int | None) -> None:
    """Raise ModelError for a family that has no such token (`begin` is None) or no such tables."""
    _position(model)
    if begin is None:
        raise ModelError("The source's texts do not begin with a token of their own, as [CLS] is one. Use bare_begin = false.")


@torch.no_grad()
def bare_begin(model: Any, begin: int | None) -> None:
    """Take position and segment off the first token, in place, without changing what the body computes; nothing where that was done.

    begin: id of the token that every text begins with. Its word row takes up both: where the output matrix is tied, its own logit, which
    is never asked for, is another. Raises ModelError for a family that has no such token or no such tables, and leaves the model alone.
    """
    if getattr(model.config, "lingraft_bare_begin", False):
        return
    check_bare_begin(model, begin)
    positions, first = _position(model)
    segments, words = _segments(model), model.get_input_embeddings().weight
    ids = torch.tensor([[begin, *range(5, 11)]])
    before, position, word = model.base_model(input_ids=ids)[0], positions[first].clone(), words[begin].clone()
    words[begin] += position if segments is None else position + segments[0]
    positions[first] = 0 if segments is None else -segments[0]
    if not torch.allclose(before, model.base_model(input_ids=ids)[0], rtol=TOLERANCE, atol=TOLERANCE):
        positions[first], words[begin] = position, word
        raise ModelError(
            f"The family {model.config.model_type!r} does not add positions to its word rows as they are. Use bare_begin = false."
        )
    model.config.lingraft_bare_begin = True


class TiedBegin:
    """Keeps the position row of the first place minus segment row 0 through optimiser steps, whichever of the two tables train.

    Make it after `set_trainable`. What segment row 0 does at the first place is undone there: its gradient loses the position row's.
    """

    def __init__(self, model: Any) -> None:
        (self.positions, self.first), self.segments = _position(model), _segments(model)
        self.moves = self.segments is not None and self.segments.requires_grad
        self.borrowed = self.moves and not self.positions.requires_grad
        if self.borrowed:  # its gradient is needed, though it is not to train
            self.positions.requires_grad_(True)

    @torch.no_grad()
    def mask_gradients(self) -> None:
        """After the backward pass, before clipping counts them."""
        if self.positions.grad is None:
            return
        if self.moves and self.segments is not None and self.segments.grad is not None:
            self.segments.grad[0] -= self.positions.grad[self.first]
        self.positions.grad[self.first] = 0
        if self.borrowed:
            self.positions.grad = None

    @torch.no_grad()
    def restore(self) -> None:
        """After the optimiser's step."""
        self.positions[self.first] = 0 if self.segments is None else -self.segments[0]


def tied_begin(model: Any) -> TiedBegin | None:
    """What keeps the tie where the model's config says that there is one."""
    return TiedBegin(model) if getattr(model.config, "lingraft_bare_begin", False) else None
