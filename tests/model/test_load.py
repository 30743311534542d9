"""Sources: what is loaded is ready to predict, and what cannot be trained is refused when it is loaded."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers
from conftest import DECODER
from transformers import AutoModel, AutoModelForMaskedLM

from lingraft.errors import LingraftWarning, ModelError
from lingraft.model.heads import Predictor, detach_next_sentence_head, next_sentence_head
from lingraft.model.load import load_source
from lingraft.model.parts import parameters_of

Pico = Callable[[str], Path]


@pytest.mark.parametrize("random_weights", [False, True])
def test_a_source_is_ready_to_predict(random_weights: bool, pico: Pico):
    model = load_source(str(pico("bert")), seed=0, random_weights=random_weights).model
    assert not model.training
    assert not model.base_model._forward_hooks, "what was tried on it left nothing"


def test_random_weights_are_the_seeds(pico: Pico):
    one, again, other = (
        load_source(str(pico("bert")), seed=seed, random_weights=True).model.get_input_embeddings().weight for seed in (1, 1, 2)
    )
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_a_family_whose_head_does_not_follow_its_body_is_refused(pico: Pico, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Predictor, "forward", lambda self, ids, positions: self.model(input_ids=ids)[0])
    with pytest.raises(ModelError, match="cannot train the family 'bert'"):
        load_source(str(pico("bert")), seed=0)


def test_a_family_without_embeddings_that_transformers_names_is_refused(pico: Pico, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(transformers.BertForMaskedLM, "get_output_embeddings", lambda self: None)
    with pytest.raises(ModelError, match="no input or output embeddings"):
        load_source(str(pico("bert")), seed=0)


def test_a_family_that_is_not_in_the_tests_is_found_through_transformers_own_accessors(pico: Pico, tmp_path: Path):
    tokenizer = transformers.AutoTokenizer.from_pretrained(pico("llama"))
    config = transformers.MistralConfig(vocab_size=len(tokenizer), **DECODER)
    transformers.MistralForCausalLM(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    assert load_source(str(tmp_path), seed=0).kind == "clm"


@pytest.fixture(scope="module")
def pretrained(pico: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT with its head for next-sentence prediction."""
    folder = tmp_path_factory.mktemp("pretrained")
    source = load_source(str(pico("bert")), seed=3, random_weights=True, next_sentence=True)
    source.model.save_pretrained(folder)
    source.tokenizer.save_pretrained(folder)
    return folder


def test_a_source_comes_with_its_own_head_for_next_sentences(pretrained: Path):
    plain, found = (load_source(str(pretrained), seed=0, next_sentence=wanted) for wanted in (False, True))
    assert type(plain.model).__name__ == "BertForMaskedLM"
    assert next_sentence_head(plain.model) is None
    assert type(found.model).__name__ == "BertForPreTraining"
    assert next_sentence_head(found.model) is not None
    assert found.notes(True) == found.added_head == []
    heads = {name for name in parameters_of(found.model, "head") if "seq_relationship" in name}
    assert heads == {"cls.seq_relationship.weight", "cls.seq_relationship.bias"}


def test_what_keeps_the_head_loads_in_stock_classes(pretrained: Path):
    ids = torch.arange(10)[None]
    whole = load_source(str(pretrained), seed=0, next_sentence=True).model
    masked, body = (stock.from_pretrained(pretrained).eval() for stock in (AutoModelForMaskedLM, AutoModel))
    with torch.no_grad():
        expected = whole(ids, output_hidden_states=True)
        torch.testing.assert_close(masked(ids).logits, expected.prediction_logits)
        torch.testing.assert_close(body(ids).last_hidden_state, expected.hidden_states[-1])


@pytest.mark.parametrize("family", ["bert", "roberta", "gpt2"])
def test_a_source_without_the_head_is_taken_as_it_is_and_said_to_be(family: str, pico: Callable[[str], Path]):
    with pytest.warns(LingraftWarning, match="no head for next-sentence prediction"):
        found = load_source(str(pico(family)), seed=0, next_sentence=True)
    plain = load_source(str(pico(family)), seed=0)
    assert type(found.model) is type(plain.model)
    assert found.fingerprint() == plain.fingerprint()
    assert "no head for next-sentence" in found.notes(True)[0]
    assert found.notes(False) == []
    assert "still fits" in found.notes(False, tokens=False)[0]


@pytest.mark.parametrize("family", ["roberta", "distilbert", "electra", "modernbert"])
def test_random_weights_get_a_head_that_can_be_taken_off(family: str, pico: Callable[[str], Path]):
    one, other = (load_source(str(pico(family)), seed=1, random_weights=True, next_sentence=True) for _ in range(2))
    assert one.fingerprint() == other.fingerprint()
    names = {name for name in parameters_of(one.model, "head") if name.startswith("next_sentence.")}
    assert len(names) == 4
    detach_next_sentence_head(one.model)
    assert not any("next_sentence" in name for name in one.model.state_dict())
