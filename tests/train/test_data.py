"""Losses of pairs of texts: stock transformers' own, however a batch is split; several objectives in one batch."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from conftest import WIDTH

from lingraft.errors import RecipeError
from lingraft.model.heads import attach_next_sentence_head, next_sentence_head
from lingraft.train.batches import Blocks, Inputs, Sentences, shortest_first
from lingraft.train.data import Data
from lingraft.train.loop import Options, train
from lingraft.train.objectives import NOT_ASKED, Example, Vocabulary, joined, part_of
from lingraft.train.pairs import Frame, Text, framed
from lingraft.train.settings import PhaseSettings

SIZE, LENGTH, BATCH = 60, 16, 8
CPU = torch.device("cpu")
VOCABULARY = Vocabulary(SIZE, 4, np.arange(5), np.ones(SIZE, dtype=bool))
TOKENS = np.random.default_rng(0).integers(5, SIZE, size=3000).astype(np.uint16)
SETTINGS = PhaseSettings(steps=4, batch=BATCH, length=LENGTH, learning_rate=1e-2, precision="float32", dropout=0.0, next_sentence=True)
ENDS = {"pad_token_id": 0, "bos_token_id": 1, "cls_token_id": 1, "eos_token_id": 2, "sep_token_id": 2}
FAMILIES: dict[str, Any] = {
    "bert": (transformers.BertForPreTraining, {}),
    "roberta": (transformers.RobertaForMaskedLM, {"max_position_embeddings": 40}),
    "distilbert": (transformers.DistilBertForMaskedLM, {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 48}),
    "modernbert": (transformers.ModernBertForMaskedLM, ENDS),
}


def model_of(family: str) -> Any:
    torch.manual_seed(0)
    model_class, settings = FAMILIES[family]
    own = {} if family == "distilbert" else WIDTH
    model = model_class(model_class.config_class(**{"vocab_size": SIZE, "pad_token_id": 0, **own, **settings})).eval()
    attach_next_sentence_head(model)
    return model


class Made:
    """Two texts a row, of sizes and tokens that follow from the row's number; with positions that begin again, or an answer."""

    def __init__(self, frame: Frame, restart: bool = False) -> None:
        self.frame, self.restart = frame, restart

    def __len__(self) -> int:
        return 50

    def batch(self, step: int, size: int, seed: int) -> Inputs:
        numbers = np.arange(step * size, (step + 1) * size)
        texts = [Text(TOKENS, numbers * 20 % 2900 + shift, 1 + (numbers * factor) % 6) for shift, factor in ((0, 3), (10, 5))]
        ids, more = framed(self.frame, LENGTH, *texts, restart=self.restart)
        return Inputs(ids, more, None if self.restart else (numbers * 7) // 3 % 2)


def frame_for(family: str) -> Frame:
    return Frame((1,), (2,), (2,), 0, 0, (0, 0, 0, 1, 1) if family in ("bert", "roberta") else None, 1 if family == "roberta" else 0)


def data_for(family: str) -> Data:
    return Data(Made(frame_for(family)), VOCABULARY)  # type: ignore[arg-type]


def loss_of(data: Data, model: Any, batch: Example, shares: int = 1) -> tuple[float, dict[str, torch.Tensor]]:
    """The loss of a batch split into shares, and its gradients."""
    network = data.network(model)
    model.zero_grad()
    total = 0.0
    for index in range(shares):
        loss = data.loss(network, batch, index, shares, CPU)
        loss.backward()
        data.release(network)
        total += loss.item()
    data.remove(network)
    return total, {name: parameter.grad.clone() for name, parameter in model.named_parameters() if parameter.grad is not None}


def stock(model: Any, batch: Example) -> tuple[float, dict[str, torch.Tensor]]:
    """The model's own loss, from labels padded to the whole batch."""
    labels = np.full(batch.inputs.size, -100)
    labels[batch.positions] = batch.targets
    assert batch.follows is not None
    answers = {"labels": labels.reshape(batch.inputs.shape), "next_sentence_label": 1 - batch.follows}
    model.zero_grad()
    loss = model(**{name: torch.from_numpy(array) for name, array in {"input_ids": batch.inputs, **batch.more, **answers}.items()}).loss
    loss.backward()
    return loss.item(), {name: parameter.grad.clone() for name, parameter in model.named_parameters() if parameter.grad is not None}


def close(one: tuple[float, dict[str, torch.Tensor]], other: tuple[float, dict[str, torch.Tensor]]) -> None:
    assert one[0] == pytest.approx(other[0], rel=1e-5)
    assert set(one[1]) == set(other[1])
    for name, gradient in one[1].items():
        torch.testing.assert_close(gradient, other[1][name], atol=1e-6, rtol=1e-4, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize("shares", [1, 2, 4])
def test_the_loss_is_that_of_stock_bert(shares: int):
    data, model = data_for("bert"), model_of("bert")
    batch = data.batch(SETTINGS, 0, 3)
    assert batch.follows is not None
    assert 0 < batch.follows.sum() < BATCH
    close(loss_of(data, model, batch, shares), stock(model, batch))


@pytest.mark.parametrize("family", FAMILIES)
def test_predictions_of_what_follows_are_those_of_the_whole_model(family: str):
    data, model = data_for(family), model_of(family)
    batch = data.batch(SETTINGS, 0, 3)
    network, inputs = data.network(model), torch.from_numpy(batch.inputs)
    more = {name: torch.from_numpy(array) for name, array in batch.more.items()}
    logits, follows = network(inputs, torch.from_numpy(batch.positions), more, next_sentence=True)
    network.release()
    hidden = model.base_model(input_ids=inputs, **more)[0]
    head = next_sentence_head(model)
    assert head is not None
    torch.testing.assert_close(follows, head(hidden[:, 0]), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(
        logits, model(input_ids=inputs, **more)[0].flatten(0, 1)[torch.from_numpy(batch.positions)], atol=1e-5, rtol=1e-4
    )
    close(loss_of(data, model, batch), loss_of(data, model, batch, 2))


def test_an_answer_that_is_not_asked_has_no_loss():
    data, model = data_for("bert"), model_of("bert")
    batch = data.batch(SETTINGS, 0, 3)
    assert batch.follows is not None
    half = replace(batch, follows=np.where(np.arange(BATCH) < BATCH // 2, batch.follows, NOT_ASKED))
    tokens = replace(batch, follows=None)
    both = loss_of(data, model, half, 2)[0]
    alone = loss_of(data, model, tokens)[0]
    network = data.network(model)
    first = part_of(batch, 0, 2)
    more = {name: torch.from_numpy(array) for name, array in first.more.items()}
    _, follows = network(torch.from_numpy(first.inputs), torch.from_numpy(first.positions), more, next_sentence=True)
    expected = torch.nn.functional.cross_entropy(follows, torch.from_numpy(1 - first.follows)).item()  # type: ignore[operator]
    assert both - alone == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("change", [{"accumulation": 2}, {"gradient_checkpointing": True}])
def test_the_loop_learns_what_follows(change: dict[str, Any], tmp_path: Path):
    """Whether texts follow is told by what they are made of."""

    class Told(Made):
        def batch(self, step: int, size: int, seed: int) -> Inputs:
            found = super().batch(step, size, seed)
            follows = np.random.default_rng(step).integers(0, 2, size)
            ids = np.where(found.ids < 5, found.ids, np.where(follows, 10, 20)[:, None])
            return Inputs(ids, found.more, follows)

    data, model = Data(Told(frame_for("bert")), VOCABULARY), model_of("bert")  # type: ignore[arg-type]
    lines: list[dict[str, Any]] = []
    settings = SETTINGS.model_copy(update={"batch": 16, "learning_rate": 3e-3, **change})
    train("test", model, settings, data, total=30, seed=0, folder=tmp_path, options=Options(record=lines.append))
    batch = data.batch(settings, 99, 0)
    more = {name: torch.from_numpy(array) for name, array in batch.more.items()}
    answers = model(input_ids=torch.from_numpy(batch.inputs), **more).seq_relationship_logits.argmax(1)
    assert (answers.numpy() == 1 - batch.follows).mean() > 0.9
    told = [line["next_sentence_accuracy"] for line in lines if "loss" in line]
    assert told[0] < told[-1] > 0.9


def test_a_batch_is_split_between_objectives():
    blocks = Blocks(TOKENS, LENGTH, (1,), (2,))
    data = Data(blocks, VOCABULARY, Made(frame_for("roberta"), restart=True))  # type: ignore[arg-type]
    settings = SETTINGS.model_copy(update={"objective": "mlm+tlm"})
    batch = data.batch(settings, 2, 3)
    plain, lines = blocks.batch(2, BATCH // 2, 3), shortest_first(data.parallel.batch(2, BATCH // 2, 3))  # type: ignore[union-attr]
    unmasked = batch.inputs.copy()
    unmasked.ravel()[batch.positions] = batch.targets
    assert np.array_equal(unmasked, np.concatenate([plain, lines.ids]))
    assert np.array_equal(batch.more["position_ids"][: BATCH // 2], np.tile(np.arange(1, LENGTH + 1), (BATCH // 2, 1)))
    assert np.array_equal(batch.more["position_ids"][BATCH // 2 :], lines.more["position_ids"])
    assert batch.more["attention_mask"][: BATCH // 2].all()
    assert not batch.more["token_type_ids"][: BATCH // 2].any()
    assert data.per_epoch(settings) == len(blocks) / (BATCH // 2)
    assert data.size(batch) == batch.more["attention_mask"].sum() < batch.inputs.size


def test_short_sentences_are_not_filled_up_to_the_longest(tmp_path: Path):
    sizes = np.array([3, 12, 4, 3, 14, 2, 5, 13])
    data = Data(Sentences(TOKENS, np.cumsum(sizes) - sizes, sizes, LENGTH, (1,), (2,), 0), VOCABULARY)
    batch = data.batch(SETTINGS, 0, 3)
    shares = [part_of(batch, index, 2) for index in range(2)]
    assert [share.inputs.shape[1] for share in shares] == [8, 16]
    assert [share.inputs[share.more["attention_mask"] == 1].tolist() for share in shares] == [
        batch.inputs[rows][batch.more["attention_mask"][rows] == 1].tolist() for rows in (slice(4), slice(4, 8))
    ]
    found = []
    for parts in (None, 1, 8):
        lines: list[dict[str, Any]] = []
        settings = SETTINGS.model_copy(update={"next_sentence": False, "accumulation": parts})
        train("test", model_of("bert"), settings, data, total=4, seed=0, folder=tmp_path / str(parts), options=Options(record=lines.append))
        found.append(lines[-1]["loss"])
    assert found == pytest.approx([found[0]] * 3, rel=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_objectives_in_one_batch_have_the_loss_of_each_alone(family: str):
    blocks = Blocks(TOKENS, LENGTH, (1,), (2,))
    frame = replace(frame_for(family), first_position=None if family == "modernbert" else frame_for(family).first_position)
    data, model = Data(blocks, VOCABULARY, Made(frame, restart=True)), model_of(family)  # type: ignore[arg-type]
    batch = data.batch(SETTINGS.model_copy(update={"objective": "mlm+tlm"}), 0, 3)
    halves = [part_of(batch, index, 2) for index in range(2)]
    halves[0] = replace(halves[0], more={})
    weighted = sum(loss_of(data, model, half)[0] * len(half.positions) / len(batch.positions) for half in halves)
    assert loss_of(data, model, batch)[0] == pytest.approx(weighted, rel=1e-5)
    assert loss_of(data, model, batch, 2)[0] == pytest.approx(weighted, rel=1e-5)


def test_joined_batches_keep_what_was_asked_of_whom():
    data = data_for("bert")
    pairs = data.batch(SETTINGS, 0, 3)
    one = joined([pairs, replace(pairs, follows=None)])
    assert one.follows is not None
    assert one.follows.tolist() == [*pairs.follows.tolist(), *[NOT_ASKED] * BATCH]  # type: ignore[union-attr]
    assert joined([pairs]) is pairs
    again = part_of(one, 1, 2)
    assert np.array_equal(again.positions, pairs.positions)
    assert np.array_equal(again.more["token_type_ids"], pairs.more["token_type_ids"])


@pytest.mark.parametrize(
    ("changes", "vocabulary", "said"),
    [
        ({"objective": "mlm+tlm", "batch": 7}, VOCABULARY, "batch = 7 cannot be split"),
        ({"objective": "tlm"}, replace(VOCABULARY, mask=None), "is a causal model"),
    ],
)
def test_what_cannot_be_done_is_refused(changes: dict[str, Any], vocabulary: Vocabulary, said: str):
    with pytest.raises(RecipeError, match=said):
        replace(data_for("bert"), vocabulary=vocabulary).batch(SETTINGS.model_copy(update=changes), 0, 0)
