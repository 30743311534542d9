"""What the model is shown, where it predicts, and what."""

import numpy as np
import pytest

from lingraft.errors import RecipeError
from lingraft.train.data import objectives_of
from lingraft.train.objectives import OBJECTIVES, Vocabulary, choose_masked
from lingraft.train.settings import PhaseSettings

SIZE, MASK, SPECIALS = 100, 4, np.array([0, 1, 2, 3, 4, 99])
STARTS = np.arange(SIZE) % 3 == 0  # a third of the tokens begin a word
VOCABULARY = Vocabulary(SIZE, MASK, SPECIALS, STARTS)


def batch(rows: int = 200, length: int = 64, seed: int = 0) -> np.ndarray:
    ids = np.random.default_rng(seed).integers(5, 99, size=(rows, length))
    ids[:, 0], ids[:, -1] = 1, 2
    return ids


def masked(ids: np.ndarray, rate: float = 0.15, whole_words: bool = False, seed: int = 1):
    return OBJECTIVES["mlm"](ids, VOCABULARY, rate, whole_words, np.random.default_rng(seed))


def test_fifteen_percent_are_predicted_in_three_ways():
    ids = batch()
    example = masked(ids)
    text = ~np.isin(ids, SPECIALS)
    assert abs(len(example.positions) / text.sum() - 0.15) < 0.01
    shown, right = example.inputs.ravel()[example.positions], ids.ravel()[example.positions]
    assert np.array_equal(example.targets, right)
    assert abs((shown == MASK).mean() - 0.8) < 0.03
    assert abs((shown == right).mean() - 0.1) < 0.02
    random = shown[(shown != MASK) & (shown != right)]
    assert abs(len(random) / len(shown) - 0.1) < 0.02
    assert not np.isin(random, SPECIALS).any()
    assert len(np.unique(random)) > 50


def test_what_is_not_predicted_is_shown_as_it_is():
    ids = batch()
    example = masked(ids)
    others = np.setdiff1d(np.arange(ids.size), example.positions)
    assert np.array_equal(example.inputs.ravel()[others], ids.ravel()[others])


def test_specials_are_never_predicted():
    ids = np.random.default_rng(3).integers(0, SIZE, size=(100, 64))
    for whole_words in (False, True):
        assert not np.isin(masked(ids, 0.9, whole_words).targets, SPECIALS).any()


@pytest.mark.parametrize("whole_words", [False, True])
def test_something_is_always_predicted(whole_words: bool):
    ids = np.array([[1, 50, 2]])
    for seed in range(20):
        assert masked(ids, 0.01, whole_words, seed).targets.tolist() == [50]


def test_words_are_masked_whole_at_the_same_rate():
    ids = batch(400)
    chosen = choose_masked(ids, VOCABULARY, 0.15, True, np.random.default_rng(2))
    text = ~np.isin(ids, SPECIALS)
    assert abs(chosen.sum() / text.sum() - 0.15) < 0.01
    continues = text[:, 1:] & ~STARTS[ids[:, 1:]] & text[:, :-1]
    assert np.array_equal(chosen[:, 1:][continues], chosen[:, :-1][continues]), "a token goes with the one it continues"
    begins = text[:, 1:] & STARTS[ids[:, 1:]] & text[:, :-1]
    assert (chosen[:, 1:][begins] != chosen[:, :-1][begins]).any(), "another word is another draw"


def test_words_end_at_the_border_of_a_block():
    ids = np.full((500, 3), 5)  # 5 continues a word
    ids[:, 0] = 7
    chosen = choose_masked(ids, VOCABULARY, 0.5, True, np.random.default_rng(0))
    assert 150 < chosen[:, 0].sum() < 350
    assert np.array_equal(chosen[:, 0], chosen[:, 2])


def test_causal_models_predict_every_token_but_the_first():
    ids = batch(3, 5)
    example = OBJECTIVES["clm"](ids, Vocabulary(SIZE, None, SPECIALS, STARTS), 0.15, False, np.random.default_rng(0))
    assert np.array_equal(example.inputs, ids)
    assert example.positions.tolist() == [0, 1, 2, 3, 5, 6, 7, 8, 10, 11, 12, 13]
    assert np.array_equal(example.targets, ids[:, 1:].ravel())


def test_the_generator_decides():
    ids = batch()
    assert np.array_equal(masked(ids, seed=4).inputs, masked(ids, seed=4).inputs)
    assert not np.array_equal(masked(ids, seed=4).inputs, masked(ids, seed=5).inputs)


def test_a_masked_model_is_not_asked_for_what_it_sees():
    assert objectives_of(PhaseSettings(objective="mlm"), "mlm") == ["mlm"]
    for objective in ("clm", "mlm+clm"):
        with pytest.raises(RecipeError, match="sees the tokens that it is to predict"):
            objectives_of(PhaseSettings(objective=objective), "mlm")
