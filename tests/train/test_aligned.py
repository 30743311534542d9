"""Which places of two lines are linked."""

from pathlib import Path

import numpy as np
from small_shards import CLS, FIRST, PAD, SEP, shards

from lingraft.train.aligned import Lines, Side
from lingraft.train.links import NONE, Linked


def side(folder: Path, begins: list[int]) -> Side:
    """A line with a token for each of `begins`: 1 where it begins a word."""
    known = np.ones(FIRST + len(begins), dtype=bool)
    known[FIRST:] = begins
    return Side(shards(folder, [[len(begins)]], end=False), (CLS,), (SEP,), PAD, None, known)


def test_pieces_are_linked_or_the_first_ones_of_their_words(tmp_path: Path):
    """the federal chancel ##lor · der Bund ##es ##kanz ##ler ."""
    source, target = side(tmp_path / "en", [1, 1, 1, 0]), side(tmp_path / "de", [1, 1, 0, 0, 0, 1])
    links = Linked(np.array([0, 1, 1, 2, 3, NONE], np.int16), np.array([0, 1, 3, 4], np.int16), np.array([0]))
    lines = Lines(source, target, links, None, False)
    assert lines.mutual(0).tolist() == [[0, 0], [1, 1], [2, 3], [3, 4]]  # (1, 2) is one way only
    by_word = Lines(source, target, links, None, False, by_word=True)
    assert by_word.mutual(0).tolist() == [[0, 0], [2, 1]]
    assert lines.source.read(np.array([0]), 8)[0].tolist() == [[CLS, FIRST, FIRST + 1, FIRST + 2, FIRST + 3, SEP]]


def test_a_line_without_links_has_none(tmp_path: Path):
    source, target = side(tmp_path / "en", [1, 0]), side(tmp_path / "de", [1])
    for by_word in (False, True):
        assert (
            Lines(source, target, Linked(np.array([NONE]), np.array([NONE, NONE]), np.array([0])), None, False, by_word).mutual(0).size == 0
        )
