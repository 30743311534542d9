"""Held-out measures against numbers made by hand."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import BERT, WIDTH, World, train_tokenizer
from transformers import BertConfig, BertForMaskedLM, GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from lingraft.errors import TextError
from lingraft.evaluate import language_model
from lingraft.evaluate.language_model import HeldOut, Reader, measure, predict, prepare
from lingraft.evaluate.settings import EvaluationSettings
from lingraft.text.corpus import Document
from lingraft.text.words import word_spans

SETTINGS = EvaluationSettings(max_characters=3000)
LENGTH = 16
Make = Callable[[str], PreTrainedTokenizerFast]


@pytest.fixture(scope="module")
def make(world: World) -> Make:
    """Tokenizers of two algorithms with BERT's specials."""
    made = {
        name: train_tokenizer(name, world.plain, BERT, "[CLS] $A [SEP]", size=size) for name, size in (("wordpiece", 200), ("bpe", 400))
    }
    return made.__getitem__


@pytest.fixture(scope="module")
def documents(world: World) -> list[Document]:
    return [Document(page.split("\n"), number) for number, page in enumerate(world.plain.read_text().strip().split("\n\n"))]


def reader(tokenizer: PreTrainedTokenizerFast, length: int = LENGTH) -> Reader:
    return Reader(length, (tokenizer.cls_token_id,), (tokenizer.sep_token_id,), tokenizer.mask_token_id)


def masked_model(size: int, uniform: bool = False) -> Any:
    torch.manual_seed(0)
    model = BertForMaskedLM(BertConfig(vocab_size=size, **WIDTH)).eval()
    if uniform:
        torch.nn.init.zeros_(model.get_output_embeddings().weight)
        torch.nn.init.zeros_(model.get_output_embeddings().bias)
    return model


def causal_model(size: int) -> Any:
    torch.manual_seed(0)
    return GPT2LMHeadModel(GPT2Config(vocab_size=size, n_embd=32, n_layer=2, n_head=2, n_positions=64)).eval()


def scores(model: Any, held_out: HeldOut, how: Reader) -> dict[str, float]:
    return {score.name: score.value for score in measure(model, held_out, how, 0)}


@pytest.mark.parametrize("algorithm", ["wordpiece", "bpe"])
def test_a_model_that_knows_nothing_needs_the_bits_of_a_uniform_choice(algorithm: str, make: Make, documents: list[Document]):
    tokenizer = make(algorithm)
    held_out = prepare(documents, tokenizer, SETTINGS, tokenizer.sep_token_id)
    found = scores(masked_model(len(tokenizer), uniform=True), held_out, reader(tokenizer))
    words = np.unique(held_out.word[held_out.word_mask])
    bits = math.log2(len(tokenizer)) * held_out.word_mask.sum()
    assert found["bits_per_byte"] == pytest.approx(bits / held_out.word_bytes[words].sum(), rel=1e-5)
    assert found["bits_per_word"] == pytest.approx(bits / len(words), rel=1e-5)
    assert found["loss"] == pytest.approx(math.log(len(tokenizer)), rel=1e-5)
    assert found["mrr"] == 1.0, "no other token is better than the right one"


def test_two_tokenizers_are_asked_the_same_words(make: Make, documents: list[Document]):
    one, other = (prepare(documents, make(name), SETTINGS, make(name).sep_token_id) for name in ("wordpiece", "bpe"))
    assert np.array_equal(one.word_bytes, other.word_bytes)
    assert np.array_equal(np.unique(one.word[one.word_mask]), np.unique(other.word[other.word_mask]))
    assert len(one.ids) != len(other.ids)


def test_words_are_those_of_the_one_definition_and_are_masked_whole(make: Make, documents: list[Document]):
    tokenizer = make("bpe")
    held_out = prepare(documents, tokenizer, SETTINGS, tokenizer.sep_token_id)
    lines = [line for document in documents for line in document.lines]
    expected = [line[start:end] for line in lines for start, end in word_spans(line)][: len(held_out.word_bytes)]
    assert held_out.word_bytes.tolist() == [len(word.encode()) for word in expected]
    for number in (0, 5, len(expected) - 1):
        assert tokenizer.decode(held_out.ids[held_out.word == number]).strip() == expected[number]
    for number in np.unique(held_out.word[held_out.word_mask]):
        assert held_out.word_mask[held_out.word == number].all()
    ends = held_out.word == -1
    assert set(held_out.ids[ends]) == {tokenizer.sep_token_id}
    assert not (held_out.token_mask | held_out.word_mask)[ends].any()
    assert 0.1 < held_out.token_mask.mean() < 0.2


