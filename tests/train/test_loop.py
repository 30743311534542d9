"""The one training loop, on a model two layers deep: what it computes, and what it says of it."""

import functools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from conftest import FAMILIES
from small_training import CALM, CAUSAL, DATA, LENGTH, SEED, SETTINGS, SIZE, Lines, losses, new_model, run, same

from lingraft.errors import MissingExtra, RecipeError
from lingraft.model.parts import parameters_of
from lingraft.train.data import Data
from lingraft.train.loop import Options, Speed, _dropout_rates, train
from lingraft.train.objectives import OBJECTIVES, Example, part_of
from lingraft.train.settings import PhaseSettings, Switch


def close(one: Any, other: Any, tolerance: float) -> None:
    for (name, a), b in zip(one.state_dict().items(), other.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, atol=tolerance, rtol=tolerance, msg=lambda text, name=name: f"{name}: {text}")


def by_hand(model: Any, settings: PhaseSettings, data: Data, objective: str, total: int) -> list[float]:
    """What a stock loop does: the model's own loss over padded labels, torch's AdamW, transformers' schedule."""
    groups = [
        {"params": [p for p in model.parameters() if p.ndim >= 2], "weight_decay": settings.weight_decay},
        {"params": [p for p in model.parameters() if p.ndim < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate, betas=settings.betas, eps=settings.epsilon)
    schedule = transformers.get_linear_schedule_with_warmup(optimizer, int(np.ceil(settings.warmup * total)), total)
    found = []
    for step in range(total):
        ids = data.blocks.batch(step, settings.batch, SEED)
        example = OBJECTIVES[objective](ids, data.vocabulary, settings.mask_rate, settings.whole_words, np.random.default_rng([SEED, step]))
        labels = np.full(ids.size, -100)
        labels[example.positions] = example.targets
        labels = ids if objective == "clm" else labels.reshape(ids.shape)
        loss = model(input_ids=torch.from_numpy(example.inputs), labels=torch.from_numpy(labels)).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        found.append(loss.item())
    return found


@pytest.mark.parametrize(("family", "data", "objective"), [("bert", DATA, "mlm"), ("gpt2", CAUSAL, "clm")])
def test_losses_and_weights_are_those_of_a_stock_loop(family: str, data: Data, objective: str, tmp_path: Path):
    settings = CALM.model_copy(update={"learning_rate": 2e-3})  # Adam makes much of the noise in gradients that are 0, as of key biases
    model, lines = run(tmp_path, settings, model=new_model(family), data=data)
    stock = new_model(family)
    expected = by_hand(stock, settings, data, objective, total=6)
    np.testing.assert_allclose(losses(lines), expected, rtol=1e-5)
    close(model, stock, 1e-5)


@pytest.mark.parametrize("change", [{"accumulation": 4}, {"gradient_checkpointing": True}])
def test_what_saves_memory_changes_no_loss(change: dict[str, Any], tmp_path: Path):
    one, lines = run(tmp_path / "one", CALM)
    other, other_lines = run(tmp_path / "other", CALM.model_copy(update=change))
    np.testing.assert_allclose(losses(lines), losses(other_lines), rtol=1e-5)
    close(one, other, 1e-5)


@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_gradient_checkpointing_recomputes_the_same_dropout(family: str, tmp_path: Path):
    data = CAUSAL if family == "gpt2" else DATA
    found = [
        run(tmp_path / name, SETTINGS.model_copy(update={"gradient_checkpointing": name == "on"}), model=new_model(family), data=data)
        for name in ("off", "on")
    ]
    np.testing.assert_allclose(losses(found[0][1]), losses(found[1][1]), rtol=1e-5)
    assert not found[1][0].is_gradient_checkpointing


def test_gradient_checkpointing_reaches_the_body_below_frozen_embeddings(tmp_path: Path):
    settings = CALM.model_copy(update={"gradient_checkpointing": True, "train": ["body"]})
    model, _ = run(tmp_path, settings)
    assert moved(model, new_model()) == set(parameters_of(model, "body"))


def test_compilation_changes_no_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """With a back end that needs no compiler: what is tested is that the loop and the hooks go through torch.compile."""
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="eager"))
    _, lines = run(tmp_path / "one", CALM, total=2)
    model, compiled = run(tmp_path / "two", CALM.model_copy(update={"compile": True}), total=2)
    np.testing.assert_allclose(losses(lines), losses(compiled), rtol=1e-5)
    assert "forward" not in vars(model.base_model)


def test_bfloat16_learns(tmp_path: Path):
    model, lines = run(tmp_path, CALM.model_copy(update={"precision": "bfloat16"}))
    _, exact = run(tmp_path / "exact", CALM)
    assert next(model.parameters()).dtype == torch.float32
    np.testing.assert_allclose(losses(lines), losses(exact), rtol=0.02)
    assert losses(lines) != losses(exact)


