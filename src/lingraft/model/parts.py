"""The parameters behind the names of parts, found through transformers' own accessors."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from lingraft.errors import RecipeError
from lingraft.model.names import LAYERS, check_part


def word_matrices(model: Any) -> dict[str, nn.Parameter]:
    """Name -> parameter of the input matrix and, where it is not tied, the output matrix."""
    wanted = {id(table.weight) for table in (model.get_input_embeddings(), model.get_output_embeddings()) if table is not None}
    return {name: parameter for name, parameter in model.named_parameters() if id(parameter) in wanted}


def primitives(model: Any) -> dict[str, nn.Parameter]:
    """Name -> parameter of the second factors of factorised word matrices (see lingraft.model.factorised)."""
    return {name: parameter for name, parameter in model.named_parameters() if name.endswith(".primitive")}


def output_biases(model: Any) -> dict[str, nn.Parameter]:
    """Name -> parameter of the biases that have one number per token, (vocab,)."""
    if model.get_output_embeddings() is None:
        return {}
    size = model.get_output_embeddings().weight.shape[0]
    body = {id(parameter) for parameter in model.base_model.parameters()}
    return {n: p for n, p in model.named_parameters() if p.shape == (size,) and id(p) not in body}


def inner_body(model: Any) -> nn.Module:
    """The module that holds embeddings and layers: the base model, or in OPT and its kind the decoder inside it."""
    base, words = model.base_model, model.get_input_embeddings()
    for module in base.children():
        if any(isinstance(child, nn.ModuleList) for child in module.children()) and any(child is words for child in module.modules()):
            return module
    return base  # type: ignore[no-any-return]


def _embedding_block(model: Any) -> set[int]:
    base, words = inner_body(model), model.get_input_embeddings()
    for module in base.children():
        if module is not words and any(child is words for child in module.modules()) and not isinstance(module, nn.ModuleList):
            return {id(parameter) for parameter in module.parameters()}
    tables = [module for module in base.children() if isinstance(module, nn.Embedding)]
    return {id(parameter) for table in tables for parameter in table.parameters()}


def _position_tables(model: Any) -> list[nn.Embedding]:
    named = model.base_model.named_modules()
    return [module for name, module in named if isinstance(module, nn.Embedding) and re.search(r"position|wpe", name)]


def longest_input(model: Any) -> int | None:
    """Tokens that the position table has rows for; None where positions are not in a table.

    Families with a padding row in the table (RoBERTa and its kind) count positions from the one after it.
    """
    first = first_position(model)
    return None if first is None else min(table.num_embeddings - first for table in _position_tables(model))


def first_position(model: Any) -> int | None:
    """Row of the position table for the first token; None where positions are not in a table."""
    return max((0 if table.padding_idx is None else table.padding_idx + 1 for table in _position_tables(model)), default=None)


def num_layers(model: Any) -> int:
    """Number of layers of the body."""
    return int(model.config.num_hidden_layers)


def _layer_of(model: Any) -> dict[int, int]:
    """id of a parameter -> index of the layer it belongs to."""
    layers = [module for module in model.base_model.modules() if isinstance(module, nn.ModuleList) and len(module) == num_layers(model)]
    return {id(parameter): index for stack in layers for index, layer in enumerate(stack) for parameter in layer.parameters()}


def _layer_range(name: str, total: int) -> range:
    first, last, half = LAYERS.fullmatch(name).groups()  # type: ignore[union-attr]
    if half:
        return range(total // 2) if half == "lower-half" else range(total // 2, total)
    chosen = range(int(first), int(last or first) + 1)
    if chosen.stop > total or not len(chosen):
        raise RecipeError(f"The part {name!r} does not exist: this model's layers are 0 to {total - 1}.")
    return chosen


def parameters_of(model: Any, part: str) -> dict[str, nn.Parameter]:
    """Name -> parameter for one part. Raises RecipeError for a part this model does not have."""
    named = dict(model.named_parameters())
    words, biases, block = word_matrices(model), output_biases(model), _embedding_block(model)
    factors = words | primitives(model)
    in_base = {id(parameter) for parameter in model.base_model.parameters()}
    if LAYERS.fullmatch(part):
        layer_of, chosen = _layer_of(model), _layer_range(part, num_layers(model))
        return {n: p for n, p in named.items() if layer_of.get(id(p)) in chosen}
    choose = {
        "all": lambda n, p: True,
        "embeddings": lambda n, p: id(p) in block or n in factors or n in biases,
        "words": lambda n, p: n in words or n in biases,
        "new": lambda n, p: n in words or n in biases,
        "specials": lambda n, p: n in words,
        "positions": lambda n, p: any(p is table.weight for table in _position_tables(model)),
        "body": lambda n, p: id(p) in in_base and id(p) not in block and n not in factors,
        "head": lambda n, p: id(p) not in in_base and n not in factors,
    }[check_part(part)]
    return {name: parameter for name, parameter in named.items() if choose(name, parameter)}


def set_trainable(model: Any, parts: Iterable[str]) -> dict[str, list[str]]:
    """Let only `parts` train. Returns, for matrices and biases of which only some rows train, name -> their "words", "specials", "new".

    Raises RecipeError where a part is empty in this model.
    """
    parts = list(parts)
    chosen: set[str] = set()
    for part in parts:
        found = parameters_of(model, part)
        if not found and part != "head":  # where the word matrix is the whole head, nothing else is left of it
            raise RecipeError(f"This {model.config.model_type} model has no {part!r} to train.")
        chosen |= set(found)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in chosen)
    whole = {"all", "embeddings"} & set(parts) or {"words", "specials"} <= set(parts)
    some: list[str] = [] if whole else [part for part in ("words", "specials", "new") if part in parts]
    matrices = dict.fromkeys(word_matrices(model), some) if some else {}
    only_new = "new" in some and not {"words", "head"} & set(parts)
    return matrices | ({name: ["new"] for name in output_biases(model)} if only_new else {})


class FrozenRows:
    """Keeps rows of word matrices, and entries of output biases, as they are, through optimiser steps and weight decay.

    partial: what `set_trainable` returned. ids: "specials" and "new" -> the ids of these rows.
    """

    def __init__(self, model: Any, partial: Mapping[str, list[str]], ids: Mapping[str, npt.NDArray[np.int64]]) -> None:
        self.kept: list[tuple[nn.Parameter, torch.Tensor | slice, torch.Tensor]] = []
        for name, parts in partial.items():
            parameter = dict(model.named_parameters())[name]
            rows = np.arange(parameter.shape[0])
            trained = [np.setdiff1d(rows, ids["specials"]) if part == "words" else ids[part] for part in parts]
            stay = _indices(np.setdiff1d(rows, np.concatenate(trained)), parameter.device)
            self.kept.append((parameter, stay, parameter.detach()[stay].clone()))

    @property
    def size(self) -> int:
        """Numbers that are kept."""
        return sum(values.numel() for _, _, values in self.kept)

    @torch.no_grad()
    def mask_gradients(self) -> None:
        """Zero the gradients of rows that stay, before clipping counts them."""
        for parameter, ids, _ in self.kept:
            if parameter.grad is not None:
                parameter.grad[ids] = 0

    @torch.no_grad()
    def restore(self) -> None:
        """Undo what weight decay or momentum did to rows that stay."""
        for parameter, ids, values in self.kept:
            parameter[ids] = values


def _indices(ids: npt.NDArray[np.int64], device: torch.device) -> torch.Tensor | slice:
    """Sorted ids to index a matrix with: where they follow one another a slice, which is several times faster."""
    if len(ids) and ids[-1] - ids[0] == len(ids) - 1:
        return slice(int(ids[0]), int(ids[-1]) + 1)
    return torch.from_numpy(ids).to(device)
