"""How well a model predicts held-out text, in numbers that compare across tokenizers.

bits_per_subword  the loss in bits: what TreLM calls BPW
loss           nats per predicted token, as in training: 15 % of the tokens, shown 80/10/10 as mask, another, itself (causal: every token)
mrr            mean reciprocal rank of the right token at those of these positions that show the mask
bits_per_byte  -log2 p of masked words (each masked whole) over their UTF-8 bytes; causal models: of all words
bits_per_word  the same over the number of words

Which words are masked depends on the text and the seed alone, so that models with different tokenizers answer the same questions.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.numpy import load_file, save_file
from transformers import PreTrainedTokenizerBase

from lingraft.errors import TextError
from lingraft.evaluate.settings import EvaluationSettings
from lingraft.model.heads import Predictor
from lingraft.text.corpus import Document
from lingraft.text.words import word_spans

Array = npt.NDArray[Any]
WINDOWS_AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class Score:
    """One measured number."""

    name: str
    value: float
    n: int
    seed: int


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Held-out text as flat arrays, with its masks.

    ids: (num_tokens,) token ids. word: (num_tokens,) number of the word a token belongs to, -1 for none.
    shown: (num_tokens,) what a masked model sees where token_mask asks. token_mask, word_mask: (num_tokens,) booleans.
    word_bytes, word_counts: (num_words,) UTF-8 bytes, and how many words are counted.

    Where a token covers several words (in scripts without spaces every character is one), they are one: bytes and count stand at the
    first, the others have 0.
    """

    ids: Array
    word: Array
    shown: Array
    token_mask: Array
    word_mask: Array
    word_bytes: Array
    word_counts: Array

    def save(self, path: Path) -> None:
        """Write the arrays as safetensors."""
        save_file({name: np.ascontiguousarray(getattr(self, name)) for name in self.__slots__}, path)

    def head(self, num_tokens: int) -> "HeldOut":
        """The first tokens only."""
        names = ("ids", "word", "shown", "token_mask", "word_mask")
        return replace(self, **{name: getattr(self, name)[:num_tokens] for name in names})

    @classmethod
    def load(cls, path: Path) -> "HeldOut":
        """Read what `save` wrote."""
        return cls(**load_file(path))


def prepare(documents: Iterable[Document], tokenizer: PreTrainedTokenizerBase, settings: EvaluationSettings, end_id: int | None) -> HeldOut:
    """Encode held-out text, say which word each token belongs to, and draw the masks. Raises TextError where there is no text."""
    ids, word, word_bytes, word_counts = _encode(_limited(documents, settings.max_characters), tokenizer, end_id)
    if not len(word_bytes):
        raise TextError("There is no held-out text: the text is too short to keep a part of it aside. Give more text.")
    chosen = np.random.default_rng([settings.seed, 0]).random(len(word_bytes)) < settings.mask_rate
    tokens = (np.random.default_rng([settings.seed, 1]).random(len(ids)) < settings.mask_rate) & (word >= 0)
    chosen[0] |= not chosen.any()
    tokens[np.argmax(word >= 0)] |= not tokens.any()
    return HeldOut(
        ids, word, _corrupted(ids, tokens, tokenizer, settings.seed), tokens, (word >= 0) & chosen[word], word_bytes, word_counts
    )


def _corrupted(ids: Array, chosen: Array, tokenizer: PreTrainedTokenizerBase, seed: int) -> Array:
    """`ids` as the masked-language-model objective shows them: of the chosen ones 80 % the mask, 10 % another token, 10 % themselves."""
    if tokenizer.mask_token_id is None:
        return ids
    kind = np.random.default_rng([seed, 2]).random(len(ids))
    others = np.setdiff1d(np.arange(len(tokenizer)), tokenizer.all_special_ids)
    random = np.random.default_rng([seed, 3]).choice(others, size=len(ids))
    shown = np.where(chosen & (kind < 0.8), tokenizer.mask_token_id, ids)
    return np.where(chosen & (kind >= 0.8) & (kind < 0.9), random, shown)


def _limited(documents: Iterable[Document], characters: int) -> Iterator[list[str]]:
    """Documents, line by line, until so many characters were seen (a line that would go over ends it, unless it is the first)."""
    seen = 0
    for document in documents:
        lines = []
        for line in document.lines:
            if seen and seen + len(line) > characters:
                break
            lines.append(line)
            seen += len(line)
        if not lines:
            return
        yield lines


def _encode(documents: Iterable[list[str]], tokenizer: PreTrainedTokenizerBase, end_id: int | None) -> tuple[Array, Array, Array, Array]:
    """ids and word of each token, bytes and number of words at each word: words that a token joins count at the first of them."""
    ids: list[int] = []
    word: list[int] = []
    word_bytes: list[int] = []
    joined: list[bool] = []
    for lines in documents:
        encoded = tokenizer(lines, add_special_tokens=False, return_offsets_mapping=True, split_special_tokens=True, verbose=False)
        for line, line_ids, offsets in zip(lines, encoded["input_ids"], encoded["offset_mapping"], strict=True):
            spans, places = word_spans(line), np.array(offsets, dtype=np.int64).reshape(-1, 2)
            ends = np.array([end for _, end in spans], dtype=np.int64)
            first = np.searchsorted(ends, places[:, 0], side="right")
            last = np.maximum(first, np.searchsorted(ends, places[:, 1] - 1, side="right"))
            inside = np.zeros(len(ends) + 1, dtype=np.int64)
            np.add.at(inside, np.minimum(first + 1, len(ends)), 1)
            np.add.at(inside, np.minimum(last + 1, len(ends)), -1)
            ids += line_ids
            word += np.where(first < len(ends), first + len(word_bytes), -1).tolist()
            word_bytes += [len(line[start:end].encode()) for start, end in spans]
            joined += (np.cumsum(inside)[: len(ends)] > 0).tolist()
        if end_id is not None:
            ids.append(end_id)
            word.append(-1)
    head = np.maximum.accumulate(np.where(joined, 0, np.arange(len(joined))))  # of each word, the first of those it is joined with
    owner = np.array(word, dtype=np.int64)
    owner[owner >= 0] = head[owner[owner >= 0]]
    size = np.bincount(head, weights=word_bytes, minlength=len(head)).astype(np.int64)
    return np.array(ids, dtype=np.int64), owner, size, np.bincount(head, minlength=len(head))


