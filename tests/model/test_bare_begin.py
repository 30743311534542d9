"""A first token without position and segment: the body computes what it did, and the tie holds through training."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from conftest import World

from lingraft.errors import ModelError
from lingraft.grafting import begin_id
from lingraft.model.bare_begin import TiedBegin, bare_begin, tied_begin
from lingraft.model.load import load_source
from lingraft.text.corpus import TextSettings, resolve
from lingraft.text.shards import Shards, encode_to_shards
from lingraft.tongues import tongues
from lingraft.train.loop import Options, train
from lingraft.train.settings import PhaseSettings

Pico = Callable[[str], Path]
FIRST = {"bert": 0, "distilbert": 0, "electra": 0, "roberta": 1, "xlm-roberta": 1, "xlm": 0}


def load(pico: Pico, family: str):
    return load_source(str(pico(family)), seed=0)


def tables(model: Any) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Position and segment table."""
    found = {name.split(".")[-2]: p for name, p in model.base_model.named_parameters() if "position" in name or "token_type" in name}
    return found["position_embeddings"], found.get("token_type_embeddings")


@pytest.mark.parametrize("family", FIRST)
def test_the_body_computes_what_it_did(pico: Pico, family: str):
    source = load(pico, family)
    model, begin = source.model, begin_id(source)
    first = FIRST[family] + (source.tokenizer.pad_token_id if "roberta" in family else 0)
    ids = torch.tensor([[begin, *range(20, 35)], [begin, *range(40, 55)]])
    with torch.no_grad():
        before, logits = model.base_model(input_ids=ids)[0], model(input_ids=ids).logits
        bare_begin(model, begin)
        torch.testing.assert_close(model.base_model(input_ids=ids)[0], before, atol=1e-5, rtol=1e-4)
        others = [i for i in range(logits.shape[-1]) if i != begin]
        torch.testing.assert_close(model(input_ids=ids).logits[..., others], logits[..., others], atol=1e-4, rtol=1e-4)
    positions, segments = tables(model)
    assert torch.equal(positions[first], torch.zeros_like(positions[0]) if segments is None else -segments[0])
    assert model.config.lingraft_bare_begin
    word = model.get_input_embeddings().weight[begin].clone()
    bare_begin(model, begin)
    assert torch.equal(word, model.get_input_embeddings().weight[begin]), "a second time changes nothing"


def test_the_note_travels_with_the_folder(pico: Pico, tmp_path: Path):
    source = load(pico, "bert")
    assert tied_begin(source.model) is None
    bare_begin(source.model, begin_id(source))
    source.model.save_pretrained(tmp_path)
    tagger = transformers.AutoModelForTokenClassification.from_pretrained(tmp_path)
    assert isinstance(tied_begin(tagger), TiedBegin)


@pytest.mark.parametrize("parts", [["all"], ["positions"], ["embeddings"], ["body"], ["words"]])
@pytest.mark.parametrize("family", ["bert", "distilbert", "xlm-roberta"])
def test_the_tie_holds_through_every_update(pico: Pico, world: World, family: str, parts: list[str], tmp_path: Path):
    source = load(pico, family)
    bare_begin(source.model, begin_id(source))
    before = [None if table is None else table.detach().clone() for table in tables(source.model)]
    settings = PhaseSettings(train=parts, batch=4, length=32, learning_rate=1e-2, weight_decay=0.1, precision="float32")
    data = _data(source, world, tmp_path).data(settings)
    train("t", source.model, settings, data, total=4, seed=0, folder=tmp_path / "phase", options=Options())
    first = FIRST[family] + (source.tokenizer.pad_token_id if "roberta" in family else 0)
    positions, segments = tables(source.model)
    assert torch.equal(positions[first], torch.zeros_like(positions[0]) if segments is None else -segments[0])
    moves = {"all", "positions", "embeddings"} & set(parts)
    assert torch.equal(positions[first + 1], before[0][first + 1]) != bool(moves)


def _data(source: Any, world: World, folder: Path) -> Any:
    corpus = resolve([str(world.plain)], "en", settings=TextSettings(), spool=None)
    encode_to_shards(corpus.split("train"), source.tokenizer, folder / "tokens", end_id=None)
    return tongues(source, source.tokenizer, "en", Shards.open(folder / "tokens"), None, False)


@pytest.mark.parametrize("positions_train", [True, False])
def test_gradients_are_those_of_a_model_without_position_and_segment_there(pico: Pico, positions_train: bool):
    source = load(pico, "bert")
    model, begin = source.model, begin_id(source)
    bare_begin(model, begin)
    positions, segments = tables(model)
    positions.requires_grad_(positions_train)
    tie = TiedBegin(model)
    ids = torch.tensor([[begin, *range(20, 27)]])
    model(input_ids=ids, labels=ids).loss.backward()
    tie.mask_gradients()
    grads = {"segments": segments.grad.clone(), "positions": None if positions.grad is None else positions.grad.clone()}
    model.zero_grad()
    words = model.bert.embeddings.word_embeddings(ids)
    added = positions[1:8] + segments[0]
    inputs = words + torch.cat([torch.zeros(1, 32), added]) - positions[:8] - segments[0]  # the module adds both again
    model(inputs_embeds=inputs, labels=ids).loss.backward()
    torch.testing.assert_close(grads["segments"][0], segments.grad[0], atol=1e-6, rtol=1e-4)
    assert (grads["positions"] is not None) == positions_train
    if positions_train:
        torch.testing.assert_close(grads["positions"][:8], positions.grad[:8], atol=1e-6, rtol=1e-4)
        assert not grads["positions"][0].any()


def test_families_that_cannot_are_left_as_they_are(pico: Pico):
    for family, why in (("modernbert", "no table of positions"), ("gpt2", "do not begin with"), ("opt", "no table of positions")):
        source = load(pico, family)
        before = {name: p.detach().clone() for name, p in source.model.named_parameters()}
        with pytest.raises(ModelError, match=why):
            bare_begin(source.model, begin_id(source))
        assert all(torch.equal(before[name], p) for name, p in source.model.named_parameters())
    source = load(pico, "roberta")
    source.model.roberta.embeddings.position_embeddings.padding_idx = None  # as if it counted positions in some other way
    before = {name: p.detach().clone() for name, p in source.model.named_parameters()}
    with pytest.raises(ModelError, match="does not add positions"):
        bare_begin(source.model, begin_id(source))
    assert all(torch.equal(before[name], p) for name, p in source.model.named_parameters())
    assert tied_begin(source.model) is None
