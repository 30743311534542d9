"""The parameters behind the names of parts, found through transformers' own accessors."""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from lingraft.errors import RecipeError
from lingraft.model.names import LAYERS, check_part

LANGUAGES = "language_embeddings.weight"  # how the names of language embeddings end
ROW_PARTS = ("words", "specials", "new")
"""Parts that are some rows of the word matrices only."""


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


def position_tables(model: Any) -> list[nn.Embedding]:
    """The tables that positions are looked up in."""
    named = model.base_model.named_modules()
    return [module for name, module in named if isinstance(module, nn.Embedding) and re.search(r"position|wpe", name)]


def embedding_tables(model: Any) -> dict[str, list[nn.Embedding]]:
    """The tables that a token's input is the sum of: words, positions, segments; empty where a family has none."""
    named = model.base_model.named_modules()
    segments = [module for name, module in named if isinstance(module, nn.Embedding) and re.search(r"token_type|segment", name)]
    return {"words": [model.get_input_embeddings()], "positions": position_tables(model), "segments": segments}


def longest_input(model: Any) -> int | None:
    """Tokens that the position table has rows for; None where positions are not in a table.

    Families with a padding row in the table (RoBERTa and its kind) count positions from the one after it, OPT from an offset.
    """
    first = first_position(model)
    return None if first is None else min(table.num_embeddings - first - getattr(table, "offset", 0) for table in position_tables(model))


def first_position(model: Any) -> int | None:
    """The position of the first token; None where positions are not in a table."""
    tables = [0 if table.padding_idx is None else table.padding_idx + 1 for table in position_tables(model)]
    counts = [buffer for name, buffer in model.base_model.named_buffers() if name.endswith("position_ids") and not buffer.is_meta]
    return max([*tables, *(int(count.flatten()[0]) for count in counts)]) if tables else None


def has_segments(model: Any) -> bool:
    """Whether the model is told by token types which of several texts a token is of."""
    return (getattr(getattr(model, "module", model).config, "type_vocab_size", None) or 0) > 1


def num_layers(model: Any) -> int:
    """Number of layers of the body."""
    return int(model.config.num_hidden_layers)


def is_adapter(name: str) -> bool:
    """Whether a parameter of this name belongs to an adapter (see lingraft.model.adapters)."""
    return re.search(r"\.(adapter|lora_[AB])\.", name) is not None


def layer_stacks(model: Any) -> list[nn.ModuleList]:
    """The lists of the body's layers, from the first to the last."""
    return [module for module in model.base_model.modules() if isinstance(module, nn.ModuleList) and len(module) == num_layers(model)]


def _layer_of(model: Any) -> dict[int, int]:
    """id of a parameter -> index of the layer it belongs to."""
    return {id(parameter): index for stack in layer_stacks(model) for index, layer in enumerate(stack) for parameter in layer.parameters()}


def trilayer_place(model: Any) -> int | None:
    """Which of the layers is the TRILayer (see lingraft.model.trilayer); None where there is none."""
    told = getattr(model.config, "lingraft_trilayer", None)
    return told["at"] if told and told["layer"] else None


def _layer_range(name: str, total: int, trilayer: int | None) -> range:
    first, last, half = LAYERS.fullmatch(name).groups()  # type: ignore[union-attr]
    if half:
        lower = total // 2 if trilayer is None else trilayer
        return range(lower) if half == "lower-half" else range(lower + (trilayer is not None), total)
    chosen = range(int(first), int(last or first) + 1)
    if chosen.stop > total or not len(chosen):
        raise RecipeError(f"The part {name!r} does not exist: this model's layers are 0 to {total - 1}.")
    return chosen


def parameters_of(model: Any, part: str) -> dict[str, nn.Parameter]:
    """Name -> parameter for one part. Raises RecipeError for a part this model does not have."""
    named = dict(model.named_parameters())
    if part not in ("all", "adapters"):
        named = {name: parameter for name, parameter in named.items() if not is_adapter(name)}
    words, biases, block = word_matrices(model), output_biases(model), _embedding_block(model)
    factors = words | primitives(model)
    in_base = {id(parameter) for parameter in model.base_model.parameters()}
    layer_of, positions = _layer_of(model), {id(table.weight) for table in position_tables(model)}
    if LAYERS.fullmatch(part):
        chosen = _layer_range(part, num_layers(model), trilayer_place(model))
        return {n: p for n, p in named.items() if layer_of.get(id(p)) in chosen}
    choose = {
        "all": lambda n, p: True,
        "adapters": lambda n, p: is_adapter(n),
        "added": lambda n, p: n in getattr(model, "lingraft_added", ()) and n not in factors,
        "embeddings": lambda n, p: id(p) in block or n in factors or n in biases,
        "words": lambda n, p: n in words or n in biases,
        "language": lambda n, p: n.endswith(LANGUAGES),
        "new": lambda n, p: n in words or n in biases,
        "specials": lambda n, p: n in words,
        "positions": lambda n, p: id(p) in positions,
        "segments": lambda n, p: id(p) in block and n not in factors and id(p) not in positions and not n.endswith(LANGUAGES),
        "trilayer": lambda n, p: "placeholder." in n or layer_of.get(id(p), -1) == trilayer_place(model),
        "body": lambda n, p: id(p) in in_base and id(p) not in block and n not in factors,
        "head": lambda n, p: id(p) not in in_base and n not in factors,
    }[check_part(part)]
    return {name: parameter for name, parameter in named.items() if choose(name, parameter)}


