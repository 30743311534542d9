"""A run folder that is asked for again: interrupted, finished, changed, restarted, refused."""

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import World
from small_runs import Pico, StoppedError, go, results, times

import lingraft
from lingraft.errors import ModelError, RunError, TextError, TrainingError
from lingraft.run import Run
from lingraft.train.loop import Options

pytestmark = pytest.mark.usefixtures("short_report")


@pytest.fixture(scope="module")
def finished(pico: Pico, world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, to be copied."""
    return go(pico("bert"), world, tmp_path_factory.mktemp("finished") / "run").path


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


@pytest.mark.parametrize("stage", ["encode_to_shards", "save_rows", "measure", "model_card", "write_report"])
def test_an_interruption_in_any_stage_is_made_up_for(
    stage: str, finished: Path, pico: Pico, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def stop(*arguments: Any, **options: Any) -> None:
        raise StoppedError

    with monkeypatch.context() as patched, pytest.raises(StoppedError):  # noqa: PT012
        patched.setattr(f"lingraft.stages.{stage}", stop)
        go(pico("bert"), world, tmp_path / "run")
    assert results(go(pico("bert"), world, tmp_path / "run").path) == results(finished)


def test_a_second_run_rewrites_nothing(copy: Path, finished: Path, pico: Pico, world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("lingraft.stages.write_report", lingraft.write_report)
    go(pico("bert"), world, copy)
    before = times(copy)
    run = go(pico("bert"), world, copy)
    assert times(copy) == before
    assert run.scores == Run(finished).scores


def test_another_folder_and_another_time_give_the_same_bytes(finished: Path, pico: Pico, world: World, tmp_path: Path):
    assert results(go(pico("bert"), world, tmp_path / "other").path) == results(finished)
    other = go(pico("bert"), world, tmp_path / "seed", seed=1)
    assert results(other.path)["model/model.safetensors"] != results(finished)["model/model.safetensors"]


@pytest.mark.parametrize(
    ("changes", "options", "said"),
    [
        (["learning_rate=0.5"], {}, "phase.train.*learning_rate: was 0.0003, now 0.5.*--restart-from phase.train"),
        (["batch=8"], {}, "batch: was 4, now 8"),
        (["tokenizer.size=200"], {}, "size: was 300, now 200.*--restart-from tokenizer"),
        (["rows.method=random"], {}, "method: was 'copy', now 'random'"),
        (["evaluation.seed=1"], {}, "seed: was 12345, now 1"),
        (["text.normalisation=none"], {}, "normalisation: was 'NFC', now 'none'"),
        ([], {"steps": 4}, "steps: was 3, now 4"),
        ([], {"seed": 5}, "seed: was 0, now 5"),
        ([], {"recipe": "scratch"}, "weights: was 'pretrained', now 'random'"),
        ([], {"to": "nl"}, "language: was 'de', now 'nl'"),
    ],
)
def test_a_changed_setting_stops_with_the_difference_and_touches_nothing(
    changes: list[str], options: dict[str, Any], said: str, copy: Path, pico: Pico, world: World
):
    before = times(copy)
    with pytest.raises(RunError, match=said):
        go(pico("bert"), world, copy, *changes, **options)
    assert times(copy) == before


def test_changed_text_model_and_tokenizer_stop_with_the_difference(copy: Path, pico: Pico, world: World, tmp_path: Path):
    before = times(copy)
    (tmp_path / "more.txt").write_text(world.cipher.read_text() + "\nund noch eine zeile .\n")
    with pytest.raises(RunError, match="'text': de text: was"):
        go(pico("bert"), world, copy, text=str(tmp_path / "more.txt"))
    with pytest.raises(RunError, match=r"'source': .*weights: was"):
        go(pico("electra"), world, copy)
    with pytest.raises(RunError, match="'tokenizer': read: was None"):
        go(pico("bert"), world, copy, f"tokenizer.read={str(pico('bert'))!r}")
    assert times(copy) == before


def test_another_phase_on_an_old_folder_stops_too(copy: Path, pico: Pico, world: World, tmp_path: Path):
    (tmp_path / "longer.toml").write_text('extends = "copy"\n[phases.more]\nbatch = 4\n')
    with pytest.raises(RunError, match=r"'evaluation': phases: was \['train'\], now \['train', 'more'\]"):
        go(pico("bert"), world, copy, recipe=str(tmp_path / "longer.toml"))
    run = go(pico("bert"), world, copy, recipe=str(tmp_path / "longer.toml"), restart_from="phase.more")
    assert {line["phase"] for line in run.lines("metrics.jsonl")} == {"train", "more"}


def test_restarting_takes_the_new_setting_and_keeps_what_is_before_it(copy: Path, pico: Pico, world: World, tmp_path: Path):
    before = times(copy)
    again = go(pico("bert"), world, copy, "learning_rate=0.01", restart_from="phase.train")
    kept = [name for name in before if name.startswith(("tokenizer", "tokens", "rows", "held-out"))]
    assert {name: times(copy)[name] for name in kept} == {name: before[name] for name in kept}
    fresh = go(pico("bert"), world, tmp_path / "fresh", "learning_rate=0.01")
    assert results(again.path) == results(fresh.path)
    assert results(go(pico("bert"), world, copy, "learning_rate=0.01", restart_from="source").path) == results(fresh.path)


def test_restarting_with_a_change_before_it_is_refused_and_removes_nothing(copy: Path, pico: Pico, world: World):
    before = times(copy)
    with pytest.raises(RunError, match="size: was 300, now 200"):
        go(pico("bert"), world, copy, "tokenizer.size=200", restart_from="phase.train")
    with pytest.raises(RunError, match=r"no stage 'phase\.trian'"):
        go(pico("bert"), world, copy, restart_from="phase.trian")
    assert times(copy) == before


def test_two_runs_on_one_folder_are_refused(pico: Pico, world: World, tmp_path: Path):
    refused = []

    def progress(*arguments: Any) -> None:
        with pytest.raises(RunError, match="in use by another lingraft"):
            go(pico("bert"), world, tmp_path / "run")
        refused.append(True)

    run = go(pico("bert"), world, tmp_path / "run", steps=1, options=Options(progress=progress))
    assert refused == [True]
    assert run.is_complete("model")


def test_a_lost_phase_that_another_starts_from_is_trained_again(pico: Pico, world: World, copy: Path, finished: Path):
    shutil.rmtree(copy / "phases" / "train")
    assert results(go(pico("bert"), world, copy, restart_from="evaluation").path) == results(finished)


def test_minutes_set_the_steps_once(pico: Pico, world: World, tmp_path: Path):
    run = go(pico("bert"), world, tmp_path / "run", minutes=0.005)
    kept = run.facts["steps_from_minutes"]
    assert list(kept) == ["train 0.005"]
    assert next(iter(kept.values())) >= 1
    before = times(run.path)
    assert go(pico("bert"), world, tmp_path / "run", minutes=0.005).facts["steps_from_minutes"] == kept
    assert times(run.path) == before


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("ein wort .\n", TextError, "held-out|short|--text|more text"),
        ("", TextError, "empty"),
        ("\n".join(f"zeile {i} ." for i in range(60)), TextError, "block"),
    ],
)
def test_text_that_is_too_short_leaves_nothing(text: str, error: type[Exception], said: str, pico: Pico, world: World, tmp_path: Path):
    (tmp_path / "short.txt").write_text(text)
    with pytest.raises(error, match=said):
        go(pico("bert"), world, tmp_path / "deep" / "run", "length=512", "tokenizer.size=60", text=str(tmp_path / "short.txt"))
    assert [path.name for path in tmp_path.iterdir()] == ["short.txt"]


def test_blocks_longer_than_the_models_positions_are_refused(pico: Pico, world: World, tmp_path: Path):
    with pytest.raises(ModelError, match=r"positions for 63 only.*--set length=63"):
        go(pico("roberta"), world, tmp_path / "run", "length=80")
    assert not (tmp_path / "run").exists()


def test_mistakes_of_users_leave_a_folder_that_was_there(pico: Pico, world: World, tmp_path: Path):
    (tmp_path / "out").mkdir()
    with pytest.raises(TextError):
        go(pico("bert"), world, tmp_path / "out", text="nowhere.txt")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_loss_that_is_no_number_keeps_the_run(pico: Pico, world: World, tmp_path: Path):
    with pytest.raises(TrainingError):
        go(pico("bert"), world, tmp_path / "run", "learning_rate=1e30", "phases.0.warmup=0", "phases.0.clip=0")
    assert (tmp_path / "run" / "tokens").exists()
    assert results(go(pico("bert"), world, tmp_path / "run", restart_from="phase.train").path)


@pytest.mark.parametrize("place", ["lingraft.run.Run.record", "lingraft.files._sync", "lingraft.train.checkpoint.save_file"])
def test_a_full_disk_is_one_clear_error_and_the_run_goes_on_later(
    place: str, finished: Path, pico: Pico, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def full(*arguments: Any, **options: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched, pytest.raises(RunError, match=r"No space left on device.*Free space"):  # noqa: PT012
        patched.setattr(place, full)
        go(pico("bert"), world, tmp_path / "run")
    assert results(go(pico("bert"), world, tmp_path / "run").path) == results(finished)
