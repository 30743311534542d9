"""Reciprocal ranks of masked tokens, on models whose answers are known."""

from typing import Any

import numpy as np
import pytest
import torch
import transformers
from conftest import WIDTH

from lingraft.donors.ranking import answer, questions
from lingraft.donors.settings import GridSettings
from lingraft.train.batches import Sentences
from lingraft.train.objectives import Vocabulary

SIZE, SETTINGS = 30, GridSettings(mask_rate=0.5)
VOCABULARY = Vocabulary(SIZE, 4, np.arange(5), np.ones(SIZE, dtype=bool))
SIZES = np.array([3, 9, 1, 30, 5])
TOKENS = np.random.default_rng(0).integers(5, SIZE, size=SIZES.sum())
HELD_OUT = Sentences(TOKENS, np.cumsum(SIZES) - SIZES, SIZES, 12, (1,), (2,), 0)


def model(bias: torch.Tensor | None = None) -> Any:
    """A BERT; with a bias (SIZE,), one that says the same whatever it reads."""
    torch.manual_seed(0)
    made = transformers.BertForMaskedLM(transformers.BertConfig(vocab_size=SIZE, max_position_embeddings=16, **WIDTH)).eval()
    if bias is not None:
        for parameter in made.parameters():
            torch.nn.init.zeros_(parameter)
        made.cls.predictions.bias.data.copy_(bias)
    return made


def test_what_is_masked_depends_on_language_and_seed_alone() -> None:
    first, again, other, later = (
        questions(HELD_OUT, code, VOCABULARY, SETTINGS.model_copy(update={"masking_seed": seed}))
        for code, seed in (("de", 0), ("de", 0), ("sv", 0), ("de", 1))
    )
    assert np.array_equal(first.shown, again.shown) and np.array_equal(first.columns, again.columns)
    assert not np.array_equal(first.shown, other.shown)
    assert not np.array_equal(first.shown, later.shown)
    assert ((first.mask == 1)[first.rows, first.columns]).all()
    assert not np.isin(first.targets, VOCABULARY.specials).any()


def test_a_model_that_knows_nothing_has_the_mean_rank() -> None:
    asked = questions(HELD_OUT, "de", VOCABULARY, SETTINGS)
    score, (total, count) = answer(model(torch.zeros(SIZE)), asked)
    assert score.mrr == pytest.approx(2 / (SIZE + 1))  # all are equal: the mean of the ranks 1 … SIZE
    assert score.loss == pytest.approx(np.log(SIZE), abs=1e-6)
    assert count.tolist() == np.bincount(asked.rows, minlength=5).tolist()
    assert total == pytest.approx(count * 2 / (SIZE + 1))


def test_a_model_of_frequencies_ranks_by_them() -> None:
    order = torch.randperm(SIZE, generator=torch.Generator().manual_seed(1))
    asked = questions(HELD_OUT, "de", VOCABULARY, SETTINGS)
    score, _ = answer(model(-order.float()), asked)
    assert score.mrr == pytest.approx(np.mean(1 / (1 + order.numpy()[asked.targets])))


def test_ranks_are_those_of_whole_sentences() -> None:
    """Sentence by sentence, without padding or batches: the same sums."""
    asked, judged = questions(HELD_OUT, "de", VOCABULARY, SETTINGS), model()
    _, (total, _) = answer(judged, asked)
    for row in range(len(SIZES)):
        ids = torch.from_numpy(asked.shown[row : row + 1, : asked.mask[row].sum()])
        logits = judged(input_ids=ids)[0][0]
        here = asked.rows == row
        right = logits[asked.columns[here], asked.targets[here]]
        ranks = 1 + (logits[asked.columns[here]] > right[:, None]).sum(1)
        assert total[row] == pytest.approx(float((1 / ranks).sum()), abs=1e-5)


def test_all_sentences_are_asked_also_where_they_are_many() -> None:
    many = Sentences(np.tile(TOKENS, 40), np.arange(200) * 9, np.full(200, 9), 12, (1,), (2,), 0)
    asked = questions(many, "de", VOCABULARY, SETTINGS)
    score, (_, count) = answer(model(), asked)
    assert score.positions == count.sum() == len(asked.rows)
    assert (count > 0).mean() > 0.95
