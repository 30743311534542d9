"""Rows of new tokens from what the source makes of their old pieces (token distillation, Dobler et al. 2025).

The teacher is the source, reading target text in old tokens. The student is the same frozen model, in whose input runs of old pieces that
make up one new token are that token. Only the new rows train: the student's last hidden states shall be the teacher's.
"""

import random
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from transformers import PreTrainedTokenizerBase

from lingraft.embeddings.rows import Bools, Floats, Ints, NewRows
from lingraft.errors import RecipeError
from lingraft.model.load import kind_of
from lingraft.model.parts import longest_input
from lingraft.tokenizer import vocabulary

LINES, LENGTH = 16, 64  # lines of a batch, old tokens of a line
JUDGED = 64  # lines that the error is measured on, before and after
RATE = 0.1  # learning rate, in standard deviations of the old rows

Run = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Line:
    """A line as the source reads it, specials included. runs: (first, past the last, new id) of old pieces that are one new token."""

    ids: list[int]
    runs: list[Run]


@dataclass(frozen=True, slots=True)
class Distilled:
    """ids: (n,) new tokens whose rows were trained. rows: (n, dim). record: what it cost and what it brought, for run.json."""

    ids: Ints
    rows: Floats
    record: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Batch:
    """teacher, student: (lines, length) ids, from `num_old` on new ones, -1 for padding.
    lengths: (n,) how many of the teacher's tokens each of the student's stands for, in their order."""

    teacher: torch.Tensor
    student: torch.Tensor
    lengths: torch.Tensor


def sample(lines: Iterable[str], count: int, seed: int) -> list[str]:
    """`count` lines, each equally likely, in one pass and in constant memory (reservoir sampling); all where there are fewer."""
    kept: list[str] = []
    generator = random.Random(seed)
    for index, line in enumerate(lines):
        place = index if index < count else generator.randrange(index + 1)
        if place < count:
            kept[place : place + 1] = [line]
    return kept


def runs_of(old: Ints, new: Ints) -> list[Run]:
    """(first, past the last, index of the new token) for each new token that begins and ends where old tokens do.

    old, new: (n, 2), (m, 2) begin and end of each token in the same line. Tokens that share a character with a neighbour (bytes) have none,
    nor have those after a token that is but the space before them; old spaces of that kind belong to the run that they stand before.
    """
    first = np.searchsorted(old[:, 0], new[:, 0], side="left")
    past = np.searchsorted(old[:, 1], new[:, 1], side="right")
    begin, end = np.append(old[:, 0], np.iinfo(np.int64).max), np.insert(old[:, 1], 0, 0)
    fits = (first < past) & (new[:, 0] < new[:, 1]) & (begin[first] == new[:, 0]) & (end[past] == new[:, 1])
    fits &= (end[first] <= new[:, 0]) & (begin[past] >= new[:, 1])
    lone_space = (new[:-1, 0] == new[:-1, 1]) & (new[:-1, 1] == new[1:, 0])
    fits[1:] &= (new[:-1, 1] <= new[1:, 0]) & ~lone_space
    fits[:-1] &= new[1:, 0] >= new[:-1, 1]
    return [(int(first[i]), int(past[i]), int(i)) for i in np.flatnonzero(fits)]


def _offsets(tokenizer: PreTrainedTokenizerBase, lines: Sequence[str]) -> list[tuple[list[int], Ints]]:
    """Ids of each line, and the (n, 2) begin and end of each token, without the spaces that some tokenizers count to it."""
    encoded = tokenizer(list(lines), add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    found = []
    for line, ids, offsets in zip(lines, encoded["input_ids"], encoded["offset_mapping"], strict=True):
        texts = [line[begin:end] for begin, end in offsets]
        trimmed = [
            (end - len(text.lstrip()), begin + len(text.rstrip()) if text.strip() else end)
            for text, (begin, end) in zip(texts, offsets, strict=True)
        ]
        found.append((ids, np.array(trimmed, dtype=np.int64).reshape(-1, 2)))
    return found


def read(
    lines: Sequence[str], source: PreTrainedTokenizerBase, target: PreTrainedTokenizerBase, trainable: Bools, longest: int | None
) -> list[Line]:
    """The lines that hold a run of a trainable token, cut at LENGTH old tokens. trainable: (num_new,). longest: the source's input."""
    before, after = vocabulary.blocks(source)
    length = min(LENGTH, longest or LENGTH) - len(before) - len(after)
    found = []
    for (old_ids, old), (new_ids, new) in zip(_offsets(source, lines), _offsets(target, lines), strict=True) if lines else ():
        runs = [(first, past, new_ids[i]) for first, past, i in runs_of(old, new) if trainable[new_ids[i]] and past <= length]
        known = [run for run in runs if source.unk_token_id not in old_ids[run[0] : run[1]]]
        if known:
            shifted = [(first + len(before), past + len(before), i) for first, past, i in known]
            found.append(Line([*before, *old_ids[:length], *after], shifted))
    return found


def _replace(line: Line, num_old: int) -> tuple[list[int], list[int]]:
    """The student's ids, and how many of the teacher's each stands for."""
    ids, lengths, place = [], [], 0
    for first, past, new in line.runs:
        ids += [*line.ids[place:first], num_old + new]
        lengths += [1] * (first - place) + [past - first]
        place = past
    return ids + line.ids[place:], lengths + [1] * (len(line.ids) - place)


def _padded(rows: Sequence[Sequence[int]]) -> torch.Tensor:
    return torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True, padding_value=-1)


def make_batch(lines: Sequence[Line], num_old: int) -> Batch:
    """The lines, and the same with their runs replaced."""
    made = [_replace(line, num_old) for line in lines]
    lengths = torch.tensor(list(chain.from_iterable(lengths for _, lengths in made)))
    return Batch(_padded([line.ids for line in lines]), _padded([ids for ids, _ in made]), lengths)


