"""Vocabularies that are no replacement, end to end: extended ones, and training of new rows only."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import World
from safetensors.numpy import load_file
from transformers import AutoTokenizer

import lingraft
from lingraft.embeddings import ROWS
from lingraft.errors import RecipeError
from lingraft.model.load import AUTO
from lingraft.model.parts import output_biases, word_matrices
from lingraft.tokenizer import vocabulary

Pico = Callable[[str], Path]
SMALL = ["batch=4", "length=32", "steps=4", "evaluation.max_characters=2000", "precision=float32"]
EXTEND = ["tokenizer.vocabulary=extend", "tokenizer.size=60"]


def go(model: Path, world: World, out: Path, *changes: str, recipe: str = "copy", **options: Any) -> lingraft.Run:
    return lingraft.transfer(str(model), to="de", text=str(world.cipher), out=out, recipe=recipe, changes=[*SMALL, *changes], **options)


def vectors(model: Any) -> dict[str, Any]:
    """Everything with one row or number for each token."""
    return {name: value.detach().numpy() for name, value in {**word_matrices(model), **output_biases(model)}.items()}


@pytest.mark.parametrize("family", ["bert", "roberta", "xlm-roberta", "gpt2", "llama", "qwen2", "opt", "electra"])
def test_an_extended_vocabulary_keeps_old_rows_and_trains_new_ones_only_where_asked(family: str, pico: Pico, world: World, tmp_path: Path):
    source = AutoTokenizer.from_pretrained(pico(family))
    old, size = vectors(AUTO[kind(family)].from_pretrained(pico(family))), len(source)
    run = go(pico(family), world, tmp_path / "run", *EXTEND, 'phases.train.train=["new"]', "phases.train.weight_decay=0.5")
    model, tokenizer = run.load()
    assert vocabulary.num_kept(source, tokenizer) == size
    assert model.config.vocab_size == len(tokenizer) == size + 60
    rows = load_file(run.path / "rows.safetensors")
    assert (rows["origin"][:size] == 0).all()
    for name, now in vectors(model).items():
        assert np.array_equal(now[:size], old[name][:size]), "old rows stay to the last bit"
        assert len(now) == size + 60
    untrained, _ = go(pico(family), world, tmp_path / "untrained", *EXTEND, "steps=0").load()
    for name, start in vectors(untrained).items():
        assert (vectors(model)[name][size:] != start[size:]).any(), name
    others = dict(untrained.named_parameters())
    assert all(torch.equal(p, others[n]) for n, p in model.named_parameters() if n not in vectors(model)), "the body stays"


def kind(family: str) -> str:
    return "clm" if family in ("gpt2", "opt", "llama", "qwen2") else "mlm"


@pytest.mark.parametrize("method", sorted(set(ROWS) - {"keep"}))
def test_old_rows_stay_whatever_the_method(method: str, pico: Pico, world: World, tmp_path: Path):
    aids = {"source_text": str(world.plain), "parallel": str(world.parallel), "lexicon": str(world.lexicon)}
    run = go(pico("bert"), world, tmp_path / "run", *EXTEND, "steps=0", f"rows.method={method}", **aids)
    size = len(AutoTokenizer.from_pretrained(pico("bert")))
    old, new = (vectors(AUTO["mlm"].from_pretrained(place)) for place in (pico("bert"), run.path / "model"))
    assert all(np.array_equal(new[name][:size], old[name][:size]) for name in old)


def test_an_extended_vocabulary_fits_the_text_better(pico: Pico, world: World, tmp_path: Path):
    kept = go(pico("bert"), world, tmp_path / "kept", "tokenizer.vocabulary=source", "rows.method=keep", "steps=0")
    extended = go(pico("bert"), world, tmp_path / "extended", *EXTEND, "steps=0")
    assert extended.facts["tokenizer"]["fertility"] < 0.8 * kept.facts["tokenizer"]["fertility"]


def test_new_rows_are_those_without_a_token_in_the_source_also_where_the_vocabulary_is_replaced(pico: Pico, world: World, tmp_path: Path):
    changes = ("tokenizer.size=300", "phases.train.weight_decay=0.5")
    run = go(pico("bert"), world, tmp_path / "run", *changes, 'phases.train.train=["new"]')
    start = go(pico("bert"), world, tmp_path / "start", *changes, "steps=0")
    source, tokenizer = (AutoTokenizer.from_pretrained(start.path / "tokenizer" / name) for name in ("source", "de"))
    (weight,), (before,) = (list(word_matrices(made.load()[0]).values()) for made in (run, start))
    moved = set(torch.nonzero((weight != before).any(dim=1)).squeeze(1).tolist())
    new = set(vocabulary.new_ids(source, tokenizer).tolist())
    assert moved <= new
    assert moved


def test_no_token_is_new_where_the_vocabulary_is_the_sources(pico: Pico, world: World, tmp_path: Path):
    with pytest.raises(RecipeError, match="no token is new"):
        go(pico("bert"), world, tmp_path / "run", "tokenizer.vocabulary=source", 'phases.train.train=["new"]')
    assert not (tmp_path / "run").exists()
