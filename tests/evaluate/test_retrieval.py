"""Retrieval where the answers are known, and bootstrap intervals."""

import gzip

import numpy as np
import pytest
import torch

from lingraft.errors import ModelError, TextError
from lingraft.evaluate.bootstrap import combined_interval, interval, summary
from lingraft.evaluate.retrieval import accuracies, baseline, hits, read_pairs, retrieval_scores, sentence_vectors
from lingraft.model.load import load_source
from lingraft.model.trilayer import insert_trilayer
from lingraft.vectors.contextual import contextual_links


def test_planted_translations_are_found_both_ways():
    generator = torch.Generator().manual_seed(0)
    sources = torch.randn(50, 16, generator=generator)
    turn = torch.linalg.qr(torch.randn(16, 16, generator=generator))[0]
    assert accuracies(hits(sources, 3 * sources)) == {"accuracy": 1.0, "accuracy_forward": 1.0, "accuracy_backward": 1.0}
    assert accuracies(hits(sources, sources @ turn))["accuracy"] < 0.2


def test_directions_are_told_apart():
    sources = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    targets = torch.tensor([[1.0, 0.1], [1.0, 0.2]])
    assert hits(sources, targets).tolist() == [[1, 1], [1, 0]]
    assert accuracies(hits(sources, targets)) == {"accuracy": 0.75, "accuracy_forward": 1.0, "accuracy_backward": 0.5}


def test_csls_holds_a_hub_back():
    generator = torch.Generator().manual_seed(1)
    sources = torch.nn.functional.normalize(torch.randn(200, 8, generator=generator) + 1.0, dim=1)
    targets = sources + 0.3 * torch.randn(200, 8, generator=generator)
    targets[:5] = sources.mean(dim=0)
    assert accuracies(hits(sources, targets, csls=True))["accuracy"] > accuracies(hits(sources, targets))["accuracy"]


def test_vectors_are_means_over_pieces_whatever_the_padding(pico, world):
    source = load_source(str(pico("bert")), seed=0)
    lines = [*world.plain.read_text().splitlines()[:5], ""]
    found = sentence_vectors(source.model, source.tokenizer, lines, layer=1)
    with torch.no_grad():
        states = source.model.base_model(**source.tokenizer(lines[0], return_tensors="pt"), output_hidden_states=True).hidden_states[1]
    torch.testing.assert_close(found[0], states[0, 1:-1].mean(dim=0), rtol=1e-4, atol=1e-5)
    assert not found[-1].any()
    with pytest.raises(ModelError, match="no layer 3"):
        sentence_vectors(source.model, source.tokenizer, lines, layer=3)


def test_a_model_is_told_which_side_is_the_sources(pico, world):
    source = load_source(str(pico("bert")), seed=0)
    insert_trilayer(source.model, ["en", "de"], seed=0)
    model, lines = source.model.eval(), world.plain.read_text().splitlines()[:3]
    found = sentence_vectors(model, source.tokenizer, lines, layer=0, is_source=True)
    with torch.no_grad():
        inputs = source.tokenizer(lines[0], return_tensors="pt")
        states = model.base_model(**inputs, languages=torch.zeros_like(inputs["input_ids"]), output_hidden_states=True).hidden_states[0]
    torch.testing.assert_close(found[0], states[0, 1:-1].mean(dim=0), rtol=1e-4, atol=1e-5)
    pairs = [(line, line) for line in lines]
    links = list(contextual_links(model.base_model, source.tokenizer, pairs, 0))
    with torch.no_grad():
        model.base_model.embeddings.language_embeddings.weight[0] = 1e4  # then all of the source's words are alike
    assert list(contextual_links(model.base_model, source.tokenizer, pairs, 0)) != links
    assert not torch.allclose(found, sentence_vectors(model, source.tokenizer, lines, layer=0))


@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_a_text_is_its_own_nearest(pico, world, family):
    source = load_source(str(pico(family)), seed=0)
    pairs = [(line, line) for line in world.plain.read_text().splitlines()[:20] if line]
    assert retrieval_scores(source.model, source.tokenizer, pairs)["accuracy"] == 1.0
    assert baseline(pairs)["accuracy"] == 1 / len(pairs)