def test_masks_are_the_seeds_and_survive_a_file(make: Make, documents: list[Document], tmp_path: Path):
    tokenizer = make("wordpiece")
    one, again = (prepare(documents, tokenizer, SETTINGS, None) for _ in range(2))
    other = prepare(documents, tokenizer, SETTINGS.model_copy(update={"seed": 1}), None)
    assert np.array_equal(one.token_mask, again.token_mask)
    assert np.array_equal(one.word_mask, again.word_mask)
    assert not np.array_equal(one.token_mask, other.token_mask)
    assert not np.array_equal(one.word_mask, other.word_mask)
    one.save(tmp_path / "held-out.safetensors")
    read = HeldOut.load(tmp_path / "held-out.safetensors")
    assert all(np.array_equal(getattr(one, name), getattr(read, name)) for name in HeldOut.__slots__)


def test_no_more_text_is_read_than_asked(make: Make, documents: list[Document]):
    def endless():
        while True:
            yield from documents

    held_out = prepare(endless(), make("wordpiece"), EvaluationSettings(max_characters=500), None)
    assert held_out.word_bytes.sum() <= 500
    assert prepare([Document(["x" * 900], 0)], make("wordpiece"), EvaluationSettings(max_characters=500), None).word_bytes.tolist() == [900]


@pytest.mark.parametrize("num_lines", [1, 2, 3])
def test_of_the_shortest_text_something_is_masked(num_lines: int, make: Make):
    tokenizer = make("wordpiece")
    for seed in range(5):
        held_out = prepare([Document(["a"] * num_lines, 0)], tokenizer, EvaluationSettings(seed=seed), tokenizer.sep_token_id)
        assert np.isfinite(list(scores(masked_model(len(tokenizer)), held_out, reader(tokenizer)).values())).all()


def test_without_text_there_is_an_error(make: Make):
    with pytest.raises(TextError, match="no held-out text"):
        prepare([], make("wordpiece"), SETTINGS, None)


def test_the_tail_is_counted(make: Make, documents: list[Document]):
    tokenizer = make("wordpiece")
    held_out = prepare(documents, tokenizer, SETTINGS, tokenizer.sep_token_id)
    assert len(held_out.ids) % (LENGTH - 2)
    everything = np.ones(len(held_out.ids), dtype=bool)
    for mask in (everything, held_out.token_mask):
        _, _, places = predict(masked_model(len(tokenizer)), held_out, reader(tokenizer), held_out.shown, mask)
        assert np.array_equal(np.sort(places), np.flatnonzero(mask))


def test_chosen_tokens_are_shown_as_in_training(make: Make, documents: list[Document]):
    tokenizer = make("wordpiece")
    held_out = prepare(documents, tokenizer, EvaluationSettings(max_characters=40_000), None)
    chosen, shown, ids = held_out.token_mask, held_out.shown, held_out.ids
    assert np.array_equal(shown[~chosen], ids[~chosen])
    shares = [(shown[chosen] == tokenizer.mask_token_id).mean(), (shown[chosen] == ids[chosen]).mean()]
    assert shares == pytest.approx([0.8, 0.1], abs=0.05)
    assert not np.isin(shown[chosen], [i for i in tokenizer.all_special_ids if i != tokenizer.mask_token_id]).any()