@dataclass(frozen=True, slots=True)
class Reader:
    """How a model reads blocks: length with specials, the specials around the text, its mask (None: causal)."""

    length: int
    prefix: tuple[int, ...]
    suffix: tuple[int, ...]
    mask: int | None


def measure(model: Any, held_out: HeldOut, reader: Reader, seed: int) -> Iterator[Score]:
    """Yield all scores of this suite for `model`."""
    if reader.mask is None:
        nats, ranks, places = predict(model, held_out, reader, held_out.ids, None)
        whole = _whole_words(held_out, places)
        in_words = whole[held_out.word[places]] & (held_out.word[places] >= 0)
        words, word_nats = np.flatnonzero(whole), nats[in_words]
    else:
        nats, ranks, places = predict(model, held_out, reader, held_out.shown, held_out.token_mask)
        hidden = held_out.shown[places] == reader.mask
        ranks = ranks[hidden | ~hidden.any()]
        masked = np.where(held_out.word_mask, reader.mask, held_out.ids)
        word_nats, _, _ = predict(model, held_out, reader, masked, held_out.word_mask)
        words = np.unique(held_out.word[held_out.word_mask])
    bits, size = float(word_nats.sum()) / np.log(2), int(held_out.word_bytes[words].sum())
    yield Score("bits_per_byte", bits / size, size, seed)
    count = int(held_out.word_counts[words].sum())
    yield Score("bits_per_word", bits / count, count, seed)
    yield Score("bits_per_subword", float(nats.mean() / np.log(2)), len(nats), seed)
    yield Score("loss", float(nats.mean()), len(nats), seed)
    yield Score("mrr", float((1 / ranks).mean()), len(ranks), seed)


def held_out_loss(model: Any, held_out: HeldOut, reader: Reader) -> float:
    """Nats per predicted token."""
    masks = (held_out.ids, None) if reader.mask is None else (held_out.shown, held_out.token_mask)
    return float(predict(model, held_out, reader, *masks)[0].mean())


def _whole_words(held_out: HeldOut, places: Array) -> Array:
    """(num_words,) True where every token of the word was predicted."""
    seen = np.zeros(len(held_out.ids), dtype=bool)
    seen[places] = True
    missed = held_out.word[~seen & (held_out.word >= 0)]
    present = np.bincount(held_out.word[held_out.word >= 0], minlength=len(held_out.word_bytes)) > 0
    present[missed] = False
    return present


@torch.no_grad()
def predict(model: Any, held_out: HeldOut, reader: Reader, shown: Array, mask: Array | None) -> tuple[Array, Array, Array]:
    """Nats and rank of the right token where `mask` is True and the model sees `shown`, both (num_tokens,).

    No mask: at every token that has something before it, causally.

    Returns (n,) nats, (n,) ranks from 1, (n,) places in held_out.ids.
    """
    predictor, device = Predictor(model), next(model.parameters()).device
    nats, ranks, seen = [], [], []
    try:
        for inputs, positions, places in _batches(shown, reader, mask):
            logits = predictor(torch.from_numpy(inputs).to(device), torch.from_numpy(positions).to(device)).float()
            targets = torch.from_numpy(held_out.ids[places]).to(device).unsqueeze(1)
            right = logits.gather(1, targets)
            nats.append((torch.logsumexp(logits, dim=1, keepdim=True) - right).squeeze(1).double().cpu().numpy())
            ranks.append((1 + (logits > right).sum(dim=1)).cpu().numpy())
            seen.append(places)
    finally:
        predictor.remove()
    return np.concatenate(nats), np.concatenate(ranks), np.concatenate(seen)


def _batches(shown: Array, reader: Reader, mask: Array | None) -> Iterator[tuple[Array, Array, Array]]:
    """(input ids (batch, length), flat positions to predict at, places of the targets); the tail is a shorter block of its own."""
    before, inner = len(reader.prefix), reader.length - len(reader.prefix) - len(reader.suffix)
    full = len(shown) // inner
    starts = [np.arange(first, min(first + WINDOWS_AT_ONCE, full)) * inner for first in range(0, full, WINDOWS_AT_ONCE)]
    tail = [np.array([full * inner])] if len(shown) % inner else []
    for start in starts + tail:
        places = start[:, None] + np.arange(min(inner, len(shown) - int(start[0])))
        chosen = np.ones(places.shape, dtype=bool) if mask is None else mask[places]
        if mask is None and not before:
            chosen[:, 0] = False
        sides = [np.tile(np.array(part, dtype=np.int64), (len(places), 1)) for part in (reader.prefix, reader.suffix)]
        rows, columns = np.nonzero(chosen)
        inputs = np.concatenate([sides[0], shown[places], sides[1]], axis=1)
        positions = rows * inputs.shape[1] + columns + before - (mask is None)
        if len(positions):
            yield inputs, positions, places[rows, columns]


def as_lines(scores: Iterable[Score], facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Lines of scores.jsonl."""
    return [{**facts, "name": s.name, "value": s.value, "n": s.n, "seed": s.seed} for s in scores]