@pytest.mark.parametrize("change", [{"optimizer": "lamb"}, {"whole_words": True}, {"schedule": "cosine"}, {"clip": 0.0}])
def test_settings_reach_the_loop(change: dict[str, Any], tmp_path: Path):
    one, _ = run(tmp_path / "one", CALM)
    other, lines = run(tmp_path / "other", CALM.model_copy(update=change))
    assert not same(one, other)
    assert np.isfinite(losses(lines)).all()


def test_it_learns_what_there_is_to_learn(tmp_path: Path):
    """Every token follows from the one before it."""
    tokens = (5 + np.arange(4000) % 50).astype(np.uint16)
    data = replace(CAUSAL, blocks=replace(CAUSAL.blocks, tokens=tokens))
    _, lines = run(tmp_path, CALM.model_copy(update={"batch": 16}), model=new_model("gpt2"), data=data, total=40)
    assert losses(lines)[0] > 4 > 1 > losses(lines)[-1]


def test_dropout_is_the_recipes_while_training_and_the_models_afterwards(tmp_path: Path):
    model, lines = run(tmp_path / "high", SETTINGS.model_copy(update={"dropout": 0.5}))
    assert losses(lines) != losses(run(tmp_path / "own", SETTINGS)[1])
    assert {module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)} == {0.1}
    assert not model.training


def moved(model: Any, before: Any) -> set[str]:
    old = dict(before.named_parameters())
    return {name for name, parameter in model.named_parameters() if not torch.equal(parameter, old[name])}


@pytest.mark.parametrize("parts", [["embeddings", "head"], ["body"], ["layers.1"], ["all"]])
def test_frozen_parts_keep_their_bytes(parts: list[str], tmp_path: Path):
    model, _ = run(tmp_path, SETTINGS.model_copy(update={"train": parts}))
    assert moved(model, new_model()) == {name for part in parts for name in parameters_of(model, part)}
    assert all(parameter.requires_grad for parameter in model.parameters()), "afterwards nothing is frozen"


@pytest.mark.parametrize(("part", "rows"), [("words", slice(0, 5)), ("specials", slice(5, SIZE))])
def test_frozen_rows_keep_their_bytes(part: str, rows: slice, tmp_path: Path):
    model, _ = run(tmp_path, SETTINGS.model_copy(update={"train": [part]}))
    changed = (model.get_input_embeddings().weight != new_model().get_input_embeddings().weight).any(dim=1)
    assert changed.any()
    assert not changed[rows].any()


def test_lamb_measures_only_the_rows_that_train(tmp_path: Path):
    """How large frozen rows are does not change how far the others move."""
    moves = []
    for factor in (1.0, 100.0):
        model = new_model()
        with torch.no_grad():
            model.get_input_embeddings().weight[5:] *= factor
            before = model.get_input_embeddings().weight[:5].clone()
        settings = SETTINGS.model_copy(update={"train": ["specials"], "optimizer": "lamb", "weight_decay": 0.0})
        run(tmp_path / str(factor), settings, model=model, total=2)
        moves.append(float((model.get_input_embeddings().weight[:5] - before).detach().norm()))
    assert 0 < moves[1] < 2 * moves[0]


def test_staged_unfreezing_switches_parts(tmp_path: Path):
    seen: list[tuple[int, set[str]]] = []
    model = new_model()

    def look(phase: str, step: int, total: int, loss: float) -> None:
        seen.append((step, moved(model, new_model())))

    switches = [Switch(at=0.5, train=["layers.1"]), Switch(at=0.75, train=["all"])]
    settings = SETTINGS.model_copy(update={"train": ["head"], "switch": switches, "warmup": 0.0})
    run(tmp_path, settings, model=model, total=8, progress=look)
    head, layer = set(parameters_of(model, "head")), set(parameters_of(model, "layers.1"))
    assert [names for step, names in seen if step <= 4] == [head] * 4
    assert [names for step, names in seen if 4 < step <= 6] == [head | layer] * 2
    assert seen[-1][1] == set(dict(model.named_parameters()))


def test_evaluations_are_spread_and_recorded_with_their_tokens(tmp_path: Path):
    _, lines = run(tmp_path, SETTINGS, evaluate=lambda model: 7.0 + model.training, evaluations=3)
    found = [line for line in lines if "held_out_loss" in line]
    assert [line["step"] for line in found] == [0, 2, 4, 6]
    assert {line["held_out_loss"] for line in found} == {7.0}
    assert found[-1]["tokens"] == 6 * 8 * LENGTH == [line for line in lines if "loss" in line][-1]["tokens"]


