"""Tokenizers trained further: old ids and the cutting of old text stay, new text falls into fewer tokens, stock transformers reads it."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizer_sources import FAMILIES, SOURCES, bert, gpt2, llama
from tokenizers import Tokenizer, models
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from lingraft.errors import LingraftWarning, RecipeError, TokenizerError
from lingraft.text import bundled
from lingraft.tokenizer import vocabulary
from lingraft.tokenizer.extend import extend, further_merges
from lingraft.tokenizer.prepare import prepare
from lingraft.tokenizer.settings import TokenizerSettings
from lingraft.tokenizer.train import check_family, train

ADDED = 400


def text(language: str) -> list[str]:
    found = (line for document in bundled.documents(language) for line in document.lines)
    return [line for line, _ in zip(found, range(1200), strict=False)]


@pytest.fixture(scope="module")
def german() -> list[str]:
    return text("de")


@pytest.fixture(scope="module")
def english() -> list[str]:
    return text("en")


@pytest.fixture(scope="module")
def pairs(german: list[str], english: list[str]) -> dict[str, tuple[PreTrainedTokenizerBase, PreTrainedTokenizerBase]]:
    """Each family's tokenizer, trained on English where it is more than letters, and the same one extended by German."""
    made = {}
    for source in SOURCES:
        before = source()
        if before._tokenizer.to_str().count('byte_fallback":true') == 0:
            before = train(english, TokenizerSettings(size=700), before)
        made[source.__name__] = (before, extend(german, ADDED, before))
    return made


def count(tokenizer: PreTrainedTokenizerBase, lines: list[str]) -> int:
    return sum(map(len, tokenizer(lines, add_special_tokens=False)["input_ids"]))


