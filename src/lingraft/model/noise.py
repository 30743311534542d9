"""Noise on embeddings in training, so that what stands above does not rest on one language's rows (Artetxe et al. 2020, section 3)."""

from typing import Any

import torch
from torch import nn

from lingraft.model.parts import embedding_tables


class Noise:
    """Adds Gaussian noise to what the tables of words, positions and segments give, in training mode only.

    deviation: its standard deviation; the paper's is 0.075. relative: times the root mean square of each table's numbers, as they are now.
    Drawn by torch's global generator, which each step seeds. Where the beginning token has neither position nor segment
    (config.lingraft_bare_begin), it gets no noise in their place. A family that looks positions up once for a batch gets one draw for it.
    """

    def __init__(self, deviation: float, relative: bool = False) -> None:
        self.deviation, self.relative = deviation, relative
        self._hooks: list[Any] = []

    def attach(self, model: Any) -> None:
        """Begin."""
        if not self.deviation:
            return
        is_bare = bool(getattr(model.config, "lingraft_bare_begin", False))
        for name, tables in embedding_tables(model).items():
            self._hooks += [self._hook(table, spare_begin=is_bare and name != "words") for table in tables]

    def _hook(self, table: nn.Embedding, spare_begin: bool) -> Any:
        scale = self.deviation * (float(table.weight.detach().square().mean().sqrt()) if self.relative else 1.0)

        def add(module: nn.Module, arguments: Any, output: torch.Tensor) -> torch.Tensor:
            if not module.training:
                return output
            noise = torch.randn_like(output) * scale
            if spare_begin:
                noise[..., 0, :] = 0
            return output + noise

        return table.register_forward_hook(add)

    def remove(self) -> None:
        """End."""
        for hook in self._hooks:
            hook.remove()
        self._hooks = []
