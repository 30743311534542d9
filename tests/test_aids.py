"""Row methods with everything they ask for, in the cipher world, where the right row of every word is known."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import World
from safetensors.numpy import load_file
from tokenizers import Tokenizer
from tokenizers.models import BPE
from transformers import AutoTokenizer, PreTrainedTokenizerFast

import lingraft
from lingraft.aids import Given, check_given, used
from lingraft.embeddings import NewRows
from lingraft.embeddings.settings import RowSettings
from lingraft.errors import RecipeError
from lingraft.tokenizer.pieces import before_words, subword_vectors
from lingraft.vectors.static import Vectors

Pico = Callable[[str], Path]
SMALL = ["tokenizer.size=600", "length=32", "batch=4", "steps=0", "evaluation.max_characters=2000"]


def transferred(source: Path, world: World, out: Path, method: str, *changes: str, **aids: str) -> lingraft.Run:
    return lingraft.transfer(
        str(source), to="de", text=str(world.cipher), out=out, recipe="copy", changes=[*SMALL, f"rows.method={method}", *changes], **aids
    )


def share_of_right_rows(run: lingraft.Run, world: World) -> float:
    """Of the words that are one token in both languages (few, in small ones), how many have most of their row from the right one."""
    rows = NewRows.from_arrays(load_file(run.path / "rows.safetensors"))
    source, target = (AutoTokenizer.from_pretrained(str(run.path / "tokenizer" / name)) for name in ("source", "de"))
    right, before = [], before_words(source)
    for word in sorted(set(world.plain.read_text().split()) - {"."}):
        old, new = (
            made(before + text, add_special_tokens=False)["input_ids"] for made, text in ((source, word), (target, World.encipher(word)))
        )
        if len(old) == len(new) == 1:
            weights = rows.mix[[new[0]]].toarray()[0]
            right.append(bool(weights.any()) and int(weights.argmax()) == old[0])
    assert len(right) > 5
    return float(np.mean(right))


@pytest.mark.parametrize("family", ["bert", "roberta", "llama"])
@pytest.mark.parametrize(("method", "given"), [("ramen", "parallel"), ("trans-tokenizer", "parallel"), ("lexicon", "lexicon")])
def test_counts_find_the_right_rows(method: str, given: str, family: str, pico: Pico, world: World, tmp_path: Path):
    run = transferred(pico(family), world, tmp_path / "run", method, "rows.min_count=2", **{given: str(getattr(world, given))})
    assert share_of_right_rows(run, world) > 0.95


def test_mapped_vectors_of_an_unrelated_text_are_refused_and_those_of_a_lexicon_are_better_than_chance(
    pico: Pico, world: World, tmp_path: Path
):
    run = transferred(pico("bert"), world, tmp_path / "run", "wechsel", source_text=str(world.plain), lexicon=str(world.lexicon))
    assert share_of_right_rows(run, world) > 0.2


def test_layers_leave_to_the_next_what_the_first_would_draw(pico: Pico, world: World, tmp_path: Path):
    run = transferred(pico("bert"), world, tmp_path / "run", "ramen+pieces", parallel=str(world.parallel))
    alone = transferred(pico("bert"), world, tmp_path / "alone", "ramen", parallel=str(world.parallel))
    assert run.origin["drawn"] < alone.origin["drawn"] and run.origin["mixed"] + run.origin["copied"] > alone.origin["mixed"]


def test_what_is_missing_is_named_before_anything_is_made(pico: Pico, world: World, tmp_path: Path):
    for method, option in (("ramen", "--parallel"), ("lexicon", "--lexicon"), ("wechsel", "--vectors or --source-text")):
        with pytest.raises(RecipeError, match=f"{method}' needs {option}"):
            transferred(pico("bert"), world, tmp_path / method, method)
        assert not (tmp_path / method).exists()
    with pytest.raises(RecipeError, match="two files"):
        check_given(RowSettings(method="wechsel"), Given(vectors=["one.vec"]))


def test_what_a_method_uses():
    assert used(RowSettings(method="copy")) == set()
    assert used(RowSettings(method="ramen+focus")) == {"parallel"}
    assert used(RowSettings(method="rank", order="id")) == set()
    assert used(RowSettings(method="auto")) >= {"parallel", "lexicon", "vectors", "source_text"}


def test_a_changed_aid_is_another_run(pico: Pico, world: World, tmp_path: Path):
    lexicon = tmp_path / "lexicon.tsv"
    lexicon.write_text(world.lexicon.read_text())
    transferred(pico("bert"), world, tmp_path / "run", "lexicon", lexicon=str(lexicon))
    lexicon.write_text("a\tb\n")
    with pytest.raises(lingraft.LingraftError, match="stage 'rows': lexicon"):
        transferred(pico("bert"), world, tmp_path / "run", "lexicon", lexicon=str(lexicon))


def test_a_helper_gives_vectors_for_the_tokens_it_shares(pico: Pico, world: World, tmp_path: Path):
    with pytest.warns(lingraft.errors.LingraftWarning, match="your own text stand in"):
        transferred(pico("bert"), world, tmp_path / "own", "clp-plus")
    helper = transferred(pico("bert"), world, tmp_path / "helper", "random")
    run = transferred(pico("bert"), world, tmp_path / "run", "omp", helper=str(helper.path / "model"))
    assert run.origin["mixed"] > 0


def test_subword_vectors_are_means_by_frequency(pico: Pico):
    tokenizer = AutoTokenizer.from_pretrained(str(pico("bert")))
    letters = [token for token in tokenizer.get_vocab() if len(token) == 1][:2]
    words = Vectors([f"{letters[0]}", f"{letters[1]}"], np.eye(2, dtype=np.float32))
    found = subword_vectors(tokenizer, words, words.matrix * 3, len(tokenizer))
    assert np.allclose(found[tokenizer.convert_tokens_to_ids(letters)], np.eye(2) * 3)
    assert np.count_nonzero(found.any(axis=1)) == 2


def test_a_piece_that_comes_twice_in_a_word_counts_once():
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(BPE({"a": 0, "b": 1}, [])))
    words = Vectors(["aab", "ab"], np.eye(2, dtype=np.float32), np.array([5, 5]))
    assert np.allclose(subword_vectors(tokenizer, words, words.matrix, 2), 0.5)
