"""A model with a head for a task: transformers' own classes where it has one, else an encoder and our head beside it."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import nn

from lingraft.errors import ModelError
from lingraft.model.adapters import load_adapters, save_adapters
from lingraft.model.load import load_config

HEAD = "head.safetensors"
HEADS = {
    "token": transformers.AutoModelForTokenClassification,
    "sequence": transformers.AutoModelForSequenceClassification,
    "question": transformers.AutoModelForQuestionAnswering,
    "choice": transformers.AutoModelForMultipleChoice,
    "none": transformers.AutoModel,
}
ENDINGS = {
    "ForTokenClassification": "token",
    "ForSequenceClassification": "sequence",
    "ForQuestionAnswering": "question",
    "ForMultipleChoice": "choice",
}
"""How transformers calls the classes with these heads."""


def load_with_head(name: str, head: str, labels: list[str], **options: Any) -> Any:
    """The model of a folder or hub id with a head of HEADS, in float32; weights it lacks are drawn by torch's global generator,
    and their names are in its attribute `missing`.

    labels: names in the order of the head's outputs; none: one output. Raises ModelError where the family has no such head.
    """
    config = load_config(name)
    if labels:
        options |= {"id2label": dict(enumerate(labels)), "label2id": {label: i for i, label in enumerate(labels)}}
    for key, value in options.items():
        setattr(config, key, value)
    verbosity = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    try:
        with warnings.catch_warnings(action="ignore"):
            model, info = HEADS[head].from_pretrained(
                name,
                config=config,
                dtype=torch.float32,
                use_safetensors=True,
                trust_remote_code=False,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
            )
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelError(f"Cannot load {name!r} with a {head} head: {str(error).strip().splitlines()[0]}") from error
    finally:
        transformers.logging.set_verbosity(verbosity)
    if body := {key for key in info["missing_keys"] if key.startswith(f"{model.base_model_prefix}.") and "pooler" not in key}:
        _fill_body(model, name)
    mismatched = [str(key[0] if isinstance(key, tuple) else key) for key in info["mismatched_keys"]]
    model.missing = sorted(key for key in {*info["missing_keys"], *mismatched} - body if "pooler" not in key)
    load_adapters(model, name)
    return model


def _fill_body(model: Any, name: str) -> None:
    """Take the body from the folder where a family's head gives it another name than its language model does (Llama, questions). Raises
    ModelError where it is not there either."""
    options: dict[str, Any] = {"dtype": torch.float32, "use_safetensors": True, "trust_remote_code": False, "output_loading_info": True}
    body, info = transformers.AutoModel.from_pretrained(name, **options)
    if lost := sorted(key for key in info["missing_keys"] if "pooler" not in key):
        raise ModelError(f"The weights in {name!r} do not fit {type(model).__name__}: {len(lost)} of its body are missing ({lost[0]}).")
    model.base_model.load_state_dict(body.state_dict())


def load_task_model(folder: str) -> Any:
    """A fine-tuned model with transformers' own head; of one with a head of ours (head.safetensors) the encoder, without that head.

    Raises ModelError where the folder has no head of a task, or weights are missing.
    """
    architecture = (load_config(folder).architectures or [""])[0]
    head = next((head for ending, head in ENDINGS.items() if ending in architecture), "none")
    if head == "none" and not (Path(folder) / HEAD).is_file():
        raise ModelError(f"{folder} holds no task model but {architecture or 'weights'} alone. Make one with `lingraft finetune`.")
    model = load_with_head(folder, head, [])
    if model.missing:
        raise ModelError(f"The task model {folder} lacks weights: {model.missing[0]}.")
    return model


class Headed(nn.Module):
    """An encoder and a head that transformers has no class for. It answers what the training loop asks of a model.

    encoder: a transformers base model. head: any module. forward is the head's business: kinds call `states` and then the head.
    """

    def __init__(self, encoder: Any, head: nn.Module) -> None:
        super().__init__()
        self.encoder, self.head = encoder, head
        self.missing = [f"head.{name}" for name in head.state_dict()]

    @property
    def config(self) -> Any:
        """The encoder's."""
        return self.encoder.config

    @property
    def base_model(self) -> Any:
        """The encoder."""
        return self.encoder

    def get_input_embeddings(self) -> Any:
        """The encoder's table of words."""
        return self.encoder.get_input_embeddings()

    def get_output_embeddings(self) -> None:
        """There are none."""

    def set_attn_implementation(self, name: str) -> None:
        """Of the encoder."""
        self.encoder.set_attn_implementation(name)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, **more: torch.Tensor) -> Any:
        """What the head makes of the last hidden states (batch, length, dim) and what else it is given."""
        return self.head(self.encoder(input_ids=input_ids, attention_mask=attention_mask)[0], **more)

    def save_pretrained(self, folder: Path | str) -> None:
        """Save the encoder as a transformers folder (with its adapters), and the head beside it as head.safetensors."""
        from safetensors.torch import save_file

        self.encoder.save_pretrained(folder)
        save_adapters(self.encoder, folder)
        save_file({name: tensor.contiguous() for name, tensor in self.head.state_dict().items()}, Path(folder) / HEAD)


def headed(name: str, head: Callable[[int], nn.Module], labels: list[str]) -> Headed:
    """The encoder of a folder or hub id with a head for its width; with the head's weights too where the folder has those of this shape."""
    from safetensors.torch import load_file

    encoder = load_with_head(name, "none", labels)
    model, file = Headed(encoder, head(encoder.config.hidden_size)), Path(name) / HEAD
    found = load_file(file) if file.is_file() else {}
    if {key: tensor.shape for key, tensor in found.items()} == {key: tensor.shape for key, tensor in model.head.state_dict().items()}:
        model.head.load_state_dict(found)
        model.missing = []
    return model
