"""Minimal pairs: what is masked, what is left out, how constructions are averaged, and models that cannot say."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from lingraft.cli import probe as command
from lingraft.errors import LingraftError, ModelError, TextError
from lingraft.evaluate.probes.syntactic import (
    CONSTRUCTIONS,
    MinimalPair,
    difference,
    masked_margins,
    read_minimal_pairs,
    table,
)
from lingraft.evaluate.tagging import specials_around
from lingraft.probing import probe

CLAMS = "simple_agrmt\tab a c\tab b c\nprep_anim\ta b\ta c\nprep_inanim\td e\td f\nreflexives_across\tg h\tg i\nnpi_across_anim\ta b\tb a\n"
BLIMP = {"sentence_good": "a b c", "sentence_bad": "a d c", "UID": "adjunct_island", "field": "syntax", "pairID": "0"}


def test_both_layouts_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text(CLAMS)
    (tmp_path / "b.jsonl").write_text(json.dumps(BLIMP) + "\n")
    assert read_minimal_pairs(tmp_path / "a.tsv")[0] == MinimalPair("simple_agreement", "ab a c", "ab b c")
    assert read_minimal_pairs(tmp_path / "b.jsonl") == [MinimalPair("adjunct_island", "a b c", "a d c")]


@pytest.mark.parametrize(("line", "said"), [("a\tb\n", "2 columns"), ('{"UID": "x"}\n', "sentence_good")], ids=["tsv", "jsonl"])
def test_a_bad_pair_is_named_with_its_line(tmp_path: Path, line: str, said: str) -> None:
    (tmp_path / "a").write_text("simple_agrmt\ta\tb\n" + line)
    with pytest.raises(TextError, match=f"line 2: .*{said}"):
        read_minimal_pairs(tmp_path / "a")


@pytest.mark.parametrize(
    ("good", "bad", "place"),
    [([1, 2, 3], [1, 4, 3], 1), ([1, 2], [1, 2, 3], None), ([1, 2], [3, 4], None), ([1, 2], [1, 2], None), ([1, 0], [1, 2], None)],
    ids=["one", "length", "two", "none", "unknown"],
)
def test_only_pairs_that_differ_in_one_known_piece_are_asked(good: list[int], bad: list[int], place: int | None) -> None:
    assert difference(good, bad, 0) == place


@torch.no_grad()
@pytest.mark.parametrize("family", ["bert", "roberta", "xlm-roberta", "distilbert"])
def test_the_masked_margin_is_the_difference_of_log_probabilities_at_the_mask(pico: Callable[[str], Path], family: str) -> None:
    folder = str(pico(family))
    model, tokenizer = transformers.AutoModelForMaskedLM.from_pretrained(folder).eval(), transformers.AutoTokenizer.from_pretrained(folder)
    pairs = [MinimalPair("x", "q a c", "q a b"), MinimalPair("x", "a q", "q a q"), MinimalPair("x", "q a b", "q a c")]
    found = masked_margins(model, tokenizer, pairs, 64)
    assert np.isnan(found).tolist() == [False, True, False]
    before, after = specials_around(tokenizer)
    good, bad = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in ("q a b", "q a c"))
    ids = [*before, *good[:-1], tokenizer.mask_token_id, *after]
    logits = model(torch.tensor([ids])).logits[0, len(before) + len(good) - 1].log_softmax(0)
    assert found[2] == pytest.approx(float(logits[good[-1]] - logits[bad[-1]]), abs=1e-5)
    assert found[0] == pytest.approx(-found[2])


def test_the_table_has_every_row_of_the_paper_in_its_order() -> None:
    pairs = [MinimalPair("simple_agreement", "", "")] * 4 + [MinimalPair("zeta", "", "")] + [MinimalPair("alpha", "", "")]
    rows = table(pairs, np.array([1, -1, 1, np.nan, np.nan, 0]))
    assert [row["name"] for row in rows] == [*CONSTRUCTIONS, "alpha", "zeta"]
    assert [(row["group"], row["title"]) for row in rows[:2]] == [("agreement", "Simple"), ("agreement", "In a sentential complement")]
    assert (rows[0]["pairs"], rows[0]["covered"], rows[0]["coverage"], rows[0]["accuracy"]) == (4, 3, 0.75, pytest.approx(2 / 3))
    assert rows[1]["coverage"] is None and rows[1]["accuracy"] is None
    assert rows[-1]["accuracy"] is None and rows[-1]["coverage"] == 0 and rows[-2]["accuracy"] == 0.5
    assert [row["name"] for row in table([MinimalPair("adjunct_island", "", "")], np.array([1.0]))] == ["adjunct_island"]


def test_macro_averages_are_over_constructions(pico: Callable[[str], Path], tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text(CLAMS)
    found = probe(str(pico("bert")), probe="syntactic", evaluation=tmp_path / "a.tsv", out=tmp_path / "out")
    means = {name: score["mean"] for name, score in found["scores"].items()}
    names = ("simple_agreement", "across_prepositional_phrase", "reflexives_across_relative")
    assert means["accuracy"] == pytest.approx(np.mean([means[f"accuracy/{name}"] for name in names]))
    assert means["accuracy_agreement"] == pytest.approx(np.mean([means[f"accuracy/{name}"] for name in names[:2]]))
    assert means["accuracy_reflexives"] == means["accuracy/reflexives_across_relative"]
    assert means["coverage"] == 1 and "accuracy/npi_across_anim" not in means
    assert found["baseline"]["accuracy"] == 0.5 and len(found["constructions"]) == len(CONSTRUCTIONS) + 1
    lines = [json.loads(line) for line in (tmp_path / "out/predictions.jsonl").read_text().splitlines()]
    assert [line["margin"] is None for line in lines] == [False] * 4 + [True]


def test_a_causal_model_is_asked_all_pairs(pico: Callable[[str], Path], tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text(CLAMS)
    found = probe(str(pico("gpt2")), probe="syntactic", evaluation=tmp_path / "a.tsv", out=tmp_path / "out")
    assert found["scores"]["coverage"]["mean"] == 1 and "accuracy/npi_across_anim" in found["scores"]


def test_a_model_without_a_head_of_its_own_is_refused(pico: Callable[[str], Path], tmp_path: Path) -> None:
    shutil.copytree(pico("bert"), tmp_path / "body")
    transformers.AutoModel.from_pretrained(tmp_path / "body").save_pretrained(tmp_path / "body")
    (tmp_path / "a.tsv").write_text(CLAMS)
    with pytest.raises(ModelError, match="no language-model head"):
        probe(str(tmp_path / "body"), probe="syntactic", evaluation=tmp_path / "a.tsv", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_nothing_to_ask_says_so(pico: Callable[[str], Path], tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("npi_across_anim\ta b\tb a\n")
    with pytest.raises(LingraftError, match="No pair of"):
        probe(str(pico("bert")), probe="syntactic", evaluation=tmp_path / "a.tsv", out=tmp_path / "out")


@pytest.mark.parametrize("as_json", [True, False], ids=["json", "table"])
def test_the_verb_prints_scores_beside_the_baseline(
    pico: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], as_json: bool
) -> None:
    (tmp_path / "a.tsv").write_text(CLAMS)
    command.probe(str(pico("bert")), "syntactic", tmp_path / "a.tsv", tmp_path / "out", as_json=as_json)
    printed = capsys.readouterr().out
    if as_json:
        found = json.loads(printed)
        assert found["scores"]["accuracy"].keys() == {"mean", "sd", "n"} and found["probe"] == "syntactic"
        assert found["versions"]["lingraft"] and found == json.loads((tmp_path / "out/probe.json").read_text())
    else:
        assert "accuracy/simple_agreement" in printed and "50.0" in printed
