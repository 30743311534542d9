"""Sources: what is loaded is ready to predict, and what cannot be trained is refused when it is loaded."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers
from conftest import DECODER

from lingraft.errors import ModelError
from lingraft.model.heads import Predictor
from lingraft.model.load import load_source

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
