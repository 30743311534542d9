"""Adapters: small modules in each layer that train for a language while the body stays as it is. INSERT is the table of kinds.

They hang on the family's own modules by hooks, and stay out of `state_dict`: what is saved as a transformers folder is the stock model,
and `adapters.safetensors` beside it holds theirs. LoRA's are small enough to be one product: the stock weights have them added.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers.utils import cached_file

from lingraft.errors import MissingExtra, ModelError
from lingraft.files import read_json
from lingraft.model.parts import inner_body, is_adapter, layer_stacks

FILE = "adapters.safetensors"
MERGED = ("lora",)
"""Kinds that the stock weights of a saved folder have in them already."""

SPREAD = 1e-2  # Houlsby et al. 2019, section 3.6: near the identity


@dataclass(frozen=True, slots=True)
class Places:
    """Where adapters go in a layer: names of its modules; last: the one that gives what the layer gives."""

    attention: str
    feed_forward: str
    query: str
    value: str
    last: str


BERT = Places("attention.output.dense", "output.dense", "query", "value", "output")
MEETING = ("trelm-bert", "trelm-roberta", "trelm-xlm-roberta")
PLACES = dict.fromkeys(("bert", "camembert", "electra", "roberta", "xlm-roberta", *MEETING), BERT) | {
    "distilbert": Places("attention.out_lin", "ffn.lin2", "q_lin", "v_lin", "output_layer_norm")
}


class Bottleneck(nn.Module):
    """Down to `width`, GELU, up again; near zero at first."""

    def __init__(self, dim: int, width: int, generator: torch.Generator) -> None:
        super().__init__()
        self.down, self.up = nn.Linear(dim, width), nn.Linear(width, dim)
        for layer in (self.down, self.up):
            nn.init.trunc_normal_(layer.weight, std=SPREAD, a=-2 * SPREAD, b=2 * SPREAD, generator=generator)
            nn.init.zeros_(layer.bias)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """What is to be added to `states`, (…, dim)."""
        return self.up(nn.functional.gelu(self.down(states)))  # type: ignore[no-any-return]


class Joined(nn.Module):
    """States beside static vectors of the tokens that they stand at, as one linear map sees both (ROSITA, Mulcaire et al. 2019). The
    vectors, (vocab, width), stay as they are; ids: of the tokens that the model reads."""

    vectors: torch.Tensor

    def __init__(self, dim: int, size: int, width: int) -> None:
        super().__init__()
        self.states, self.beside = nn.Linear(dim, dim), nn.Linear(width, dim, bias=False)
        nn.init.eye_(self.states.weight)
        nn.init.zeros_(self.states.bias)
        nn.init.zeros_(self.beside.weight)
        self.register_buffer("vectors", torch.zeros(size, width))
        self.ids: torch.Tensor | None = None

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """(batch, length, dim) in the states' place. Raises ModelError where the model was given embeddings instead of ids."""
        if self.ids is None or self.ids.shape != states.shape[:2]:
            raise ModelError("A model with static vectors beside its states reads tokens: give it input_ids, not inputs_embeds.")
        return self.states(states) + self.beside(self.vectors[self.ids])  # type: ignore[no-any-return]