def test_two_models_that_differ_in_their_rows_alone(pico, world):
    source, other = (load_source(str(pico("bert")), seed=0) for _ in range(2))
    with torch.no_grad():
        other.model.get_input_embeddings().weight.copy_(torch.flip(source.model.get_input_embeddings().weight, [0]))
    pairs = [(line, line) for line in dict.fromkeys(world.plain.read_text().splitlines()[:20]) if line]
    same = retrieval_scores(source.model, source.tokenizer, pairs, source=(source.model, source.tokenizer), layer=0)
    apart = retrieval_scores(source.model, source.tokenizer, pairs, source=(other.model, other.tokenizer), layer=0)
    assert same["accuracy"] == 1.0 > apart["accuracy"]
    other.model.config.hidden_size = 16
    with pytest.raises(ModelError, match="16 and 32"):
        retrieval_scores(source.model, source.tokenizer, pairs, source=(other.model, other.tokenizer))


def test_both_layouts_are_read(tmp_path):
    (tmp_path / "pairs.tsv").write_text("ein Hund\ta dog\nzwei\ttwo\n")
    expected = [("ein Hund", "a dog"), ("zwei", "two")]
    assert read_pairs(tmp_path / "pairs.tsv") == expected
    (tmp_path / "tatoeba.deu-eng.deu").write_text("ein Hund\nzwei\n")
    (tmp_path / "tatoeba.deu-eng.eng").write_text("a dog\ntwo\n")
    assert read_pairs(tmp_path / "tatoeba.deu-eng.eng") == read_pairs(tmp_path / "tatoeba.deu-eng.deu") == expected
    for side in ("deu", "eng"):
        data = (tmp_path / f"tatoeba.deu-eng.{side}").read_bytes()
        (tmp_path / f"small.deu-eng.{side}.gz").write_bytes(gzip.compress(data))
    assert read_pairs(tmp_path / "small.deu-eng.deu.gz") == expected


def test_files_that_do_not_belong_together(tmp_path):
    (tmp_path / "tatoeba.deu-eng.deu").write_text("ein Hund\nzwei\n")
    with pytest.raises(TextError, match=r"tatoeba\.deu-eng\.eng"):
        read_pairs(tmp_path / "tatoeba.deu-eng.deu")
    (tmp_path / "tatoeba.deu-eng.eng").write_text("a dog\n")
    with pytest.raises(TextError, match="has 2 lines"):
        read_pairs(tmp_path / "tatoeba.deu-eng.deu")
    (tmp_path / "tatoeba.deu-eng.deu").write_text("\n")
    with pytest.raises(TextError, match="no pair"):
        read_pairs(tmp_path / "tatoeba.deu-eng.deu")


def accuracy(rows):
    return {"accuracy": float(rows.mean())}


def test_interval_is_about_that_of_the_binomial():
    rows = np.zeros((400, 1))
    rows[:100] = 1
    low, high = interval(rows, accuracy, "accuracy", seed=1)
    width = 1.96 * np.sqrt(0.25 * 0.75 / 400)
    assert low == pytest.approx(0.25 - width, abs=0.012)
    assert high == pytest.approx(0.25 + width, abs=0.012)
    assert interval(rows, accuracy, "accuracy", seed=1) == (low, high) != interval(rows, accuracy, "accuracy", seed=2)
    assert interval(np.ones((5, 1)), accuracy, "accuracy", seed=1) == (1.0, 1.0)
    assert all(map(np.isnan, interval(np.ones((0, 1)), accuracy, "accuracy", seed=1)))


def test_seeds_that_differ_widen_the_interval():
    rows = np.tile([[0.0], [1.0]], (200, 1))
    better = np.ones_like(rows)
    narrow = combined_interval([rows, rows], accuracy, "accuracy", seed=1)
    wide = combined_interval([rows, better], accuracy, "accuracy", seed=1)
    assert narrow[1] - narrow[0] < 0.12 < wide[1] - wide[0]


def test_draws_without_a_score_are_left_out():
    def reduce(rows):
        return {"ratio": float("nan") if rows.sum() == 0 else 1.0}

    assert interval(np.array([[0.0], [1.0]]), reduce, "ratio", seed=1) == (1.0, 1.0)


def test_summary_has_the_sample_deviation():
    assert summary([1.0, 2.0, 3.0]) == {"mean": 2.0, "sd": 1.0, "n": 3}
    assert summary([0.5]) == {"mean": 0.5, "sd": None, "n": 1}
