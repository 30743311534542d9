"""Predictions at chosen positions only: the head and the loss never see the others."""

from typing import Any

import torch
from torch import nn


class Predictor(nn.Module):
    """A language model whose head runs at chosen positions only, for every family alike.

    A hook on the model's body cuts the hidden states (batch, length, dim) down to the chosen ones (1, n, dim) on their way
    to the model's own head, so that a family's head (transform, norm, soft cap, …) is used as it is.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        self._positions: torch.Tensor | None = None
        self._hook = model.base_model.register_forward_hook(self._select)

    def remove(self) -> None:
        """Take the hook off the model."""
        self._hook.remove()

    def _select(self, module: nn.Module, arguments: Any, output: Any) -> Any:
        if self._positions is None:
            return output
        hidden = output[0].reshape(-1, output[0].shape[-1]).index_select(0, self._positions).unsqueeze(0)
        if isinstance(output, tuple):
            return (hidden, *output[1:])
        output["last_hidden_state"] = hidden
        return output

    def forward(self, input_ids: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """Logits (n, vocab) at `positions` (n,), indices into the flattened (batch * length,) input."""
        self._positions = positions
        options: dict[str, Any] = {"use_cache": False} if hasattr(self.model.config, "use_cache") else {}
        try:
            output = self.model(input_ids=input_ids, **options)
            return output[0].squeeze(0)
        finally:
            self._positions = None
