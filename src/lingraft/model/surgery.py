"""Putting new rows into a model: input matrix, untied output matrix, output biases, special-token ids, position offsets."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from lingraft.embeddings import NewRows
from lingraft.errors import ModelError, TokenizerError
from lingraft.model.adapters import connect
from lingraft.model.factorised import factorise, primitive_of
from lingraft.model.load import Kind
from lingraft.model.parts import output_biases, position_tables, word_matrices

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


def check_specials(roles: Mapping[str, int], kind: Kind, model: Any = None) -> None:
    """Raise TokenizerError where a new tokenizer lacks a special token that a model of this kind cannot do without. roles: role -> id."""
    if kind == "mlm" and "mask" not in roles:
        raise TokenizerError("The tokenizer has no mask token, which a masked language model learns by. Add one, as its mask_token.")
    counts = model is not None and any(table.padding_idx is not None for table in position_tables(model))
    if (counts or hasattr(getattr(model, "config", None), "pad_index")) and "pad" not in roles:
        raise TokenizerError(
            f"The tokenizer has no padding token, from whose id the family {model.config.model_type!r} counts positions or lengths. "
            "Add one, as its pad_token."
        )


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
    before, after = (next(iter(matrices.values())) for matrices in (old, word_matrices(model)))
    same = {i for i in _listed_ids(model) if i < min(len(before), len(after)) and torch.equal(before[i], after[i])}
    _set_special_ids(model, roles, same)
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


def _configs(model: Any) -> list[Any]:
    """What of a model has ids of special tokens."""
    return [model.config, getattr(model, "generation_config", None), model.base_model]


def _listed_ids(model: Any) -> set[int]:
    """Ids that stand in a list in a model's configurations: decoders may end at several tokens."""
    values = [getattr(config, name, None) for config in _configs(model) for names in ROLE_IDS.values() for name in names]
    return {number for value in values if isinstance(value, list) for number in value}


def _set_special_ids(model: Any, roles: Mapping[str, int], same: Collection[int]) -> None:
    """Config and generation config get the new ids; families that count positions from the padding id get their table shifted."""
    set_special_ids(_configs(model), roles, same)
    if "pad" in roles:
        _move_padding(model, roles["pad"])


def set_special_ids(configs: Iterable[Any], roles: Mapping[str, int], same: Collection[int] = ()) -> None:
    """Put a vocabulary's ids, by role, where a configuration has ids of special tokens. same: ids that are the same token as before: in
    lists they stay, all others go."""
    for config in configs:
        for role, name in ((role, name) for role, names in ROLE_IDS.items() for name in names):
            value = getattr(config, name, None)
            if isinstance(value, list):
                kept = [number for number in value if number in same and number != roles.get(role)]
                setattr(config, name, [*([roles[role]] if role in roles else []), *kept] if kept else roles.get(role))
            elif isinstance(value, int) and (role in roles or name.endswith("_token_id")):
                setattr(config, name, roles.get(role))


def _follows_padding(module: nn.Module, config: Any) -> bool:
    """Whether embeddings that are built anew, as by loading, count positions from the padding id that the configuration names."""
    try:
        with torch.device("meta"):
            made: Any = type(module)(config)
    except TypeError:  # built of more than a configuration: taken on trust
        return True
    return bool(made.position_embeddings.padding_idx == config.pad_token_id)


def _move_padding(model: Any, pad: int) -> None:
    words = model.get_input_embeddings()
    if words.padding_idx is not None:
        words.padding_idx = pad
    for module in model.base_model.modules():
        positions = getattr(module, "position_embeddings", None)
        if isinstance(positions, nn.Embedding) and positions.padding_idx is not None:
            if pad + 1 >= positions.num_embeddings:
                raise ModelError(
                    f"The family {model.config.model_type!r} counts positions from the id of the padding token, and with that of the new "
                    f"tokenizer, {pad}, none of its {positions.num_embeddings} is left. Give a tokenizer with padding among its first ids."
                )
            if pad != positions.padding_idx and not _follows_padding(module, model.config):
                raise ModelError(
                    f"The family {model.config.model_type!r} always has its padding token at {positions.padding_idx}, the new tokenizer "
                    f"has it at {pad}. Give a tokenizer with padding at {positions.padding_idx}, or let one be trained."
                )
            positions.weight.copy_(torch.roll(positions.weight, pad - positions.padding_idx, dims=0))
            positions.padding_idx = pad
            module.padding_idx = pad
