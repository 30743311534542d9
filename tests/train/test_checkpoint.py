"""Checkpoints are whole, or passed over."""

from pathlib import Path

import pytest
import torch

from lingraft.errors import LingraftWarning
from lingraft.train import checkpoint
from lingraft.train.optimise import build_optimizer
from lingraft.train.settings import OptimiserSettings


def trained(seed: int = 0, name: str = "adamw") -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(seed)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    optimizer = build_optimizer(model, OptimiserSettings(optimizer=name, learning_rate=0.1))
    step(model, optimizer)
    return model, optimizer


def step(model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
    model(torch.arange(12.0).reshape(4, 3)).square().sum().backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


@pytest.mark.parametrize("name", ["adamw", "lamb"])
def test_a_restored_model_goes_on_to_the_same_bytes(name: str, tmp_path: Path):
    model, optimizer = trained(name=name)
    checkpoint.save(tmp_path, 1, model, optimizer, keep=2)
    other, other_optimizer = trained(seed=9, name=name)
    found = checkpoint.latest(tmp_path)
    assert found.step == 1
    checkpoint.restore_weights(other, found)
    checkpoint.restore_optimizer(other, other_optimizer, found)
    for _ in range(3):
        step(model, optimizer)
        step(other, other_optimizer)
    assert all(torch.equal(one, two) for one, two in zip(model.state_dict().values(), other.state_dict().values(), strict=True))


def test_tied_weights_are_kept_once(tmp_path: Path):
    model = torch.nn.Module()
    model.words = torch.nn.Embedding(5, 3)
    model.head = torch.nn.Linear(3, 5, bias=False)
    model.head.weight = model.words.weight
    checkpoint.save(tmp_path, 0, model, None, keep=1)
    before = model.words.weight.detach().clone()
    torch.nn.init.zeros_(model.words.weight)
    checkpoint.restore_weights(model, checkpoint.latest(tmp_path))
    assert torch.equal(model.head.weight, before)
    assert model.head.weight is model.words.weight


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_the_newest_are_kept(keep: int, tmp_path: Path):
    model, optimizer = trained()
    for number in (5, 50, 500, 5000):
        checkpoint.save(tmp_path, number, model, optimizer, keep=keep)
    assert [path.name for path in sorted(tmp_path.iterdir())] == [f"checkpoint-{n:08d}" for n in (5, 50, 500, 5000)[-keep:]]
    assert checkpoint.latest(tmp_path).step == 5000


@pytest.mark.parametrize("file", ["model.safetensors", "optimizer.safetensors", "manifest.json"])
@pytest.mark.parametrize("damage", ["cut", "flip", "remove"])
def test_a_damaged_one_is_named_and_the_one_before_is_used(file: str, damage: str, tmp_path: Path):
    model, optimizer = trained()
    checkpoint.save(tmp_path, 1, model, optimizer, keep=2)
    checkpoint.save(tmp_path, 2, model, optimizer, keep=2)
    path = tmp_path / "checkpoint-00000002" / file
    data = bytearray(path.read_bytes())
    if damage == "remove":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(data[: len(data) // 2])
    else:
        data[len(data) // 2] ^= 255
        path.write_bytes(data)
    with pytest.warns(LingraftWarning, match="checkpoint-00000002 is damaged"):
        assert checkpoint.latest(tmp_path).step == 1


def test_what_a_kill_left_is_removed(tmp_path: Path):
    (tmp_path / ".checkpoint-00000003.partial").mkdir()
    checkpoint.save(tmp_path, 4, trained()[0], None, keep=1)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-00000004"]


def test_a_checkpoint_under_another_name_is_none(tmp_path: Path):
    checkpoint.save(tmp_path, 4, trained()[0], None, keep=1)
    (tmp_path / "checkpoint-00000004").rename(tmp_path / "checkpoint-00000005")
    with pytest.warns(LingraftWarning):
        assert checkpoint.latest(tmp_path) is None


def test_without_any_there_is_none(tmp_path: Path):
    assert checkpoint.latest(tmp_path) is None
    model, _ = trained()
    checkpoint.save(tmp_path, 1, model, None, keep=1)
    (tmp_path / "checkpoint-00000001" / "model.safetensors").unlink()
    with pytest.warns(LingraftWarning):
        assert checkpoint.latest(tmp_path) is None
