"""Word alignment: which word of a sentence stands for which word of its translation.

    aligner = train_aligner(pairs, AlignmentSettings())     # pairs of lists of words, or of word pieces
    for links in aligner.align(pairs): ...                  # [(source position, target position), …]

Nothing but the pairs themselves is learned from; a trained aligner can be kept, and applied to other pairs.
"""

from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice, repeat
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, Protocol

import numpy as np
import scipy.sparse
from pydantic import BaseModel, ConfigDict, Field

from lingraft.errors import RunError, TextError
from lingraft.files import atomic_folder, digest, read_json, write_json
from lingraft.vectors import thot_models
from lingraft.vectors.fast_align import FastAlign, Ints, Side

Model = Literal["fast_align", "eflomal", "hmm", "ibm1", "ibm2"]
Symmetrisation = Literal["forward", "reverse", "intersection", "union", "grow", "grow-diag", "grow-diag-final", "grow-diag-final-and"]
Pair = tuple[Sequence[str], Sequence[str]]
Links = list[tuple[int, int]]
Ids = Sequence[int] | np.ndarray[Any, Any]

LONGEST = 1024  # words on a side: memory grows with the product of both lengths
BATCH = 5_000  # pairs aligned at once
AT_ONCE = 1 << 20  # links counted at once
SIDES = {"forward": (0, 1), "reverse": (1, 0)}  # which side of a pair is the source of a direction, and which the target


