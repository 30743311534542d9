"""What a phase learns from: a protocol, and blocks of text for a language model."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from lingraft.errors import RecipeError
from lingraft.model.heads import Predictor
from lingraft.train.batches import Blocks, Ids, Mixture
from lingraft.train.objectives import OBJECTIVES, Example, Vocabulary, part_of


class Material(Protocol):
    """What the training loop asks of what a phase learns from.

    rows: part -> ids, for the parts that are some rows of a matrix only. network: the module of a model that steps call.
    batch: the global batch of a step, a pure function of its arguments. size: its tokens. loss: the summed loss of share `index` of
    `shares` equal ones, divided by the number of predictions in the whole batch, so that processes and accumulation change nothing.
    """

    @property
    def rows(self) -> Mapping[str, Ids]: ...

    def network(self, model: Any) -> Any: ...

    def batch(self, settings: Any, step: int, seed: int) -> Any: ...

    def size(self, batch: Any) -> int: ...

    def loss(self, network: Any, batch: Any, index: int, shares: int, device: torch.device) -> torch.Tensor: ...

    def release(self, network: Any) -> None: ...

    def remove(self, network: Any) -> None: ...


@dataclass(frozen=True, slots=True)
class Data:
    """Blocks of text, for a language model."""

    blocks: Blocks | Mixture
    vocabulary: Vocabulary

    @property
    def rows(self) -> Mapping[str, Ids]:
        """Part -> ids of its rows."""
        return self.vocabulary.rows

    def network(self, model: Any) -> nn.Module:
        """The model, predicting at chosen positions only."""
        return Predictor(model)

    def objective(self, settings: Any) -> str:
        """Name of the objective. Raises RecipeError where the model cannot be trained for it."""
        if settings.objective == "auto":
            return "clm" if self.vocabulary.mask is None else "mlm"
        if settings.objective == "mlm" and self.vocabulary.mask is None:
            raise RecipeError("A phase asks for objective mlm, but the source is a causal model. Use objective = 'auto'.")
        return str(settings.objective)

    def batch(self, settings: Any, step: int, seed: int) -> Example:
        """What the model sees in a step, and what it predicts."""
        ids, generator = self.blocks.batch(step, settings.batch, seed), np.random.default_rng([seed, step])
        return OBJECTIVES[self.objective(settings)](ids, self.vocabulary, settings.mask_rate, settings.whole_words, generator)

    def size(self, batch: Example) -> int:
        """Tokens of a batch."""
        return batch.inputs.size

    def loss(self, network: Any, batch: Example, index: int, shares: int, device: torch.device) -> torch.Tensor:
        """Cross entropy of a share, ()."""
        share = part_of(batch, index, shares)
        inputs, positions, targets = (torch.from_numpy(array).to(device) for array in (share.inputs, share.positions, share.targets))
        logits = network(inputs, positions)
        return torch.nn.functional.cross_entropy(logits.float(), targets, reduction="sum") / len(batch.positions)

    def release(self, network: Any) -> None:
        """After the backward pass."""
        network.release()

    def remove(self, network: Any) -> None:
        """After the last step."""
        network.remove()
