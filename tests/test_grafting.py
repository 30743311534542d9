"""Grafts from end to end: what trains and what stays, what the folder says, restarts."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from conftest import World

import lingraft
from lingraft.errors import ModelError, RecipeError, TrainingError
from lingraft.files import digest, write_text
from lingraft.model.bare_begin import tied_begin
from lingraft.model.load import load_source
from lingraft.model.parts import body_fingerprint, parameters_of
from lingraft.recipe import load_recipe
from lingraft.report import write_report
from lingraft.run import Run
from lingraft.tokenizer import vocabulary
from lingraft.train.loop import Options

Pico = Callable[[str], Path]
SMALL = ["tokenizer.size=300", "batch=4", "length=32", "evaluation.max_characters=2000", "precision=float32", "steps=4"]
VARIANTS = ["monotrans", "monotrans-pos", "monotrans-adapters", "monotrans-lora", "monotrans-invertible"]


@pytest.fixture(scope="module", autouse=True)
def _short_report() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("lingraft.stages.write_report", lambda runs: write_text(runs[0] / "report.html", "short"))
        yield


def go(model: Path, world: World, out: Path, recipe: str, *changes: str, **options: Any) -> Run:
    return lingraft.transfer(str(model), to="de", text=str(world.cipher), recipe=recipe, changes=[*SMALL, *changes], out=out, **options)


@pytest.mark.parametrize("recipe", VARIANTS)
def test_what_trains_and_what_stays(recipe: str, pico: Pico, world: World, tmp_path: Path):
    run = go(pico("bert"), world, tmp_path / "run", recipe)
    source, (model, made) = load_source(str(pico("bert")), seed=0), run.load()
    wanted = load_recipe(recipe)
    kind = wanted.surgery.adapters
    assert run.facts["graft"] == {
        "trained_parts": sorted(wanted.phases["train"].train),
        "positions": recipe != "monotrans",
        "adapters": None if kind == "none" else kind,
        "meeting": None,
        "body_trained": False,
    }
    assert run.facts["body"] == body_fingerprint(source.model)
    assert (tmp_path / "run" / "model" / "adapters.safetensors").exists() == (kind != "none")
    if kind != "lora":
        assert body_fingerprint(model) == run.facts["body"]
    roles = vocabulary.roles(made)
    old, new = source.model.get_input_embeddings().weight, model.get_input_embeddings().weight
    for role, i in vocabulary.roles(source.tokenizer).items():
        if role != "begin" or recipe == "monotrans":
            assert torch.equal(old[i], new[roles[role]]), f"the row of {role} is shared with the source"
    for part in ("head", "layers.0-1"):
        before, after = parameters_of(source.model, part), parameters_of(model, part)
        same = [name for name in before if before[name].shape == after[name].shape and torch.equal(before[name], after[name])]
        changed = {name for name in before if name not in same}
        assert all(
            name.endswith(("predictions.bias", "decoder.bias")) or (kind == "lora" and re.search("query|value", name)) for name in changed
        )
    positions = [next(iter(parameters_of(m, "positions").values()))[1:] for m in (source.model, model)]  # a bare begin is set, not trained
    assert torch.equal(*positions) == (recipe == "monotrans")
    begun = go(pico("bert"), world, tmp_path / "begun", recipe, "steps=0").load()[0]
    trained = [part for part in ("words", "adapters") if part in wanted.phases["train"].train and (part, kind) != ("adapters", "lora")]
    for part in trained:
        before, after = parameters_of(begun, part), parameters_of(model, part)
        assert before and not any(torch.equal(before[name], after[name]) for name in before), part
    assert (tied_begin(model) is not None) == (recipe != "monotrans")
    card = (tmp_path / "run" / "model" / "README.md").read_text()
    assert ("lingraft.load" in card) == (kind in ("bottleneck", "invertible"))


def test_a_graft_goes_on_from_its_own_adapters(pico: Pico, world: World, tmp_path: Path):
    first = go(pico("bert"), world, tmp_path / "first", "monotrans-adapters")
    again = go(tmp_path / "first" / "model", world, tmp_path / "again", "monotrans-adapters", "steps=0")
    before, after = (parameters_of(run.load()[0], "adapters") for run in (first, again))
    assert before and all(torch.equal(before[name], after[name]) for name in before)
    assert again.facts["body"] == first.facts["body"]
    with pytest.raises(ModelError, match="bottleneck adapters already"):
        go(tmp_path / "first" / "model", world, tmp_path / "other", "monotrans-lora")


@pytest.mark.parametrize("method", ["auto", "copy"])
def test_any_row_method_may_be_the_start(method: str, pico: Pico, world: World, tmp_path: Path):
    switch = 'phases.train.switch=[{at=0.5, train=["adapters"]}]'
    run = go(pico("bert"), world, tmp_path / "run", "monotrans-adapters", f"rows.method={method}", switch)
    assert ("race" in run.facts) == (method == "auto")
    assert run.facts["graft"]["adapters"] == "bottleneck" and np.isfinite(run.scores["loss"])


def test_what_a_family_does_not_allow_is_said_at_once(pico: Pico, world: World, tmp_path: Path):
    for family, recipe, why in (("modernbert", "monotrans-pos", "bare_begin = false"), ("xlm", "monotrans-adapters", "adapters = 'none'")):
        with pytest.raises(ModelError, match=why):
            go(pico(family), world, tmp_path / "run", recipe)
        assert not (tmp_path / "run").exists()
    with pytest.raises(RecipeError, match="no 'adapters' to train"):
        go(pico("bert"), world, tmp_path / "run", "monotrans-pos", 'phases.train.train=["adapters"]')


def test_restarts_keep_the_best_and_report_all(pico: Pico, world: World, tmp_path: Path):
    run = go(pico("bert"), world, tmp_path / "run", "monotrans", "phases.train.restarts=2")
    told = run.facts["restarts"]["train"]
    losses = [tried["held_out_loss"] for tried in told["attempts"]]
    assert len(set(losses)) == 3 and told["kept"] == int(np.argmin(losses)) and run.facts["tokens_per_second"] > 0
    assert len({tried["seed"] for tried in told["attempts"]}) == 3
    labels = {line["phase"] for line in run.lines("metrics.jsonl")}
    assert labels == {"train", "train restart 1", "train restart 2"}
    last = {line["phase"]: line["held_out_loss"] for line in run.lines("metrics.jsonl") if "held_out_loss" in line}
    assert list(last.values()) == losses
    assert [file.name for file in (tmp_path / "run" / "phases" / "train").glob("[!.]*")] == ["checkpoint-00000004"]
    one = go(pico("bert"), world, tmp_path / "one", "monotrans")
    assert {line["held_out_loss"] for line in one.lines("metrics.jsonl") if line.get("step") == 4 and "held_out_loss" in line} == {
        losses[0]
    }
    write_report([run.path])
    assert "was trained 3 times" in (run.path / "report.html").read_text()


def test_a_phase_begun_again_forgets_its_restarts_and_what_it_trained(pico: Pico, world: World, tmp_path: Path):
    go(pico("bert"), world, tmp_path / "run", "monotrans", "phases.train.restarts=1")
    run = go(pico("bert"), world, tmp_path / "run", "monotrans", 'phases.train.train=["all"]', restart_from="phase.train")
    assert run.facts["restarts"] == {} and run.facts["graft"]["body_trained"]
    assert {line["phase"] for line in run.lines("metrics.jsonl")} == {"train"}


class StoppedError(Exception):
    """Stands for whatever may end a process."""


@pytest.mark.parametrize("when", [("train", 3), ("train restart 1", 3)])
def test_restarts_cut_short_give_the_same_bytes(when: tuple[str, int], pico: Pico, world: World, tmp_path: Path):
    changes = ("phases.train.restarts=1", "steps=6")
    whole = go(pico("bert"), world, tmp_path / "whole", "monotrans-adapters", *changes)

    def progress(name: str, done: int, total: int, loss: float) -> None:
        if (name, done) == when:
            raise StoppedError

    with pytest.raises(StoppedError):
        go(pico("bert"), world, tmp_path / "cut", "monotrans-adapters", *changes, options=Options(2, log_steps=1, progress=progress))
    cut = go(pico("bert"), world, tmp_path / "cut", "monotrans-adapters", *changes)
    assert cut.facts["restarts"] == whole.facts["restarts"]
    for name in ("model.safetensors", "adapters.safetensors"):
        assert digest(whole.path / "model" / name) == digest(cut.path / "model" / name)


def test_an_attempt_that_fails_is_reported_and_passed_over(pico: Pico, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from lingraft import grafting

    train = grafting.train

    def sometimes(label: str, *arguments: Any, **options: Any) -> Any:
        if label == "train" and options["folder"].name == "attempt-0":
            raise TrainingError("no number")
        return train(label, *arguments, **options)

    monkeypatch.setattr(grafting, "train", sometimes)
    run = go(pico("bert"), world, tmp_path / "run", "monotrans", "phases.train.restarts=1")
    told = run.facts["restarts"]["train"]
    assert told["attempts"][0]["held_out_loss"] is None and told["kept"] == 1
    json.dumps(run.facts, allow_nan=False)


def test_a_later_phase_restarts_from_the_one_before(pico: Pico, world: World, tmp_path: Path):
    recipe = tmp_path / "two.toml"
    recipe.write_text('extends = "monotrans"\n[phases.then]\ntrain = ["all"]\nrestarts = 1\nsteps = 3\nbatch = 4\nlength = 32\n')
    run = go(pico("bert"), world, tmp_path / "run", str(recipe))
    starts = {line["phase"]: line["held_out_loss"] for line in reversed(run.lines("metrics.jsonl")) if "held_out_loss" in line}
    assert starts["then"] == starts["then restart 1"] != starts["train"]
    assert run.facts["graft"]["body_trained"]


def test_a_head_that_was_drawn_and_never_trained_is_not_taken_for_one_that_was(pico: Pico, world: World, tmp_path: Path):
    model = transformers.AutoModel.from_pretrained(pico("bert"))
    model.save_pretrained(tmp_path / "headless")
    transformers.AutoTokenizer.from_pretrained(pico("bert")).save_pretrained(tmp_path / "headless")
    first = go(tmp_path / "headless", world, tmp_path / "first", "copy", "steps=0")
    drawn = load_source(str(first.path / "model"), seed=0)
    assert "cls.predictions.transform.dense.weight" in parameters_of(drawn.model, "added")
    again = go(first.path / "model", world, tmp_path / "again", "monotrans")
    assert not parameters_of(load_source(str(again.path / "model"), seed=0).model, "added")
    before, after = (parameters_of(load_source(str(run.path / "model"), seed=0).model, "head") for run in (first, again))
    assert not torch.equal(before["cls.predictions.transform.dense.weight"], after["cls.predictions.transform.dense.weight"])
