"""Word alignment by a multilingual encoder's own states, with nothing trained (SimAlign, Jalili Sabet et al. 2020).

Two words are linked where each is the other's nearest by cosine (the paper's Argmax). A word's state is the mean of its pieces' states.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from lingraft.text.words import word_spans

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

BATCH = 32  # pairs
Floats = np.ndarray[Any, np.dtype[np.float32]]
Links = list[tuple[int, int]]


def contextual_links(
    model: Any,
    tokenizer: "PreTrainedTokenizerBase",
    pairs: Iterable[tuple[str, str]],
    layer: int | None = None,
    longest: int | None = None,
) -> Iterator[Links]:
    """Links (source word, target word) of every pair of texts; words are those of `lingraft.text.words`, counted from 0.

    model: an encoder that knows both languages, in evaluation mode; it stays on its device. tokenizer: its own, a fast one. layer: whose
    states are compared, 0 for the embeddings; by default the one at two thirds of the depth, the 8th of 12. longest: tokens that
    the model has positions for; None: as many as the tokenizer says. Words beyond these, and those without a piece, have no links.
    """
    layer = round(model.config.num_hidden_layers * 2 / 3) if layer is None else layer
    rest, longest = iter(pairs), min(longest or tokenizer.model_max_length, tokenizer.model_max_length)
    while batch := list(islice(rest, BATCH)):
        sources, targets = (_word_states(model, tokenizer, [pair[side] for pair in batch], layer, longest, side == 0) for side in (0, 1))
        yield from map(_mutual, sources, targets)


def _word_states(
    model: Any, tokenizer: "PreTrainedTokenizerBase", texts: Sequence[str], layer: int, longest: int, is_source: bool
) -> list[Floats]:
    """The unit state (words, dim) of every word of each text, cut after `longest` tokens; zeros for a word without a piece."""
    import torch

    options = {"padding": True, "return_offsets_mapping": True, "return_attention_mask": True, "return_token_type_ids": False}
    encoded = tokenizer(list(texts), truncation=True, max_length=longest, return_tensors="pt", **options)
    offsets = encoded.pop("offset_mapping").numpy()
    with torch.inference_mode():
        inputs = {**encoded.to(model.device)}
        if is_source and getattr(model.config, "lingraft_language_embeddings", False):
            inputs["languages"] = torch.zeros_like(inputs["input_ids"])  # a model that is told its input's language (TreLM)
        states = model(**inputs, output_hidden_states=True).hidden_states[layer].float().cpu().numpy()
    return [_unit(_pieces_of_words(text, places) @ own) for text, places, own in zip(texts, offsets, states, strict=True)]


def _pieces_of_words(text: str, offsets: np.ndarray[Any, Any]) -> Floats:
    """(words, pieces) with a 1 where a piece, at `offsets` (pieces, 2) in characters, has a part of a word; specials have none."""
    spans = np.array(word_spans(text)).reshape(-1, 2)
    starts, ends = offsets[:, 0], offsets[:, 1]
    return ((spans[:, :1] < ends) & (starts < spans[:, 1:])).astype(np.float32)


def _unit(vectors: Floats) -> Floats:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)


def _mutual(source: Floats, target: Floats) -> Links:
    """Pairs of rows each of which is the other's nearest; rows of zeros have none."""
    has_state = np.outer(source.any(axis=1), target.any(axis=1))
    cosines = np.where(has_state, source @ target.T, -np.inf)
    if not cosines.size:
        return []
    nearest_target, nearest_source = cosines.argmax(axis=1), cosines.argmax(axis=0)
    found = np.flatnonzero((nearest_source[nearest_target] == np.arange(len(source))) & np.isfinite(cosines.max(axis=1)))
    return [(int(word), int(nearest_target[word])) for word in found]
