"""Transfers that pull the states of linked pieces of parallel text together."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import World
from small_runs import StoppedError, go, results, reversed_ids, stopping
from transformers import AutoTokenizer

from lingraft.errors import RecipeError, TextError
from lingraft.model.load import load_source
from lingraft.model.parts import output_biases, word_matrices
from lingraft.run import Run

Pico = Callable[[str], Path]
pytestmark = pytest.mark.usefixtures("short_report")


def held_out(run: Run) -> list[float]:
    return [line["held_out_loss"] for line in run.lines("metrics.jsonl") if "held_out_loss" in line]


@pytest.mark.parametrize("recipe", ["aligned", "align-finetune"])
def test_a_run_resumes_to_the_same_bytes(recipe: str, pico: Pico, world: World, tmp_path: Path):
    asked = {"recipe": recipe, "parallel": str(world.parallel), "steps": 6}
    whole = go(pico("bert"), world, tmp_path / "whole", **asked)
    with pytest.raises(StoppedError):
        go(pico("bert"), world, tmp_path / "cut", options=stopping("train", 5), **asked)
    assert results(go(pico("bert"), world, tmp_path / "cut", **asked).path) == results(whole.path)
    assert (whole.path / "alignments" / "to_target.npy").is_file()


def test_the_source_reads_its_lines_by_its_own_ids(pico: Pico, world: World, tmp_path: Path):
    lines = world.plain.read_text().split("\n")
    (tmp_path / "same.tsv").write_text("".join(f"{line}\t{line}\n" for line in lines if line))
    tokenizer = reversed_ids(pico("bert"), str, tmp_path / "tokenizer")
    asked = {"recipe": "aligned", "steps": 1, "parallel": str(tmp_path / "same.tsv")}
    run = go(pico("bert"), world, tmp_path / "run", "rows.method=copy", f"tokenizer.read={tokenizer}", **asked)
    assert held_out(run)[0] < 1e-6


def test_rows_of_the_cipher_come_to_be_the_plain_ones_and_the_body_stays(pico: Pico, world: World, tmp_path: Path):
    cipher = reversed_ids(pico("bert"), World.encipher, tmp_path / "cipher")
    changes = ["rows.method=random", "batch=32", "learning_rate=0.01", f"tokenizer.read={cipher}"]
    run = go(pico("bert"), world, tmp_path / "run", *changes, steps=150, recipe="aligned", parallel=str(world.parallel))
    losses = held_out(run)
    assert losses[-1] < losses[0] / 10, losses
    before, after = (load_source(str(place), seed=0).model for place in (pico("bert"), run.path / "model"))
    plain, learnt = (model.get_input_embeddings().weight for model in (before, after))
    frequent = AutoTokenizer.from_pretrained(cipher)(World.encipher(world.plain.read_text()[:500]), add_special_tokens=False)["input_ids"]
    size = len(AutoTokenizer.from_pretrained(cipher))
    nearest = torch.cdist(learnt[sorted(set(frequent))], plain[:size]).argmin(dim=1).tolist()
    assert np.mean([one == size - 1 - other for one, other in zip(nearest, sorted(set(frequent)), strict=True)]) > 0.9
    words = set(word_matrices(before)) | set(output_biases(before))
    kept, found = before.state_dict(), after.state_dict()
    assert all(torch.equal(kept[name], found[name]) for name, _ in before.named_parameters() if name not in words)
    assert run.facts["graft"]["body_trained"] is False


def test_a_linear_map_meets_the_source_in_the_middle(pico: Pico, world: World, tmp_path: Path):
    asked = {"recipe": "mim", "parallel": str(world.parallel), "steps": 6}
    whole = go(pico("bert"), world, tmp_path / "whole", **asked)
    with pytest.raises(StoppedError):
        go(pico("bert"), world, tmp_path / "cut", options=stopping("train", 5), **asked)
    assert results(go(pico("bert"), world, tmp_path / "cut", **asked).path) == results(whole.path)
    losses = held_out(whole)
    assert losses[-1] < losses[0] < 1
    before, after = (load_source(str(place), seed=0).model for place in (pico("bert"), whole.path / "model"))
    own = dict(after.named_parameters())
    assert all(torch.equal(parameter, own[name]) for name, parameter in before.named_parameters())
    assert {name for name in own if "adapter" in name} == {f"bert.encoder.layer.1.output.adapter.{part}" for part in ("weight", "bias")}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["phases.train.objective=middle"], "a linear map behind a source"),
        (["phases.train.objective=align"], "Give it with --parallel"),
        (["phases.train.align_depths=[1.5]"], "less than or equal to 1"),
    ],
)
def test_what_cannot_be_aligned_is_refused(changes: list[str], message: str, pico: Pico, world: World, tmp_path: Path):
    with pytest.raises(RecipeError, match=message):
        go(pico("bert"), world, tmp_path / "run", *changes)
    assert not (tmp_path / "run").exists()


def test_lines_without_links_are_refused(pico: Pico, world: World, tmp_path: Path):
    (tmp_path / "one.tsv").write_text("a\tb\n")
    with pytest.raises(TextError, match="too few to learn from"):
        go(pico("bert"), world, tmp_path / "run", recipe="align-finetune", parallel=str(tmp_path / "one.tsv"))
    assert not (tmp_path / "run").exists()
