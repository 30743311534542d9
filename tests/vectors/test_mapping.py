"""Mapping one space of vectors onto another: known maps are found, and noise is found out."""

import numpy as np
import pytest
import torch

from lingraft.errors import TextError
from lingraft.vectors.adversarial import AdversarialSettings, play
from lingraft.vectors.mapping import map_spaces
from lingraft.vectors.spaces import mean_of, normalised, undone, unit
from lingraft.vectors.static import Vectors
from lingraft.vectors.trust import Trust

NUMBERS = np.random.default_rng(0)
SIZE, DIM = 400, 20
QUICK = AdversarialSettings(hidden=32, epochs=2, steps=20)


def spaces(noise: float, shared: int) -> tuple[Vectors, Vectors]:
    """A space, and the same one turned, shifted and disturbed; the first `shared` words are spelled alike."""
    matrix = NUMBERS.normal(size=(SIZE, DIM)).astype(np.float32)
    rotation = np.linalg.qr(NUMBERS.normal(size=(DIM, DIM)))[0]
    turned = (matrix @ rotation + noise * NUMBERS.normal(size=matrix.shape) + 0.1).astype(np.float32)
    names = [f"w{i}" for i in range(SIZE)]
    return Vectors(names, matrix), Vectors([*names[:shared], *(f"z{i}" for i in range(shared, SIZE))], turned)


def noise_for(vectors: Vectors) -> Vectors:
    return Vectors(vectors.words, NUMBERS.normal(size=vectors.matrix.shape).astype(np.float32))


def precision(source: Vectors, target: Vectors, **options: object) -> float:
    mapping = map_spaces(source, target, **options)
    return float(((mapping.source(source.matrix) @ mapping.target(target.matrix).T).argmax(axis=1) == np.arange(SIZE)).mean())


@pytest.mark.parametrize("method", ["procrustes", "self-learning"])
@pytest.mark.parametrize("mode", ["orthogonal", "full"])
def test_a_turned_space_is_mapped_back(method: str, mode: str):
    source, target = spaces(noise=0.1, shared=60)
    assert precision(source, target, method=method, mode=mode) > 0.95
    pairs = [(f"w{i}", f"z{i}") for i in range(300, 360)]
    assert precision(source, target, start=pairs, method=method, mode=mode) > 0.95


def test_no_pairs_are_needed():
    source, target = spaces(noise=0.1, shared=0)
    mapping = map_spaces(source, target, start="unsupervised")
    assert precision(source, target, start="unsupervised") > 0.95
    assert mapping.trust.reliable
    assert mapping.trust.agreement is not None
    assert mapping.trust.agreement > 0.95
    assert mapping.trust.cycle_consistency > 0.95


def test_self_learning_makes_more_of_few_pairs():
    source, target = spaces(noise=0.5, shared=15)
    assert precision(source, target, method="self-learning") > precision(source, target, method="procrustes") + 0.1


@pytest.mark.parametrize(
    ("start", "method"),
    [("identical", "procrustes"), ("identical", "self-learning"), ("unsupervised", "self-learning"), ("unsupervised", "adversarial")],
)
def test_noise_is_found_out(start: str, method: str):
    source, target = spaces(noise=0.2, shared=120)
    trust = map_spaces(source, noise_for(target), start=start, method=method, adversarial=QUICK).trust
    assert not trust.reliable
    assert "(by chance 2.5%)" in trust.reason


def test_words_in_another_order_are_found_out_though_the_spaces_fit():
    source, target = spaces(noise=0.05, shared=SIZE)
    trust = map_spaces(source, Vectors(target.words[::-1], target.matrix), start="unsupervised").trust
    assert trust.agreement is not None
    assert trust.agreement > 0.95
    assert trust.found < 0.1
    assert not trust.reliable


@pytest.mark.parametrize(
    ("agreement", "found", "known", "is_start", "expected"),
    [
        (0.5, 0.6, 50, True, True),
        (0.01, 0.6, 50, True, False),
        (0.5, 0.01, 50, True, False),
        (None, 0.6, 50, True, True),
        (0.01, 0.6, 500, False, True),
        (0.5, 0.01, 500, False, False),
        (0.5, 0.01, 50, False, True),
        (0.01, 0.6, 50, False, False),
    ],
)
def test_unseen_pairs_decide_where_they_are_many(agreement: float | None, found: float, known: int, is_start: bool, expected: bool):
    assert Trust(0.2, 0.6, agreement, found, 0.001, known, is_start).reliable is expected


def test_the_adversary_finds_a_turn_that_nothing_else_tells():
    """No words are alike, and what the players may know the space by is where its words are many."""
    generator = np.random.default_rng(1)
    matrix = (generator.standard_gamma(0.7, size=(1000, 2)) * [1, 2]).astype(np.float32)
    turn = np.linalg.qr(generator.normal(size=(2, 2)))[0].astype(np.float32)
    x, y = (normalised(space, mean_of(space)) for space in (matrix, matrix @ turn))
    for seed in (0, 1):
        found, reached = play(x, y, AdversarialSettings(hidden=32, epochs=3, steps=150), seed)
        assert reached > 0.99
        assert (unit(x @ found) * y).sum(1).mean() > 0.95, "of random turns: 0"


def test_the_adversary_gives_the_same_map_for_the_same_seed():
    source, target = spaces(noise=0.1, shared=60)
    one, same, other = (map_spaces(source, target, method="adversarial", seed=seed, adversarial=QUICK).maps[0] for seed in (0, 0, 5))
    assert torch.equal(one, same)
    assert not torch.allclose(one, other, atol=0.1)


def test_too_few_pairs_and_other_dimensions_are_said():
    source, target = spaces(noise=0.1, shared=5)
    with pytest.raises(TextError, match="Only 5 words are spelled alike"):
        map_spaces(source, target)
    with pytest.raises(TextError, match="Only 1 entries of the lexicon"):
        map_spaces(source, target, start=[("w9", "z9"), ("no", "such")])
    with pytest.raises(TextError, match="an unsupervised start has none"):
        map_spaces(source, target, start="unsupervised", method="procrustes")
    with pytest.raises(TextError, match="20 dimensions, the target's 3"):
        map_spaces(source, Vectors(target.words, target.matrix[:, :3]))


def test_words_without_vectors_stay_without():
    source, target = spaces(noise=0.1, shared=60)
    mapping = map_spaces(source, target)
    assert not mapping.source(np.zeros((2, DIM), dtype=np.float32)).any()


def test_mapped_vectors_take_their_place_among_the_others_which_stay():
    source, target = spaces(noise=0.0, shared=100)
    found = map_spaces(source, target, method="procrustes").source_as_target(source.matrix)
    theirs = target.matrix / np.linalg.norm(target.matrix, axis=1, keepdims=True)
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert ((found * theirs).sum(axis=1) > 0.98).all()


def test_what_normalising_does_is_undone():
    matrix = NUMBERS.normal(size=(50, 8)).astype(np.float32) + 0.5
    mean = mean_of(matrix)
    unit = matrix / np.linalg.norm(matrix, axis=1, keepdims=True)
    assert np.allclose(undone(normalised(matrix, mean), mean), unit, atol=1e-5)
