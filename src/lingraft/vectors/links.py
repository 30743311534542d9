"""Which pieces of a line stand for which of its translation, kept with a run."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file, save_file

from lingraft.files import atomic_folder
from lingraft.text.shards import Shards
from lingraft.vectors.alignment import AlignmentSettings, Pair, train_aligner

Ints = npt.NDArray[np.int64]
FILE = "links.safetensors"
MUTUAL = AlignmentSettings(symmetrisation="intersection")
"""A link is the likeliest in both directions; a piece has one at most."""


@dataclass(frozen=True, slots=True)
class Links:
    """Links of parallel lines. starts: (num_lines + 1,); line i has pairs[starts[i] : starts[i + 1]].
    pairs: (num_links, 2) place of a piece in the source's line, place of its translation in the target's."""

    starts: Ints
    pairs: Ints

    @property
    def counts(self) -> Ints:
        """(num_lines,) links of each line."""
        return np.diff(self.starts)


def keep_links(source: Shards, target: Shards, folder: Path, settings: AlignmentSettings = MUTUAL) -> Links:
    """Align parallel text, whose lines are the documents of both shards, piece by piece, and write the links to `folder`.

    Raises TextError where there is no pair of lines to learn from.
    """
    aligner = train_aligner(lambda: _lines(source, target), settings)
    found = list(aligner.align(_lines(source, target)))
    starts = np.cumsum([0, *map(len, found)], dtype=np.int64)
    links = Links(starts, np.array(list(chain.from_iterable(found)), dtype=np.int64).reshape(-1, 2))
    with atomic_folder(folder) as temporary:
        save_file({"starts": links.starts, "pairs": links.pairs.astype(np.int32)}, temporary / FILE)
    return links


def open_links(folder: Path) -> Links:
    """What `keep_links` wrote."""
    found = load_file(folder / FILE)
    return Links(found["starts"], found["pairs"].astype(np.int64))


def _lines(source: Shards, target: Shards) -> Iterator[Pair]:
    """Both sides of every line, their ids as words."""
    for number in range(source.info.num_documents):
        yield _words(source, number), _words(target, number)


def _words(shards: Shards, number: int) -> list[str]:
    return list(map(str, shards.tokens[shards.documents[number] : shards.documents[number + 1]].tolist()))
