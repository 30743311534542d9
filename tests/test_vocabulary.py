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
from lingraft import stages
from lingraft.aids import Given
from lingraft.embeddings import ROWS
from lingraft.errors import RecipeError, RunError
from lingraft.files import digest
from lingraft.model.load import AUTO
from lingraft.model.parts import output_biases, word_matrices
from lingraft.plan import plan
from lingraft.tokenizer import vocabulary
from lingraft.train.loop import Options

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
    run = go(pico("bert"), world, tmp_path / "run", *EXTEND, "steps=0", "rows.trust=false", f"rows.method={method}", **aids)
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
        go(pico("bert"), world, tmp_path / "run", "tokenizer.vocabulary=source", "rows.method=keep", 'phases.train.train=["new"]')
    assert not (tmp_path / "run").exists()


def test_a_vocabulary_that_is_kept_keeps_its_rows(pico: Pico, world: World, tmp_path: Path):
    with pytest.raises(RecipeError, match=r"'copy' would give them other rows .* Add --set rows.method=keep"):
        go(pico("bert"), world, tmp_path / "run", "tokenizer.vocabulary=source")
    assert not (tmp_path / "run").exists()


BOTH = 'phases.train.languages=["source", "target"]'


def test_a_joint_vocabulary_is_trained_on_both_languages_and_serves_both(pico: Pico, world: World, tmp_path: Path):
    changes = ("tokenizer.vocabulary=joint", "tokenizer.size=400", BOTH)
    run = go(pico("bert"), world, tmp_path / "run", *changes, source_text=f"en={world.plain}")
    model, tokenizer = run.load()
    assert model.config.vocab_size == len(tokenizer)
    assert len(tokenizer) <= 400
    alone = AutoTokenizer.from_pretrained(go(pico("bert"), world, tmp_path / "alone", "tokenizer.size=400", "steps=0").path / "model")

    def count(made: Any) -> int:
        return len(made(world.plain.read_text(), add_special_tokens=False)["input_ids"])

    assert count(tokenizer) < 0.8 * count(alone)
    assert {place.name for place in (run.path / "tokens").iterdir()} == {"en", "de"}
    assert {"de", "source"} == set(run.facts["text"])


@pytest.mark.parametrize("family", ["bert", "roberta", "xlm-roberta", "gpt2", "llama", "opt"])
def test_disjoint_vocabularies_give_a_model_for_each_language(family: str, pico: Pico, world: World, tmp_path: Path):
    changes = ("tokenizer.vocabulary=disjoint", "tokenizer.size=300", BOTH)
    run = go(pico(family), world, tmp_path / "run", *changes, source_text=f"en={world.plain}")
    target, tokenizer = run.load()
    source, own = AUTO[kind(family)].from_pretrained(run.path / "model-en"), AutoTokenizer.from_pretrained(run.path / "model-en")
    before = AutoTokenizer.from_pretrained(pico(family))
    assert own.get_vocab() == before.get_vocab()
    assert (target.config.vocab_size, source.config.vocab_size) == (len(tokenizer), len(before))
    old, new = vocabulary.roles(before), vocabulary.roles(tokenizer)
    for name, now in vectors(source).items():
        assert all(np.array_equal(now[old[role]], vectors(target)[name][new[role]]) for role in old), "specials are one"
        assert np.isfinite(now).all()
    bodies = [{n: p for n, p in model.named_parameters() if n not in vectors(model) and "position" not in n} for model in (source, target)]
    assert all(torch.equal(value, bodies[1][name]) for name, value in bodies[0].items()), "the body is one"


def test_disjoint_rows_are_those_of_the_two_vocabularies_before_training(pico: Pico, world: World, tmp_path: Path):
    changes = ("tokenizer.vocabulary=disjoint", "tokenizer.size=300", "steps=0", BOTH)
    stacked = go(pico("bert"), world, tmp_path / "stacked", *changes, source_text=f"en={world.plain}")
    replaced = go(pico("bert"), world, tmp_path / "replaced", "tokenizer.size=300", "steps=0")
    assert stacked.origin == replaced.origin
    copied = load_file(stacked.path / "rows.safetensors")["origin"] == 0
    for name, value in vectors(replaced.load()[0]).items():
        assert np.array_equal(vectors(stacked.load()[0])[name][copied], value[copied])
    old, kept = (vectors(AUTO["mlm"].from_pretrained(place)) for place in (pico("bert"), stacked.path / "model-en"))
    size = len(AutoTokenizer.from_pretrained(pico("bert")))
    assert all(np.array_equal(kept[name], old[name][:size]) for name in old)


