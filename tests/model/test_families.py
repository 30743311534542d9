"""Every family: parts, predictions at chosen positions, surgery, and the folder that stock transformers loads."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import FAMILIES, PADDED_ROWS

from lingraft.embeddings import ROWS, Vocabularies
from lingraft.errors import ModelError, RecipeError
from lingraft.model.heads import Predictor
from lingraft.model.load import AUTO, load_source
from lingraft.model.parts import FrozenRows, output_biases, parameters_of, set_trainable, word_matrices
from lingraft.model.surgery import graft

Pico = Callable[[str], Path]
families = pytest.mark.parametrize("family", sorted(FAMILIES))


def load(pico: Pico, family: str):
    return load_source(str(pico(family)), seed=0)


@families
def test_predictor_gives_the_models_own_logits(pico: Pico, family: str):
    source = load(pico, family)
    ids, positions = torch.randint(10, 300, (3, 16)), torch.tensor([0, 5, 17, 47])
    with torch.no_grad():
        full = source.model(input_ids=ids).logits.reshape(48, -1)
        predictor = Predictor(source.model)
        chosen = predictor(ids, positions)
        predictor.remove()
        again = source.model(input_ids=ids).logits.reshape(48, -1)
    torch.testing.assert_close(chosen, full[positions], atol=1e-5, rtol=1e-5)
    assert torch.equal(full, again), "the hook is gone"


@families
def test_parts_cover_the_model(pico: Pico, family: str):
    model = load(pico, family).model
    everything = set(dict(model.named_parameters()))
    parts = {
        part: set(parameters_of(model, part)) for part in ("all", "embeddings", "body", "head", "words", "layers.0-1", "layers.upper-half")
    }
    assert parts["all"] == everything
    assert parts["embeddings"] | parts["body"] | parts["head"] == everything
    assert not parts["embeddings"] & parts["body"]
    assert parts["words"] <= parts["embeddings"] | parts["head"]
    assert parts["layers.upper-half"] < parts["layers.0-1"] <= parts["body"]
    set_trainable(model, ["embeddings", "head"])
    assert {name for name, parameter in model.named_parameters() if not parameter.requires_grad} == parts["body"] - parts["head"]


@families
@pytest.mark.parametrize("num_new", [150, 700])
def test_graft_moves_rows_biases_and_ids_and_survives_a_reload(pico: Pico, family: str, num_new: int, tmp_path: Path):
    source = load(pico, family)
    model = source.model
    num_old = model.get_input_embeddings().weight.shape[0]
    assert num_old == len(source.tokenizer) + PADDED_ROWS
    overlap = np.full(num_new, -1)
    overlap[20:120] = np.arange(200, 300)
    old_special = source.tokenizer.eos_token_id if source.tokenizer.sep_token_id is None else source.tokenizer.sep_token_id
    vocabularies = Vocabularies(num_new, num_old, np.array([[7, old_special]]), np.arange(num_old) < len(source.tokenizer))
    rows = ROWS["copy"](vocabularies, overlap=overlap)
    before = {name: p.detach().clone() for name, p in [*word_matrices(model).items(), *output_biases(model).items()]}
    body = {name: p.detach().clone() for name, p in parameters_of(model, "body").items()}
    graft(model, rows, {"pad": 9, "begin": 6, "end": 7}, seed=3)
    for name, parameter in [*word_matrices(model).items(), *output_biases(model).items()]:
        assert parameter.shape[0] == num_new
        assert torch.equal(parameter[20:120], before[name][200:300])
        assert torch.equal(parameter[7], before[name][old_special])
    assert all(torch.equal(p, body[name]) for name, p in parameters_of(model, "body").items())
    assert model.config.vocab_size == num_new
    if model.config.pad_token_id is not None:
        assert model.config.pad_token_id == 9
    ids = torch.randint(10, num_new, (2, 16))
    with torch.no_grad():
        logits = model(input_ids=ids).logits
        model.save_pretrained(tmp_path)
        reloaded = AUTO[source.kind].from_pretrained(tmp_path).eval()(input_ids=ids).logits
    assert torch.equal(logits, reloaded)


def test_roberta_positions_follow_the_padding_id(pico: Pico):
    source = load(pico, "roberta")
    model, size = source.model, source.model.get_input_embeddings().weight.shape[0]
    ids = torch.arange(20, 36).unsqueeze(0)
    with torch.no_grad():
        before = model(input_ids=ids).logits
        same = ROWS["keep"](Vocabularies(size, size, np.zeros((0, 2), dtype=np.int64), np.ones(size, dtype=bool)))
        graft(model, same, {"pad": 15}, seed=0)
        after = model(input_ids=ids).logits
    assert model.config.pad_token_id == 15
    torch.testing.assert_close(before, after)


def test_frozen_rows_stay_through_weight_decay(pico: Pico):
    model = load(pico, "bert").model
    for part, moving in (("words", False), ("specials", True), ("new", True)):
        partial = set_trainable(model, [part])
        rows = FrozenRows(model, partial, {"specials": np.arange(3), "new": np.arange(3)})
        weight = model.get_input_embeddings().weight
        before = weight.detach().clone()
        optimizer = torch.optim.AdamW([weight], lr=0.1, weight_decay=0.5)
        model(input_ids=torch.randint(0, 50, (2, 8)), labels=torch.randint(0, 50, (2, 8))).loss.backward()
        rows.mask_gradients()
        optimizer.step()
        rows.restore()
        changed = (weight != before).any(dim=1)
        assert changed[:3].all() == moving and changed[3:].all() == (not moving)
        model.zero_grad()


def test_unknown_parts_and_layers_are_named(pico: Pico):
    model = load(pico, "bert").model
    with pytest.raises(RecipeError, match="body"):
        set_trainable(model, ["boddy"])
    with pytest.raises(RecipeError, match="0 to 1"):
        set_trainable(model, ["layers.1-5"])
    with pytest.raises(RecipeError, match="no 'positions'"):
        set_trainable(load(pico, "llama").model, ["positions"])


def test_what_cannot_be_grafted_is_refused(pico: Pico, tmp_path: Path):
    with pytest.raises(ModelError, match="no model folder"):
        load_source("./nowhere", seed=0)
    (tmp_path / "config.json").write_text('{"model_type": "t5"}')
    with pytest.raises(ModelError, match="neither a masked nor a causal"):
        load_source(str(tmp_path), seed=0)
    (tmp_path / "config.json").write_text('{"model_type": "bert", "architectures": ["BertForMaskedLM"]}')
    with pytest.raises(ModelError, match="tokenizer"):
        load_source(str(tmp_path), seed=0)


def test_a_missing_head_is_added_and_named(pico: Pico, tmp_path: Path):
    source = load(pico, "bert")
    source.model.bert.save_pretrained(tmp_path)
    source.tokenizer.save_pretrained(tmp_path)
    headless = load_source(str(tmp_path), seed=0)
    assert headless.added_head and headless.facts()["added_head"]
    again = load_source(str(tmp_path), seed=0)
    assert all(torch.equal(p, q) for p, q in zip(headless.model.parameters(), again.model.parameters(), strict=True)), "the seed decides"


def test_rows_narrower_than_the_body_have_their_way_into_it_in_the_body_and_out_of_it_in_the_head(pico: Pico):
    model = load(pico, "electra").model
    (words,) = word_matrices(model).values()
    assert words.shape[1] == 16 < model.config.hidden_size
    body, head = parameters_of(model, "body"), parameters_of(model, "head")
    assert body["electra.embeddings_project.weight"].shape == (32, 16)
    assert head["generator_predictions.dense.weight"].shape == (16, 32)
    set_trainable(model, ["body", "head", "positions"])
    assert not words.requires_grad
    assert all(parameter.requires_grad for parameter in [*body.values(), *head.values()])