def test_losses_and_ranks_are_the_models_own(make: Make, documents: list[Document]):
    tokenizer = make("wordpiece")
    held_out = prepare(documents, tokenizer, SETTINGS, None)
    model = masked_model(len(tokenizer))
    nats, ranks, places = predict(model, held_out, reader(tokenizer), held_out.shown, held_out.token_mask)
    inner = LENGTH - 2
    for block in (0, 3):
        text, mask, seen = (array[block * inner : (block + 1) * inner] for array in (held_out.ids, held_out.token_mask, held_out.shown))
        shown = [tokenizer.cls_token_id, *seen, tokenizer.sep_token_id]
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([shown])).logits[0, 1:-1]
        here = (places >= block * inner) & (places < (block + 1) * inner)
        expected = torch.nn.functional.cross_entropy(logits, torch.from_numpy(text), reduction="none")[torch.from_numpy(mask)]
        np.testing.assert_allclose(nats[here], expected, rtol=1e-4)
        right = logits.gather(1, torch.from_numpy(text)[:, None])
        assert ranks[here].tolist() == (1 + (logits > right).sum(dim=1))[torch.from_numpy(mask)].tolist()


def test_causal_models_predict_all_but_what_has_nothing_before_it(make: Make, documents: list[Document]):
    tokenizer = make("bpe")
    held_out = prepare(documents, tokenizer, SETTINGS, tokenizer.sep_token_id)
    model, total = causal_model(len(tokenizer)), len(held_out.ids)
    bare, begun = Reader(LENGTH, (), (), None), Reader(LENGTH, (tokenizer.cls_token_id,), (), None)
    nats, _, places = predict(model, held_out, bare, held_out.ids, None)
    assert np.array_equal(np.setdiff1d(np.arange(total), places), np.arange(0, total, LENGTH))
    assert np.array_equal(np.sort(predict(model, held_out, begun, held_out.ids, None)[2]), np.arange(total))
    with torch.no_grad():
        first = model(input_ids=torch.from_numpy(held_out.ids[:LENGTH])[None], labels=torch.from_numpy(held_out.ids[:LENGTH])[None]).loss
    assert nats[places < LENGTH].mean() == pytest.approx(first.item(), rel=1e-5)


def test_causal_bits_are_of_words_predicted_whole(make: Make, documents: list[Document]):
    tokenizer = make("bpe")
    held_out = prepare(documents, tokenizer, SETTINGS, tokenizer.sep_token_id)
    model, how = causal_model(len(tokenizer)), Reader(LENGTH, (), (), None)
    torch.nn.init.zeros_(model.get_output_embeddings().weight)
    (size,) = {score.n for score in measure(model, held_out, how, 0) if score.name == "bits_per_byte"}
    cut = np.unique(held_out.word[::LENGTH])
    words = np.setdiff1d(np.arange(len(held_out.word_bytes)), cut)
    tokens = np.isin(held_out.word, words).sum()
    assert size == held_out.word_bytes[words].sum()
    assert scores(model, held_out, how)["bits_per_byte"] == pytest.approx(math.log2(len(tokenizer)) * tokens / size, rel=1e-5)


@pytest.mark.parametrize("kind", ["mlm", "clm"])
def test_batching_changes_nothing(kind: str, make: Make, documents: list[Document], monkeypatch: pytest.MonkeyPatch):
    tokenizer = make("wordpiece")
    held_out = prepare(documents, tokenizer, SETTINGS, tokenizer.sep_token_id)
    model = masked_model(len(tokenizer)) if kind == "mlm" else causal_model(len(tokenizer))
    how = reader(tokenizer) if kind == "mlm" else replace(reader(tokenizer), mask=None)
    found = []
    for number in (1, 7, 1000):
        monkeypatch.setattr(language_model, "WINDOWS_AT_ONCE", number)
        found.append(scores(model, held_out, how))
    assert found[0] == pytest.approx(found[1], rel=1e-5)
    assert found[0] == pytest.approx(found[2], rel=1e-5)


def test_the_first_tokens_are_a_sample(make: Make, documents: list[Document]):
    tokenizer = make("wordpiece")
    held_out = prepare(documents, tokenizer, SETTINGS, None)
    head, how, model = held_out.head(5 * (LENGTH - 2)), reader(tokenizer), masked_model(len(tokenizer))
    nats, _, places = predict(model, held_out, how, held_out.shown, held_out.token_mask)
    assert language_model.held_out_loss(model, head, how) == pytest.approx(nats[places < 5 * (LENGTH - 2)].mean(), rel=1e-5)
