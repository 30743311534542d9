"""The TRILayer and language embeddings (TreLM, section 3.1): put into a model, and taken out again for folders that are stock. STOCK is the
table of ways out."""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from lingraft.errors import ModelError
from lingraft.model.parts import layer_stacks, num_layers, trilayer_place
from lingraft.model.trelm import CLASSES, TARGET, grow
from lingraft.model.trelm_configs import CONFIGS

NOTES = ("lingraft_languages", "lingraft_language_embeddings", "lingraft_trilayer")
FITTING = "BertForMaskedLM, RobertaForMaskedLM, XLMRobertaForMaskedLM and their kind"


def is_grown(model: Any) -> bool:
    """Whether the model re-orders states between its halves, with a TRILayer or without."""
    return getattr(model.config, "lingraft_trilayer", None) is not None


def has_trilayer(model: Any) -> bool:
    """Whether there is a TRILayer between the halves."""
    return trilayer_place(model) is not None


def check_trilayer(model: Any, *, trilayer: bool, language_embeddings: bool) -> None:
    """Raise ModelError for a family that has no place for them, for one layer only, and for a model that has other ones already."""
    config = model.config
    if is_grown(model):
        if (has_trilayer(model), config.lingraft_language_embeddings) != (trilayer, language_embeddings):
            raise ModelError(
                f"The model comes with trilayer = {str(has_trilayer(model)).lower()} and language_embeddings = "
                f"{str(config.lingraft_language_embeddings).lower()} already: set the same, or start from the model it was made of."
            )
    elif type(model) not in CLASSES or getattr(config, "is_decoder", False):
        raise ModelError(
            f"lingraft has TRILayer and language embeddings for {FITTING}, not for {type(model).__name__}. "
            "Use trilayer = false and language_embeddings = false."
        )
    elif num_layers(model) < 2:
        raise ModelError("A TRILayer stands between two halves, but this model has one layer only. Use trilayer = false.")


def insert_trilayer(
    model: Any,
    codes: Sequence[str],
    *,
    trilayer: bool = True,
    language_embeddings: bool = True,
    mid_embeddings: bool = True,
    seed: int = 0,
) -> None:
    """Give a model language embeddings (an orthogonal start) and a re-ordering between its halves, and there a TRILayer that starts as the
    lower half's last layer, in place. A model that has them keeps its own weights.

    codes: the source's language and the target's. mid_embeddings: add positions and the target's language again before the upper half.
    Raises what `check_trilayer` raises.
    """
    check_trilayer(model, trilayer=trilayer, language_embeddings=language_embeddings)
    config = model.config
    config.lingraft_languages = list(codes)
    if is_grown(model):
        config.lingraft_trilayer = {**config.lingraft_trilayer, "mid_embeddings": mid_embeddings}
        return
    (layers,) = layer_stacks(model)
    at = len(layers) // 2
    if trilayer:
        layers.insert(at, copy.deepcopy(layers[at - 1]))
        _renumber(model, layers)
    config.lingraft_language_embeddings = language_embeddings
    config.lingraft_trilayer = {"at": at, "layer": trilayer, "mid_embeddings": mid_embeddings}
    config.__class__, model.__class__ = CONFIGS[type(config)], CLASSES[type(model)]
    grow(model)
    generator = torch.Generator().manual_seed(seed)
    nn.init.normal_(model.base_model.encoder.placeholder.weight, std=config.initializer_range, generator=generator)
    if language_embeddings:
        nn.init.orthogonal_(model.base_model.embeddings.language_embeddings.weight, generator=generator)
    model.to(layers[0].attention.output.dense.weight.device)


def _renumber(model: Any, layers: nn.ModuleList) -> None:
    model.config.num_hidden_layers = len(layers)
    for number, layer in enumerate(layers):
        for module in layer.modules():
            if hasattr(module, "layer_idx"):
                module.layer_idx = number


@torch.no_grad()
def _stock(model: Any) -> Any:
    """A copy of the family's own class for texts of the target: its language is in the segment table, nothing is re-ordered."""
    made = copy.deepcopy(model)
    base, config = made.base_model, made.config
    old = {ours: stock for stock, ours in [*CLASSES.items(), *CONFIGS.items()]}
    for part in {made, base, config}:
        part.__class__ = old[type(part)]
    base.encoder.__class__ = type(base.encoder).__mro__[2]
    del base.encoder.placeholder
    if config.lingraft_language_embeddings:
        base.embeddings.token_type_embeddings.weight += base.embeddings.language_embeddings.weight[TARGET]
        del base.embeddings.language_embeddings
    for name in (*NOTES, "lingraft_bare_begin"):
        vars(config).pop(name, None)
    return made


def without_trilayer(model: Any) -> Any:
    """The stock model of the family without the TRILayer, and with nothing added between the halves: another function, to be measured."""
    place, made = trilayer_place(model), _stock(model)
    if place is not None:
        (layers,) = layer_stacks(made)
        del layers[place]
        _renumber(made, layers)
    return made


def folded(model: Any) -> Any:
    """The stock model of N + 1 layers that computes the same of texts of the target. Raises ModelError where something is added between
    the halves, which no stock model does."""
    if model.config.lingraft_trilayer["mid_embeddings"]:
        raise ModelError(
            "Positions and language are added again between the halves, which no stock model does. Train with mid_embeddings = false "
            "(the last phase is enough), or export --stock without-trilayer."
        )
    return _stock(model)


STOCK: dict[str, Callable[[Any], Any]] = {"folded": folded, "without-trilayer": without_trilayer}
