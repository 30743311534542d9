"""Predictions at chosen positions only: what comes after the last attention never sees the others."""

from typing import Any

import torch
from torch import nn

from lingraft.model.parts import inner_body

Positions = torch.Tensor


class Predictor(nn.Module):
    """A language model that computes its head, and in BERT's relatives the last layer's feed-forward part, at chosen positions only.

    Hooks cut the hidden states (batch, length, dim) down to the chosen ones (1, n, dim) on their way on, so that a family's own modules
    (transform, norm, soft cap, …) are used as they are.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        self._positions: Positions | None = None
        self._is_cut = False
        bodies = {model.base_model, inner_body(model)}  # some families call the inner one themselves
        self._hooks = [body.register_forward_hook(self._cut_output) for body in bodies]
        after = _after_last_attention(model)
        if after is not None:
            self._hooks.append(after.register_forward_pre_hook(self._cut_inputs))

    def _chosen(self, hidden: torch.Tensor) -> torch.Tensor:
        assert self._positions is not None
        return hidden.reshape(-1, hidden.shape[-1]).index_select(0, self._positions).unsqueeze(0)

    def _cut_inputs(self, module: nn.Module, arguments: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...] | None:
        if self._positions is None:
            return None
        self._is_cut = True
        return tuple(self._chosen(hidden) for hidden in arguments)

    def _cut_output(self, module: nn.Module, arguments: Any, output: Any) -> Any:
        if self._positions is None or self._is_cut:
            return output
        self._is_cut = True
        hidden = self._chosen(output[0])
        if isinstance(output, tuple):
            return (hidden, *output[1:])
        output["last_hidden_state"] = hidden
        return output

    def forward(self, input_ids: torch.Tensor, positions: Positions) -> torch.Tensor:
        """Logits (n, vocab) at `positions` (n,), indices into the flattened (batch * length,) input.

        The choice holds until `release`, since gradient checkpointing runs layers again during the backward pass.
        """
        self._positions, self._is_cut = positions, False
        options: dict[str, Any] = {"use_cache": False} if hasattr(self.model.config, "use_cache") else {}
        return self.model(input_ids=input_ids, **options)[0].squeeze(0)

    def release(self) -> None:
        """Let the model compute all positions again."""
        self._positions = None

    def remove(self) -> None:
        """Take the hooks off the model."""
        self.release()
        for hook in self._hooks:
            hook.remove()


def _after_last_attention(model: Any) -> nn.Module | None:
    """In BERT, RoBERTa, ELECTRA and their kind: the module after the last layer's attention, from which on positions do not meet.

    Its inputs are the attention's output and the layer's input, (batch, length, dim) each. None in other families.
    """
    layers = getattr(getattr(model.base_model, "encoder", None), "layer", None)
    if not isinstance(layers, nn.ModuleList):
        return None
    last = layers[-1]
    attention = getattr(last, "attention", None)
    plain = not getattr(last, "add_cross_attention", False) and not getattr(last, "is_decoder", False)
    bert_like = all(hasattr(last, name) for name in ("intermediate", "output")) and hasattr(attention, "self")
    return getattr(attention, "output", None) if plain and bert_like else None