def essence(tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    definition: dict[str, Any] = json.loads(tokenizer._tokenizer.to_str())
    for key in ("vocab", "merges", "max_input_chars_per_word"):
        definition["model"].pop(key, None)
    return definition


@pytest.mark.parametrize("name", [source.__name__ for source in SOURCES])
def test_ids_specials_and_template_stay_and_the_new_text_has_fewer_tokens(name, pairs, german, english):
    before, after = pairs[name]
    assert vocabulary.num_kept(before, after) == len(vocabulary.tokens(before)) == len(vocabulary.tokens(after)) - ADDED
    assert essence(after) == essence(before), "but for the vocabulary nothing has changed"
    assert vocabulary.roles(after) == vocabulary.roles(before)
    specials = [[[row for row in vocabulary.frame(made, n) if row[0] is None] for n in (1, 2)] for made in (before, after)]
    assert specials[0] == specials[1]
    assert (after.padding_side, after.model_max_length, after.model_input_names) == (
        before.padding_side, before.model_max_length, before.model_input_names,
    )  # fmt: skip
    assert count(after, german) < 0.68 * count(before, german)
    assert count(after, english) <= count(before, english)
    if name not in ("llama", "gemma"):  # these were only letters
        assert count(after, english) > 0.9 * count(before, english)
    new = Counter(i for ids in after(german, add_special_tokens=False)["input_ids"] for i in ids)
    used = [new[i] > 0 for i in range(len(after) - ADDED, len(after))]
    assert np.mean(used) > 0.8, "a few serve longer tokens only"


@pytest.mark.parametrize("name", [source.__name__ for source in SOURCES])
def test_old_text_is_cut_as_before_but_for_neighbours_that_are_joined(name, pairs, english):
    before, after = pairs[name]

    def ends(tokenizer: PreTrainedTokenizerBase) -> list[set[int]]:
        encoded = tokenizer(english[:200], add_special_tokens=False, return_offsets_mapping=True)
        return [{end for _, end in offsets} for offsets in encoded["offset_mapping"]]

    old, new = ends(before), ends(after)
    assert sum(len(now - then) for now, then in zip(new, old, strict=True)) < 0.025 * sum(map(len, old))


@pytest.mark.parametrize("family", FAMILIES)
def test_stock_transformers_reads_it_beside_a_model_of_the_family(family, pairs, german, tmp_path: Path):
    source, config = FAMILIES[family]
    after = pairs[source.__name__][1]
    check_family(after, config())
    config().save_pretrained(tmp_path)
    after.save_pretrained(tmp_path)
    assert AutoTokenizer.from_pretrained(tmp_path)(german)["input_ids"] == after(german)["input_ids"]


@pytest.mark.parametrize("name", [source.__name__ for source in SOURCES])
def test_text_comes_back_and_twice_is_the_same(name, pairs, german):
    before, after = pairs[name]
    again = extend(german, ADDED, before)
    assert again._tokenizer.to_str() == after._tokenizer.to_str()
    line = "Öffnen Sie die Datei mit der rechten Maustaste"
    expected = line.lower().replace("ö", "o") if name == "bert" and vocabulary.lowers_case(before) else line
    assert after.decode(after(line, add_special_tokens=False)["input_ids"]).strip() == expected


def test_bpe_goes_on_where_it_stopped(german):
    """A vocabulary of 600 trained on a text is one of 400 trained on it and extended by 200."""
    whole = train(german, TokenizerSettings(size=600), gpt2())
    extended = extend(german, 200, train(german, TokenizerSettings(size=400), gpt2()))
    shared = set(vocabulary.tokens(whole)) & set(vocabulary.tokens(extended))
    assert len(shared) > 595
    assert count(extended, german) == pytest.approx(count(whole, german), rel=0.002)


def test_a_case_folding_source_goes_on_folding(pairs, german):
    tokenizer = extend(german, 200, bert())
    new = vocabulary.tokens(tokenizer)[len(vocabulary.tokens(bert())) :]
    assert all(token == token.lower() for token in new)
    assert tokenizer("DATEI")["input_ids"] == tokenizer("datei")["input_ids"]


def test_another_script_is_no_longer_unknown():
    words = ["слово за слово", "слово дня"] * 5
    for source in (bert(), llama()):
        before = count(source, words)
        tokenizer = extend(words, 60, source)
        assert "слово" in [t.strip("▁") for t in vocabulary.tokens(tokenizer)]
        ids = [i for row in tokenizer(words, add_special_tokens=False)["input_ids"] for i in row]
        assert tokenizer.unk_token_id not in ids
        assert len(ids) <= 30 < before + 100


def test_merges_by_hand():
    runs = [(["a", "b", "c"], 5), (["b", "c"], 4), (["a", "b"], 3), (["x", "y"], 1)]
    assert list(further_merges(runs, str.__add__, "abcxy", (), 10)) == [("b", "c"), ("a", "bc"), ("a", "b")]
    assert list(further_merges(runs, str.__add__, "abcxy", (), 1)) == [("b", "c")]
    assert list(further_merges(runs, str.__add__, [*"abcxy", "bc"], (), 1)) == [("b", "c"), ("a", "bc")], "what is known costs no id"
    assert list(further_merges(runs, str.__add__, "abcxy", ("bc",), 10)) == [("a", "b"), ("ab", "c")]
    assert list(further_merges([(["a", "a", "a"], 2)], str.__add__, "a", (), 9)) == [("a", "a"), ("aa", "a")]


def test_added_tokens_behind_the_vocabulary_keep_their_ids_and_text_never_becomes_one(german):
    before = train(german, TokenizerSettings(size=400), gpt2())
    before.add_tokens(["<tool>"])
    before.add_special_tokens({"pad_token": "<p>"})
    after = extend(["<p> <p> <p>"] * 50 + german, 100, before)
    assert vocabulary.num_kept(before, after) == 402
    assert after("x<tool><p>y")["input_ids"] == before("x<tool><p>y")["input_ids"]
    assert len(after("<p>", split_special_tokens=True)["input_ids"]) > 1
    assert (after.pad_token_id, len(after)) == (before.pad_token_id, 502)


def test_short_text_is_a_warning_and_none_an_error():
    with pytest.warns(LingraftWarning, match="fewer than the 500 asked for"):
        extend(["ein wort", "noch ein wort"], 500, gpt2())
    with pytest.raises(TokenizerError, match="no text"):
        extend([], 500, gpt2())


def test_what_cannot_be_extended_says_so(german, tmp_path: Path):
    words = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"a": 0, "?": 1}, unk_token="?")), unk_token="?")
    with pytest.raises(TokenizerError, match="cannot be trained further"):
        extend(german, 20, words)
    with pytest.raises(RecipeError, match="An extended tokenizer"):
        TokenizerSettings(vocabulary="extend", algorithm="bpe")


def test_one_that_is_read_must_extend_the_source(pairs, tmp_path: Path):
    before, after = pairs["gpt2"]
    after.save_pretrained(tmp_path)
    settings = TokenizerSettings(vocabulary="extend", read=str(tmp_path))
    assert len(prepare([], settings, before)) == len(after)
    with pytest.raises(TokenizerError, match="does not extend"):
        prepare([], settings, after)


def test_what_is_new(pairs):
    before, after = pairs["bert"]
    size = len(vocabulary.tokens(before))
    assert vocabulary.new_ids(before, after).tolist() == list(range(size, size + ADDED))
    other = train(["wort wort foo foo bar"], TokenizerSettings(size=60), before)
    spelled = vocabulary.spelling(other)
    assert set(vocabulary.new_ids(before, other)).isdisjoint(vocabulary.special_ids(other))
    assert all(spelled[i] not in vocabulary.spelling(before) for i in vocabulary.new_ids(before, other))
