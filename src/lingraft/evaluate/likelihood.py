"""How likely a model finds sentences: log probabilities of causal models, pseudo-log-likelihoods of masked ones.

original     each token is masked alone (Salazar et al. 2020, section 2): the pieces of a rare word give each other away
within-word  a token is masked together with those of the same word to its right (Kauf & Ivanova 2023), which mends that

A word is what lingraft.text.words says, whatever the tokenizer, so that models with different tokenizers answer the same questions.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from lingraft.errors import TokenizerError
from lingraft.evaluate import language_model
from lingraft.evaluate.language_model import Reader
from lingraft.evaluate.settings import EvaluationSettings
from lingraft.model.heads import Predictor
from lingraft.model.load import Kind, kind_of
from lingraft.model.parts import longest_input
from lingraft.text.corpus import Corpus
from lingraft.text.words import word_spans
from lingraft.tokenizer.vocabulary import blocks, roles

Array = npt.NDArray[Any]
Style = Literal["original", "within-word"]
TOKENS_AT_ONCE = 2048
PSEUDO_CHARACTERS = 10_000
"""How much of a text pseudo-log-likelihoods are taken of: they need a pass of the model for each token."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A sentence, or a part of a long one. ids: (n,) without specials. words: (n,) the word that each token belongs to."""

    sentence: int
    ids: Array
    words: Array


@dataclass(frozen=True, slots=True)
class Questions:
    """Inputs of one length and what is asked of them.

    inputs: (rows, length) ids. columns, targets: (rows, k) where a token is predicted, and which one is right.
    """

    inputs: Array
    columns: Array
    targets: Array


