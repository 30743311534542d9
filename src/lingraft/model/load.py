"""The source model: any transformers checkpoint with an input embedding, its tokenizer, and what kind of language model it is."""

import hashlib
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import transformers
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForPreTraining,
    AutoTokenizer,
    PreTrainedTokenizerBase,
)
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_MASKED_LM_MAPPING,
    MODEL_FOR_PRETRAINING_MAPPING,
)

from lingraft.errors import LingraftWarning, ModelError
from lingraft.model.adapters import load_adapters
from lingraft.model.heads import Predictor, attach_next_sentence_head, next_sentence_head
from lingraft.model.trelm import class_of

Kind = Literal["mlm", "clm"]
NO_PAIRS = "The source has no head for next-sentence prediction: it is trained to predict tokens only, on blocks of text."
AUTO = {"mlm": AutoModelForMaskedLM, "clm": AutoModelForCausalLM}


@dataclass(slots=True)
class Source:
    """A loaded source. `added_head`: names of parameters that the checkpoint does not have and that were drawn."""

    name: str
    model: Any
    tokenizer: PreTrainedTokenizerBase
    kind: Kind
    added_head: list[str]

    def facts(self) -> dict[str, Any]:
        """What run.json and the card say of the source."""
        config = self.model.config
        return {
            "name": self.name,
            "family": config.model_type,
            "parameters": sum(parameter.numel() for parameter in self.model.parameters()),
            "layers": getattr(config, "num_hidden_layers", None),
            "width": getattr(config, "hidden_size", None),
            "added_head": bool(self.added_head),
            "sentence_encoder": is_sentence_encoder(self.name),
            "licence": licence_of(self.name),
        }

    def notes(self, next_sentence: bool, tokens: bool = True) -> list[str]:
        """What run.json and the report say beside that. next_sentence, tokens: whether it is to predict these."""
        notes = []
        if next_sentence and next_sentence_head(self.model) is None:
            notes.append(NO_PAIRS)
        if self.added_head:
            fate = "trained" if tokens else "not trained: scores of held-out text say nothing"
            notes.append(f"The source has no head for predicting tokens; one was added, with random weights, and {fate}.")
        elif not tokens:
            notes.append("No phase predicts tokens: scores of held-out text say how far the source's head still fits the states.")
        if is_sentence_encoder(self.name):
            notes.append(
                "The source is a sentence encoder. Language-model training spoils its sentence vectors: do not use the result for them."
            )
        return notes

    def fingerprint(self) -> str:
        """Of the weights as loaded, a head that was added included."""
        hashed = hashlib.sha256(self.model.config.model_type.encode())
        for name, parameter in self.model.named_parameters():
            hashed.update(name.encode())
            hashed.update(parameter.detach().contiguous().numpy())
        return hashed.hexdigest()


def licence_of(name: str) -> str | None:
    """The licence that a folder's model card names, if it has one."""
    card = Path(name) / "README.md"
    front = card.read_text(encoding="utf-8", errors="replace").split("---")[1:2] if card.is_file() else []
    found = re.search(r"^license:\s*['\"]?([\w.-]+)", front[0], re.MULTILINE) if front else None
    return found[1] if found else None


def is_sentence_encoder(name: str) -> bool:
    """Whether a folder holds a sentence-transformers model, whose sentence vectors language-model training spoils."""
    return (Path(name) / "modules.json").exists() or name.startswith("sentence-transformers/")


def load_config(name: str) -> Any:
    """The configuration of a local folder or hub id. Raises ModelError where there is none that transformers knows."""
    folder = Path(name)
    if not folder.is_dir() and (folder.is_absolute() or name.startswith(".") or name.count("/") > 1):
        raise ModelError(f"There is no model folder {name}. Give a folder with config.json, or a hub id such as FacebookAI/roberta-base.")
    try:
        return AutoConfig.from_pretrained(name, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).strip().split("\n")[0]
        raise ModelError(
            f"Cannot read a model from {name!r}: {reason} Give a local folder with config.json, or a hub id that this machine can reach."
        ) from error


def kind_of(config: Any) -> Kind:
    """Masked or causal: what the checkpoint's own architecture says, else what its family can do.

    Raises ModelError for a family that is neither (sequence to sequence, vision and so on).
    """
    architecture = (getattr(config, "architectures", None) or [""])[0]
    masked, causal = type(config) in MODEL_FOR_MASKED_LM_MAPPING, type(config) in MODEL_FOR_CAUSAL_LM_MAPPING
    if causal and (not masked or (architecture.endswith(("ForCausalLM", "LMHeadModel")) and architecture != "XLMWithLMHeadModel")):
        return "clm"
    if masked and not getattr(config, "is_encoder_decoder", False):
        return "mlm"
    raise ModelError(
        f"The family {config.model_type!r} has neither a masked nor a causal language-model head in transformers. "
        "lingraft grafts encoders (BERT, RoBERTa, XLM-R, …) and decoders (GPT-2, Llama, Qwen, …)."
    )


def load_tokenizer(name: str) -> PreTrainedTokenizerBase:
    """The tokenizer of a folder or hub id. Raises ModelError where there is none."""
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise ModelError(f"Cannot read a tokenizer from {name!r}: {str(error).strip().splitlines()[0]}") from error
    if len(tokenizer) <= len(tokenizer.all_special_ids):
        raise ModelError(f"{name!r} has no tokenizer: its vocabulary is empty. Put the tokenizer's files beside config.json.")
    return tokenizer