class Reader:
    """A frozen source model that reads old ids, and new ones by their rows."""

    def __init__(self, model: Any, rows: torch.Tensor, device: torch.device) -> None:
        self.model, self.rows, self.device = model, rows, device
        self.words = model.get_input_embeddings()
        self.scale = getattr(self.words, "embed_scale", 1.0)  # of families that scale what they look up
        self.num_old = self.words.weight.shape[0]
        self.is_causal = kind_of(model.config) == "clm"

    def states(self, ids: torch.Tensor) -> torch.Tensor:
        """(n, width) last hidden states of all tokens, line after line, without padding."""
        ids = ids.to(self.device)
        vectors = self.words(ids.where(ids < self.num_old, -1).clamp(min=0))
        new = ids >= self.num_old
        vectors[new] = self.rows[ids[new] - self.num_old] * self.scale
        options: dict[str, Any] = {"use_cache": False} if hasattr(self.model.config, "use_cache") else {}
        return self.model.base_model(inputs_embeds=vectors, attention_mask=(ids >= 0).long(), **options)[0][ids >= 0]

    def error(self, batch: Batch) -> torch.Tensor:
        """Mean squared distance of the student's states from the teacher's, per dimension.

        For a run of pieces that is their mean, or in a decoder, whose last piece alone has seen the others, the last one's.
        """
        lengths = batch.lengths.to(self.device)
        with torch.no_grad():
            wanted = self.states(batch.teacher)
            wanted = wanted[lengths.cumsum(0) - 1] if self.is_causal else torch.segment_reduce(wanted, "mean", lengths=lengths)
        return torch.nn.functional.mse_loss(self.states(batch.student), wanted)

    @torch.no_grad()
    def judge(self, lines: Sequence[Line]) -> float:
        """The mean error over batches of the lines."""
        parts = [lines[start : start + LINES] for start in range(0, len(lines), LINES)]
        return float(np.mean([float(self.error(make_batch(part, self.num_old))) for part in parts]))


def distilled(
    model: Any, source: PreTrainedTokenizerBase, target: PreTrainedTokenizerBase, lines: Iterable[str], start: NewRows, overlap: Ints,
    *, steps: int, seed: int,
) -> Distilled:  # fmt: skip
    """Rows of tokens without an identical old one, trained on a sample of the lines, from those of `start`. overlap: (num_tokens,).

    Raises RecipeError for a tokenizer that does not say where in a text its tokens stand.
    """
    for tokenizer in (source, target):
        if not tokenizer.is_fast:
            raise RecipeError(
                f"rows.method = 'distilled' must know where in a text each token stands, and {type(tokenizer).__name__} does not say. "
                "Choose another method, such as 'pieces'."
            )
    trainable = np.zeros(start.num_new, dtype=bool)
    trainable[: len(overlap)] = overlap < 0
    trainable[list(vocabulary.special_ids(target))] = False
    sampled = sample(lines, steps * LINES + JUDGED, seed)
    matrix = model.get_input_embeddings().weight.detach().float().numpy()
    found = read(sampled, source, target, trainable, longest_input(model))
    return distil(model, found, start.apply(matrix, np.random.default_rng([seed, 1])), steps=steps, seed=seed)


def distil(model: Any, lines: Sequence[Line], start: Floats, *, steps: int, seed: int) -> Distilled:
    """Train the rows of the new tokens in `lines` for `steps` steps of LINES lines each, by Adam with a rate that falls linearly.

    start: (num_new, dim) rows to begin with. The model is left as it was.
    """
    began, device = time.monotonic(), Accelerator().device
    if not lines:
        return Distilled(np.zeros(0, dtype=np.int64), start[:0], {"steps": 0, "rows": 0, "seconds": 0.0})
    count = min(JUDGED, len(lines) // 5)
    judged, lines = lines[:count] or lines, sorted(lines[count:], key=lambda line: len(line.ids))
    batches = [lines[place : place + LINES] for place in range(0, len(lines), LINES)]
    rows = torch.from_numpy(start).to(device, copy=True).requires_grad_()
    model.to(device).requires_grad_(False)
    reader = Reader(model, rows, device)
    before = reader.judge(judged)
    seen, tokens = _fit(reader, batches, steps, seed)
    record = {
        "steps": steps, "tokens": tokens, "rows": len(seen), "error_before": before, "error_after": reader.judge(judged),
        "seconds": round(time.monotonic() - began, 1),
    }  # fmt: skip
    model.to("cpu").requires_grad_(True)
    return Distilled(seen, rows.detach().cpu().numpy()[seen], record)


def _fit(reader: Reader, batches: Sequence[Sequence[Line]], steps: int, seed: int) -> tuple[Ints, int]:
    """Train the reader's rows. Returns the new ids that took part, and how many old tokens were read."""
    generator = np.random.default_rng([seed, 2])
    order = list(chain.from_iterable(generator.permutation(len(batches)) for _ in range(-(-steps // len(batches)))))[:steps]
    rate = RATE * float(reader.words.weight.std())
    optimizer = torch.optim.Adam([reader.rows], lr=rate)
    seen: set[int] = set()
    tokens = 0
    for step, index in enumerate(order):
        batch = make_batch(batches[index], reader.num_old)
        optimizer.param_groups[0]["lr"] = rate * (1 - step / steps)
        optimizer.zero_grad()
        reader.error(batch).backward()
        optimizer.step()
        seen.update((batch.student[batch.student >= reader.num_old] - reader.num_old).tolist())
        tokens += int((batch.teacher >= 0).sum())
    return np.array(sorted(seen), dtype=np.int64), tokens
