"""Models that begin with random weights."""

import re
from collections.abc import Mapping
from typing import Any

import torch
from transformers import AutoConfig
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from lingraft.errors import RecipeError, suggest
from lingraft.model.load import AUTO, Kind, draw_model, kind_of, load_config
from lingraft.model.parts import longest_input
from lingraft.model.settings import ArchitectureSettings
from lingraft.model.surgery import set_special_ids

NAMES = {
    "layers": ("num_hidden_layers",),
    "width": ("hidden_size",),
    "heads": ("num_attention_heads",),
    "intermediate": ("intermediate_size", "n_inner", "hidden_dim", "ffn_dim"),
    "positions": ("max_position_embeddings",),
    "embedding_width": ("embedding_size", "word_embed_proj_dim"),
}
"""Our name -> names that families give it; the first that a family has is meant."""
DROPOUT = re.compile(r"dropout(_prob)?$|_pdrop$")


def shape_of(settings: ArchitectureSettings) -> tuple[Any, Kind]:
    """The configuration that settings describe (vocabulary and special ids left open), and whether it is a masked or a causal model.

    Raises RecipeError for a family that transformers does not know or that lacks what is asked, ModelError where one that is read is none.
    """
    if settings.read:
        config = load_config(settings.read)
        return config, kind_of(config)
    if settings.family not in CONFIG_MAPPING:
        raise RecipeError(f"transformers has no model family {settings.family!r}. {suggest(settings.family, list(CONFIG_MAPPING))}")
    usual = AutoConfig.for_model(settings.family)
    asked = settings.model_dump() | {"intermediate": settings.intermediate or 4 * settings.width}
    keys = {key: value for key in usual.to_dict() if DROPOUT.search(key) and (value := settings.dropout) is not None}
    for ours, names in NAMES.items():
        theirs = next((name for name in names if hasattr(usual, name)), None)
        if asked[ours] is not None and theirs is not None:
            keys[theirs] = asked[ours]
        elif ours == "embedding_width" and asked[ours] not in (None, settings.width):
            raise RecipeError(
                f"The family {settings.family!r} has word rows as wide as its layers. Leave embedding_width out, or use electra."
            )
    try:
        config = AutoConfig.for_model(settings.family, **keys)
    except (ValueError, TypeError) as error:
        raise RecipeError(f"There is no {settings.family} of this architecture: {error}.") from error
    return config, kind_of(config)


def outline(settings: ArchitectureSettings, config: Any, kind: Kind) -> Any:
    """The model of a configuration without its weights. Makes room in the configuration for all positions that the settings ask for.

    Raises RecipeError where transformers cannot build it.
    """
    try:
        with torch.device("meta"):
            model = AUTO[kind].from_config(config, trust_remote_code=False)
            if not settings.read and (missing := settings.positions - (longest_input(model) or settings.positions)):
                config.max_position_embeddings += missing  # RoBERTa and its kind count positions from the one after the padding row
                model = AUTO[kind].from_config(config, trust_remote_code=False)
    except (ValueError, TypeError, RuntimeError, AssertionError, ArithmeticError) as error:
        raise RecipeError(f"There is no {config.model_type} of this architecture: {str(error).strip().splitlines()[0]}.") from error
    return model


def from_scratch(
    settings: ArchitectureSettings, size: int, roles: Mapping[str, int], seed: int, next_sentence: bool = False
) -> tuple[Any, Kind]:
    """A language model of `size` tokens with random weights, and its kind. roles: role -> id of the special tokens. next_sentence: with a
    head for that.

    Raises what `shape_of` and `outline` raise.
    """
    config, kind = shape_of(settings)
    config.vocab_size = size
    set_special_ids([config], roles)
    outline(settings, config, kind)
    return draw_model(config, kind, seed=seed, next_sentence=next_sentence), kind
