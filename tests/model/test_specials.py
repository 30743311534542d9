"""Special tokens of another tokenizer: what they are in the model afterwards, and which cannot be done without."""

import inspect
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers
from conftest import WIDTH, World
from small_runs import go
from transformers import PreTrainedTokenizerFast

from lingraft.embeddings.rows import picked
from lingraft.errors import ModelError, TokenizerError
from lingraft.evaluate.heads import load_with_head
from lingraft.model.load import load_source
from lingraft.model.parts import first_position, longest_input
from lingraft.model.surgery import graft

Pico = Callable[[str], Path]


def test_lists_of_end_tokens_keep_what_is_still_there(pico: Pico):
    for ids, end, wanted in (([7, 1, 9, 3], 3, [3, 1]), ([5, 6, 9, 3], 3, 3)):  # token 1, an end, is kept, or gone
        model = load_source(str(pico("llama")), seed=0).model
        model.config.eos_token_id = model.generation_config.eos_token_id = [2, 1]
        graft(model, picked(torch.tensor(ids).numpy(), model.get_input_embeddings().num_embeddings), {"end": end}, seed=0)
        assert model.config.eos_token_id == model.generation_config.eos_token_id == wanted


def without(tokenizer: Path, role: str, folder: Path) -> Path:
    """A tokenizer whose token of a role is an ordinary one."""
    made = PreTrainedTokenizerFast.from_pretrained(tokenizer)
    setattr(made, role, None)
    made.save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    ("family", "role"), [("bert", "mask_token"), ("roberta", "mask_token"), ("roberta", "pad_token"), ("xlm", "pad_token")]
)
def test_a_tokenizer_without_what_the_source_needs_is_refused(family: str, role: str, pico: Pico, world: World, tmp_path: Path):
    tokenizer = without(pico(family), role, tmp_path / "tokenizer")
    with pytest.raises(TokenizerError, match=f"no {role.partition('_')[0]}"):
        go(pico(family), world, tmp_path / "run", f"tokenizer.read={tokenizer}")


def test_a_family_whose_padding_cannot_move_is_refused(tmp_path: Path):
    model = transformers.MPNetForMaskedLM(transformers.MPNetConfig(vocab_size=40, max_position_embeddings=66, **WIDTH))
    rows = picked(torch.arange(40).numpy(), 40)
    graft(model, rows, {"pad": 1, "begin": 7}, seed=0)
    with pytest.raises(ModelError, match="always has its padding token at 1"):
        graft(model, rows, {"pad": 0, "begin": 7}, seed=0)


@pytest.mark.parametrize("family", ["bert", "llama", "qwen2"])
def test_a_head_for_questions_stands_on_the_sources_body(family: str, pico: Pico):
    source, model = load_source(str(pico(family)), seed=0).model, load_with_head(str(pico(family)), "question", [])
    body = source.base_model.state_dict()
    assert all(torch.equal(body[name], tensor) for name, tensor in model.base_model.state_dict().items())
    assert model.missing and all("qa_outputs" in name for name in model.missing)


@pytest.mark.parametrize(("family", "first", "longest"), [("Bert", 0, 66), ("Roberta", 2, 64), ("Nystromformer", 2, 66), ("OPT", 0, 66)])
def test_places_are_counted_as_the_family_counts_them(family: str, first: int, longest: int):
    config = getattr(transformers, f"{family}Config")(vocab_size=40, max_position_embeddings=66, hidden_size=32, num_attention_heads=2)
    config.num_hidden_layers, config.word_embed_proj_dim = 1, 32
    model = getattr(transformers, f"{family}Model")(config).eval()
    assert (first_position(model), longest_input(model)) == (first, longest)
    ids = torch.full((1, longest), 5)
    with torch.no_grad():
        model(input_ids=ids)
        if "position_ids" in inspect.signature(model.forward).parameters and family != "OPT":
            usual = model(input_ids=ids[:, :4])[0]
            torch.testing.assert_close(model(input_ids=ids[:, :4], position_ids=first + torch.arange(4)[None])[0], usual)
        with pytest.raises((IndexError, RuntimeError)):
            model(input_ids=torch.full((1, longest + 1), 5))