def test_evaluation_changes_no_byte(tmp_path: Path):
    def evaluate(model: Any) -> float:
        with torch.no_grad():
            return float(model(input_ids=torch.randint(5, SIZE, (2, 8))).logits.mean())

    assert same(run(tmp_path / "one", SETTINGS)[0], run(tmp_path / "other", SETTINGS, evaluate=evaluate)[0])


def test_logs_are_means_over_their_steps(tmp_path: Path):
    _, lines = run(tmp_path / "one", SETTINGS)
    rare: Lines = []
    options = Options(log_steps=4, record=rare.append)
    train("test", new_model(), SETTINGS, DATA, total=6, seed=SEED, folder=tmp_path / "two", options=options)
    single = losses(lines)
    np.testing.assert_allclose(losses(rare), [np.mean(single[:4]), np.mean(single[4:])], rtol=1e-6)
    assert [line["step"] for line in rare] == [4, 6]


def test_parts_of_a_batch_are_all_of_it():
    ids = DATA.blocks.batch(0, 8, SEED)
    example = OBJECTIVES["mlm"](ids, DATA.vocabulary, 0.3, False, np.random.default_rng(0))
    for parts in (1, 2, 4, 8):
        shares = [part_of(example, index, parts) for index in range(parts)]
        offsets = np.arange(parts) * (ids.size // parts)
        joined = Example(
            np.concatenate([share.inputs for share in shares]),
            np.concatenate([share.positions + offset for share, offset in zip(shares, offsets, strict=True)]),
            np.concatenate([share.targets for share in shares]),
        )
        assert all(np.array_equal(getattr(joined, name), getattr(example, name)) for name in Example.__slots__)


def test_a_share_without_predictions_is_no_obstacle(tmp_path: Path):
    _, lines = run(tmp_path, CALM.model_copy(update={"batch": 4, "accumulation": 4, "mask_rate": 0.02}))
    assert np.isfinite(losses(lines)).all()


def test_a_batch_that_cannot_be_split_is_refused(tmp_path: Path):
    with pytest.raises(RecipeError, match="batch = 8 cannot be split into 1 processes x 3 accumulation"):
        run(tmp_path, CALM.model_copy(update={"accumulation": 3}))


def test_speed_counts_after_the_warm_up():
    speed = Speed(warm_up=2)
    speed.add(100, 4.0)
    assert speed.tokens_per_second == 25.0, "better than nothing"
    speed = Speed(warm_up=2)
    for seconds in (5.0, 5.0, 1.0, 3.0):
        speed.add(100, seconds)
    assert (speed.steps, speed.tokens_per_second) == (4, 50.0)
    assert Speed().tokens_per_second == 0.0


def test_tracking_writes_what_is_recorded(tmp_path: Path):
    tensorboard = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    _, lines = run(tmp_path, SETTINGS, track="tensorboard", evaluate=lambda model: 2.0)
    read = tensorboard.EventAccumulator(str(tmp_path / "tracking" / "lingraft")).Reload()
    assert [event.value for event in read.Scalars("loss")] == pytest.approx(losses(lines))
    assert {event.value for event in read.Scalars("held_out_loss")} == {2.0}


@pytest.mark.parametrize(
    ("name", "error", "said"), [("wandb", MissingExtra, "pip install wandb"), ("tensorbord", RecipeError, "'tensorboard'")]
)
def test_a_tracker_that_is_not_there_is_named(
    name: str, error: type[Exception], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("accelerate.tracking._available_trackers", [])
    with pytest.raises(error, match=said):
        run(tmp_path, SETTINGS, track=name)


@pytest.mark.parametrize("family", ["bert", "xlm", "opt", "gpt2", "distilbert"])
def test_without_dropout_nothing_is_random(family: str):
    _, _, _, config_of, architecture = FAMILIES[family]
    model, ids = getattr(transformers, architecture)(config_of(60)).train(), torch.arange(10, 30).reshape(2, 10)
    rates = _dropout_rates(model)
    assert not torch.equal(model(input_ids=ids).logits, model(input_ids=ids).logits)
    for module, name, _ in rates:
        setattr(module, name, 0.0)
    assert torch.equal(model(input_ids=ids).logits, model(input_ids=ids).logits)


def test_dropout_is_the_phases_own_and_is_put_back(tmp_path: Path):
    model, seen = new_model("bert"), []
    model.bert.encoder.hidden_dropout = 0.3  # as families have it that hand their rate to a function
    before = [rate for _, _, rate in _dropout_rates(model)]
    look = lambda *_: seen.extend(rate for _, _, rate in _dropout_rates(model))  # noqa: E731
    run(tmp_path, CALM.model_copy(update={"dropout": 0.0}), model=model, progress=look)
    assert seen and set(seen) == {0.0}
    assert [rate for _, _, rate in _dropout_rates(model)] == before and 0.3 in before
