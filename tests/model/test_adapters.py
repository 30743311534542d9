"""Adapters: near the identity at first, in the right places, in no stock folder, back in place after lingraft.load."""

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file

import lingraft
from lingraft.embeddings import ROWS, Vocabularies
from lingraft.errors import LingraftError, ModelError
from lingraft.evaluate.heads import headed, load_with_head
from lingraft.model.adapters import INSERT, Bottleneck, Coupling, connect, insert, save_adapters, take_adapters
from lingraft.model.heads import Predictor
from lingraft.model.load import AUTO, load_model, load_source
from lingraft.model.parts import body_fingerprint, output_biases, parameters_of, set_trainable, word_matrices
from lingraft.model.surgery import graft

Pico = Callable[[str], Path]
kinds = pytest.mark.parametrize("kind", sorted(INSERT))
families = pytest.mark.parametrize("family", ["bert", "distilbert", "electra", "roberta", "xlm-roberta"])
IDS = torch.arange(20, 52).reshape(2, 16)


def load(pico: Pico, family: str):
    return load_source(str(pico(family)), seed=0)


def moved(model, seed: int = 1):
    """The model with its adapters far from the identity."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in parameters_of(model, "adapters").values():
            parameter.normal_(std=0.3)
    return model


def logits(model) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=IDS).logits


@kinds
@families
def test_they_begin_near_the_identity_and_the_stock_folder_has_none(pico: Pico, family: str, kind: str, tmp_path: Path):
    source = load(pico, family)
    model, plain = source.model, logits(source.model)
    stock = set(model.state_dict())
    insert(model, kind, 8, seed=0)
    torch.testing.assert_close(logits(model), plain, atol=2e-2, rtol=0)
    with_adapters = logits(moved(model))
    assert not torch.allclose(with_adapters, plain, atol=1e-2)
    assert set(model.state_dict()) == stock
    model.save_pretrained(tmp_path)
    save_adapters(model, tmp_path)
    source.tokenizer.save_pretrained(tmp_path)
    again, tokenizer = lingraft.load(tmp_path)
    torch.testing.assert_close(logits(again), with_adapters, atol=1e-5, rtol=1e-4)
    assert tokenizer.get_vocab() == source.tokenizer.get_vocab()
    bare = logits(AUTO["mlm"].from_pretrained(tmp_path).eval())
    torch.testing.assert_close(bare, with_adapters if kind == "lora" else plain, atol=1e-5, rtol=1e-4)


@kinds
@families
def test_chosen_positions_a_copy_and_a_resize_keep_them(pico: Pico, family: str, kind: str):
    model = load(pico, family).model
    insert(model, kind, 8, seed=0)
    full = logits(moved(model)).reshape(32, -1)
    predictor, positions = Predictor(model), torch.tensor([0, 5, 17])
    with torch.no_grad():
        torch.testing.assert_close(predictor(IDS, positions), full[positions], atol=1e-5, rtol=1e-4)
    predictor.remove()
    twin = copy.deepcopy(model)
    moved(model, seed=2)
    torch.testing.assert_close(logits(twin).reshape(32, -1), full)
    size = twin.get_input_embeddings().weight.shape[0]
    overlap = np.concatenate([np.arange(size), np.full(9, -1)])
    same = ROWS["copy"](Vocabularies(size + 9, size, np.zeros((0, 2), dtype=np.int64), np.ones(size, dtype=bool)), overlap=overlap)
    graft(twin, same, {}, seed=0)
    torch.testing.assert_close(logits(twin).reshape(32, -1)[:, :size], full)


@kinds
def test_only_they_train_while_the_body_stays(pico: Pico, kind: str):
    model = load(pico, "bert").model
    before = body_fingerprint(model)
    insert(model, kind, 8, seed=0)
    assert body_fingerprint(model) == before
    own = set(parameters_of(model, "adapters"))
    for part in ("embeddings", "body", "head", "words", "positions", "layers.0-1"):
        assert not own & set(parameters_of(model, part))
    assert own < set(parameters_of(model, "all"))
    set_trainable(model, ["adapters"])
    model.gradient_checkpointing_enable()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = model.train()(input_ids=IDS, labels=IDS).loss
    loss.backward()
    assert {name for name, parameter in model.named_parameters() if parameter.grad is not None} == own


def test_one_body_has_one_fingerprint_under_every_head(pico: Pico, tmp_path: Path):
    folder = str(pico("bert"))
    model = load(pico, "bert").model
    found = body_fingerprint(model)
    tagger = load_with_head(folder, "token", ["A", "B"])
    others = [tagger, load_with_head(folder, "sequence", ["A", "B"]), headed(folder, lambda dim: torch.nn.Linear(dim, 3), [])]
    others.append(transformers.AutoModel.from_pretrained(folder))
    assert {body_fingerprint(other) for other in others} == {found}
    with torch.no_grad():
        next(iter(parameters_of(model, "layers.0-0").values())).view(-1)[0] += 1e-3
    assert body_fingerprint(model) != found


@kinds
def test_task_models_get_them_from_a_graft(pico: Pico, kind: str, tmp_path: Path):
    source = load(pico, "bert")
    insert(source.model, kind, 8, seed=0)
    moved(source.model).save_pretrained(tmp_path / "graft")
    save_adapters(source.model, tmp_path / "graft")
    tagger = load_with_head(str(pico("bert")), "token", ["A", "B"])
    plain = logits(tagger)
    take_adapters(tagger, tmp_path / "graft")
    own = {
        name: p.detach().clone() for name, p in tagger.bert.named_parameters() if f"bert.{name}" in parameters_of(source.model, "adapters")
    }
    assert all(torch.equal(p, parameters_of(source.model, "adapters")[f"bert.{name}"]) for name, p in own.items()) and own
    swapped = logits(tagger)
    assert not torch.allclose(swapped, plain, atol=1e-3)
    tagger.save_pretrained(tmp_path / "task")
    save_adapters(tagger, tmp_path / "task")
    source.tokenizer.save_pretrained(tmp_path / "task")
    model, _ = lingraft.load(tmp_path / "task")
    assert type(model).__name__ == "BertForTokenClassification"
    torch.testing.assert_close(logits(model), swapped, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(logits(load_with_head(str(tmp_path / "task"), "token", ["A", "B"])), swapped, atol=1e-5, rtol=1e-4)
    assert set(load_file(tmp_path / "task" / "adapters.safetensors")) == set(load_file(tmp_path / "graft" / "adapters.safetensors"))


def test_own_heads_travel_with_adapters(pico: Pico, tmp_path: Path):
    model = headed(str(pico("bert")), lambda dim: torch.nn.Linear(dim, 3), [])
    insert(model, "bottleneck", 8, seed=0)
    moved(model).save_pretrained(tmp_path)
    again = headed(str(tmp_path), lambda dim: torch.nn.Linear(dim, 3), [])
    mask = torch.ones_like(IDS)
    torch.testing.assert_close(again.eval()(IDS, mask), model.eval()(IDS, mask))
    with pytest.raises(ModelError, match="lingraft evaluate"):
        lingraft.load(tmp_path)


def test_the_coupling_is_inverted_and_seeds_decide(pico: Pico):
    coupling, states = Coupling(16, torch.Generator().manual_seed(0)), torch.randn(3, 5, 16)
    with torch.no_grad():
        for parameter in coupling.parameters():
            parameter.normal_(std=0.5)
        torch.testing.assert_close(coupling.inverse(coupling(states)), states)
    first, same, other = (Bottleneck(8, 4, torch.Generator().manual_seed(seed)).down.weight for seed in (0, 0, 1))
    assert torch.equal(first, same) and not torch.equal(first, other)
    model = load(pico, "bert").model
    insert(model, "invertible", 8, seed=0)
    connect(model)
    assert len(model.get_output_embeddings()._forward_pre_hooks) == 1


def test_what_does_not_fit_is_refused(pico: Pico, tmp_path: Path):
    model = load(pico, "gpt2").model
    with pytest.raises(ModelError, match="not for the family 'gpt2'"):
        insert(model, "bottleneck", 8, seed=0)
    bert = load(pico, "bert").model
    insert(bert, "bottleneck", 8, seed=0)
    before = {name: p.detach().clone() for name, p in moved(bert).named_parameters()}
    insert(bert, "bottleneck", 8, seed=5)
    assert all(torch.equal(before[name], p) for name, p in bert.named_parameters()), "a graft goes on from its own adapters"
    with pytest.raises(ModelError, match="bottleneck adapters already"):
        insert(bert, "lora", 8, seed=0)
    with pytest.raises(ModelError, match="no adapters"):
        take_adapters(bert, pico("bert"))
    bert.save_pretrained(tmp_path)
    save_adapters(bert, tmp_path)
    with pytest.raises(ModelError, match="another body"):
        take_adapters(load(pico, "distilbert").model, tmp_path)
    (tmp_path / "adapters.safetensors").unlink()
    assert not parameters_of(load_model(str(tmp_path), "mlm", seed=0)[0], "adapters")


def test_the_package_that_lora_needs_is_named(pico: Pico, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, "peft", None)
    with pytest.raises(LingraftError, match=r"lingraft\[lora\]"):
        insert(load(pico, "bert").model, "lora", 8, seed=0)


def test_the_added_part_is_what_was_drawn(pico: Pico, tmp_path: Path):
    source = load(pico, "bert")
    assert not parameters_of(source.model, "added")
    source.model.bert.save_pretrained(tmp_path)
    source.tokenizer.save_pretrained(tmp_path)
    model = load_source(str(tmp_path), seed=0).model
    assert set(parameters_of(model, "added")) == set(parameters_of(model, "head"))
    partial = set_trainable(model, ["words", "added"])
    assert set(partial) == set(word_matrices(model)), "rows of special tokens stay"
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert trained == {*word_matrices(model), *output_biases(model), *parameters_of(model, "head")}
