"""Training in this process only, while accelerate's other processes wait: what the loop asks of an Accelerator, without them."""

import contextlib
from typing import Any

import torch
from accelerate import PartialState


class Alone:
    """Stands in for an Accelerator: one process, on its own device."""

    num_processes, process_index, is_main_process = 1, 0, True
    trackers: tuple[Any, ...] = ()

    def __init__(self) -> None:
        self.device = PartialState().device

    def prepare(self, model: Any) -> Any:
        """The model as it is."""
        return model

    def no_sync(self, model: Any) -> contextlib.AbstractContextManager[None]:
        """Nothing is ever gathered."""
        return contextlib.nullcontext()

    def backward(self, loss: torch.Tensor) -> None:
        """Gradients of a loss, ()."""
        loss.backward()

    def clip_grad_norm_(self, parameters: Any, largest: float) -> torch.Tensor:
        """Scale gradients down to the largest norm; the norm before, ()."""
        return torch.nn.utils.clip_grad_norm_(parameters, largest)

    def reduce(self, tensor: torch.Tensor, reduction: str = "sum") -> torch.Tensor:
        """Over one process: itself."""
        return tensor

    def wait_for_everyone(self) -> None:
        """Nobody to wait for."""

    def init_trackers(self, name: str, config: Any) -> None:
        """Nothing is tracked."""

    def log(self, values: Any, step: int) -> None:
        """Nothing is tracked."""
