"""A tokenizer that is read for a model: what it takes over from the model's own, and that this comes back from disk."""

from pathlib import Path

import pytest
from tokenizer_sources import FAMILIES, bert, gpt2
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from lingraft.tokenizer import train as tokenizers
from lingraft.tokenizer.prepare import prepare
from lingraft.tokenizer.settings import TokenizerSettings


def read_for(family: str, path: Path, folder: Path, **own: object) -> tuple[PreTrainedTokenizerBase, PreTrainedTokenizerBase]:
    """The family's own tokenizer, and one that was read for it, as it comes back from a folder with the model's configuration."""
    make, config = FAMILIES[family]
    source = make()
    for name, value in own.items():
        setattr(source, name, value)
    made = prepare([], TokenizerSettings(read=str(path)), source)
    config().save_pretrained(folder)
    made.save_pretrained(folder)
    tokenizers.check_family(made, config())
    loaded = AutoTokenizer.from_pretrained(folder)
    assert made("ab", "c") == loaded("ab", "c")
    return source, loaded


@pytest.mark.parametrize("family", ["gpt2", "xlm", "roberta", "distilbert"])
def test_it_gives_the_inputs_that_the_model_takes(family: str, tmp_path: Path):
    bert().save_pretrained(tmp_path / "bert")
    source, made = read_for(family, tmp_path / "bert", tmp_path / "made", padding_side="left", truncation_side="left")
    assert set(made("ab")) == set(source("ab")) == set(source.model_input_names)
    assert (made.padding_side, made.truncation_side, made.model_max_length) == ("left", "left", 77)
    assert made("ab")["input_ids"] == bert()("ab")["input_ids"]


def test_a_bare_file_tells_a_bert_which_text_is_the_second(tmp_path: Path):
    bert().save_pretrained(tmp_path)
    _, made = read_for("bert", tmp_path / "tokenizer.json", tmp_path / "made", model_max_length=50)
    assert made("ab", "c")["token_type_ids"] == [0, 0, 0, 0, 1, 1]
    assert made.model_max_length == 50


def test_the_longest_input_is_the_smaller_one(tmp_path: Path):
    gpt2().save_pretrained(tmp_path)
    assert prepare([], TokenizerSettings(read=str(tmp_path)), bert()).model_max_length == 77
