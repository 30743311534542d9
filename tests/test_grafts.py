"""What a folder of runs holds, and what fits what."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import World
from safetensors.torch import load_file, save_file

import lingraft
from lingraft.errors import RunError

Pico = Callable[[str], Path]
Call = Callable[..., tuple[int, str, str]]
SMALL = ["tokenizer.size=300", "batch=4", "length=32", "evaluation.max_characters=2000", "precision=float32", "steps=2"]


@pytest.fixture(scope="module")
def folder(pico: Pico, world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two grafts and a model, a task model of the first's body, a swapped one, a run that was only begun, and others' folders."""
    runs = tmp_path_factory.mktemp("runs")
    for name, code, recipe in (("de", "de", "monotrans-adapters"), ("fi", "fi", "monotrans"), ("whole", "de", "copy")):
        lingraft.transfer(str(pico("bert")), to=code, text=str(world.cipher), recipe=recipe, changes=SMALL, out=runs / name)
    lingraft.transfer(str(pico("bert")), to="de", text=str(world.cipher), recipe="copy", changes=[*SMALL, "steps=0"], out=runs / "rows")
    (runs / "train.conllu").write_text("1\ta\t_\tX\t_\t_\t0\t_\t_\t_\n2\tb\t_\tY\t_\t_\t0\t_\t_\t_\n\n")
    asked = {"task": "pos", "train": str(runs / "train.conllu"), "freeze": ["embeddings", "positions"], "changes": ["steps=2"]}
    lingraft.finetune(str(pico("bert")), out=runs / "pos", development=str(runs / "train.conllu"), **asked)
    lingraft.finetune(str(pico("roberta")), out=runs / "other", **asked)
    lingraft.finetune(str(pico("bert")), out=runs / "moved", **{**asked, "freeze": ["embeddings"]})
    lingraft.finetune(str(runs / "de" / "model"), out=runs / "adapted", **asked)
    lingraft.finetune(str(with_other_segments(pico("bert"), runs.parent / "segments")), out=runs / "segments", **asked)
    lingraft.swap(runs / "pos", graft=runs / "fi", out=runs / "pos-fi")
    for name, stage in (("begun", "source"), ("scored", "result")):
        (runs / name / ".stages").mkdir(parents=True)
        (runs / name / ".stages" / f"{stage}.json").write_text("{}")
    (runs / "notes").mkdir()
    return runs


def with_other_segments(model: Path, out: Path) -> Path:
    """The same model but for its segment table."""
    shutil.copytree(model, out)
    tensors = load_file(out / "model.safetensors")
    (name,) = (name for name in tensors if name.endswith("token_type_embeddings.weight"))
    save_file(tensors | {name: tensors[name] + 0.1}, out / "model.safetensors", {"format": "pt"})
    return out


def test_everything_is_listed_with_what_it_fits(folder: Path) -> None:
    found = {told["name"]: told for told in lingraft.grafts(folder)}
    kinds = {
        "adapted": "task",
        "begun": "unfinished",
        "de": "graft",
        "fi": "graft",
        "moved": "task",
        "other": "task",
        "pos": "task",
        "pos-fi": "swapped",
        "rows": "graft",
        "segments": "task",
        "whole": "model",
    }
    assert {name: told["kind"] for name, told in found.items()} == kinds
    assert (
        found["de"]["body"]
        == found["fi"]["body"]
        == found["pos"]["body"]
        == found["segments"]["body"]
        == found["pos-fi"]["body"]
        != found["whole"]["body"]
    )
    assert found["de"]["fits"] == ["adapted", "pos"] and found["fi"]["fits"] == ["moved", "pos"]  # "de" brings positions, and adapters
    assert found["rows"]["fits"] == found["fi"]["fits"] and found["adapted"]["adapters"] == "bottleneck"
    assert found["whole"]["fits"] == found["pos"]["fits"] == []
    assert (found["de"]["positions"], found["de"]["adapters"]) == (True, "bottleneck")
    assert (found["fi"]["positions"], found["fi"]["adapters"], found["fi"]["language"]) == (False, None, "fi")
    assert found["de"]["tokens"] == 2 * 4 * 32
    assert found["fi"]["loss"] == lingraft.Run(folder / "fi").scores["loss"] and found["fi"]["bits_per_byte"] > 0
    assert found["pos"]["frozen"] == ["words", "positions"] and 0 <= found["pos"]["development"] <= 1


def test_the_command_prints_a_table_or_json(folder: Path, call: Call) -> None:
    status, out, _ = call("grafts", folder)
    assert status == 0
    line = next(line for line in out.splitlines() if "monotrans-adapters" in line)
    assert "rows, positions, bottleneck adapters" in line and line.endswith("fits adapted, pos")
    status, out, _ = call("grafts", folder, "--json")
    assert status == 0 and json.loads(out) == lingraft.grafts(folder)
    assert [told["name"] for told in lingraft.grafts(folder / "de")] == ["de"]


def test_folders_without_runs_are_refused(folder: Path, call: Call) -> None:
    for path, message in ((folder / "nowhere", "There is no folder"), (folder / "notes", "holds no run")):
        with pytest.raises(RunError, match=message):
            lingraft.grafts(path)
        assert call("grafts", path)[0] == 2
