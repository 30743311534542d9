"""Optimisers and learning-rate schedules."""

import math
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from lingraft.train.settings import OptimiserSettings


class Lamb(torch.optim.Optimizer):
    """LAMB (You et al. 2020, algorithm 2): Adam's step with decay, scaled per tensor by the ratio of the norms of weights and step.

    The paper's scaling function of the weights' norm is the identity here. The steps of vectors (biases, norms) and of matrices that begin
    at 0 are Adam's own: what is almost 0 would stay so, since its steps would be as small as it is. rows: of matrices of which only some
    rows train, these: both norms are theirs, so that they move as they would without the others.
    """

    rows: Mapping[Any, torch.Tensor | slice] = MappingProxyType({})

    def __init__(self, params: Iterable[Any], lr: float, betas: tuple[float, float], eps: float, weight_decay: float) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """One update of every parameter that has a gradient."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, group)

    def _update(self, parameter: torch.Tensor, group: dict[str, Any]) -> None:
        state, (beta1, beta2) = self.state[parameter], group["betas"]
        if not state:
            state.update(step=torch.zeros(()), exp_avg=torch.zeros_like(parameter), exp_avg_sq=torch.zeros_like(parameter))
            state["scaled"] = (parameter.any() & (parameter.ndim >= 2)).float().cpu()
        state["step"] += 1
        count = state["step"].item()
        state["exp_avg"].lerp_(parameter.grad, 1 - beta1)
        state["exp_avg_sq"].mul_(beta2).addcmul_(parameter.grad, parameter.grad, value=1 - beta2)
        denominator = (state["exp_avg_sq"] / (1 - beta2**count)).sqrt_().add_(group["eps"])
        update = state["exp_avg"] / (1 - beta1**count) / denominator + group["weight_decay"] * parameter
        if state.get("scaled", True):  # checkpoints of before have no such note
            rows = self.rows.get(parameter, slice(None))
            weight_norm, update_norm = parameter[rows].norm(), update[rows].norm()
            update *= torch.where((weight_norm > 0) & (update_norm > 0), weight_norm / update_norm, torch.ones_like(weight_norm))
        parameter.add_(update, alpha=-group["lr"])


def build_optimizer(model: nn.Module, settings: OptimiserSettings) -> torch.optim.Optimizer:
    """The optimiser over all of a model's parameters (frozen ones get no gradient and are passed over)."""
    parameters = list(model.parameters())
    matrices = [parameter for parameter in parameters if parameter.ndim >= 2]
    vectors = [parameter for parameter in parameters if parameter.ndim < 2]
    groups = [{"params": matrices, "weight_decay": settings.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    options: dict[str, Any] = {"lr": settings.learning_rate, "betas": settings.betas, "eps": settings.epsilon}
    if settings.optimizer == "lamb":
        return Lamb(groups, **options, weight_decay=settings.weight_decay)
    return torch.optim.AdamW(groups, **options, fused=True)


def learning_rate(settings: OptimiserSettings, step: int, total: int) -> float:
    """The rate of step `step` (0 is the first) of `total`: the figure transformers' schedules give."""
    warmup = math.ceil(settings.warmup * total)
    if step < warmup:
        return settings.learning_rate * step / warmup
    progress = (step - warmup) / max(1, total - warmup)
    factor = {"linear": 1 - progress, "cosine": 0.5 * (1 + math.cos(math.pi * progress)), "constant": 1.0}[settings.schedule]
    return settings.learning_rate * factor
