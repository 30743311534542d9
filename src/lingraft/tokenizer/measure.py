"""How well a tokenizer fits a text."""

from collections.abc import Iterable, Iterator

import numpy as np
from transformers import PreTrainedTokenizerBase

from lingraft.text.read import Document
from lingraft.text.shards import token_counts
from lingraft.text.words import count_words
from lingraft.tokenizer import vocabulary


def measure(
    tokenizer: PreTrainedTokenizerBase, documents: Iterable[Document], source: PreTrainedTokenizerBase | None = None
) -> dict[str, float | int | None]:
    """Measures of a tokenizer over documents, read once, in constant memory.

    tokens, words     counts; words as `words.count_words` has them, line breaks are no tokens' text but may be tokens
    fertility         tokens per word
    bytes_per_token   UTF-8 bytes of the text for each token
    unknown_rate      part of the tokens that are the unknown token; 0 where the tokenizer has none
    used              part of the vocabulary that occurs in the text
    overlap           part of the vocabulary with the same spelling in the source's; None without source

    A rate is None where the text is empty.
    """
    counted = {"words": 0, "bytes": 0}

    def passing() -> Iterator[Document]:
        for document in documents:
            for line in document.lines:
                counted["words"] += count_words(line)
                counted["bytes"] += len(line.encode())
            yield document

    size = len(vocabulary.tokens(tokenizer))
    counts = token_counts(passing(), tokenizer, size)
    tokens, unknown = int(counts.sum()), vocabulary.roles(tokenizer).get("unknown")
    return {
        "size": size,
        "words": counted["words"],
        "tokens": tokens,
        "fertility": _rate(tokens, counted["words"]),
        "bytes_per_token": _rate(counted["bytes"], tokens),
        "unknown_rate": _rate(0 if unknown is None else int(counts[unknown]), tokens),
        "used": _rate(int(np.count_nonzero(counts)), size),
        "overlap": None if source is None else _rate(int(np.count_nonzero(vocabulary.overlap(source, tokenizer) >= 0)), size),
    }


def _rate(part: int, whole: int) -> float | None:
    return part / whole if whole else None