@pytest.mark.parametrize("kind_of_vocabulary", ["joint", "disjoint", "extend"])
def test_two_languages_interrupted_and_resumed_give_the_same_bytes(kind_of_vocabulary: str, pico: Pico, world: World, tmp_path: Path):
    asked: dict[str, Any] = {"source_text": f"en={world.plain}"}
    changes = (f"tokenizer.vocabulary={kind_of_vocabulary}", "tokenizer.size=300", BOTH, "steps=12")
    whole = go(pico("bert"), world, tmp_path / "whole", *changes, **asked)

    def stop(name: str, done: int, total: int, loss: float) -> None:
        if done == 8:
            raise KeyError(name)

    with pytest.raises(KeyError):
        go(pico("bert"), world, tmp_path / "cut", *changes, **asked, options=Options(checkpoint_steps=3, log_steps=1, progress=stop))
    again = go(pico("bert"), world, tmp_path / "cut", *changes, **asked)
    names = [file.relative_to(whole.path) for file in whole.path.glob("model*/*") if file.suffix == ".safetensors"]
    assert len(names) == 1 + (kind_of_vocabulary == "disjoint")
    assert all(digest(whole.path / name) == digest(again.path / name) for name in names)
    assert whole.scores == again.scores
    with pytest.raises(RunError, match="languages"):
        go(pico("bert"), world, tmp_path / "cut", *changes[:2], "steps=12", source_text=asked["source_text"])
    go(pico("bert"), world, tmp_path / "cut", *changes, "steps=2", **asked, restart_from="phase.train")


@pytest.mark.parametrize("languages", [BOTH, 'phases.train.languages=["target"]'])
def test_the_sources_words_move_where_its_text_is_trained_on(languages: str, pico: Pico, world: World, tmp_path: Path):
    changes = ("tokenizer.vocabulary=disjoint", "tokenizer.size=300", languages, "steps=20")
    run = go(pico("llama"), world, tmp_path / "run", *changes, "phases.train.weight_decay=0", source_text=f"en={world.plain}")
    last = load_file(max((run.path / "phases" / "train").glob("checkpoint-*")) / "model.safetensors")["model.embed_tokens.weight"]
    old = vectors(AUTO["clm"].from_pretrained(pico("llama")))["model.embed_tokens.weight"]
    size = len(AutoTokenizer.from_pretrained(pico("llama")))
    moved = (last[:size] != old[:size]).any(axis=1)
    assert moved.sum() > 20 if languages == BOTH else moved.sum() <= 3, "specials are the target's too"
    assert (run.path / "model-en").exists() == (languages == BOTH)


def test_the_sources_text_is_asked_for_and_must_be_of_another_language(pico: Pico, world: World, tmp_path: Path):
    with pytest.raises(RecipeError, match="--source-text"):
        go(pico("bert"), world, tmp_path / "run", "tokenizer.vocabulary=joint")
    with pytest.raises(RecipeError, match="Name its language"):
        go(pico("bert"), world, tmp_path / "run", "tokenizer.vocabulary=extend", BOTH, source_text=f"de={world.plain}")
    with pytest.raises(RecipeError, match="takes away"):
        go(pico("bert"), world, tmp_path / "run", BOTH, source_text=str(world.plain))
    assert not (tmp_path / "run").exists()


def test_a_race_is_run_on_the_targets_vocabulary(pico: Pico, world: World, tmp_path: Path):
    changes = ("tokenizer.vocabulary=disjoint", "tokenizer.size=300", BOTH, "rows.method=auto", "steps=20")
    run = go(pico("bert"), world, tmp_path / "run", *changes, source_text=f"en={world.plain}")
    assert run.facts["race"][0]["method"]


def test_the_plan_counts_both_languages(pico: Pico, world: World):
    changes = [*SMALL, "tokenizer.vocabulary=disjoint", "tokenizer.size=300", BOTH]
    text = plan(str(pico("bert")), to="de", text=str(world.cipher), changes=changes, given=Given(source_text=[f"en={world.plain}"]))
    assert "of the source's language" in text


@pytest.mark.parametrize("family", ["bert", "roberta", "gpt2", "llama"])
def test_each_languages_model_predicts_what_the_trained_one_does(
    family: str, pico: Pico, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    ids, before, size = torch.arange(20)[None], [], len(AutoTokenizer.from_pretrained(pico(family)))
    export = stages.export

    def looking(request: Any, run: Any, source: Any, spoken: Any) -> None:
        table = torch.from_numpy(spoken.target.ids)
        with torch.no_grad():
            before.append(source.model.eval()(input_ids=table[ids]).logits[..., table])
            before.append(source.model(input_ids=ids).logits[..., :size])
        export(request, run, source, spoken)

    monkeypatch.setattr(stages, "export", looking)
    changes = ("tokenizer.vocabulary=disjoint", "tokenizer.size=300", BOTH)
    run = go(pico(family), world, tmp_path / "run", *changes, source_text=f"en={world.plain}")
    for folder, logits in zip(("model", "model-en"), before, strict=True):
        with torch.no_grad():
            now = AUTO[kind(family)].from_pretrained(run.path / folder).eval()(input_ids=ids).logits
        torch.testing.assert_close(now, logits, rtol=1e-5, atol=1e-6)
