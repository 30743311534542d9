"""Frozen hidden states of an encoder or decoder: a word's is the mean of its pieces', at each layer (0: embeddings)."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from lingraft.errors import LingraftWarning, TextError
from lingraft.evaluate.heads import load_with_head
from lingraft.evaluate.tagging import specials_around, windows
from lingraft.evaluate.task import Array, Item, collate
from lingraft.model.load import kind_of, load_config, load_tokenizer
from lingraft.model.parts import has_segments, longest_input

TOKENS_AT_ONCE = 4096
Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Encoder:
    """A frozen model. length: tokens it reads at most. summary: where the state of a whole input stands: first, or last (decoders)."""

    model: Any
    tokenizer: Any
    length: int
    summary: int

    @property
    def num_layers(self) -> int:
        """Layers above the embeddings."""
        return int(self.model.config.num_hidden_layers)


def load_encoder(name: str, length: int) -> Encoder:
    """The body of a folder or hub id, on the accelerator if there is one. Raises ModelError."""
    kind = kind_of(load_config(name))
    tokenizer, model = load_tokenizer(name), load_with_head(name, "none", [])
    if model.missing:
        text = f"{name!r} lacks {len(model.missing)} weights of its body ({model.missing[0]} …): they are drawn."
        warnings.warn(text, LingraftWarning, stacklevel=2)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    longest = min(length, longest_input(model) or length, tokenizer.model_max_length)
    return Encoder(model.eval().requires_grad_(False).to(device), tokenizer, longest, 0 if kind == "mlm" else -1)


def word_states(encoder: Encoder, sentences: Sequence[Sequence[str]], layers: Sequence[int]) -> Array:
    """(layers, words, dim) states of all words of all sentences, one sentence after the other; float32."""
    items, starts = [], np.cumsum([0, *map(len, sentences)])
    after = len(specials_around(encoder.tokenizer)[1])
    for start, words in zip(starts, sentences, strict=False):
        for window in windows(words, encoder.tokenizer, encoder.length):
            ends = [*window.starts[1:], len(window.ids) - after]
            spans = np.array([window.starts, ends]).T
            items.append({"input_ids": np.array(window.ids), "spans": spans, "rows": start + np.array(window.words)})
    return _filled(encoder, items, layers, int(starts[-1]))


def marked_states(encoder: Encoder, texts: Sequence[Sequence[str]], spans: Sequence[Sequence[Span]], layers: Sequence[int]) -> Array:
    """(layers, n, 1 + k, dim) for n inputs of k texts (1, or 2 as the tokenizer joins a pair): the summary's state, then the marked words'.

    spans: of each text, start and end of its marked word, in characters. A text that is too long is cut around it. Raises TextError
    where a marked word has no piece.
    """
    items, width, told = [], 1 + len(texts[0]), has_segments(encoder.model)
    for number, (parts, places) in enumerate(zip(texts, spans, strict=True)):
        room = (encoder.length - 6) // len(parts)
        cut = [_shortened(text, span, encoder.tokenizer, room) for text, span in zip(parts, places, strict=True)]
        encoded = encoder.tokenizer(*(text for text, _ in cut), return_offsets_mapping=True, return_token_type_ids=told)
        found = [_pieces(encoded, which, span) for which, (_, span) in enumerate(cut)]
        for text, span, (start, end) in zip(parts, places, found, strict=True):
            if start == end:
                raise TextError(f"No piece of {text!r} stands at characters {span[0]} to {span[1]}, where its marked word should be.")
        last = len(encoded["input_ids"]) - 1 if encoder.summary else 0
        item = {"input_ids": np.array(encoded["input_ids"]), "spans": np.array([(last, last + 1), *found])}
        if told:
            item["token_type_ids"] = np.array(encoded["token_type_ids"])
        items.append({**item, "rows": number * width + np.arange(width)})
    states = _filled(encoder, items, layers, len(items) * width)
    return states.reshape(len(layers), len(items), width, -1)


def _shortened(text: str, span: Span, tokenizer: Any, room: int) -> tuple[str, Span]:
    """The part of a text that has at most `room` pieces, its marked word in the middle, and where that is now."""
    offsets = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)["offset_mapping"]
    if len(offsets) <= room:
        return text, span
    middle = next((number for number, (_, end) in enumerate(offsets) if end > span[0]), 0)
    first = max(0, min(middle - room // 2, len(offsets) - room))
    start, end = offsets[first][0], offsets[first + room - 1][1]
    return text[start:end], (span[0] - start, min(span[1], end) - start)


def _pieces(encoded: Any, which: int, span: Span) -> Span:
    """First and last + 1 of the pieces of text number `which` that share a character with a span; (0, 0): none."""
    pairs = zip(encoded["offset_mapping"], encoded.sequence_ids(), strict=True)
    inside = [n for n, ((start, end), text) in enumerate(pairs) if text == which and start < span[1] and end > span[0] and end > start]
    return (inside[0], inside[-1] + 1) if inside else (0, 0)


@torch.no_grad()
def _filled(encoder: Encoder, items: Sequence[Item], layers: Sequence[int], total: int) -> Array:
    """(layers, total, dim): for each span of each item, the mean of the states in it, at its row."""
    device = next(encoder.model.parameters()).device
    found = np.zeros((len(layers), total, 1), dtype=np.float32)
    for batch in _batches(items):
        names = [name for name in ("input_ids", "token_type_ids") if name in batch[0]]
        inputs = collate([{name: item[name] for name in names} for item in batch], 0, device)
        hidden = torch.stack([encoder.model(**inputs, output_hidden_states=True).hidden_states[layer] for layer in layers]).float()
        if found.shape[2] != hidden.shape[-1]:
            found = np.zeros((len(layers), total, hidden.shape[-1]), dtype=np.float32)
        sums = torch.nn.functional.pad(hidden.cumsum(2), (0, 0, 1, 0))
        owner = np.repeat(np.arange(len(batch)), [len(item["spans"]) for item in batch])
        start, end = np.concatenate([item["spans"] for item in batch]).T
        means = (sums[:, owner, end] - sums[:, owner, start]).cpu().numpy() / (end - start)[None, :, None]
        found[:, np.concatenate([item["rows"] for item in batch])] = means
    return found


def _batches(items: Sequence[Item]) -> Iterator[list[Item]]:
    """Items of like length, about TOKENS_AT_ONCE tokens together."""
    batch: list[Item] = []
    for item in sorted(items, key=lambda item: len(item["input_ids"])):
        if batch and (len(batch) + 1) * len(item["input_ids"]) > TOKENS_AT_ONCE:
            yield batch
            batch = []
        batch.append(item)
    if batch:
        yield batch