def sentence_scores(model: Any, tokenizer: Any, sentences: Sequence[str], kind: Kind, style: Style = "within-word") -> Array:
    """(n,) natural-log probability of each sentence; 0 for one without a token.

    Causal models: the sum over its tokens, each given those before it, after the beginning token where the tokenizer has one (else the
    first token is given). Masked models: the pseudo-log-likelihood in `style`; special tokens are not scored. A sentence that is longer
    than the model's input is scored in parts. model: a language model in evaluation mode. Raises TokenizerError for a masked model
    without a mask token.
    """
    reader = _reader(model, tokenizer, kind)
    pieces = sorted(_pieces(tokenizer, sentences, reader), key=lambda piece: len(piece.ids))
    scores, predictor = np.zeros(len(sentences)), Predictor(model)
    try:
        for size, group in groupby(pieces, key=lambda piece: len(piece.ids)):
            same, at_once = list(group), max(1, TOKENS_AT_ONCE // size)
            for start in range(0, len(same), at_once):
                part = same[start : start + at_once]
                asked = [_causal(piece, reader) if reader.mask is None else _masked(piece, reader, style) for piece in part]
                owners = np.repeat([piece.sentence for piece in part], [len(one.inputs) for one in asked])
                np.add.at(scores, owners, _answers(predictor, asked))
    finally:
        predictor.remove()
    return scores


def _reader(model: Any, tokenizer: Any, kind: Kind) -> Reader:
    longest = min(longest_input(model) or 512, tokenizer.model_max_length)
    if kind == "clm":
        begin = tokenizer.bos_token_id
        return Reader(longest, () if begin is None else (begin,), (), None)
    if tokenizer.mask_token_id is None:
        raise TokenizerError("The tokenizer has no mask token, which pseudo-log-likelihoods need. Use the masked model's own tokenizer.")
    before, after = blocks(tokenizer)
    return Reader(longest, tuple(before), tuple(after), tokenizer.mask_token_id)


def _pieces(tokenizer: Any, sentences: Sequence[str], reader: Reader) -> Iterator[Piece]:
    """The sentences in parts that the model can read; none of one without a token."""
    if not sentences:
        return
    room = reader.length - len(reader.prefix) - len(reader.suffix)
    encoded = tokenizer(list(sentences), add_special_tokens=False, return_offsets_mapping=True, split_special_tokens=True, verbose=False)
    for number, (sentence, ids, offsets) in enumerate(zip(sentences, encoded["input_ids"], encoded["offset_mapping"], strict=True)):
        starts = np.array([start for start, _ in offsets], dtype=np.int64)
        words = np.searchsorted([end for _, end in word_spans(sentence)], starts, side="right")
        for first in range(0, len(ids), room):
            part = slice(first, first + room)
            yield Piece(number, np.array(ids[part], dtype=np.int64), words[part])


def _causal(piece: Piece, reader: Reader) -> Questions:
    """One row, every token of it that has something before it."""
    inputs = np.concatenate([np.array(reader.prefix, dtype=np.int64), piece.ids])
    columns = np.arange(len(inputs) - 1)
    return Questions(inputs[None], columns[None], inputs[None, 1:])


def _masked(piece: Piece, reader: Reader, style: Style) -> Questions:
    """A row for each token, which is hidden there: alone, or with the rest of its word."""
    size = len(piece.ids)
    hidden = np.eye(size, dtype=bool)
    if style == "within-word":
        hidden |= np.triu(piece.words[:, None] == piece.words)
    text = np.where(hidden, np.int64(reader.mask or 0), piece.ids)
    before, after = (np.tile(np.array(side, dtype=np.int64), (size, 1)) for side in (reader.prefix, reader.suffix))
    return Questions(np.concatenate([before, text, after], axis=1), np.arange(size)[:, None] + len(reader.prefix), piece.ids[:, None])


@torch.no_grad()
def _answers(predictor: Predictor, asked: Sequence[Questions]) -> Array:
    """(rows,) summed log probability of what is right in each row of the questions, which are of one length."""
    inputs, columns, targets = (np.concatenate([getattr(one, name) for one in asked]) for name in ("inputs", "columns", "targets"))
    device, length = next(predictor.model.parameters()).device, inputs.shape[1]
    found = np.zeros(len(inputs))
    step = max(1, TOKENS_AT_ONCE // length)
    for start in range(0, len(inputs) if columns.size else 0, step):
        part = slice(start, start + step)
        places = columns[part] + np.arange(len(inputs[part]))[:, None] * length
        logits = predictor(torch.from_numpy(inputs[part]).to(device), torch.from_numpy(places.ravel()).to(device)).float()
        right = torch.from_numpy(targets[part].ravel()).to(device)
        nats = torch.nn.functional.cross_entropy(logits, right, reduction="none").double().cpu().numpy()
        found[part] = -nats.reshape(places.shape).sum(axis=1)
    return found


def language_model_scores(model: Any, tokenizer: Any, corpus: Corpus, settings: EvaluationSettings, length: int = 128) -> dict[str, float]:
    """How well a model predicts a text: the measures of lingraft.evaluate.language_model, and what follows from them.

    bits_per_token is the loss in bits, the BPW of TreLM (table 5: subwords at fixed masks); perplexity is its exponential. Masked
    models: pseudo_log_likelihood, mean nats of a line within-word, and pseudo_bits_per_byte, its bits over the bytes of the lines, which
    compares across tokenizers; both with _original in the other style; pseudo_perplexity after Salazar et al. (equation 2, original).
    Causal models: log_likelihood, mean nats of a line by itself. Raises TextError where there is no text.
    """
    kind = kind_of(model.config)
    end = roles(tokenizer).get("end")
    held_out = language_model.prepare(corpus.documents(), tokenizer, settings, end)
    before, after = blocks(tokenizer)
    longest = min(length, longest_input(model) or length)
    reader = Reader(longest, tuple(before), tuple(after), tokenizer.mask_token_id if kind == "mlm" else None)
    scores = {score.name: float(score.value) for score in language_model.measure(model, held_out, reader, settings.seed)}
    scores |= {"bits_per_token": scores["loss"] / math.log(2), "perplexity": math.exp(scores["loss"])}
    return scores | likelihoods(model, tokenizer, first_lines(corpus, min(settings.max_characters, PSEUDO_CHARACTERS)), kind)


def likelihoods(model: Any, tokenizer: Any, lines: Sequence[str], kind: Kind) -> dict[str, float]:
    """The measures of language_model_scores that are taken line by line."""
    if kind == "clm":
        return {"log_likelihood": float(sentence_scores(model, tokenizer, lines, kind).mean())}
    found, num_bytes = {}, sum(len(line.encode()) for line in lines)
    styles: dict[str, Style] = {"": "within-word", "_original": "original"}
    for ending, style in styles.items():
        nats = sentence_scores(model, tokenizer, lines, kind, style)
        found[f"pseudo_log_likelihood{ending}"] = float(nats.mean())
        found[f"pseudo_bits_per_byte{ending}"] = -float(nats.sum()) / math.log(2) / num_bytes
    num_tokens = sum(map(len, tokenizer(list(lines), add_special_tokens=False, verbose=False)["input_ids"]))
    found["pseudo_perplexity"] = math.exp(-found["pseudo_log_likelihood_original"] * len(lines) / max(num_tokens, 1))
    return found


def first_lines(corpus: Corpus, characters: int) -> list[str]:
    """Lines until so many characters were seen; at least one."""
    lines: list[str] = []
    seen = 0
    for document in corpus.documents():
        for line in document.lines:
            if seen and seen + len(line) > characters:
                return lines
            lines.append(line)
            seen += len(line)
    return lines
