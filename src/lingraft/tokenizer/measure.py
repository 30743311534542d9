"""How well a tokenizer fits a text."""

from collections.abc import Iterable
from typing import Any

from transformers import PreTrainedTokenizerBase

from lingraft.text.read import Document
from lingraft.text.words import count_words
from lingraft.tokenizer import vocabulary


def measure(
    tokenizer: PreTrainedTokenizerBase, documents: Iterable[Document], source: PreTrainedTokenizerBase | None = None
) -> dict[str, Any]:
    """Over a text: words, tokens, fertility (tokens per word), bytes per token, share of unknown tokens, and of tokens that `source` has."""
    words = tokens = size = unknown = 0
    for document in documents:
        for ids in tokenizer(document.lines, add_special_tokens=False, split_special_tokens=True)["input_ids"]:
            tokens += len(ids)
            unknown += sum(number == tokenizer.unk_token_id for number in ids)
        words += sum(count_words(line) for line in document.lines)
        size += sum(len(line.encode()) for line in document.lines)
    found: dict[str, Any] = {"size": len(vocabulary.tokens(tokenizer)), "words": words, "tokens": tokens}
    found |= {"fertility": tokens / max(words, 1), "bytes_per_token": size / max(tokens, 1), "unknown_rate": unknown / max(tokens, 1)}
    if source is not None:
        found["overlap"] = float((vocabulary.overlap(source, tokenizer) >= 0).mean())
    return found
