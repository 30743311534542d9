"""The TRILayer and language embeddings (TreLM, section 3.1): put into a model, and taken out again for folders that are stock. STOCK is the
table of ways out."""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from lingraft.errors import ModelError
from lingraft.model.parts import embedding_tables, layer_stacks, num_layers, trilayer_place
from lingraft.model.trelm import CLASSES, TARGET, grow, language_tables, speak
from lingraft.model.trelm_configs import CONFIGS

NOTES = ("lingraft_languages", "lingraft_language_embeddings", "lingraft_trilayer")
FITTING = "BERT, RoBERTa, XLM and XLM-RoBERTa"
SPREAD = 0.02  # of the placeholder's start


def is_grown(model: Any) -> bool:
    """Whether the model re-orders states between its halves, with a TRILayer or without."""
    return getattr(model.config, "lingraft_trilayer", None) is not None


def has_trilayer(model: Any) -> bool:
    """Whether there is a TRILayer between the halves."""
    return trilayer_place(model) is not None


def meeting(model: Any) -> dict[str, Any] | None:
    """What run.json says of it: languages, `at`, `layer`, `mid_embeddings`; None of a stock model."""
    config = model.config
    return {"languages": config.lingraft_languages, **config.lingraft_trilayer} if is_grown(model) else None


def check_trilayer(model: Any, *, trilayer: bool, language_embeddings: bool) -> None:
    """Raise ModelError for a family that has no place for them, for one layer only, and for a model that has other ones already."""
    config = model.config
    if is_grown(model):
        if (has_trilayer(model), config.lingraft_language_embeddings) != (trilayer, language_embeddings):
            raise ModelError(
                f"The model comes with trilayer = {str(has_trilayer(model)).lower()} and language_embeddings = "
                f"{str(config.lingraft_language_embeddings).lower()} already: set the same, or start from the model it was made of."
            )
    elif type(model) not in CLASSES or getattr(config, "is_decoder", False) or getattr(config, "causal", False):
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
    lower half's last layer, in place. A model that has them keeps its own weights, a language its embedding; one that is new to it gets
    another.

    codes: the source's language and the target's. mid_embeddings: add positions and the target's language again before the upper half.
    Raises what `check_trilayer` raises.
    """
    check_trilayer(model, trilayer=trilayer, language_embeddings=language_embeddings)
    config, generator = model.config, torch.Generator().manual_seed(seed)
    old, config.lingraft_languages = getattr(config, "lingraft_languages", []), list(codes)
    if is_grown(model):
        _rename(model, old, generator)
        set_mid_embeddings(model, mid_embeddings)
        return
    at = num_layers(model) // 2
    if trilayer:
        for layers in layer_stacks(model):
            layers.insert(at, copy.deepcopy(layers[at - 1]))
        _renumber(model, 1)
    config.lingraft_language_embeddings = language_embeddings
    config.lingraft_trilayer = {"at": at, "layer": trilayer, "mid_embeddings": mid_embeddings}
    config.__class__, model.__class__ = CONFIGS[type(config)], CLASSES[type(model)]
    vars(config).pop("model_type", None)  # the class has it
    grow(model)
    nn.init.normal_(model.base_model.placeholder["weight"], std=SPREAD, generator=generator)
    for table in language_tables(model.base_model):
        nn.init.orthogonal_(table.weight, generator=generator)
    model.to(model.get_input_embeddings().weight.device)


@torch.no_grad()
def _rename(model: Any, old: list[str], generator: torch.Generator) -> None:
    """Where the languages were named `old`, give each its embedding of then, wherever it stands now, and a new one another start."""
    codes = model.config.lingraft_languages
    for table in language_tables(model.base_model) if codes != old else []:
        rows = nn.init.orthogonal_(torch.empty(table.weight.shape), generator=generator)
        for number, code in enumerate(codes):
            if code in old:
                rows[number] = table.weight[old.index(code)]
        table.weight.copy_(rows)


def rename_target(model: Any, code: str) -> None:
    """A grown model whose target is another language from here on: with that one's embedding, or the one's that was it before."""
    codes = list(getattr(model.config, "lingraft_languages", None) or [])
    if code in codes:
        speak(model, code)
    elif codes:
        codes[TARGET] = code
        model.config.lingraft_languages = codes


def set_mid_embeddings(model: Any, added: bool) -> None:
    """Whether positions and the target's language are added again before the upper half, from here on; nothing where nothing is
    re-ordered."""
    if is_grown(model):
        model.config.lingraft_trilayer = {**model.config.lingraft_trilayer, "mid_embeddings": added}


def _renumber(model: Any, more: int) -> None:
    """After layers were put in or taken out: how many there are, and the number that each one knows of itself."""
    model.config.num_hidden_layers += more
    if hasattr(model.base_model, "n_layers"):  # XLM
        model.base_model.n_layers += more
    for layers in layer_stacks(model):
        for number, layer in enumerate(layers):
            for module in layer.modules():
                for name in {"layer_idx", "layer_id"} & vars(module).keys():
                    setattr(module, name, number)


@torch.no_grad()
def _stock(model: Any) -> Any:
    """A copy of the family's own class for texts of the target: its language is in the segment table (in XLM, which has none, in that of
    the positions), nothing is re-ordered."""
    made = copy.deepcopy(model)
    base, config = made.base_model, made.config
    old = {ours: stock for stock, ours in [*CLASSES.items(), *CONFIGS.items()]}
    for table in language_tables(base):
        tables = embedding_tables(made)
        for other in tables["segments"] or tables["positions"]:
            other.weight += table.weight[TARGET]
        del (base.embeddings if hasattr(base, "encoder") else base).language_embeddings
    for part in (made, base, config):
        part.__class__ = old.get(type(part), type(part))
    if hasattr(base, "encoder"):
        base.encoder.__class__ = type(base.encoder).__mro__[2]
    del base.placeholder
    for name in (*NOTES, "lingraft_bare_begin", "model_type"):
        vars(config).pop(name, None)
    return made


def without_trilayer(model: Any) -> Any:
    """The stock model of the family without the TRILayer, and with nothing added between the halves: another function, to be measured."""
    place, made = trilayer_place(model), _stock(model)
    if place is not None:
        for layers in layer_stacks(made):
            del layers[place]
        _renumber(made, -1)
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
