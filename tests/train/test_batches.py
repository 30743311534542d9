"""Blocks and their order."""

import numpy as np
import pytest

from lingraft.errors import TextError
from lingraft.train.batches import Blocks, Mixture, shuffled

TOKENS = np.arange(100, 203, dtype=np.uint16)  # 103 tokens
BLOCKS = Blocks(TOKENS, length=10, prefix=(1,), suffix=(2, 3))


@pytest.mark.parametrize("size", [*range(1, 40), 63, 64, 65, 100, 1000, 4097])
def test_the_order_is_a_permutation(size: int):
    assert sorted(shuffled(np.arange(size), size, key=5).tolist()) == list(range(size))


def test_the_order_does_not_depend_on_how_it_is_asked():
    whole = shuffled(np.arange(1000), 1000, key=5)
    parts = [shuffled(np.arange(start, start + 100), 1000, key=5) for start in range(0, 1000, 100)]
    assert np.array_equal(whole, np.concatenate(parts))


def test_the_order_is_no_pattern_and_every_key_has_its_own():
    orders = [shuffled(np.arange(1000), 1000, key=key) for key in range(20)]
    for order in orders:
        assert abs(np.corrcoef(order, np.arange(1000))[0, 1]) < 0.15
        assert (order == np.arange(1000)).sum() < 10
    agreements = [(one == other).sum() for i, one in enumerate(orders) for other in orders[:i]]
    assert max(agreements) < 12


def test_blocks_have_their_specials_and_no_padding_and_cover_the_stream():
    assert len(BLOCKS) == 103 // 7 == 14
    read = BLOCKS.read(np.arange(14))
    assert read.shape == (14, 10)
    assert read.dtype == np.int64
    assert (read[:, 0] == 1).all()
    assert (read[:, -2:] == [2, 3]).all()
    assert np.array_equal(read[:, 1:-2].ravel(), TOKENS[: 14 * 7])


def test_every_epoch_sees_every_block_once_in_an_order_of_its_own():
    steps = [BLOCKS.batch(step, 4, seed=0)[:, 1] for step in range(14)]  # 56 blocks, 4 epochs
    epochs = np.concatenate(steps).reshape(4, 14)
    assert all(sorted(epoch) == sorted(TOKENS[: 14 * 7 : 7]) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4


def test_seeds_differ_and_the_same_step_is_the_same():
    assert np.array_equal(BLOCKS.batch(3, 8, seed=1), BLOCKS.batch(3, 8, seed=1))
    assert not np.array_equal(BLOCKS.batch(3, 8, seed=1), BLOCKS.batch(3, 8, seed=2))


def test_a_batch_may_be_larger_than_the_text():
    batch = BLOCKS.batch(0, 30, seed=0)
    assert len(batch) == 30
    assert len(np.unique(batch[:, 1])) == 14


@pytest.mark.parametrize(("length", "num_tokens"), [(128, 50), (3, 50), (54, 50)])
def test_text_too_short_for_a_block_is_an_error(length: int, num_tokens: int):
    with pytest.raises(TextError, match=f"training text has {num_tokens} tokens.*--set length"):
        Blocks(TOKENS[:num_tokens], length, (1,), (2, 3)).check("training")


def test_text_for_exactly_one_block_is_enough():
    assert len(Blocks(TOKENS[:50], 53, (1,), (2, 3)).check("training")) == 1


def test_a_mixture_has_the_blocks_of_its_texts_each_once_in_an_epoch():
    table = np.arange(1000, 1400)
    other = Blocks(np.arange(0, 70, dtype=np.uint16), length=10, prefix=(1,), suffix=(2, 3), table=table)
    mixture = Mixture((BLOCKS, other))
    assert len(mixture) == 14 + 10
    read = mixture.read(np.arange(24)[::-1])[::-1]
    assert np.array_equal(read, np.concatenate([BLOCKS.read(np.arange(14)), other.read(np.arange(10))]))
    assert np.array_equal(read[14:, 1:-2].ravel(), np.arange(1000, 1070)), "looked up in the table"
    seen = np.concatenate([mixture.batch(step, 6, seed=0)[:, 1] for step in range(4)])
    assert sorted(seen) == sorted(read[:, 1])
    assert 0 < (seen[:12] >= 1000).sum() < 10, "mixed"


def test_upsampled_texts_come_in_their_shares_and_every_block_equally_often():
    other = Blocks(np.arange(1000, 1030, dtype=np.uint16), length=10, prefix=(1,), suffix=(2, 3))  # 4 blocks, beside 14
    mixture = Mixture((BLOCKS, other), alpha=0.5)
    share = 4**0.5 / (4**0.5 + 14**0.5)
    assert mixture.slots.tolist() == [14, round(14 * share / (1 - share))] == [14, 7]
    seen = np.concatenate([mixture.batch(step, 6, seed=3)[:, 1] for step in range(14)])  # 84 blocks: 4 epochs
    firsts, counts = np.unique(seen, return_counts=True)
    assert counts[firsts < 1000].tolist() == [4] * 14
    assert counts[firsts >= 1000].tolist() == [7] * 4
    assert np.array_equal(mixture.batch(9, 6, seed=3), Mixture((BLOCKS, other), alpha=0.5).batch(9, 6, seed=3)), "of step and seed alone"
    assert Mixture((BLOCKS, other), alpha=0.0).slots.tolist() == [14, 14]
