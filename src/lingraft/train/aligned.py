"""Parallel lines whose linked pieces shall have the same states.

Cao, Kitaev & Klein (2020), "Multilingual alignment of contextual word representations": states of linked pieces are pulled together, while
those of the source's language stay near what they were. Where the model no longer has the source's vocabulary, the source as it was reads
the source's lines, and its states are the goal: with nothing but new rows training, the body learns nothing and yet reads a new language.

MIM (Doval et al. 2018; of states Liu et al. 2019): linked states meet in the middle. An orthogonal map turns the target's states towards
the source's; a linear map behind the model begins there, and is trained to reach the mean of both. The papers map the source's states there
too; a transfer's result is a model of the target, which needs the one map only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from lingraft.errors import TextError
from lingraft.model.adapters import set_linear
from lingraft.text.shards import Shards
from lingraft.train.batches import Ids, drawn
from lingraft.train.links import NONE, Linked
from lingraft.train.objectives import Vocabulary
from lingraft.vectors.spaces import procrustes

FITTED = 512  # lines that a first, orthogonal map is found from
POOL = 32  # batches that are drawn at once and cut from lines sorted by length
HELD_OUT_EVERY, MOST_HELD_OUT = 50, 128
JUDGED = 64  # lines of a batch, where nothing trains
States = list[torch.Tensor]


@dataclass(frozen=True, slots=True)
class Side:
    """One side of parallel text, whose documents are its lines. before, after: special ids around a line. pad: what fills lines up.
    All are the model's ids; table: what the tokens are in them; None: the same. begins: (num_tokens,) of the shards' ids, True where a
    token begins a word."""

    shards: Shards
    before: tuple[int, ...]
    after: tuple[int, ...]
    pad: int
    table: Ids | None
    begins: npt.NDArray[np.bool_]

    def room(self, length: int) -> int:
        """Tokens of text in a line of `length`."""
        return length - len(self.before) - len(self.after)

    def sizes(self, lines: Ids, length: int) -> Ids:
        """(len(lines),) tokens of each line's text, cut to fit."""
        return np.minimum(self.shards.documents[lines + 1] - self.shards.documents[lines], self.room(length))

    def read(self, lines: Ids, length: int) -> tuple[Ids, Ids]:
        """Ids (len(lines), longest), and 1 where they are a line's and no padding."""
        starts, sizes = self.shards.documents[lines], self.sizes(lines, length)
        ids = np.full((len(lines), int(sizes.max()) + length - self.room(length)), self.pad, dtype=np.int64)
        for row, start, size in zip(ids, starts, sizes, strict=True):
            text = self.shards.tokens[start : start + size].astype(np.int64)
            whole = np.concatenate([self.before, text if self.table is None else self.table[text], self.after])
            row[: len(whole)] = whole
        return ids, (np.arange(ids.shape[1]) < (sizes + length - self.room(length))[:, None]).astype(np.int64)

    def first_pieces(self, line: int) -> Ids:
        """(tokens of the line,) place in it of the first piece of each one's word."""
        start, end = self.shards.documents[line : line + 2]
        begins = self.begins[self.shards.tokens[start:end].astype(np.int64)]
        return np.maximum.accumulate(np.where(begins, np.arange(len(begins)), 0))


@dataclass(frozen=True, slots=True)
class Batch:
    """Ids and masks (lines, longest) of both sides, and links (n, 3): line, place in the source's, place in the target's."""

    source: tuple[Ids, Ids]
    target: tuple[Ids, Ids]
    links: Ids

    @property
    def tokens(self) -> tuple[int, int]:
        """Of both sides."""
        return int(self.source[1].sum()), int(self.target[1].sum())

    def part(self, index: int, parts: int) -> "Batch":
        """Lines `index` of `parts` equal shares."""
        rows = len(self.target[0])
        first, last = index * rows // parts, (index + 1) * rows // parts
        low, high = np.searchsorted(self.links[:, 0], [first, last])
        (ids, mask), (other, other_mask) = self.source, self.target
        links = self.links[low:high] - np.array([first, 0, 0])
        return Batch((ids[first:last], mask[first:last]), (other[first:last], other_mask[first:last]), links)


