"""Words in context: WiC and SCWS in their official layouts, and where a marked word is found."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr
from tokenizers import processors

from lingraft.errors import RunError, TextError
from lingraft.evaluate.probes.scws import cosines, read_ratings
from lingraft.evaluate.probes.states import load_encoder, marked_states, word_states
from lingraft.evaluate.probes.wic import features, read_pairs
from lingraft.probing import probe

MCL = {"sentence1": "the play is on", "sentence2": "we play", "start1": "4", "end1": "8", "start2": "3", "end2": "7", "tag": "T"}
SUPER = {"word": "play", "sentence1": "the play is on", "sentence2": "we play", "idx": 0, "label": True} | {
    "start1": 4, "end1": 8, "start2": 3, "end2": 7, "version": 1.1
}  # fmt: skip
RANGES = {"sentence1": "the play is on", "sentence2": "we play", "ranges1": "4-8,9-11", "ranges2": "3-7", "tag": "T"}


def write(path: Path, records: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


@pytest.mark.parametrize("record", [MCL, SUPER, RANGES], ids=["mcl", "superglue", "ranges"])
def test_each_layout_is_read_as_the_same_pair(tmp_path: Path, record: dict[str, Any]) -> None:
    (pair,) = read_pairs(write(tmp_path / "a.jsonl", [record]))
    assert pair.texts == ("the play is on", "we play") and pair.same
    assert [text[start:end] for text, (start, end) in zip(pair.texts, pair.spans, strict=True)] == ["play", "play"]


def test_tables_and_arrays_hold_pairs_too(tmp_path: Path) -> None:
    expected = read_pairs(write(tmp_path / "a.jsonl", [MCL]))
    (tmp_path / "a.tsv").write_text("\t".join(MCL) + "\n" + "\t".join(MCL.values()) + "\n")
    (tmp_path / "a.json").write_text(json.dumps([SUPER]))
    assert read_pairs(tmp_path / "a.tsv") == read_pairs(tmp_path / "a.json") == expected


@pytest.mark.parametrize(
    ("change", "said"),
    [({"end2": "9"}, "characters 3 to 9 are not inside"), ({"tag": "maybe"}, "the tag 'maybe'"), ({"start1": None}, "not a pair of WiC")],
    ids=["span", "tag", "missing"],
)
def test_a_bad_pair_is_named_with_its_line(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    with pytest.raises(TextError, match=f"line 2: .*{said}"):
        read_pairs(write(tmp_path / "a.jsonl", [MCL, MCL | change]))


@pytest.mark.parametrize("family", ["bert", "roberta", "gpt2"])
def test_a_marked_word_has_the_state_of_that_word(pico: Callable[[str], Path], family: str) -> None:
    encoder = load_encoder(str(pico(family)), 64)
    marked = marked_states(encoder, [("abc defg hi",)], [((4, 8),)], [0, 2])
    words = word_states(encoder, [["abc", "defg", "hi"]], [0, 2])
    assert marked.shape == (2, 1, 2, 32)
    assert np.allclose(marked[:, 0, 1], words[:, 1], atol=1e-5)


def test_a_pair_is_read_as_one_input_and_long_texts_are_cut_around_their_words(pico: Callable[[str], Path]) -> None:
    encoder = load_encoder(str(pico("bert")), 32)
    long = "abc " * 60 + "zzyyxx" + " abc" * 60
    found = marked_states(encoder, [("de fg", long), (long, "de fg")], [((3, 5), (240, 246)), ((240, 246), (3, 5))], [2])
    assert found.shape == (1, 2, 3, 32) and (np.abs(found).sum(axis=3) > 0).all()
    alone = marked_states(encoder, [("de fg",)], [((3, 5),)], [2])
    assert not np.allclose(found[0, 0, 1], alone[0, 0, 1], atol=1e-3)


@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_the_second_text_is_the_second_segment_where_there_are_several(pico: Callable[[str], Path], family: str) -> None:
    """Whatever inputs the tokenizer names."""
    found, encoder = [], load_encoder(str(pico(family)), 64)
    tokenizer = encoder.tokenizer
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(single="$A", pair="$A $B:1")
    for names in ([], ["token_type_ids"]):
        tokenizer.model_input_names = ["input_ids", *names, "attention_mask"]
        found.append(marked_states(encoder, [("de fg", "abc de")], [((3, 5), (4, 6))], [2]))
    plain = tokenizer("de fg", "abc de", return_tensors="pt", return_token_type_ids=False)
    last = encoder.model(**plain).last_hidden_state[0, encoder.summary].numpy()
    np.testing.assert_array_equal(*found)
    assert np.allclose(found[0][0, 0, 0], last, atol=1e-5) == (family == "gpt2")


def test_representations_are_what_they_say(pico: Callable[[str], Path], tmp_path: Path) -> None:
    encoder = load_encoder(str(pico("bert")), 64)
    pairs = read_pairs(write(tmp_path / "a.jsonl", [MCL, RANGES, SUPER]))
    seen = {name: features(encoder, pairs, name, [1, 2]) for name in ("pair", "summary", "words", "difference")}
    assert {name: found.shape for name, found in seen.items()} == {
        "pair": (2, 3, 96), "summary": (2, 3, 32), "words": (2, 3, 64), "difference": (2, 3, 64)
    }  # fmt: skip
    assert np.allclose(seen["pair"][:, :, :32], seen["summary"])
    one, other = seen["words"][:, :, :32], seen["words"][:, :, 32:]
    assert np.allclose(seen["difference"], np.concatenate([abs(one - other), one * other], axis=2))


def made_pairs(count: int, seed: int) -> list[dict[str, Any]]:
    """Pairs whose marked words are the same string or not: what the embeddings alone tell."""
    generator, words = np.random.default_rng(seed), ["ab", "yz", "mnop", "qrs"]
    found = []
    for _ in range(count):
        one = words[generator.integers(4)]
        other = one if generator.random() < 0.5 else words[(words.index(one) + generator.integers(1, 4)) % 4]
        spans = {"start1": 3, "end1": 3 + len(one), "start2": 4, "end2": 4 + len(other)}
        found.append({"sentence1": f"de {one} fg", "sentence2": f"hij {other}", **spans, "tag": "T" if one == other else "F"})
    return found


def test_wic_learns_what_the_states_tell(pico: Callable[[str], Path], tmp_path: Path) -> None:
    sizes = {"train": 120, "evaluation": 40}
    files = {name: write(tmp_path / f"{name}.jsonl", made_pairs(size, seed=size)) for name, size in sizes.items()}
    more: dict[str, Any] = {"changes": ["representation=difference", "layers=[0]", "strengths=[1.0]"], "seeds": 2, "out": tmp_path / "out"}
    found = probe(str(pico("bert")), probe="wic", **files, **more)
    assert found["scores"]["accuracy"]["mean"] > 0.9 > found["baseline"]["accuracy"]
    assert found["scores"]["accuracy"]["n"] == 2 and found["layer"] == 0 and found["strength"] == 1.0
    lines = [json.loads(line) for line in (tmp_path / "out/predictions.jsonl").read_text().splitlines()]
    right = [line["gold"] == line["predicted"] for line in lines]
    assert len(right) == 80 and np.mean(right) == pytest.approx(found["scores"]["accuracy"]["mean"])


def rated(word1: str, word2: str, context1: str, context2: str, rating: float) -> str:
    return "\t".join(["1", word1, "n", word2, "v", context1, context2, str(rating), *["5.0"] * 10]) + "\n"


def test_ratings_are_read_without_their_marks(tmp_path: Path) -> None:
    (tmp_path / "ratings.txt").write_text(rated("bank", "money", "the <b> bank </b> of it", "a lot of <b>money</b> .", 7.5))
    (found,) = read_ratings(tmp_path / "ratings.txt")
    assert found.texts == ("the bank of it", "a lot of money .") and found.rating == 7.5
    assert [text[start:end] for text, (start, end) in zip(found.texts, found.spans, strict=True)] == ["bank", "money"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("1\tbank\n", "2 columns"),
        (rated("a", "b", "no mark", "<b>b</b>", 1.0), "no word marked"),
        (rated("a", "b", "<b>a</b>", "<b>b</b>", 1.0).replace("1.0", "high"), "'high' is not a number"),
    ],
    ids=["columns", "mark", "rating"],
)
def test_a_bad_rating_is_named_with_its_line(tmp_path: Path, line: str, said: str) -> None:
    (tmp_path / "ratings.txt").write_text(line)
    with pytest.raises(TextError, match=f"line 1: .*{said}"):
        read_ratings(tmp_path / "ratings.txt")


def test_scws_is_the_rank_correlation_of_cosines(pico: Callable[[str], Path], tmp_path: Path) -> None:
    assert cosines(np.array([[1.0, 0], [1, 1]]), np.array([[0.0, 2], [3, 3]])) == pytest.approx([0, 1])
    lines = [("ab", "ab", 9.5), ("ab", "xyz", 2.0), ("cde", "cde", 9.0), ("fg", "mno", 1.0)]
    (tmp_path / "ratings.txt").write_text("".join(rated(a, b, f"pq <b>{a}</b> r", f"pq <b>{b}</b> r", r) for a, b, r in lines))
    found = probe(str(pico("bert")), probe="scws", evaluation=tmp_path / "ratings.txt", out=tmp_path / "out", seeds=3)
    assert found["scores"]["spearman"]["n"] == 1 and found["scores"]["spearman"]["sd"] is None
    assert found["layer"] == 2
    with pytest.raises(RunError, match="is not trained: it takes no --train"):
        probe(str(pico("bert")), probe="scws", train=tmp_path / "ratings.txt", evaluation=tmp_path / "ratings.txt", out=tmp_path / "no")
    predictions = [json.loads(line)["predicted"] for line in (tmp_path / "out/predictions.jsonl").read_text().splitlines()]
    assert predictions[0] == pytest.approx(1, abs=1e-5) and max(predictions[1], predictions[3]) < predictions[2]
    expected = spearmanr(predictions, [rating for _, _, rating in lines]).statistic
    assert found["scores"]["spearman"]["mean"] == pytest.approx(expected)
