"""The tokenizer that a recipe asks for."""

from collections.abc import Iterable
from typing import Any

from transformers import PreTrainedTokenizerBase

from lingraft.tokenizer.extend import check_extends, extend
from lingraft.tokenizer.settings import TokenizerSettings
from lingraft.tokenizer.train import read, train


def prepare(lines: Iterable[str], settings: TokenizerSettings, source: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
    """The source's own, one that is read, or one trained on `lines` (joint: of both languages), from nothing or from the source's on."""
    if settings.vocabulary == "source":
        return source
    if settings.read:
        found = _as_the_model_reads(read(settings.read), source)
        return check_extends(found, source) if settings.vocabulary == "extend" else found
    return extend(lines, settings.size, source) if settings.vocabulary == "extend" else train(lines, settings, source)


def _as_the_model_reads(found: PreTrainedTokenizerBase, source: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
    """A tokenizer with the source's names of inputs and sides and the smaller of the two longest inputs, saved or not: its own are those of
    the model that it was made for."""
    told: dict[str, Any] = {"padding_side": source.padding_side, "truncation_side": source.truncation_side}
    told |= {"model_input_names": list(source.model_input_names), "model_max_length": min(found.model_max_length, source.model_max_length)}
    for name, value in told.items():
        setattr(found, name, value)
    found.init_kwargs |= told  # transformers saves what stands here only
    return found