class Body(nn.Module):
    """A model's body, and its states after shares of its depth; 1 is the last layer."""

    def __init__(self, model: Any, depths: Sequence[float]) -> None:
        super().__init__()
        self.body, self.depths = model.base_model, depths

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> States:
        """(lines, length, dim) for each depth."""
        found = self.body(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states
        return [found[round(depth * (len(found) - 1))] for depth in self.depths]


@dataclass(frozen=True, slots=True)
class Lines:
    """Parallel text that is aligned. reference: the source's body as it was, frozen. keeps_source: whether the model that trains has
    the source's vocabulary still, and reads the source's lines itself. by_word: whether the first pieces of words are linked instead of
    pieces."""

    source: Side
    target: Side
    links: Linked
    reference: Any
    keeps_source: bool
    by_word: bool = False

    def mutual(self, line: int) -> Ids:
        """(n, 2) links of a line that are the likeliest both ways: place of a piece in the source's line, and in the target's; by_word: of
        the first pieces of such pieces' words."""
        (start, end), (other, other_end) = (side.shards.documents[line : line + 2] for side in (self.source, self.target))
        back, there = np.asarray(self.links.to_source[start:end]), np.asarray(self.links.to_target[other:other_end])
        at_target = np.flatnonzero(there != NONE)
        at_source = there[at_target].astype(np.int64)
        kept = back[at_source] == at_target
        pairs = np.stack([at_source[kept], at_target[kept]], axis=1)
        return self._of_words(line, pairs) if self.by_word else pairs

    def _of_words(self, line: int, pairs: Ids) -> Ids:
        """The first pieces of the words that links (n, 2) are of, each word of the target's once, with its last link: what a compound is,
        its last part mostly says."""
        words = np.stack([side.first_pieces(line)[at] for side, at in zip((self.source, self.target), pairs.T, strict=True)], axis=1)
        return words[np.diff(words[:, 1], append=NONE) != 0]


@dataclass(frozen=True, slots=True)
class Aligned:
    """What a phase with the objective `align` learns from: lines with links, but for those that are held out.

    depths: shares of the layers whose states are compared. anchor: weight of the distance to the source as it was. is_middle: the goal
    is the mean of the source's state and of the target's, turned by `turn`, an orthogonal (dim, dim) and a shift (dim,).
    scales: of each depth, how much the source's states vary (the sum of their variances); distances are in units of that, so that 1 is
    what a constant would reach.
    """

    lines: Lines
    vocabulary: Vocabulary
    length: int
    depths: tuple[float, ...]
    anchor: float
    is_middle: bool
    train: Ids
    held_out: Ids
    turn: list[torch.Tensor] = field(default_factory=list, compare=False)
    scales: list[torch.Tensor] = field(default_factory=list, compare=False)

    @property
    def rows(self) -> Mapping[str, Ids]:
        """Part -> ids of its rows."""
        return self.vocabulary.rows

    @property
    def ragged(self) -> bool:
        """Not within a batch."""
        return False

    @property
    def skipped(self) -> int:
        """Documents that give nothing: none, as lines are not counted as such."""
        return 0

    def network(self, model: Any) -> nn.Module:
        """The body, all of whose layers are looked at. A linear map that shall meet in the middle begins as the turn."""
        if self.is_middle:
            self.turn[:] = self.turn or self._turn(next(model.parameters()).device)
            set_linear(model, *self.turn)
        return Body(model, self.depths)

    def num_blocks(self, settings: Any) -> int:
        """Lines to train on."""
        return len(self.train)

    def per_epoch(self, settings: Any) -> float:
        """Optimiser steps in which every line is seen once."""
        return len(self.train) / settings.batch  # type: ignore[no-any-return]

    def batch(self, settings: Any, step: int, seed: int) -> Batch:
        """Lines of like length: of POOL batches' lines, sorted, the share of this step."""
        pool, place = divmod(step, POOL)
        lines = self.train[drawn(pool, POOL * settings.batch, seed, len(self.train))]
        lines = lines[np.argsort(self._sizes(lines), kind="stable")].reshape(POOL, settings.batch)
        return self.read(lines[np.random.default_rng([seed, pool]).permutation(POOL)[place]])

    def _sizes(self, lines: Ids) -> Ids:
        return self.lines.source.sizes(lines, self.length) + self.lines.target.sizes(lines, self.length)

    def read(self, lines: Ids) -> Batch:
        """Lines by number."""
        source, target = self.lines.source, self.lines.target
        found = []
        for row, (line, room, other) in enumerate(
            zip(lines, source.sizes(lines, self.length), target.sizes(lines, self.length), strict=True)
        ):
            pairs = self.lines.mutual(line)
            kept = pairs[(pairs < [room, other]).all(axis=1)] + [len(source.before), len(target.before)]
            found.append(np.insert(kept, 0, row, axis=1))
        return Batch(source.read(lines, self.length), target.read(lines, self.length), np.concatenate(found))

    def size(self, batch: Batch) -> int:
        """Tokens of both sides."""
        return sum(batch.tokens)

    def loss(self, network: Any, batch: Batch, index: int, shares: int, device: torch.device) -> torch.Tensor:
        """Of a share, (): the squared distance of linked states, a mean over the batch's links and over depths; and, where the model reads
        the source's lines itself, `anchor` times that of their states from what they were, a mean over tokens."""
        share = batch.part(index, shares)
        tensors = partial(_tensors, device=device)
        read_source, links = tensors(share.source), torch.from_numpy(share.links).to(device)
        reference = self._reference(*read_source)
        if not self.scales:
            self.scales.extend(self._scales(device))
        found = network(*tensors(share.target))
        moves = self.lines.keeps_source and not self.is_middle
        goal = network(*read_source) if moves else reference
        at_source, at_target = links[:, :2].unbind(1), links[:, ::2].unbind(1)
        wanted = [states[at_source] for states in goal]
        if self.is_middle:
            wanted = self._middle(wanted, [states[at_target] for states in self._reference(*tensors(share.target))])
        loss = self._distance([states[at_target] for states in found], wanted) / max(1, len(batch.links))
        if moves and self.anchor:
            real = read_source[1] > 0
            stay = self._distance([s[real] for s in goal], [s[real] for s in reference]) / batch.tokens[0]
            loss = loss + self.anchor * stay
        return loss

    def _distance(self, found: States, goal: States) -> torch.Tensor:
        """Summed over the states (n, dim) of each depth, a mean over depths, ()."""
        parts = [(one.float() - other.float()).square().sum() / scale for one, other, scale in zip(found, goal, self.scales, strict=True)]
        return torch.stack(parts).mean()

    @torch.no_grad()
    def _reference(self, ids: torch.Tensor, mask: torch.Tensor) -> States:
        """What the source as it was makes of lines."""
        return Body(self.lines.reference.to(ids.device), self.depths)(ids, mask)  # type: ignore[no-any-return]

    def _middle(self, source: States, target: States) -> States:
        """Half-way between states (n, dim) of the source's pieces and those of the target's, turned towards them."""
        weight, bias = (part.to(source[0].device) for part in self.turn)
        return [(one.float() + other.float() @ weight + bias) / 2 for one, other in zip(source, target, strict=True)]

    @torch.no_grad()
    def _turn(self, device: torch.device) -> States:
        """The orthogonal map, and the shift, that bring the target's last states nearest to the source's, on FITTED lines."""
        lines = self.train[:: max(1, len(self.train) // FITTED)][:FITTED]
        found: tuple[States, States] = [], []
        for start in range(0, len(lines), JUDGED):
            batch = self.read(lines[start : start + JUDGED])
            links = torch.from_numpy(batch.links).to(device)
            for states, side, at in zip(found, (batch.source, batch.target), (links[:, :2], links[:, ::2]), strict=True):
                states.append(self._reference(*_tensors(side, device=device))[-1][at.unbind(1)].float())
        source, target = map(torch.cat, found)
        weight = procrustes(target - target.mean(0), source - source.mean(0))
        return [weight, source.mean(0) - target.mean(0) @ weight]

    @torch.no_grad()
    def _scales(self, device: torch.device) -> States:
        """Of the linked pieces of a few lines, in float32, whatever the step's precision: a run that goes on computes them anew."""
        batch = self.read(self.train[:JUDGED])
        at = torch.from_numpy(batch.links).to(device)[:, :2].unbind(1)
        with torch.autocast(device.type, enabled=False):
            reference = self._reference(*_tensors(batch.source, device=device))
        return [states[at].float().var(dim=0, correction=0).sum().clamp(min=1e-12) for states in reference]

    @torch.no_grad()
    def held_out_loss(self, model: Any) -> float:
        """The mean distance of linked states on the lines that are held out, without the anchor."""
        network, device = Body(model, self.depths), next(model.parameters()).device
        lines = self.held_out[np.argsort(self._sizes(self.held_out), kind="stable")]
        judge, total, links = replace(self, anchor=0.0), 0.0, 0
        for start in range(0, len(lines), JUDGED):
            batch = self.read(lines[start : start + JUDGED])
            total += float(judge.loss(network, batch, 0, 1, device)) * len(batch.links)
            links += len(batch.links)
        return total / links

    def measured(self) -> Mapping[str, torch.Tensor]:
        """Nothing beside the loss."""
        return {}

    def release(self, network: Any) -> None:
        """After the backward pass: nothing is held."""

    def remove(self, network: Any) -> None:
        """After the last step: nothing is to be taken off."""


def aligned(lines: Lines, vocabulary: Vocabulary, settings: Any) -> Aligned:
    """Lines with a link that is not cut off, one in HELD_OUT_EVERY of them held out. Raises TextError where there are fewer than two."""
    if min(lines.source.room(settings.length), lines.target.room(settings.length)) < 1:
        raise TextError(f"Lines of {settings.length} tokens have no room for text. Use a larger --set length=N.")
    good, lines = np.asarray(lines.links.lines), replace(lines, by_word=settings.align_units == "words")
    limits = np.stack([side.sizes(good, settings.length) for side in (lines.source, lines.target)], axis=1)
    linked = good[[bool((lines.mutual(line) < limit).all(axis=1).any()) for line, limit in zip(good, limits, strict=True)]]
    if len(linked) < 2:
        raise TextError(
            f"Lines of parallel text that have links between them: {len(linked)}, too few to learn from. Give more to --parallel."
        )
    every = min(max(HELD_OUT_EVERY, len(linked) // MOST_HELD_OUT), len(linked))
    held_out = np.arange(len(linked)) % every == every // 2
    depths, is_middle = tuple(settings.align_depths), "middle" in settings.objectives
    return Aligned(lines, vocabulary, settings.length, depths, settings.align_anchor, is_middle, linked[~held_out], linked[held_out])


def _tensors(arrays: tuple[Ids, Ids], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    ids, mask = arrays
    return torch.from_numpy(ids).to(device), torch.from_numpy(mask).to(device)
