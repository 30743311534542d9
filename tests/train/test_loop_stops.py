"""The one training loop, on a model two layers deep: what stops it, and what brings it back."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from small_training import CALM, DATA, SEED, SETTINGS, losses, new_model, run, same

from lingraft.errors import Interrupted, TrainingError
from lingraft.train import checkpoint
from lingraft.train.loop import Options, train
from lingraft.train.settings import PhaseSettings, Switch


class StoppedError(Exception):
    """Stands for whatever may end a process."""


def stop_at(step: int) -> Callable[..., None]:
    def progress(phase: str, done: int, total: int, loss: float) -> None:
        if done == step:
            raise StoppedError

    return progress


@pytest.mark.parametrize(
    "settings",
    [
        SETTINGS,
        SETTINGS.model_copy(update={"optimizer": "lamb", "accumulation": 2, "train": ["words"], "switch": [Switch(at=0.5, train=["all"])]}),
    ],
)
@pytest.mark.parametrize("step", [1, 3, 5])
def test_an_exception_and_a_resume_give_the_same_bytes(settings: PhaseSettings, step: int, tmp_path: Path):
    whole, lines = run(tmp_path / "whole", settings)
    with pytest.raises(StoppedError):
        run(tmp_path / "cut", settings, checkpoint_steps=2, progress=stop_at(step))
    resumed: list[int] = []
    again, rest = run(tmp_path / "cut", settings, checkpoint_steps=2, resumed=resumed.append)
    assert same(whole, again)
    assert resumed == [-1 if step == 1 else step - 1]
    assert losses(lines)[-len(losses(rest)) :] == losses(rest)


def test_a_damaged_checkpoint_costs_steps_but_no_byte(tmp_path: Path):
    whole, _ = run(tmp_path / "whole", SETTINGS)
    with pytest.raises(StoppedError):
        run(tmp_path / "cut", SETTINGS, checkpoint_steps=2, progress=stop_at(5))
    newest = max((tmp_path / "cut").glob("checkpoint-*"))
    (newest / "model.safetensors").write_bytes(b"torn")
    with pytest.warns(UserWarning, match="damaged"):
        again, _ = run(tmp_path / "cut", SETTINGS, checkpoint_steps=2)
    assert newest.name == "checkpoint-00000004"
    assert same(whole, again)


def test_what_is_complete_is_read_and_not_trained_again(tmp_path: Path):
    whole, _ = run(tmp_path, SETTINGS)
    again, lines = run(tmp_path, SETTINGS)
    assert same(whole, again)
    assert lines == []


def test_no_steps_leave_the_model_and_a_checkpoint(tmp_path: Path):
    model, lines = run(tmp_path, SETTINGS, total=0, evaluate=lambda model: 1.0)
    assert same(model, new_model())
    assert losses(lines) == []
    assert checkpoint.latest(tmp_path).step == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_writes_a_checkpoint_and_the_run_goes_on_from_it(number: signal.Signals, tmp_path: Path):
    whole, _ = run(tmp_path / "whole", SETTINGS)
    handlers = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)]

    def kill(phase: str, done: int, total: int, loss: float) -> None:
        if done == 2:
            os.kill(os.getpid(), number)

    with pytest.raises(Interrupted, match="after step 3 of 6"):
        run(tmp_path / "cut", SETTINGS, progress=kill)
    assert [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)] == handlers
    assert checkpoint.latest(tmp_path / "cut").step == 3
    again, _ = run(tmp_path / "cut", SETTINGS)
    assert same(whole, again)


def test_a_loss_that_is_no_number_stops_between_named_steps(tmp_path: Path):
    settings = CALM.model_copy(update={"learning_rate": 1e30, "warmup": 0.0, "clip": 0.0})
    options = Options(log_steps=4, checkpoint_steps=3)
    with pytest.raises(TrainingError, match=r"between steps 1 and 3.*learning_rate"):
        train("test", new_model(), settings, DATA, total=8, seed=SEED, folder=tmp_path, options=options)
    assert checkpoint.latest(tmp_path) is None, "no checkpoint has weights that are no numbers"


def test_gradients_that_are_no_numbers_stop_it_before_they_are_kept(tmp_path: Path):
    model = new_model()
    model.cls.predictions.bias.register_hook(lambda gradient: gradient * float("nan"))
    with pytest.raises(TrainingError, match="between steps 1 and 1"):
        run(tmp_path, CALM, model=model, total=1)
    assert checkpoint.latest(tmp_path) is None
