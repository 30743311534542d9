"""The tokenizer that a recipe asks for."""

from collections.abc import Iterable

from transformers import PreTrainedTokenizerBase

from lingraft.tokenizer.extend import check_extends, extend
from lingraft.tokenizer.settings import TokenizerSettings
from lingraft.tokenizer.train import read, train


def prepare(lines: Iterable[str], settings: TokenizerSettings, source: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
    """The source's own, one that is read, or one trained on `lines` (joint: of both languages), from nothing or from the source's on."""
    if settings.vocabulary == "source":
        return source
    if settings.read:
        found = read(settings.read)
        return check_extends(found, source) if settings.vocabulary == "extend" else found
    return extend(lines, settings.size, source) if settings.vocabulary == "extend" else train(lines, settings, source)
