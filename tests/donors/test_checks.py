"""The checks of a corpus, on sentences whose numbers are known."""

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from lingraft.donors.checks import LENGTHS, correlation, distances, profile
from lingraft.donors.contamination import foreign_sentences, script_share
from lingraft.text import bundled


@pytest.fixture
def tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel({"?": 0, "a": 1, "bb": 2}, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return tokenizer


def test_counts(tokenizer: Tokenizer) -> None:
    found = profile(["a bb, a", "ß", "日本 a"], tokenizer)
    assert found.counts() == {"sentences": 3, "characters": 12, "bytes": 17, "words": 7, "tokens": 7, "distinct_tokens": 3}
    assert [dict(found.lengths[name]) for name in LENGTHS] == [{3: 2, 1: 1}, {4: 1, 1: 1, 2: 1}, {1: 6, 3: 1}]


def test_the_distance_is_how_far_lengths_must_move(tokenizer: Tokenizer) -> None:
    one, other = profile(["a", "a a a"], tokenizer), profile(["a a", "a a a a"], tokenizer)
    assert distances(one, one) == {name: {"distance": 0, "normalised": 0} for name in LENGTHS}
    found = distances(one, other)
    assert found["words of a sentence"] == pytest.approx({"distance": 1, "normalised": 1 / 4})
    assert found["characters of a word"]["distance"] == 0
    twice = profile(["a a", "a a a a"] * 2, tokenizer)
    assert distances(one, twice) == found, "a text twice as long is as far away"


def test_correlation_is_pearsons_with_an_interval_over_languages() -> None:
    generator = np.random.default_rng(1)
    tokens = generator.integers(100, 1000, size=20)
    counts = {str(i): {"tokens": int(n), "distinct_tokens": int(n + generator.integers(500))} for i, n in enumerate(tokens)}
    found = correlation(counts, seed=0)
    rows = np.array([list(count.values()) for count in counts.values()])
    assert found["r"] == pytest.approx(np.corrcoef(rows.T)[0, 1])
    assert found["n"] == 20
    assert -1 < found["low"] < found["r"] < found["high"] < 1
    assert correlation(counts, seed=0) == found
    assert correlation(dict(list(counts.items())[:2]), seed=0) == {"r": None, "low": None, "high": None, "n": 2}
    same = {str(i): {"tokens": i, "distinct_tokens": 5} for i in range(5)}
    assert correlation(same, seed=0)["r"] is None


def test_letters_of_another_script_are_counted() -> None:
    assert script_share(["Привет!", "a b 123"], "ru") == 2 / 8
    assert script_share(["漢字かなカナ"], "ja") == 0
    assert script_share(["123"], "ru") is None


def test_planted_sentences_of_another_language_are_found_and_few_others() -> None:
    texts = {code: [line for page in bundled.documents(code) for line in page.lines if len(line) > 60][:400] for code in ("de", "en", "es")}
    planted = texts["en"][300:320]
    texts = {"de": texts["de"][:300] + planted, "en": texts["en"][:300], "es": texts["es"][:300]}
    found = foreign_sentences(texts)
    assert found["de"]["as"]["en"] >= 19
    assert sum(found["de"]["as"].values()) <= 22
    assert found["de"]["share"] == sum(found["de"]["as"].values()) / 320
    assert all(code == "en" for code, _ in found["de"]["examples"])
    assert {sentence for _, sentence in found["de"]["examples"]} <= set(planted)
    assert found["es"]["share"] < 0.01
    assert foreign_sentences({"de": ["Ja."], "en": []})["de"] == {"sentences": 0, "share": None, "as": {}, "examples": []}