def body_fingerprint(model: Any) -> str:
    """SHA-256 of the body's names and float32 weights, pooler and adapters left out: the same under every head."""
    return _fingerprint(model, "body")


def input_fingerprints(model: Any) -> dict[str, str]:
    """The same of what stands between word rows and body: segments (with the norm) and positions, wherever padding moved them to, without
    the position of the first place: where its token goes without (`lingraft_bare_begin`), it is another, and the body's input the same."""
    return {part: _fingerprint(model, part) for part in ("segments", "positions")}


def _fingerprint(model: Any, part: str) -> str:
    base = {id(parameter): name.replace(".base_layer", "") for name, parameter in model.base_model.named_parameters()}
    named = {base[id(parameter)]: parameter for parameter in parameters_of(model, part).values()}
    hashed = hashlib.sha256()
    for name in sorted(name for name in named if "pooler" not in name):
        pad = getattr(model.base_model.get_submodule(name.rpartition(".")[0]), "padding_idx", None)
        skipped = 0 if part != "positions" else 1 if pad is None else 2  # the padding's row and the first place's
        hashed.update(name.encode())
        hashed.update(named[name].detach().cpu().float().roll(-(pad or 0), dims=0)[skipped:].contiguous().numpy().tobytes())
    return hashed.hexdigest()


def set_trainable(model: Any, train: Iterable[str], freeze: Iterable[str] = ()) -> dict[str, list[str]]:
    """Let the parts of `train` train, without those of `freeze`. Returns, for matrices and biases of which only some rows train,
    name -> their "words", "specials", "new".

    Raises RecipeError where a part is empty in this model, or nothing is left to train.
    """
    train, freeze = list(train), list(freeze)
    some, matrices = _rows_that_train(train, freeze), set(word_matrices(model))
    chosen = {name for part in train for name in _present(model, part, "train")}
    for part in freeze:
        chosen -= _present(model, part, "freeze") - (matrices if part in ROW_PARTS and some else set())
    if freeze and not chosen:
        raise RecipeError(f"Nothing is left to train: {', '.join(train)} without {', '.join(freeze)}.")
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in chosen)
    partial = {} if {"words", "specials"} <= set(some) else dict.fromkeys(sorted(matrices & chosen), some)
    only_new = "new" in some and not {"words", "head"} & set(train)
    return partial | ({name: ["new"] for name in output_biases(model) if name in chosen} if only_new else {})


def _present(model: Any, part: str, verb: str) -> set[str]:
    """Names of a part's parameters. Raises RecipeError where it has none, except head and added, which may be empty."""
    found = parameters_of(model, part)
    if not found and part not in ("added", "head"):
        raise RecipeError(f"This {model.config.model_type} model has no {part!r} to {verb}.")
    return set(found)


def _rows_that_train(train: Sequence[str], freeze: Sequence[str]) -> list[str]:
    """Which of ROW_PARTS train. The words are the new ones and the others. Raises RecipeError for new ones frozen by themselves."""
    if "new" in freeze:
        raise RecipeError("The part 'new' cannot be frozen: freeze 'words', or leave 'new' out of what trains.")
    whole = {"all", "embeddings"} & set(train)
    some = ["words", "specials"] if whole else [part for part in ROW_PARTS if part in train]
    return [part for part in some if ("specials" if part == "specials" else "words") not in freeze]


class FrozenRows:
    """Keeps rows of word matrices, and entries of output biases, as they are, through optimiser steps and weight decay.

    partial: what `set_trainable` returned. ids: "specials" and "new" -> the ids of these rows. trained: parameter -> the rows that train.
    """

    def __init__(self, model: Any, partial: Mapping[str, list[str]], ids: Mapping[str, npt.NDArray[np.int64]]) -> None:
        self.kept: list[tuple[nn.Parameter, torch.Tensor | slice, torch.Tensor]] = []
        self.trained: dict[nn.Parameter, torch.Tensor | slice] = {}
        for name, parts in partial.items():
            parameter = dict(model.named_parameters())[name]
            rows = np.arange(parameter.shape[0])
            train = np.unique(np.concatenate([np.setdiff1d(rows, ids["specials"]) if part == "words" else ids[part] for part in parts]))
            stay = _indices(np.setdiff1d(rows, train), parameter.device)
            self.kept.append((parameter, stay, parameter.detach()[stay].clone()))
            self.trained[parameter] = _indices(train, parameter.device)

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