def predicts_next_sentence(config: Any) -> bool:
    """Whether the family has a class of its own with a head for next-sentence prediction (BERT and its kind)."""
    if type(config) not in MODEL_FOR_PRETRAINING_MAPPING:
        return False
    with torch.device("meta"):
        return next_sentence_head(MODEL_FOR_PRETRAINING_MAPPING[type(config)](config)) is not None


def draw_model(config: Any, kind: Kind, *, seed: int, next_sentence: bool = False) -> Any:
    """A language model of random weights in float32. next_sentence: with a head for that: the family's own, or an attached one (mlm)."""
    torch.manual_seed(seed)
    own = next_sentence and kind == "mlm" and predicts_next_sentence(config)
    model = (AutoModelForPreTraining if own else AUTO[kind]).from_config(config, trust_remote_code=False).float()
    if next_sentence and kind == "mlm":
        attach_next_sentence_head(model)
    return model.eval()


def load_model(
    name: str, kind: Kind, *, seed: int, random_weights: bool = False, next_sentence: bool = False
) -> tuple[Any, list[str]]:  # fmt: skip
    """The language model of a folder or hub id in float32, and the names of parameters it lacked (a head that had to be added, or
    was added before, and not trained).

    random_weights: only the architecture is taken, every weight is drawn. next_sentence: with its own head for that, if it has one; of
    random weights always (mlm). Raises ModelError; never unpickles, never runs remote code.
    """
    config = load_config(name)
    if random_weights:
        return draw_model(config, kind, seed=seed, next_sentence=next_sentence), []
    torch.manual_seed(seed)
    own = next_sentence and kind == "mlm" and predicts_next_sentence(config)
    verbosity = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    try:
        with warnings.catch_warnings(action="ignore"):
            model, info = (AutoModelForPreTraining if own else AUTO[kind]).from_pretrained(
                name, config=config, dtype=torch.float32, use_safetensors=True, trust_remote_code=False, output_loading_info=True
            )
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelError(f"Cannot load the weights of {name!r}: {reason} lingraft reads safetensors only.") from error
    finally:
        transformers.logging.set_verbosity(verbosity)
    missing = sorted(info["missing_keys"])
    if own and any("seq_relationship" in key or "pooler" in key for key in missing):
        return load_model(name, kind, seed=seed)
    body = [key for key in missing if key.startswith(f"{model.base_model_prefix}.") and "pooler" not in key]
    if body and len(body) > len(list(model.base_model.parameters())) // 2:
        raise ModelError(f"The weights in {name!r} do not fit its architecture {type(model).__name__}: {len(body)} tensors are missing.")
    load_adapters(model, name)
    model.lingraft_added = sorted({*missing, *(getattr(config, "lingraft_drawn", None) or ())})
    return model, model.lingraft_added


def load(folder: Path | str) -> tuple[Any, PreTrainedTokenizerBase]:
    """Model and tokenizer of a folder or hub id, with the adapters that lie beside its weights in place.

    The model is of the class that its config names: a language model, or one with the head of a task. Raises ModelError where there is
    none, or where its head is lingraft's own (`head.safetensors`), which `lingraft evaluate` reads.
    """
    name = str(folder)
    config = load_config(name)
    named = (config.architectures or [""])[0].replace("ForPreTraining", "ForMaskedLM")
    architecture: Any = getattr(transformers, named, None) or class_of(named)
    if architecture is None or (Path(name) / "head.safetensors").exists():
        raise ModelError(f"{name!r} names no model class of transformers that has its head. Score it with `lingraft evaluate`.")
    try:
        model = architecture.from_pretrained(name, config=config, dtype=torch.float32, use_safetensors=True).eval()
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelError(f"Cannot load the weights of {name!r}: {str(error).strip().splitlines()[0]}") from error
    load_adapters(model, name)
    return model, load_tokenizer(name)


def load_source(name: str, *, seed: int, random_weights: bool = False, next_sentence: bool = False) -> Source:
    """Load a source model and its tokenizer; `next_sentence` as in `load_model`. Raises ModelError with the reason."""
    kind = kind_of(load_config(name))
    tokenizer = load_tokenizer(name)
    model, added = load_model(name, kind, seed=seed, random_weights=random_weights, next_sentence=next_sentence)
    if model.get_input_embeddings() is None or model.get_output_embeddings() is None:
        raise ModelError(
            f"{type(model).__name__} of {name!r} has no input or output embeddings that transformers names: it cannot be grafted."
        )
    check_predictions(model, name)
    if next_sentence and next_sentence_head(model) is None:
        warnings.warn(NO_PAIRS, LingraftWarning, stacklevel=2)
    return Source(name, model, tokenizer, kind, added)


@torch.no_grad()
def check_predictions(model: Any, name: str) -> None:
    """Raise ModelError for a family whose predictions at chosen positions are not its predictions there: its parts are joined otherwise."""
    ids, positions = torch.arange(14).reshape(2, 7), torch.tensor([3, 9])
    predictor = Predictor(model)
    try:
        chosen = predictor(ids, positions)
        predictor.release()
        whole = model(input_ids=ids)[0].flatten(0, 1)[positions]
        is_same = chosen.shape == whole.shape and torch.allclose(chosen, whole, rtol=1e-3, atol=1e-3)
    except (RuntimeError, ValueError, TypeError, IndexError):
        is_same = False
    finally:
        predictor.remove()
    if not is_same:
        raise ModelError(
            f"lingraft cannot train the family {model.config.model_type!r} of {name!r} yet: its head does not follow its body."
        )
