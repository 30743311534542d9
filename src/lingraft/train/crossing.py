"""From a line to its translation: blocks of one language, how their states are to be re-ordered, and the other's tokens as answers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from lingraft.errors import TextError
from lingraft.train.batches import Ids, Inputs, Keys, drawn, keys_of
from lingraft.train.links import NONE
from lingraft.train.objectives import NOT_ASKED
from lingraft.train.pairs import SMALL, Text, Translations

Direction = Literal["to-target", "to-source", "both"]
SOURCE, TARGET = 0, 1
"""Numbers of the languages, as the model has them, and of the sides of parallel text."""


@dataclass(frozen=True, slots=True)
class Crossing:
    """CdLM (TreLM 2020, section 3.1): a line is the input S, its translation the output W, and all of that is predicted.

    A batch has beside the input's ids and mask `alignment`, (batch, length) the place of the input whose state each place of the output
    gets, NONE where no piece stands for it (the model's placeholder [P]); and `target_mask`, 1 where the output has a token. What stands
    before and after a line stands for the same around its translation. Asked are the translation's tokens and what ends it.
    """

    translations: Translations
    direction: Direction

    def __len__(self) -> int:
        return len(self.translations) * (2 if self.direction == "both" else 1)

    @property
    def room(self) -> int:
        """Text tokens of a block."""
        frame = self.translations.frame
        return self.translations.length - len(frame.before) - len(frame.after)

    def check(self) -> "Crossing":
        """Itself. Raises TextError where a block has no room for a token."""
        if self.room < 1:
            raise TextError(f"Blocks of {self.translations.length} tokens {SMALL}")
        return self

    def batch(self, step: int, size: int, seed: int) -> Inputs:
        """`size` lines of the step's global batch."""
        return self.read(drawn(step, size, seed, len(self)), keys_of(step, size, seed))

    def read(self, indices: Ids, keys: Keys | None = None) -> Inputs:
        """(len(indices), length) ids, and all that belongs to them. Lines that are too long are cut off at their ends, on either side, and
        links to what is cut off are lost. keys: not needed."""
        ways = 2 if self.direction == "both" else 1
        lines = self.translations.numbers[indices // ways]
        to_target = indices % 2 == 0 if ways == 2 else np.full(len(indices), self.direction == "to-target")
        found = [self._one_way(lines, *way) for way in ((SOURCE, TARGET), (TARGET, SOURCE))]
        ids, mask, alignment, target_mask, answers = (np.where(to_target[:, None], *both) for both in zip(*found, strict=True))
        more = {"attention_mask": mask, "alignment": alignment, "target_mask": target_mask}
        if self.translations.frame.speaks:
            number = np.where(to_target, SOURCE, TARGET)[:, None] + np.zeros_like(ids)
            more |= {"languages": number, "target_language": 1 - number}
        return Inputs(ids, more, answers=answers)

    def _one_way(self, lines: Ids, side: int, other: int) -> tuple[Ids, ...]:
        """From one side to the other: ids, their mask, alignment, the answers' mask, answers, (rows, length) each."""
        frame, length = self.translations.frame, self.translations.length
        line, answer = (self.translations.text(lines, number, self.room) for number in (side, other))
        ids = laid(line, length, frame.before, frame.after, frame.pad)
        answers = laid(answer, length, [NOT_ASKED] * len(frame.before), frame.after, NOT_ASKED)
        mask, target_mask = (_begun(length, text.size + length - self.room) for text in (line, answer))
        return ids, mask, self._alignment(line, answer, other), target_mask, answers

    def _alignment(self, line: Text, answer: Text, other: int) -> Ids:
        """(rows, length) place of the input for each place of the output."""
        frame, length, links = self.translations.frame, self.translations.length, self.translations.links
        assert links is not None
        first = len(frame.before)
        places = laid(replace(answer, tokens=links.of(other), table=None), length, [NONE] * first, [NONE] * len(frame.after), NONE)
        places = np.where((places >= 0) & (places < line.size[:, None]), places + first, NONE)
        places[:, :first] = np.arange(first)
        for number in range(len(frame.after)):
            places[np.arange(len(places)), first + answer.size + number] = first + line.size + number
        return places


def laid(text: Text, length: int, before: Sequence[int], after: Sequence[int], fill: int) -> Ids:
    """One text a row as a block, (rows, length), between what stands before and after it."""
    rows, columns = np.arange(len(text.start)), np.arange(length) - len(before)
    inside = (columns >= 0) & (columns < text.size[:, None])
    found = np.full((len(rows), length), fill, dtype=np.int64)
    values = np.asarray(text.tokens)[(text.start[:, None] + columns)[inside]].astype(np.int64)
    found[inside] = values if text.table is None else text.table[values]
    found[:, : len(before)] = before
    for number, what in enumerate(after):
        found[rows, len(before) + text.size + number] = what
    return found


def _begun(length: int, sizes: Ids) -> Ids:
    """(rows, length) 1 at the first `sizes` places of each row."""
    return (np.arange(length) < sizes[:, None]).astype(np.int64)
