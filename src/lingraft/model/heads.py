"""Predictions at chosen positions only, since what comes after the last attention never sees the others; and of whether texts follow."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from lingraft.model.parts import inner_body, set_trainable

Positions = torch.Tensor
NOTHING: Mapping[str, torch.Tensor] = MappingProxyType({})
ADDED = "next_sentence"  # the module of a head that the family does not have


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
        self._num_first, self._first = 0, torch.empty(0)
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
        if self._positions is None or (self._is_cut and not self._num_first):
            return output
        hidden = output[0] if self._is_cut else self._chosen(output[0])
        self._first, hidden = hidden[0, : self._num_first], hidden[:, self._num_first :]
        self._is_cut, self._num_first = True, 0
        if isinstance(output, tuple):
            return (hidden, *output[1:])
        output["last_hidden_state"] = hidden
        return output

    def forward(
        self, input_ids: torch.Tensor, positions: Positions, more: Mapping[str, torch.Tensor] = NOTHING, next_sentence: bool = False
    ) -> Any:
        """Logits (n, vocab) at `positions` (n,), indices into the flattened (batch * length,) input, or target where it is re-ordered.

        more: further inputs of the model, by name. next_sentence: beside those the logits (batch, 2) of the model's head for it.
        The choice holds until `release`, since gradient checkpointing runs layers again during the backward pass.
        """
        rows, length = more.get("alignment", input_ids).shape
        firsts = torch.arange(rows if next_sentence else 0, device=positions.device) * length
        chosen = torch.cat([firsts, positions])
        self._positions, self._is_cut, self._num_first = chosen if len(chosen) else chosen.new_zeros(1), False, len(firsts)
        options: dict[str, Any] = {"use_cache": False} if hasattr(self.model.config, "use_cache") else {}
        logits = self.model(input_ids=input_ids, **more, **options)[0].squeeze(0)
        if not next_sentence:
            return logits[: len(positions)]  # where nothing is asked, the first state was taken along: poolers want one
        head, states = next_sentence_head(self.model), self._first
        assert head is not None
        self._first = torch.empty(0)
        return logits, head(states)

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

    Its inputs are the attention's output and the layer's input, (batch, length, dim) each. None in other families, and where
    the last layer has to know the places.
    """
    layers = getattr(getattr(model.base_model, "encoder", None), "layer", None)
    joins = hasattr(model.get_input_embeddings(), "adapter")  # each state with its token: see adapters.Joined
    if joins or not isinstance(layers, nn.ModuleList):
        return None
    last = layers[-1]
    attention = getattr(last, "attention", None)
    plain = not getattr(last, "add_cross_attention", False) and not getattr(last, "is_decoder", False)
    bert_like = all(hasattr(last, name) for name in ("intermediate", "output")) and hasattr(attention, "self")
    return getattr(attention, "output", None) if plain and bert_like else None


def next_sentence_head(model: Any) -> Callable[[torch.Tensor], torch.Tensor] | None:
    """What makes logits (batch, 2) of last states at the first position (batch, dim): 0 says that the second text follows the first.

    The model's own where its class has one (BertForPreTraining and its kind), or one that was attached; None where there is neither.
    """
    added, own, pooler = getattr(model, ADDED, None), getattr(getattr(model, "cls", None), "seq_relationship", None), _pooler(model)
    if own is not None and pooler is not None:
        return lambda states: own(pooler(states.unsqueeze(1)))  # type: ignore[no-any-return]
    return added


def _pooler(model: Any) -> Any:
    """BERT's pooler, which takes states (batch, length, dim); BigBird's is a bare matrix."""
    pooler = getattr(model.base_model, "pooler", None)
    return None if isinstance(pooler, nn.Linear) else pooler


def attach_next_sentence_head(model: Any) -> None:
    """Give a model that has none a head for next-sentence prediction, drawn by torch's generator: BERT's pooler and classifier."""
    if next_sentence_head(model) is None:
        width, spread = model.config.hidden_size, getattr(model.config, "initializer_range", 0.02)
        head = nn.Sequential(nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 2))
        for parameter in head.parameters():
            nn.init.normal_(parameter, std=spread) if parameter.ndim > 1 else nn.init.zeros_(parameter)
        setattr(model, ADDED, head)


def let_train(model: Any, parts: Sequence[str], settings: Any) -> dict[str, list[str]]:
    """Let parts train as `set_trainable` does, without those of `settings.freeze`, and without a head for next-sentence prediction where
    that is not asked: several processes would wait for its gradient."""
    partial = set_trainable(model, parts, settings.freeze)
    for parameter in [] if getattr(settings, "next_sentence", False) else _next_sentence_parameters(model):
        parameter.requires_grad_(False)
    return partial


def _next_sentence_parameters(model: Any) -> list[nn.Parameter]:
    own = getattr(getattr(model, "cls", None), "seq_relationship", None)
    parts = [getattr(model, ADDED, None), own, None if own is None else getattr(model.base_model, "pooler", None)]
    return [parameter for part in parts if part is not None for parameter in part.parameters()]


def detach_next_sentence_head(model: Any) -> None:
    """Take an attached head off again: no class of transformers has a place for it."""
    if hasattr(model, ADDED):
        delattr(model, ADDED)
