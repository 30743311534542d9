"""An equal amount of every language: which sentences are trained on, which are held out.

A *row* is one text in each of the languages that are sampled together: a sentence of one language, or a segment in all of them.
A *unit* is the rows of a document, or of a piece of a long one.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

Measure = Literal["characters", "bytes", "segments"]
Row = tuple[str, ...]
Unit = list[Row]


@dataclass
class Part:
    """What was taken for training, or to be held out.

    goal, taken  amounts, line breaks not counted
    units        the rows taken, in the order of the text
    seen         (place of the language, text) of each
    """

    goal: int
    taken: int = 0
    full: bool = False
    units: list[Unit] = field(default_factory=list)
    seen: set[tuple[int, str]] = field(default_factory=set)

    @property
    def share(self) -> float:
        return 1.0 if self.full else self.taken / self.goal


def size(text: str, measure: Measure) -> int:
    """How much a text is: Unicode code points, bytes of UTF-8, or one segment."""
    return len(text) if measure == "characters" else len(text.encode()) if measure == "bytes" else 1


def sample(units: Iterable[Unit], amount: int, held_out: int, measure: Measure) -> tuple[Part, Part]:
    """Take `amount` for training and `held_out` beside it, from the start of a text on: (training, held-out).

    Units go whole to the part that is less full, so that held-out ones stand among those trained on. The last sentence of a part is
    cut, so that it holds the amount to the character; of bytes, at most three are missing. A row of which a text is in one part already
    never goes to the other, and none is held out twice. Where the text ends first, a part holds less than its goal.
    """
    train, held = parts = Part(amount), Part(held_out)
    for unit in units:
        if train.full and held.full:
            break
        part, other = (held, train) if held.share < train.share else (train, held)
        part.units.append([])
        for row in unit:
            if part.full:
                part, other = other, part
                part.units.append([])
            _take(row, part, other, measure, distinct=part is held)
    for part in parts:
        part.units = [unit for unit in part.units if unit]
    return parts


def _take(row: Row, part: Part, other: Part, measure: Measure, distinct: bool) -> None:
    """Put a row into a part, or what there is room for, unless it is in the other one (distinct: or in this one)."""
    room = part.goal - part.taken
    if room <= 0:  # both are full
        return
    if size(row[0], measure) > room:
        row = (_cut(row[0], room, measure),)
        if not row[0]:
            part.full = True
            return
    keys = set(enumerate(row))
    if keys & other.seen or (distinct and keys <= part.seen):
        return
    part.units[-1].append(row)
    part.seen |= keys
    part.taken += size(row[0], measure)
    part.full = part.taken >= part.goal


def _cut(text: str, room: int, measure: Measure) -> str:
    """The start of a sentence that fits."""
    start = text[:room] if measure == "characters" else text.encode()[:room].decode(errors="ignore")
    return start.strip()
