"""Faster dropout and attention for training on a CPU: the same distributions, from fewer and cheaper passes over memory."""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import repeat_kv, sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

LEVELS = 1 << 16


def keep_mask(shape: torch.Size, drop: float) -> torch.Tensor:
    """(shape) uint8, 1 with probability 1 - drop (to 1/65536): four 16-bit draws from each 64-bit number of torch's generator."""
    count = shape.numel()
    words = torch.empty((count + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
    threshold = round(drop * LEVELS) - LEVELS // 2
    return (words.view(torch.int16)[:count] >= threshold).view(torch.uint8).view(shape)


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, values: torch.Tensor, drop: float) -> torch.Tensor:
        context.mask, context.scale = keep_mask(values.shape, drop), 1 / (1 - drop)
        return context.mask.to(values.dtype).mul_(context.scale).mul_(values)

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:  # type: ignore[override]
        return context.mask.to(gradient.dtype).mul_(context.scale).mul_(gradient), None


class FastDropout(nn.Dropout):
    """nn.Dropout, several times faster on a CPU."""

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """`values` with a share of `p` zeroed and the rest scaled up, while training."""
        if not self.training or self.p == 0:
            return values
        return _Dropout.apply(values, self.p)  # type: ignore[no-any-return]


def fused_is_slow(states: torch.Tensor) -> bool:
    """Whether PyTorch's fused attention takes several times as long for gradients as the products it consists of."""
    return states.dtype == torch.bfloat16 and states.device.type == "cpu"


def products(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None, dropout: float, scaling: float | None = None
) -> torch.Tensor:
    """Attention of (batch, heads, length, dim) states as its products; returns the same shape.

    mask: broadcast to (batch, heads, length, length), true where seen, or what is added to the scores. dropout: of the probabilities.
    scaling: of the scores, by default 1/√dim.
    """
    scores = (query * (query.shape[-1] ** -0.5 if scaling is None else scaling)) @ key.transpose(-1, -2)
    if mask is not None and mask.dtype == torch.bool:
        mask = torch.zeros_like(mask, dtype=scores.dtype).masked_fill_(~mask, torch.finfo(scores.dtype).min)
    weights = torch.softmax(scores if mask is None else scores + mask, dim=-1)
    return (_Dropout.apply(weights, dropout) if dropout else weights) @ value


def attention(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """Attention of (batch, heads, length, dim) states: by PyTorch's fused kernel, but where it is slow, and for dropout on the
    probabilities where nothing is masked, for which it has none. Returns (batch, length, heads, dim)."""
    causal = options.get("is_causal", getattr(module, "is_causal", False)) and attention_mask is None
    slow = fused_is_slow(query) and module.training
    if not slow and (dropout == 0 or attention_mask is not None or causal or key.shape[1] != query.shape[1]):
        return sdpa_attention_forward(module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **options)
    groups, length = query.shape[1] // key.shape[1], query.shape[2]
    mask = torch.ones(length, length, dtype=torch.bool, device=query.device).tril() if causal else attention_mask
    return products(query, repeat_kv(key, groups), repeat_kv(value, groups), mask, dropout, scaling).transpose(1, 2), None


AttentionInterface.register("lingraft", attention)
AttentionMaskInterface.register("lingraft", sdpa_mask)


@contextlib.contextmanager
def fast_dropout(model: Any) -> Iterator[None]:
    """While the block runs, `model` uses the faster dropout and, where its family goes through transformers' interface, attention."""
    dropouts = [module for module in model.modules() if type(module) is nn.Dropout]
    before = model.config._attn_implementation
    for module in dropouts:
        module.__class__ = FastDropout
    if before == "sdpa":
        model.set_attn_implementation("lingraft")
    try:
        yield
    finally:
        for module in dropouts:
            module.__class__ = nn.Dropout
        if before == "sdpa":
            model.set_attn_implementation(before)
