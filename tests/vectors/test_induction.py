"""Lexicons read off a common space: mutual pairs, scores, precision."""

import numpy as np
import pytest
import torch

from lingraft.errors import TextError
from lingraft.vectors.induction import entries, precision
from lingraft.vectors.neighbours import Matches
from lingraft.vectors.static import Vectors

SOURCE = Vectors(["dog", "cat", "Bonn", "the"], np.eye(4, dtype=np.float32))
TARGET = Vectors(["hund", "katze", "bonn"], np.eye(3, 4, dtype=np.float32))
FOUND = Matches(
    forward=torch.tensor([[0.9, 0.1], [0.5, 0.2], [0.8, 0.3], [-0.1, -0.2]]),
    forward_ids=torch.tensor([[0, 1], [0, 1], [2, 0], [1, 2]]),
    backward=torch.tensor([[0.9], [-0.1], [0.8]]),
    backward_ids=torch.tensor([[0], [3], [2]]),
)


def test_mutual_pairs_are_written_and_all_where_asked_but_none_below_zero():
    assert entries(SOURCE, TARGET, FOUND) == [("dog", "hund", 0.9), ("Bonn", "bonn", 0.8)]
    assert entries(SOURCE, TARGET, FOUND, every=True) == [("dog", "hund", 0.9), ("cat", "hund", 0.5), ("Bonn", "bonn", 0.8)]


def test_precision_counts_words_with_vectors_and_any_of_their_translations():
    lexicon = [
        ("dog", "Hund", 1.0),
        ("dog", "köter", 1.0),
        ("cat", "Katze", 1.0),
        ("Bonn", "Bonn", 1.0),
        ("the", "der", 1.0),
        ("a", "hund", 1.0),
    ]
    found = precision(SOURCE, TARGET, FOUND, lexicon)
    assert found == {"p_at_1": 2 / 3, "p_at_5": 1.0, "p_at_10": 1.0, "coverage": 3 / 5, "measured": 3}


def test_a_lexicon_of_other_languages_is_refused():
    with pytest.raises(TextError, match="None of the 1 entries"):
        precision(SOURCE, TARGET, FOUND, [("chien", "perro", 1.0)])
