"""Checkpoints of a phase: weights and optimiser state as safetensors, complete or not there, checked by digest when read."""

import json
import shutil
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from lingraft.errors import LingraftWarning
from lingraft.files import atomic_folder, digest

MANIFEST, MODEL, OPTIMIZER = "manifest.json", "model.safetensors", "optimizer.safetensors"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint that was found whole. step: how many optimiser steps it has behind it."""

    folder: Path
    step: int


def _weights(model: Any) -> dict[str, torch.Tensor]:
    """Name -> tensor, tied ones once."""
    tensors = {**dict(model.named_parameters()), **{name: b for name, b in model.named_buffers() if name in model.state_dict()}}
    return {name: tensor.detach().contiguous().cpu() for name, tensor in tensors.items()}


def _optimizer_state(model: Any, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    state = {}
    for name, parameter in model.named_parameters():
        for key, value in optimizer.state.get(parameter, {}).items():
            state[f"{name}:{key}"] = torch.as_tensor(value).detach().contiguous().cpu()
    return state


def _name(step: int) -> str:
    return f"checkpoint-{step:08d}"


def save(folder: Path, step: int, model: Any, optimizer: torch.optim.Optimizer | None, *, keep: int) -> None:
    """Write checkpoint `step` of a phase below `folder`, then remove all but the newest `keep`."""
    for left_by_a_kill in folder.glob(".checkpoint-*.partial"):
        shutil.rmtree(left_by_a_kill)
    with atomic_folder(folder / _name(step)) as temporary:
        save_file(_weights(model), temporary / MODEL)
        if optimizer is not None:
            save_file(_optimizer_state(model, optimizer), temporary / OPTIMIZER)
        files = {file.name: digest(file) for file in sorted(temporary.iterdir())}
        (temporary / MANIFEST).write_text(json.dumps({"step": step, "files": files}, indent=2))
    for old in sorted(folder.glob("checkpoint-*"))[: -max(keep, 1)]:
        shutil.rmtree(old)


def _is_whole(folder: Path) -> bool:
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        is_of_folder = folder.name == _name(manifest["step"])
        return is_of_folder and all(digest(folder / name) == value for name, value in manifest["files"].items())
    except (OSError, ValueError, KeyError, TypeError):
        return False


def latest(folder: Path) -> Checkpoint | None:
    """The newest checkpoint that is whole; damaged ones are named in a warning and passed over."""
    for candidate in sorted(folder.glob("checkpoint-*"), reverse=True):
        if _is_whole(candidate):
            return Checkpoint(candidate, json.loads((candidate / MANIFEST).read_text())["step"])
        warnings.warn(f"{candidate} is damaged; the one before it is used.", LingraftWarning, stacklevel=2)
        shutil.rmtree(candidate, ignore_errors=True)  # another process may be at it too
    return None


def fits(model: Any, checkpoint: Checkpoint) -> bool:
    """Whether a checkpoint has every parameter of the model, in its shape."""
    with safe_open(checkpoint.folder / MODEL, framework="pt") as file:
        names = set(file.keys())
        return all(
            name in names and list(parameter.shape) == file.get_slice(name).get_shape() for name, parameter in model.named_parameters()
        )


@torch.no_grad()
def restore_weights(model: Any, checkpoint: Checkpoint) -> None:
    """Put a checkpoint's weights into `model`, in place."""
    tensors = load_file(checkpoint.folder / MODEL)
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if name in tensors:
            tensor.copy_(tensors[name])


@torch.no_grad()
def restore_merged(model: Any, found: Mapping[str, Checkpoint], owners: Mapping[str, str], rest: str | None) -> None:
    """Put weights of several checkpoints into `model`, in place (TreLM 2020, algorithm 1, line 17).

    found: phase -> its checkpoint. owners: name of a parameter -> the phase that it comes from. rest: the phase that all else comes from,
    or None: the mean of all, in float64.
    """
    tensors = {phase: load_file(one.folder / MODEL) for phase, one in found.items()}
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        phase = owners.get(name, rest)
        held = [tensors[one][name] for one in ([phase] if phase else found) if name in tensors[one]]
        if held:
            mean = torch.stack([one.double() for one in held]).mean(0) if len(held) > 1 and tensor.is_floating_point() else held[0]
            tensor.copy_(mean)


def restore_optimizer(model: Any, optimizer: torch.optim.Optimizer, checkpoint: Checkpoint) -> None:
    """Put a checkpoint's optimiser state back, in place."""
    tensors = load_file(checkpoint.folder / OPTIMIZER)
    parameters = dict(model.named_parameters())
    counts_there = any(group.get("fused") or group.get("capturable") for group in optimizer.param_groups)  # as torch keeps its steps
    for key, tensor in tensors.items():
        name, field = key.rsplit(":", 1)
        device = parameters[name].device if field != "step" or counts_there else tensor.device
        optimizer.state.setdefault(parameters[name], {})[field] = tensor.to(device)
