"""Transfers that train on pairs of texts: next sentences, and a text with its translation."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import World
from safetensors import safe_open
from small_runs import StoppedError, go, results, stopping
from transformers import AutoModel, AutoModelForMaskedLM

from lingraft.errors import LingraftWarning, RecipeError, TextError
from lingraft.model.load import load_source
from lingraft.model.trelm import language_tables

Pico = Callable[[str], Path]
pytestmark = pytest.mark.usefixtures("short_report")
PAIRS = "phases.train.next_sentence=true"
BOTH = "phases.train.objective=mlm+tlm"


@pytest.fixture(scope="module")
def pretrained(pico: Pico, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT with its head for next-sentence prediction."""
    folder = tmp_path_factory.mktemp("pretrained")
    source = load_source(str(pico("bert")), seed=3, random_weights=True, next_sentence=True)
    source.model.save_pretrained(folder)
    source.tokenizer.save_pretrained(folder)
    return folder


def keys(folder: Path) -> set[str]:
    with safe_open(folder / "model.safetensors", "pt") as file:
        return set(file.keys())


def test_a_run_on_pairs_resumes_to_the_same_bytes_and_keeps_the_head(pretrained: Path, world: World, tmp_path: Path):
    whole = go(pretrained, world, tmp_path / "whole", PAIRS, steps=6)
    with pytest.raises(StoppedError):
        go(pretrained, world, tmp_path / "cut", PAIRS, steps=6, options=stopping("train", 5))
    again = go(pretrained, world, tmp_path / "cut", PAIRS, steps=6)
    assert results(whole.path) == results(again.path)
    head = {"cls.seq_relationship.weight", "cls.seq_relationship.bias"}
    assert head <= keys(whole.path / "model")
    assert whole.facts["notes"] == []
    before = load_source(str(pretrained), seed=0, next_sentence=True).model
    after = load_source(str(whole.path / "model"), seed=0, next_sentence=True).model
    assert not torch.equal(before.cls.seq_relationship.weight, after.cls.seq_relationship.weight)
    for stock in (AutoModel, AutoModelForMaskedLM):
        stock.from_pretrained(whole.path / "model")
    assert type(whole.load()[0]).__name__ == "BertForMaskedLM"


def test_what_trains_words_only_leaves_the_head(pretrained: Path, world: World, tmp_path: Path):
    (tmp_path / "text.txt").write_text(world.cipher.read_text() + "\nqwe rtz .\n" * 3)
    run = go(pretrained, world, tmp_path / "run", PAIRS, "phases.train.train=['words']", text=str(tmp_path / "text.txt"))
    assert run.facts["documents_without_pairs"] in (2, 3), "one may be held out"
    before, after = (load_source(str(place), seed=0, next_sentence=True).model for place in (pretrained, run.path / "model"))
    assert torch.equal(before.cls.seq_relationship.weight, after.cls.seq_relationship.weight)
    assert torch.equal(before.bert.pooler.dense.weight, after.bert.pooler.dense.weight)


def test_a_source_without_the_head_trains_on_blocks_and_the_run_says_so(pico: Pico, world: World, tmp_path: Path):
    with pytest.warns(LingraftWarning, match="no head for next-sentence"):
        run = go(pico("roberta"), world, tmp_path / "run", PAIRS)
    assert "no head for next-sentence" in run.facts["notes"][0]
    plain = go(pico("roberta"), world, tmp_path / "plain")
    assert results(run.path) == results(plain.path)


def test_random_weights_learn_with_a_head_that_stays_behind(pico: Pico, world: World, tmp_path: Path):
    run = go(pico("roberta"), world, tmp_path / "run", PAIRS, recipe="scratch")
    assert run.facts["notes"] == []
    assert not any("next_sentence" in name for name in keys(run.path / "model"))
    assert any("next_sentence" in name for file in (run.path / "phases").rglob("*.safetensors") for name in keys(file.parent))


def test_documents_of_one_sentence_are_refused(pretrained: Path, world: World, tmp_path: Path):
    (tmp_path / "lines.txt").write_text(world.cipher.read_text().replace("\n", "\n\n"))
    with pytest.raises(TextError, match="needs documents of several sentences"):
        go(pretrained, world, tmp_path / "run", PAIRS, text=str(tmp_path / "lines.txt"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("family", "recipe"), [("xlm-roberta", "joint"), ("bert", "disjoint")])
def test_translations_in_half_of_each_batch_resume_to_the_same_bytes(family: str, recipe: str, pico: Pico, world: World, tmp_path: Path):
    asked = {"recipe": recipe, "source_text": str(world.plain), "parallel": str(world.parallel), "steps": 6}
    whole = go(pico(family), world, tmp_path / "whole", BOTH, **asked)
    with pytest.raises(StoppedError):
        go(pico(family), world, tmp_path / "cut", BOTH, options=stopping("train", 5), **asked)
    assert results(go(pico(family), world, tmp_path / "cut", BOTH, **asked).path) == results(whole.path)


def test_translations_need_parallel_text(pico: Pico, world: World, tmp_path: Path):
    with pytest.raises(RecipeError, match="Give it with --parallel"):
        go(pico("bert"), world, tmp_path / "run", BOTH, recipe="joint", source_text=str(world.plain))
    with pytest.raises(RecipeError, match="causal model"):
        go(pico("gpt2"), world, tmp_path / "run", BOTH, recipe="joint", source_text=str(world.plain), parallel=str(world.parallel))
    assert not (tmp_path / "run").exists()


def test_translations_alone_with_a_tokenizer_that_knows_both(pico: Pico, world: World, tmp_path: Path):
    changes = ["phases.train.objective=tlm", "tokenizer.vocabulary=source", "rows.method=keep"]
    run = go(pico("bert"), world, tmp_path / "run", *changes, parallel=str(world.parallel))
    assert run.scores["loss"] > 0
    assert "joint" not in run.facts.get("warnings", [])


def test_each_languages_own_folder_speaks_it(pico: Pico, world: World, tmp_path: Path):
    """The source's folder of disjoint vocabularies reads in the source's language, where the target's does in its own."""
    run = go(pico("bert"), world, tmp_path / "run", "surgery.language_embeddings=true", recipe="disjoint", source_text=str(world.plain))
    (source,) = (place for place in run.path.glob("model-*"))
    tables = []
    for place in (run.path / "model", source):
        model = AutoModel.from_pretrained(place)
        tables.append((model.config.lingraft_languages, *language_tables(model)[0].weight.detach()))
    (codes, one, other), (own_codes, own_one, own_other) = tables
    assert codes == own_codes[::-1]
    assert torch.equal(one, own_other) and torch.equal(other, own_one) and not torch.equal(one, other)
