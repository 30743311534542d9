"""Mapping one space of vectors onto another: known maps are found, and noise is found out."""

import numpy as np
import pytest

from lingraft.errors import TextError
from lingraft.vectors.mapping import map_spaces, procrustes
from lingraft.vectors.static import Vectors

NUMBERS = np.random.default_rng(0)
SIZE, DIM = 400, 20


def spaces(noise: float, shared: int) -> tuple[Vectors, Vectors]:
    """A space, and the same one turned, shifted and disturbed; the first `shared` words are spelled alike."""
    matrix = NUMBERS.normal(size=(SIZE, DIM)).astype(np.float32)
    rotation = np.linalg.qr(NUMBERS.normal(size=(DIM, DIM)))[0]
    turned = (matrix @ rotation + noise * NUMBERS.normal(size=matrix.shape) + 0.1).astype(np.float32)
    names = [f"w{i}" for i in range(SIZE)]
    return Vectors(names, matrix), Vectors([*names[:shared], *(f"z{i}" for i in range(shared, SIZE))], turned)


def precision(source: Vectors, target: Vectors, **options: object) -> float:
    mapping = map_spaces(source, target, **options)
    return float(((mapping.source(source.matrix) @ mapping.target(target.matrix).T).argmax(axis=1) == np.arange(SIZE)).mean())


def test_procrustes_finds_a_rotation_exactly():
    import torch

    x = torch.randn(50, 8, generator=torch.Generator().manual_seed(0))
    rotation = torch.linalg.qr(torch.randn(8, 8, generator=torch.Generator().manual_seed(1)))[0]
    assert torch.allclose(procrustes(x, x @ rotation), rotation, atol=1e-5)


@pytest.mark.parametrize("method", ["procrustes", "self-learning"])
def test_a_turned_space_is_mapped_back(method: str):
    source, target = spaces(noise=0.1, shared=60)
    assert precision(source, target, method=method) > 0.95
    pairs = [(f"w{i}", f"z{i}") for i in range(300, 360)]
    assert precision(source, target, start=pairs, method=method) > 0.95


def test_self_learning_makes_more_of_few_pairs():
    source, target = spaces(noise=0.5, shared=15)
    assert precision(source, target, method="self-learning") > precision(source, target, method="procrustes") + 0.1


def test_noise_is_found_out():
    source, target = spaces(noise=0.2, shared=100)
    assert map_spaces(source, target).trust.reliable
    noise = Vectors(target.words, NUMBERS.normal(size=(SIZE, DIM)).astype(np.float32))
    trust = map_spaces(source, noise).trust
    assert not trust.reliable and "by chance 2.5%" in trust.reason


def test_too_few_pairs_and_other_dimensions_are_said():
    source, target = spaces(noise=0.1, shared=5)
    with pytest.raises(TextError, match="Only 5 words are spelled alike"):
        map_spaces(source, target)
    with pytest.raises(TextError, match="Only 1 entries of the lexicon"):
        map_spaces(source, target, start=[("w9", "z9"), ("no", "such")])
    with pytest.raises(TextError, match="20 dimensions, the target's 3"):
        map_spaces(source, Vectors(target.words, target.matrix[:, :3]))


def test_words_without_vectors_stay_without():
    source, target = spaces(noise=0.1, shared=60)
    mapping = map_spaces(source, target)
    assert not mapping.source(np.zeros((2, DIM), dtype=np.float32)).any()
