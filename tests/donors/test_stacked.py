"""Several models as one program: each becomes what it becomes alone."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from conftest import WIDTH
from small_grid import make_corpus, run

from lingraft.donors.records import read_records
from lingraft.donors.stacked import Stack, stacked_examples, train_together
from lingraft.train.batches import Sentences
from lingraft.train.data import Data
from lingraft.train.loop import Options, train
from lingraft.train.objectives import Example, Vocabulary
from lingraft.train.settings import PhaseSettings

SIZE = 40
VOCABULARY = Vocabulary(SIZE, 4, np.arange(5), np.ones(SIZE, dtype=bool))
SETTINGS = PhaseSettings(batch=4, length=16, learning_rate=1e-2, weight_decay=0.1, warmup=0.3, clip=0.5, dropout=0.0, precision="float32")
CPU = torch.device("cpu")


def new_model(seed: int) -> Any:
    torch.manual_seed(seed)
    no_dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    return transformers.BertForMaskedLM(transformers.BertConfig(vocab_size=SIZE, **WIDTH, **no_dropout)).eval()


def text(seed: int) -> Data:
    """20 sentences of 1 to 20 tokens."""
    generator = np.random.default_rng(seed)
    sizes = generator.integers(1, 21, size=20)
    return Data(Sentences(generator.integers(5, SIZE, size=sizes.sum()), np.cumsum(sizes) - sizes, sizes, 16, (1,), (2,), 0), VOCABULARY)


@pytest.mark.parametrize("totals", [(5, 5, 5), (7, 3, 5)])
def test_each_becomes_what_it_becomes_alone(totals: tuple[int, ...], tmp_path: Path) -> None:
    seeds, data = (0, 0, 1), [text(seed) for seed in (3, 4, 5)]
    found = dict(train_together([new_model(seed) for seed in seeds], data, seeds, totals, SETTINGS, 0, CPU, False))
    assert sorted(found) == [0, 1, 2]
    for number, (seed, total) in enumerate(zip(seeds, totals, strict=True)):
        alone = new_model(seed)
        train("alone", alone, SETTINGS, data[number], total=total, seed=seed, folder=tmp_path / str(number), options=Options(alone=True))
        start = dict(new_model(seed).named_parameters())
        for (name, one), other in zip(alone.named_parameters(), found[number].parameters(), strict=True):
            torch.testing.assert_close(other, one, rtol=1e-4, atol=2e-5, msg=f"{number} {name}")
        assert (alone.cls.predictions.bias - start["cls.predictions.bias"]).abs().max() > 1e-3


def test_a_model_that_is_done_is_done(tmp_path: Path) -> None:
    """They come in the order in which they end, and what goes on training does not touch them."""
    trained = train_together([new_model(0), new_model(0)], [text(3), text(3)], (0, 0), (4, 2), SETTINGS, 0, CPU, False)
    number, first = next(trained)
    kept = first.cls.predictions.bias.clone()
    other, _ = next(trained)
    assert (number, other) == (1, 0)
    assert torch.equal(first.cls.predictions.bias, kept)


def test_stack_gives_back_what_it_got() -> None:
    models = [new_model(seed) for seed in range(3)]
    stack = Stack(models, CPU)
    stack.keep([0, 2])
    found = stack.write(1, new_model(7))
    assert all(torch.equal(one, other) for one, other in zip(models[2].parameters(), found.parameters(), strict=True))


def test_examples_of_different_lengths() -> None:
    mask = {"attention_mask": np.ones((2, 3), dtype=np.int64)}
    short = Example(np.array([[5, 6, 7], [8, 9, 10]]), np.array([1, 5]), np.array([20, 21]), mask)
    long = Example(np.full((2, 5), 11), np.array([4]), np.array([22]), {"attention_mask": np.ones((2, 5), dtype=np.int64)})
    ids, mask_of, positions, targets = stacked_examples([short, long], 0)
    assert ids[0].tolist() == [[5, 6, 7, 0, 0], [8, 9, 10, 0, 0]]
    assert mask_of[0].tolist() == [[1, 1, 1, 0, 0]] * 2
    assert ids[0].flatten()[positions[0]].tolist() == [6, 10]
    assert targets.tolist() == [[20, 21], [22, -100]]


def test_a_batched_grid_is_the_grid(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "corpus")
    for engine in ("local", "batched"):
        assert run(corpus, tmp_path / engine, "dropout=0.0", engine=engine, together=2).failed == {}
    alone, batched = read_records(tmp_path / "local"), read_records(tmp_path / "batched")
    assert alone.keys() == batched.keys()
    assert [record.engine for record in batched.values()].count("batched") == 4  # of three, two go together
    for name, record in alone.items():
        assert (batched[name].steps, batched[name].tokens) == (record.steps, record.tokens)
        for code, score in record.scores.items():
            assert batched[name].scores[code].loss == pytest.approx(score.loss, abs=1e-3)
            assert batched[name].scores[code].mrr == pytest.approx(score.mrr, abs=1e-2)


def test_a_stopped_group_is_run_again_whole(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "corpus")
    run(corpus, tmp_path / "grid", engine="batched", together=3, languages=["de", "en"])
    place = tmp_path / "grid" / "cells" / "en.0"
    before = (place / "ranks.safetensors").read_bytes()
    kept = (tmp_path / "grid" / "cells" / "de.0" / "record.json").stat().st_mtime_ns
    for file in place.iterdir():
        file.unlink()
    outcome = run(corpus, tmp_path / "grid", engine="batched", together=3, languages=["de", "en"])
    assert (outcome.before, outcome.ran) == (2, ["en.0"])
    assert (place / "ranks.safetensors").read_bytes() == before
    assert (tmp_path / "grid" / "cells" / "de.0" / "record.json").stat().st_mtime_ns == kept
