"""Which piece of a line stands for which piece of its translation: found once, kept in a run's folder, read by objectives."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lingraft.errors import TextError
from lingraft.files import atomic_folder
from lingraft.text.shards import Shards
from lingraft.train.batches import Ids
from lingraft.train.settings import LinkSettings
from lingraft.vectors.alignment import Aligner, AlignmentSettings, Links, Pair, train_aligner

NONE = -1
FILES = ("to_target", "to_source", "lines")
Positions = npt.NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Linked:
    """Links of the pieces of parallel text.

    to_target: (tokens of the target's side,) place in its source line of the piece that each stands for, NONE where there is none;
    to_source: the same for the source's side. lines: (num_kept,) numbers of the pairs that are good enough.
    """

    to_target: Positions
    to_source: Positions
    lines: Ids

    def of(self, side: int) -> Positions:
        """The links of the pieces of a side: 0 the source's, 1 the target's."""
        return (self.to_source, self.to_target)[side]

    @classmethod
    def open(cls, folder: Path) -> "Linked":
        """What `link` wrote, mapped into memory."""
        return cls(*(np.load(folder / f"{name}.npy", mmap_mode="r") for name in FILES))


@dataclass(slots=True)
class Kept:
    """What became of the pairs. linked_to_target, linked_to_source: of the kept pairs, the sum over lines of the share of the pieces of
    that side that are linked."""

    pairs: int = 0
    kept: int = 0
    dropped_by_length: int = 0
    dropped_by_links: int = 0
    linked_to_target: float = 0.0
    linked_to_source: float = 0.0


def link(source: Shards, target: Shards, settings: LinkSettings, folder: Path) -> dict[str, Any]:
    """Align the pieces of two texts whose documents translate each other, and write the links to `folder`; returns counts of the pairs.

    Raises TextError where no pair is good enough.
    """
    both: Any = "grow-diag-final-and" if settings.symmetrisation == "none" else settings.symmetrisation
    wanted = AlignmentSettings(model=settings.model, iterations=settings.iterations, symmetrisation=both)
    aligner = train_aligner(lambda: _pairs(source, target), wanted)
    kept, lines = Kept(), []
    with atomic_folder(folder) as temporary:
        found = [np.full(side.info.num_tokens, NONE, dtype=np.int16) for side in (target, source)]
        for number, (to_target, to_source) in enumerate(_likeliest(aligner, source, target, settings.symmetrisation != "none")):
            kept.pairs += 1
            if _too_uneven(len(to_source), len(to_target), settings):
                kept.dropped_by_length += 1
            elif _share_both_ways(to_target, to_source) < settings.least_linked:
                kept.dropped_by_links += 1
            else:
                lines.append(number)
                kept.linked_to_target += _share(to_target)
                kept.linked_to_source += _share(to_source)
            for array, shards, links in zip(found, (target, source), (to_target, to_source), strict=True):
                array[shards.documents[number] : shards.documents[number + 1]] = links
        kept.kept = len(lines)
        columns: list[Any] = [*found, np.array(lines, dtype=np.int64)]
        for name, column in zip(FILES, columns, strict=True):
            np.save(temporary / f"{name}.npy", column)
        _check(kept)
    return asdict(kept) | {name: getattr(kept, name) / kept.kept for name in ("linked_to_target", "linked_to_source")}


def _check(kept: Kept) -> None:
    if not kept.kept:
        raise TextError(
            f"None of the {kept.pairs:,} pairs of parallel text is good enough to train on: {kept.dropped_by_length:,} have sides of too "
            f"different length, in {kept.dropped_by_links:,} too few pieces are linked. Check that the lines of --parallel translate each "
            "other, or raise alignment.longest_ratio or lower alignment.least_linked with --set."
        )


def _pairs(source: Shards, target: Shards) -> Iterator[Pair]:
    """The lines of both sides as strings of ids."""
    for number in range(source.info.num_documents):
        one, other = (
            np.asarray(side.tokens[side.documents[number] : side.documents[number + 1]]).astype(str).tolist() for side in (source, target)
        )
        yield one, other


def _likeliest(aligner: Aligner, source: Shards, target: Shards, joined: bool) -> Iterator[tuple[Positions, Positions]]:
    """For each pair, of every target piece the likeliest source piece, of every source piece the likeliest target piece. joined: only
    links that are left when both ways are joined."""
    ways = [aligner.symmetrised("forward").align(_pairs(source, target)), aligner.symmetrised("reverse").align(_pairs(source, target))]
    left: Iterator[Links | None] = aligner.align(_pairs(source, target)) if joined else iter(lambda: None, 0)
    for pair, forward, reverse, links in zip(_pairs(source, target), *ways, left, strict=False):
        back = [(other, one) for one, other in reverse]
        yield (
            _one_each(forward, links, len(pair[1]), len(pair[0])),
            _one_each(back, None if links is None else [(other, one) for one, other in links], len(pair[0]), len(pair[1])),
        )


def _one_each(likeliest: Links, left: Links | None, size: int, length: int) -> Positions:
    """(size,) the one link (place, own place) of each own place. left: those that may be taken; of several the likeliest, or else the one
    nearest to the diagonal."""
    found = np.full(size, NONE, dtype=np.int16)
    allowed = None if left is None else set(left)
    if left is not None:
        far_first = sorted(left, key=lambda link: -abs(link[0] / length - link[1] / size))
        for place, own in far_first:
            found[own] = place
    for place, own in likeliest:
        if allowed is None or (place, own) in allowed:
            found[own] = place
    return found


def _too_uneven(one: int, other: int, settings: LinkSettings) -> bool:
    return not one or not other or max(one, other) > settings.longest_ratio * min(one, other)


def _share(links: Positions) -> float:
    return float(np.mean(links != NONE))


def _share_both_ways(to_target: Positions, to_source: Positions) -> float:
    """Pieces with a link that both directions found, over the pieces of the shorter side."""
    linked = np.flatnonzero(to_target != NONE)
    return int(np.count_nonzero(to_source[to_target[linked]] == linked)) / min(len(to_target), len(to_source))
