"""Sentence scores against sums made by hand, and the measures of a text."""

import math

import numpy as np
import pytest
import torch

from lingraft.errors import TextError, TokenizerError
from lingraft.evaluate import likelihood
from lingraft.evaluate.likelihood import language_model_scores, likelihoods, sentence_scores
from lingraft.evaluate.settings import EvaluationSettings
from lingraft.model.load import load_source
from lingraft.text.corpus import Corpus, TextSettings


def by_hand_masked(source, ids, words, style):
    """The pseudo-log-likelihood of ids, one mask pattern after the other."""
    tokenizer, total = source.tokenizer, 0.0
    before, after = likelihood.blocks(tokenizer)
    for place, right in enumerate(ids):
        hidden = [
            tokenizer.mask_token_id if i == place or (style == "within-word" and i > place and words[i] == words[place]) else token
            for i, token in enumerate(ids)
        ]
        with torch.no_grad():
            logits = source.model(torch.tensor([before + hidden + after])).logits[0, len(before) + place]
        total += float(logits.log_softmax(-1)[right])
    return total


@pytest.mark.parametrize("style", ["original", "within-word"])
@pytest.mark.parametrize("family", ["bert", "roberta", "xlm-roberta", "distilbert", "modernbert"])
def test_pseudo_log_likelihood_is_the_sum_over_masks(pico, world, family, style):
    source = load_source(str(pico(family)), seed=0)
    lines = [*world.plain.read_text().splitlines()[:3], "zzzqqq jjjxxx ."]
    found = sentence_scores(source.model, source.tokenizer, lines, "mlm", style)
    for line, score in zip(lines, found, strict=True):
        encoded = source.tokenizer(line, add_special_tokens=False, return_offsets_mapping=True)
        words = [line[:end].strip().count(" ") for _, end in encoded["offset_mapping"]]
        assert score == pytest.approx(by_hand_masked(source, encoded["input_ids"], words, style), rel=1e-4)


def test_styles_differ_only_where_words_have_several_pieces(pico, world):
    source = load_source(str(pico("bert")), seed=0)
    whole = next(w for w in world.plain.read_text().split() if len(source.tokenizer.tokenize(w)) == 1 and len(w) > 1)
    many = "zqzqzqzq"
    assert len(source.tokenizer.tokenize(many)) > 1
    scores = [sentence_scores(source.model, source.tokenizer, [whole, many], "mlm", style) for style in ("original", "within-word")]
    assert scores[0][0] == scores[1][0]
    assert scores[0][1] != scores[1][1]


@pytest.mark.parametrize("family", ["gpt2", "llama", "qwen2", "opt"])
def test_causal_scores_are_sums_of_log_probabilities(pico, world, family):
    source = load_source(str(pico(family)), seed=0)
    lines = ["", *world.plain.read_text().splitlines()[:3]]
    found = sentence_scores(source.model, source.tokenizer, lines, "clm")
    begin = source.tokenizer.bos_token_id
    assert found[0] == 0
    for line, score in zip(lines[1:], found[1:], strict=True):
        ids = ([] if begin is None else [begin]) + source.tokenizer(line, add_special_tokens=False)["input_ids"]
        with torch.no_grad():
            logits = source.model(torch.tensor([ids])).logits[0].log_softmax(-1)
        assert score == pytest.approx(sum(float(logits[i, token]) for i, token in enumerate(ids[1:])), rel=1e-4)


def test_order_and_company_do_not_matter_and_long_sentences_are_cut(pico, world):
    source = load_source(str(pico("bert")), seed=0)
    lines = [*world.plain.read_text().splitlines()[:4], " ".join(world.plain.read_text().split()[:80])]
    together = sentence_scores(source.model, source.tokenizer, lines, "mlm")
    alone = [sentence_scores(source.model, source.tokenizer, [line], "mlm")[0] for line in lines]
    np.testing.assert_allclose(together, alone, rtol=1e-5)
    assert np.isfinite(together).all()
    assert together[-1] < together[:-1].min()


def test_no_mask_token_is_an_error(pico):
    source = load_source(str(pico("gpt2")), seed=0)
    with pytest.raises(TokenizerError, match="mask token"):
        sentence_scores(source.model, source.tokenizer, ["a"], "mlm")
    assert len(sentence_scores(source.model, source.tokenizer, [], "clm")) == 0


def test_measures_of_a_text_agree_with_each_other(pico, world, tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("\n".join(world.plain.read_text().splitlines()[:12]))
    settings = EvaluationSettings()
    masked = load_source(str(pico("bert")), seed=0)
    scores = language_model_scores(masked.model, masked.tokenizer, Corpus("und", (str(path),), TextSettings()), settings, length=32)
    assert scores["bits_per_token"] == pytest.approx(scores["loss"] / math.log(2))
    assert scores["perplexity"] == pytest.approx(math.exp(scores["loss"]))
    lines = [line for line in path.read_text().splitlines() if line]
    nats = sentence_scores(masked.model, masked.tokenizer, lines, "mlm", "original")
    assert scores["pseudo_log_likelihood_original"] == pytest.approx(nats.mean())
    assert scores["pseudo_bits_per_byte_original"] == pytest.approx(-nats.sum() / math.log(2) / len("".join(lines).encode()))
    assert {"mrr", "bits_per_byte", "bits_per_word", "pseudo_log_likelihood", "pseudo_bits_per_byte", "pseudo_perplexity"} <= set(scores)
    causal = load_source(str(pico("gpt2")), seed=0)
    found = language_model_scores(causal.model, causal.tokenizer, Corpus("und", (str(path),), TextSettings()), settings, length=32)
    assert found["log_likelihood"] < 0
    assert not any(name.startswith("pseudo") for name in found)


def test_uniform_model_has_the_vocabulary_as_pseudo_perplexity(pico):
    source = load_source(str(pico("bert")), seed=0)
    with torch.no_grad():
        source.model.get_output_embeddings().weight.zero_()
        source.model.get_output_embeddings().bias.zero_()
    found = likelihoods(source.model, source.tokenizer, ["some words .", "more"], "mlm")
    assert found["pseudo_perplexity"] == pytest.approx(source.model.config.vocab_size, rel=1e-4)


def test_empty_text_is_an_error(pico, tmp_path):
    path = tmp_path / "empty.txt"
    path.write_text("\n\n")
    source = load_source(str(pico("bert")), seed=0)
    with pytest.raises(TextError):
        language_model_scores(source.model, source.tokenizer, Corpus("und", (str(path),), TextSettings()), EvaluationSettings())