class Coupling(nn.Module):
    """An invertible map of embeddings (Pfeiffer et al. 2020, equations 3 to 6; Dinh et al. 2015)."""

    def __init__(self, dim: int, generator: torch.Generator) -> None:
        super().__init__()
        self.first, self.second = (Bottleneck(dim // 2, max(1, dim // 4), generator) for _ in range(2))

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """(…, dim) e1, e2 -> o1 = e1 + F(e2), o2 = e2 + G(o1)."""
        left, right = states.chunk(2, dim=-1)
        left = left + self.first(right)
        return torch.cat([left, right + self.second(left)], dim=-1)

    def inverse(self, states: torch.Tensor) -> torch.Tensor:
        """(…, dim) o1, o2 -> e1, e2."""
        left, right = states.chunk(2, dim=-1)
        right = right - self.second(left)
        return torch.cat([left - self.first(right), right], dim=-1)


def check(model: Any, kind: str) -> None:
    """Raise ModelError for a family that has no places for adapters, MissingExtra where `kind` needs a package that is not there."""
    family = model.config.model_type
    if family not in PLACES:
        raise ModelError(f"lingraft has adapters for {', '.join(sorted(PLACES))}, not for the family {family!r}. Use adapters = 'none'.")
    if kind in MERGED:
        _peft()
    known = kind_of(model)
    if known not in (None, kind):
        raise ModelError(f"The model has {known} adapters already: it cannot get {kind} ones too. Start from one without.")


def has_adapters(model: Any) -> bool:
    """Whether adapters are in place (those of MERGED that a folder has in its weights are not)."""
    return any(is_adapter(name) for name, _ in model.named_parameters())


def kind_of(model: Any) -> str | None:
    """The kind of the adapters that are in place; None where there are none."""
    return str(model.config.lingraft_adapters["kind"]) if has_adapters(model) else None


def insert(model: Any, kind: str, width: int, seed: int) -> None:
    """Put new adapters into a model, in place; one that has some of this kind keeps them. Raises what `check` raises."""
    check(model, kind)
    if not has_adapters(model):
        INSERT[kind](model, width, torch.Generator().manual_seed(seed))
        model.config.lingraft_adapters = {"kind": kind, "width": width}
    model.to(next(model.parameters()).device)


def connect(model: Any) -> None:
    """Put the inverse of an invertible adapter before the output matrix, which is a new module after a resize."""
    coupling, output = getattr(_embeddings(model), "adapter", None), model.get_output_embeddings()
    if coupling is not None and output is not None and not hasattr(output, "adapter"):
        output.adapter = coupling
        output.register_forward_pre_hook(_invert, prepend=True)  # before the primitive of factorised rows


def save_adapters(model: Any, folder: Path | str) -> None:
    """Write adapters.safetensors, names relative to the base model; nothing where there are none."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in _own(model)}
    if tensors:
        save_file(tensors, Path(folder) / FILE)


def load_adapters(model: Any, folder: Path | str) -> None:
    """Put in the adapters that lie beside the model's weights in `folder`; nothing where there are none, or in the weights already."""
    told = getattr(model.config, "lingraft_adapters", None)
    file = _file(str(folder)) if told and told["kind"] not in MERGED else None
    if told and file:
        insert(model, told["kind"], told["width"], seed=0)
        _fill(model, file)


def _file(name: str) -> Path | None:
    """adapters.safetensors of a folder, or of a hub id beside its weights; None where there is none."""
    if Path(name).is_dir():
        return Path(name) / FILE if (Path(name) / FILE).is_file() else None
    found = cached_file(name, FILE, _raise_exceptions_for_missing_entries=False, _raise_exceptions_for_connection_errors=False)
    return Path(found) if found else None


def take_adapters(model: Any, folder: Path | str) -> None:
    """Put the adapters of `folder`, of whatever kind, into another model of its body. Raises ModelError where they do not fit."""
    config = Path(folder) / "config.json"
    told = read_json(config).get("lingraft_adapters") if config.is_file() else None
    if told is None or not (Path(folder) / FILE).is_file():
        raise ModelError(f"{folder} has no adapters: {FILE} and a note in config.json go together.")
    insert(model, told["kind"], told["width"], seed=0)
    _fill(model, Path(folder) / FILE)


@torch.no_grad()
def _fill(model: Any, file: Path) -> None:
    found, own = load_file(file), dict(_own(model))
    if {name: tensor.shape for name, tensor in found.items()} != {name: parameter.shape for name, parameter in own.items()}:
        raise ModelError(f"The adapters in {file} are not of this model's shape: they were made for another body.")
    for name, parameter in own.items():
        parameter.copy_(found[name])


def _own(model: Any) -> Iterator[tuple[str, torch.Tensor]]:
    """The adapters' parameters, and vectors that stay, by names relative to the base model, which are the same under every head."""
    tensors = chain(model.base_model.named_parameters(), model.base_model.named_buffers())
    return ((name, tensor) for name, tensor in tensors if is_adapter(f".{name}"))


def _embeddings(model: Any) -> Any:
    return getattr(inner_body(model), "embeddings", None)


def _layers(model: Any) -> Iterator[nn.Module]:
    return (layer for stack in layer_stacks(model) for layer in stack)


def _attach(module: Any, adapter: nn.Module, hook: Callable[..., torch.Tensor]) -> None:
    adapter.register_state_dict_post_hook(_leave_out)
    module.adapter = adapter
    module.register_forward_hook(hook)


# Hooks know no model: a copy of a model has hooks of its own.


def _add(module: Any, arguments: Any, states: torch.Tensor) -> torch.Tensor:
    return states + module.adapter(states)


def _map(module: Any, arguments: Any, states: torch.Tensor) -> torch.Tensor:
    return module.adapter(states)  # type: ignore[no-any-return]


def _invert(module: Any, arguments: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
    return (module.adapter.inverse(arguments[0]),)


def _leave_out(module: nn.Module, state: dict[str, Any], prefix: str, metadata: Any) -> None:
    for name in [name for name in state if name.startswith(prefix)]:
        del state[name]


def _merge(module: Any, state: dict[str, Any], prefix: str, metadata: Any) -> None:
    """The stock module's entries in place of LoRA's: W + B A."""
    _leave_out(module, state, prefix, metadata)
    base = module.get_base_layer()
    state[f"{prefix}weight"] = (base.weight + module.get_delta_weight("default")).detach()
    if base.bias is not None:
        state[f"{prefix}bias"] = base.bias.detach()


def _bottlenecks(model: Any, width: int, generator: torch.Generator, names: tuple[str, ...] = ("attention", "feed_forward")) -> None:
    """After the attention's projection and the feed-forward of each layer, before they join the residual stream (Houlsby et al. 2019)."""
    places = PLACES[model.config.model_type]
    for layer in _layers(model):
        for module in (layer.get_submodule(getattr(places, name)) for name in names):
            _attach(module, Bottleneck(module.out_features, width, generator), _add)  # type: ignore[arg-type]


def _invertible(model: Any, width: int, generator: torch.Generator) -> None:
    """After each feed-forward, and a coupling after the embeddings whose inverse stands before the output matrix (Pfeiffer et al. 2020)."""
    _bottlenecks(model, width, generator, ("feed_forward",))
    words = model.get_input_embeddings()
    dim = getattr(words, "primitive", words.weight).shape[1]
    if dim % 2:
        raise ModelError(f"Invertible adapters halve the embeddings, but these are {dim} wide. Use adapters = 'bottleneck'.")
    _attach(_embeddings(model), Coupling(dim, generator), _map)
    connect(model)


def _linear(model: Any, width: int, generator: torch.Generator) -> None:
    """A linear map of the last layer's states, the identity at first. width: not needed."""
    *_, layer = _layers(model)
    dim = int(model.config.hidden_size)
    _attach(layer.get_submodule(PLACES[model.config.model_type].last), nn.Linear(dim, dim), _map)
    set_linear(model, torch.eye(dim), torch.zeros(dim))


@torch.no_grad()
def set_linear(model: Any, weight: torch.Tensor, bias: torch.Tensor) -> None:
    """Make x -> x weight + bias of a model's linear adapter. weight: (dim, dim)."""
    *_, layer = _layers(model)
    adapter = layer.get_submodule(PLACES[model.config.model_type].last).adapter
    adapter.weight.copy_(weight.T)  # type: ignore[union-attr,operator]
    adapter.bias.copy_(bias)  # type: ignore[union-attr,operator]


def _vectors(model: Any, width: int, generator: torch.Generator) -> None:
    """Static vectors of `width` beside the last layer's states; of no effect at first, and zeros until `set_vectors`."""
    words = model.get_input_embeddings()
    joined = Joined(int(model.config.hidden_size), words.weight.shape[0], width)
    *_, layer = _layers(model)
    _attach(layer.get_submodule(PLACES[model.config.model_type].last), joined, _map)
    words.adapter = joined
    words.register_forward_pre_hook(_remember)
    _embeddings(model).register_forward_pre_hook(_forget)


def _forget(module: Any, arguments: Any) -> None:
    module.word_embeddings.adapter.ids = None


def _remember(module: Any, arguments: tuple[torch.Tensor, ...]) -> None:
    module.adapter.ids = arguments[0]


@torch.no_grad()
def set_vectors(model: Any, vectors: torch.Tensor) -> None:
    """Fill in the static vectors, (vocab, width), of a model with adapters of this kind; rows beyond them stay zeros."""
    model.get_input_embeddings().adapter.vectors[: len(vectors)] = vectors


def _lora(model: Any, width: int, generator: torch.Generator) -> None:
    """Low-rank updates of the queries' and values' matrices (Hu et al. 2022), by peft; of no effect at first. Their scale is 1."""
    peft, places = _peft(), PLACES[model.config.model_type]
    config = peft.LoraConfig(r=width, lora_alpha=width, target_modules=[places.query, places.value])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(generator.initial_seed())
        peft.inject_adapter_in_model(config, model.base_model)
    del model.base_model.peft_config
    model.requires_grad_(True)
    for module in model.base_model.modules():
        if hasattr(module, "lora_A"):
            module.register_state_dict_post_hook(_merge)


def _peft() -> Any:
    try:
        import peft
    except ImportError:
        raise MissingExtra(
            "adapters = 'lora' needs the package peft, which is not installed. Install it: pip install 'lingraft[lora]'"
        ) from None
    return peft


INSERT: dict[str, Callable[[Any, int, torch.Generator], None]] = {
    "bottleneck": _bottlenecks,
    "invertible": _invertible,
    "lora": _lora,
    "linear": _linear,
    "vectors": _vectors,
}
