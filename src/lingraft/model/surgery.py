"""Putting new rows into a model: input matrix, untied output matrix, output biases, special-token ids, position offsets."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from lingraft.embeddings import NewRows
from lingraft.errors import ModelError
from lingraft.model.adapters import connect
from lingraft.model.factorised import factorise, primitive_of
from lingraft.model.parts import output_biases, word_matrices

ROLE_IDS = {
    "pad": ("pad_token_id", "pad_index"),
    "begin": ("bos_token_id", "cls_token_id", "bos_index"),
    "end": ("eos_token_id", "sep_token_id", "eos_index"),
    "mask": ("mask_token_id", "mask_index"),
    "unknown": ("unk_token_id", "unk_index"),
}


def check_fits(model: Any, tokenizer_size: int) -> int:
    """Rows of the source's input matrix. Raises ModelError where its tokenizer has more tokens than the matrix has rows."""
    rows = int(model.get_input_embeddings().weight.shape[0])
    if tokenizer_size > rows:
        raise ModelError(
            f"The source's tokenizer has {tokenizer_size} tokens, its embedding matrix {rows} rows: they do not belong together."
        )
    return rows


@torch.no_grad()
def graft(
    model: Any, rows: NewRows, roles: Mapping[str, int], *, seed: int, output: NewRows | None = None, rank: int | None = None
) -> None:
    """Replace the vocabulary of `model` in place.

    rows: for the input matrix. output: for an output matrix that is not tied to it, and its bias; by default `rows`. Direct rows, which
    were made for the input, fall back to mix or draw there.
    rank: where it is less than a matrix's width, mix coordinates in so many dimensions and leave the matrix in two factors (OFA).
    roles: role -> id of the new tokenizer's special tokens; the config's ids are set from it.
    The order of draws is fixed (input, output, biases), so that a seed gives the same bytes.
    """
    old = {name: matrix.detach().clone() for name, matrix in word_matrices(model).items()}
    biases = {name: bias.detach().clone() for name, bias in output_biases(model).items()}
    _resize(model, rows.num_new)
    model.config.vocab_size = rows.num_new
    primitives = {name: primitive_of(matrix, rank) for name, matrix in old.items() if rank is not None and rank < matrix.shape[1]}
    factorise(model, primitives)
    coordinates = {name: matrix @ primitives[name].T if name in primitives else matrix for name, matrix in old.items()}
    generator = np.random.default_rng([seed, 1])
    others = (rows if output is None or len(old) == 1 else output).without_direct()
    _refill(word_matrices(model), coordinates, [_times(rows, next(iter(old)), primitives), others], generator)
    _refill(output_biases(model), biases, [others], generator)
    _set_special_ids(model, roles)
    connect(model)


def _times(rows: NewRows, name: str, primitives: Mapping[str, torch.Tensor]) -> NewRows:
    """The rows with direct vectors as coordinates, where the matrix they are for is factorised."""
    if rows.direct is None or name not in primitives:
        return rows
    return replace(rows, direct=rows.direct @ primitives[name].float().numpy().T)


def _resize(model: Any, size: int) -> None:
    try:
        model.resize_token_embeddings(size, mean_resizing=False)
    except (TypeError, NotImplementedError) as error:
        raise ModelError(f"The vocabulary of the family {model.config.model_type!r} cannot be resized by transformers: {error}.") from error


def _refill(new: dict[str, nn.Parameter], old: dict[str, torch.Tensor], rows: Sequence[NewRows], generator: np.random.Generator) -> None:
    """Fill each parameter by its NewRows, the last ones by the last of these."""
    if set(new) != set(old):
        raise ModelError(f"Resizing the vocabulary renamed parameters ({sorted(set(new) ^ set(old))}): this family cannot be grafted yet.")
    for index, (name, parameter) in enumerate(new.items()):
        before = old[name].float().numpy()
        source = before.reshape(len(before), -1)
        own = rows[min(index, len(rows) - 1)]
        parameter.copy_(torch.from_numpy(own.apply(source, generator)).reshape(parameter.shape))


def _set_special_ids(model: Any, roles: Mapping[str, int]) -> None:
    """Config and generation config get the new ids; families that count positions from the padding id get their table shifted."""
    set_special_ids([model.config, getattr(model, "generation_config", None), model.base_model], roles)
    if "pad" in roles:
        _move_padding(model, roles["pad"])


def set_special_ids(configs: Iterable[Any], roles: Mapping[str, int]) -> None:
    """Put a vocabulary's ids, by role, where a configuration has ids of special tokens."""
    for role, names in ROLE_IDS.items():
        for name in names:
            for config in configs:
                if isinstance(getattr(config, name, None), int) and (role in roles or name.endswith("_token_id")):
                    setattr(config, name, roles.get(role))


def _move_padding(model: Any, pad: int) -> None:
    words = model.get_input_embeddings()
    if words.padding_idx is not None:
        words.padding_idx = pad
    for module in model.base_model.modules():
        positions = getattr(module, "position_embeddings", None)
        if isinstance(positions, nn.Embedding) and positions.padding_idx is not None:
            positions.weight.copy_(torch.roll(positions.weight, pad - positions.padding_idx, dims=0))
            positions.padding_idx = pad
            module.padding_idx = pad