class AlignmentSettings(BaseModel):
    """How words are aligned."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: Model = Field("fast_align", description="fast_align: quick; eflomal: for little text, slower; hmm, ibm1, ibm2: older ones")
    iterations: int = Field(5, ge=1, description="of training, for each stage of a model; eflomal finds its own number")
    symmetrisation: Symmetrisation = Field(
        "grow-diag-final-and",
        description="how both directions are joined; forward alone: a target word has at most one link, reverse: a source word",
    )

    @property
    def directions(self) -> list[str]:
        """The directions that the symmetrisation needs."""
        return [name for name in SIDES if self.symmetrisation not in SIDES or name == self.symmetrisation]


class Direction(Protocol):
    """A trained model of one direction."""

    def best(self, source: Side, target: Side) -> Ints:
        """(target words,) the likeliest source position of every target word, counted from 1; 0 for none."""

    def save(self, folder: Path) -> None:
        """Write the model into a folder."""


class Aligner:
    """A trained aligner.

    skipped  pairs that it did not learn from, because a side is empty or too long
    """

    def __init__(
        self, settings: AlignmentSettings, words: Sequence[dict[str, int]], directions: dict[str, Direction], skipped: int
    ) -> None:
        self.settings = settings
        self.skipped = skipped
        self._words = words
        self._directions = directions
        self._longest = _longest(settings.model)

    def takes(self, pair: Pair) -> bool:
        """Whether a pair can be aligned: no side is empty, none too long."""
        return _fits(pair, self._longest)

    def symmetrised(self, how: Symmetrisation) -> "Aligner":
        """Itself with another symmetrisation. Raises KeyError where it lacks a direction for it."""
        settings = self.settings.model_copy(update={"symmetrisation": how})
        return Aligner(settings, self._words, {name: self._directions[name] for name in settings.directions}, self.skipped)

    def align(self, pairs: Iterable[Pair]) -> Iterator[Links]:
        """The links of every pair, sorted; none for a pair that it does not take."""
        rest = iter(pairs)
        while batch := list(islice(rest, BATCH)):
            found = self._links([pair for pair in batch if self.takes(pair)])
            yield from (next(found) if self.takes(pair) else [] for pair in batch)

    def _links(self, pairs: list[Pair]) -> Iterator[Links]:
        sides = [_looked_up([pair[side] for pair in pairs], self._words[side]) for side in (0, 1)]
        best: dict[str, Iterator[list[int]]] = {name: repeat([], len(pairs)) for name in SIDES}
        with ThreadPoolExecutor() as pool:
            given = {name: [sides[side] for side in SIDES[name]] for name in self._directions}
            for name, found in {name: pool.submit(self._directions[name].best, *given[name]) for name in given}.items():
                best[name] = _split(found.result(), given[name][1].lengths)
        return (_joined(*both, self.settings.symmetrisation) for both in zip(best["forward"], best["reverse"], strict=True))

    def save(self, folder: Path) -> None:
        """Write the aligner to `folder`, whole or not at all: words and probabilities, none of the text."""
        with atomic_folder(folder) as temporary:
            write_json(temporary / "words.json", [list(words) for words in self._words])
            for name, direction in self._directions.items():
                (temporary / name).mkdir()
                direction.save(temporary / name)
            digests = {path.name: digest(path) for path in sorted(temporary.iterdir())}
            write_json(temporary / "aligner.json", {"settings": self.settings.model_dump(), "skipped": self.skipped, "digests": digests})

    @classmethod
    def load(cls, folder: Path, symmetrisation: Symmetrisation | None = None) -> "Aligner":
        """The aligner that `save` wrote; with another symmetrisation, if asked.

        Raises RunError where there is none, where it is damaged, and where the symmetrisation needs a direction that it does not have.
        """
        if not (folder / "aligner.json").is_file():
            raise RunError(f"{folder} holds no trained aligner. Name a folder that was written with `lingraft align --save`.")
        facts = read_json(folder / "aligner.json")
        for name, expected in facts["digests"].items():
            if not (folder / name).exists() or digest(folder / name) != expected:
                raise RunError(f"{folder / name} is damaged or missing. Train the aligner again.")
        kept = AlignmentSettings(**facts["settings"])
        settings = kept.model_copy(update={"symmetrisation": symmetrisation or kept.symmetrisation})
        if missing := set(settings.directions) - set(kept.directions):
            raise RunError(f"{settings.symmetrisation!r} needs a {missing.pop()} model, which the aligner in {folder} does not have.")
        words = [{word: number for number, word in enumerate(side)} for side in read_json(folder / "words.json")]
        return cls(settings, words, {name: _load(settings.model, folder / name) for name in settings.directions}, facts["skipped"])


def train_aligner(pairs: Callable[[], Iterable[Pair]] | Iterable[Pair], settings: AlignmentSettings) -> Aligner:
    """Learn from pairs of lists of words, which are read once. The same pairs give the same aligner.

    Raises TextError where there is no pair to learn from.
    """
    longest = _longest(settings.model)
    words, sides, skipped = _numbered(pairs() if callable(pairs) else pairs, longest)
    if not len(sides[0].lengths):
        raise TextError(
            f"There is no pair to learn an alignment from: all {skipped:,} have an empty side, or one of more than {longest:,} words."
        )
    texts = {name: (sides[SIDES[name][0]], sides[SIDES[name][1]]) for name in settings.directions}
    return Aligner(settings, words, _train(settings, texts), skipped)


def link_counts(pairs: Iterable[tuple[Ids, Ids]], links: Iterable[Links], num_source: int, num_target: int) -> scipy.sparse.csr_array:
    """(num_target, num_source) how often two ids were linked.

    pairs: (source ids, target ids), each with its `links`. Raises ValueError where there are more of the one than of the other.
    """
    counts = scipy.sparse.csr_array((num_target, num_source))
    rows, columns = array("i"), array("i")
    for (source, target), linked in zip(pairs, links, strict=True):
        columns.extend([source[position] for position, _ in linked])
        rows.extend([target[position] for _, position in linked])
        if len(rows) >= AT_ONCE:
            counts = counts + _counted(rows, columns, counts.shape)
            rows, columns = array("i"), array("i")
    return scipy.sparse.csr_array(counts + _counted(rows, columns, counts.shape))


def word_pair_counts(pairs: Iterable[Pair], links: Iterable[Links]) -> Counter[tuple[str, str]]:
    """How often each source word was linked to each target word. Raises ValueError as `link_counts` does."""
    counts: Counter[tuple[str, str]] = Counter()
    for (source, target), linked in zip(pairs, links, strict=True):
        counts.update((source[one], target[other]) for one, other in linked)
    return counts


def pharaoh(links: Links) -> str:
    """Links as they are written to files: `0-0 1-2`, source position first."""
    return " ".join(f"{source}-{target}" for source, target in links)


def _counted(rows: Sequence[int], columns: Sequence[int], shape: Any) -> scipy.sparse.csr_array:
    return scipy.sparse.csr_array(scipy.sparse.coo_array((np.ones(len(rows)), (rows, columns)), shape=shape))


def _longest(model: Model) -> int:
    return LONGEST if model == "fast_align" else min(LONGEST, thot_models.longest(model))


def _fits(pair: Pair, longest: int) -> bool:
    return all(0 < len(side) <= longest for side in pair)


def _numbered(pairs: Iterable[Pair], longest: int) -> tuple[list[dict[str, int]], list[Side], int]:
    """The ids of the words of each side, the pairs in ids, and how many were skipped."""
    words: list[defaultdict[str, int]] = [defaultdict(), defaultdict()]
    for known in words:
        known.default_factory = known.__len__  # a new word gets the next number
    ids, lengths, skipped = [array("i"), array("i")], [array("i"), array("i")], 0
    for pair in pairs:
        if not _fits(pair, longest):
            skipped += 1
            continue
        for side in (0, 1):
            ids[side].extend(map(words[side].__getitem__, pair[side]))
            lengths[side].append(len(pair[side]))
    sides = [Side(np.array(ids[side], dtype=np.int32), np.array(lengths[side], dtype=np.int32)) for side in (0, 1)]
    return [dict(known) for known in words], sides, skipped


def _looked_up(sentences: Sequence[Sequence[str]], words: dict[str, int]) -> Side:
    """Sentences in ids; unknown words have the one after the last."""
    ids = np.fromiter((words.get(word, len(words)) for sentence in sentences for word in sentence), dtype=np.int32)
    return Side(ids, np.array([len(sentence) for sentence in sentences], dtype=np.int32))


def _train(settings: AlignmentSettings, texts: dict[str, tuple[Side, Side]]) -> dict[str, Direction]:
    """A model for each direction: {name: (source, target)}."""
    if settings.model == "fast_align":
        with ThreadPoolExecutor() as pool:
            models = {name: pool.submit(FastAlign.train, *sides, settings.iterations) for name, sides in texts.items()}
            return {name: model.result() for name, model in models.items()}
    with TemporaryDirectory() as folder:
        thot_models.train(settings.model, settings.iterations, {Path(folder) / name: sides for name, sides in texts.items()})
        return {name: _load(settings.model, Path(folder) / name) for name in texts}


def _load(model: Model, folder: Path) -> Direction:
    return FastAlign.load(folder) if model == "fast_align" else thot_models.ThotModel(model, folder)


def _split(best: Ints, lengths: Ints) -> Iterator[list[int]]:
    ends, flat = np.cumsum(lengths).tolist(), best.tolist()
    return (flat[end - length : end] for end, length in zip(ends, lengths.tolist(), strict=True))


def _joined(forward: list[int], reverse: list[int], how: Symmetrisation) -> Links:
    """The links of one pair from the best source position of every target word, and the best target position of every source word."""
    if how == "forward":
        return sorted((position - 1, word) for word, position in enumerate(forward) if position)
    if how == "reverse":
        return [(word, position - 1) for word, position in enumerate(reverse) if position]
    from thot.common import WordAlignmentMatrix

    one, other = WordAlignmentMatrix(len(reverse), len(forward)), WordAlignmentMatrix(len(forward), len(reverse))
    one.put_list(forward)
    other.put_list(reverse)
    other.transpose()
    getattr(one, "intersect" if how == "intersection" else how.replace("-", "_"))(other)
    rows, columns = one.to_numpy().nonzero()
    return list(zip(rows.tolist(), columns.tolist(), strict=True))
