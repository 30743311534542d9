"""Dependency parsing, and the files of columns that taggers and parsers read."""

import gzip
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import sentences
from transformers import AutoTokenizer

from lingraft.errors import TextError
from lingraft.evaluate import parsing
from lingraft.evaluate.biaffine import Biaffine
from lingraft.evaluate.columns import read_ner, read_pos
from lingraft.evaluate.table import TASKS
from lingraft.evaluate.task import TaskSettings, collate, scores
from lingraft.evaluate.trees import Tree, attachment, best_tree, read_trees, tree_row, write_conllu

SETTINGS = TaskSettings(length=32)
CONLLU = """# sent_id = 1
# text = vámonos al mar
1-2\tvámonos\t_\t_\t_\t_\t_\t_\t_\t_
1\tvamos\tir\tVERB\t_\tMood=Imp\t0\troot\t0:root\t_
2\tnos\tnosotros\tPRON\t_\t_\t1\tobj:x\t1:obj\t_
3-4\tal\t_\t_\t_\t_\t_\t_\t_\t_
3\ta\ta\tADP\t_\t_\t5\tcase\t5:case\t_
4\tel\tel\tDET\t_\t_\t5\tdet\t5:det\tA=b=c
5\tmar\tmar\tNOUN\t_\t_\t1\tobl\t1:obl:a\tSpaceAfter=No
5.1\tvamos\tir\tVERB\t_\t_\t_\t_\t1:conj\t_

# sent_id = 2
1\tSí\tsí\tINTJ\t_\t_\t0\troot\t_\t_
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    """A file with this text."""

    def make(text: str, name: str = "file.conllu") -> Path:
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return make


def test_trees_leave_out_multiword_tokens_and_empty_nodes(write: Callable[[str], Path]) -> None:
    first, second = read_trees(write(CONLLU))
    assert first.words == ["vamos", "nos", "a", "el", "mar"]
    assert first.heads == [0, 1, 5, 5, 1]
    assert first.relations == ["root", "obj:x", "case", "det", "obl"]
    assert second.words == ["Sí"]


def test_compressed_files_and_windows_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "trees.conllu.gz"
    path.write_bytes(gzip.compress(CONLLU.replace("\n", "\r\n").encode("utf-8-sig")))
    assert [tree.heads for tree in read_trees(path)] == [[0, 1, 5, 5, 1], [0]]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("5\tdet\t", "9\tdet\t", "line 8: the head of 'el' is 9.*1 to 5"),
        ("5\tdet\t", "_\tdet\t", "line 8: the head of 'el' is _"),
        ("1\tobl\t", "4\tobl\t", "line 7: the heads above 'a' form a circle"),
        ("5\tdet\t", "4\tdet\t", "line 8: the heads above 'el' form a circle"),
        ("1\tobl\t", "0\tobl\t", "line 9: a second root.*line 4"),
        ("5\tdet\t", "x\tdet\t", "line 8: this is not CoNLL-U"),
        ("\n4\tel", "\n7\tel", "line 8: word 7 comes where word 4 should"),
        ("5:det\tA=b=c", "5:det", "line 8: 9 columns where CoNLL-U has ten"),
        ("\n4\tel\tel\tDET\t_\t_\t5\tdet\t5:det\tA=b=c", "\nel", "line 8: this is not CoNLL-U"),
    ],
    ids=["head-far", "head-none", "circle", "itself", "two-roots", "no-number", "order", "columns", "no-tabs"],
)
def test_broken_trees_are_refused_with_their_line(write: Callable[[str], Path], old: str, new: str, message: str) -> None:
    assert CONLLU.count(old) == 1
    with pytest.raises(TextError, match=rf"file\.conllu, {message}"):
        read_trees(write(CONLLU.replace(old, new)))


def test_records_are_trees_too(tmp_path: Path) -> None:
    trees = [Tree(["vamos", "al", "mar"], [0, 3, 1], ["root", "case", "obl"])]
    record = {"tokens": trees[0].words, "head": ["0", "3", "1"], "deprel": trees[0].relations}
    path = tmp_path / "trees.jsonl"
    for change in ({}, {"head": [0, 3, 1]}):
        path.write_text(json.dumps(record | change))
        assert TASKS["parsing"].read(path) == trees
    for change, said in (
        ({"head": ["0", "0", "1"]}, "word 2: a second root"),
        ({"head": ["0", "_", "1"]}, "heads must be numbers"),
        ({"head": ["0", "1"]}, "lists head and deprel"),
        ({"deprel": None}, "lists head and deprel"),
    ):
        path.write_text(json.dumps(record | change))
        with pytest.raises(TextError, match=rf"trees\.jsonl, line 1.*{said}"):
            TASKS["parsing"].read(path)


def test_no_sentences(write: Callable[[str], Path], tmp_path: Path) -> None:
    with pytest.raises(TextError, match="no sentences"):
        read_trees(write("\n\n"))
    with pytest.raises(TextError, match="no file"):
        read_trees(tmp_path / "missing.conllu")
    (tmp_path / "latin.conllu").write_bytes(CONLLU.encode("latin1"))
    with pytest.raises(TextError, match="line 2: byte 0xe1 is not valid UTF-8"):
        read_trees(tmp_path / "latin.conllu")


def test_predictions_are_written_as_conllu(write: Callable[[str], Path], tmp_path: Path) -> None:
    examples = read_trees(write(CONLLU))
    predictions = [[[2, "obj"], [0, "root"], [2, "case"], [3, "det"], [4, "obl"]], [[0, "root"]]]
    write_conllu(examples, predictions, tmp_path / "out.conllu")
    again = read_trees(tmp_path / "out.conllu")
    assert [parsing.gold(tree) for tree in again] == predictions
    before, after = CONLLU.splitlines(), (tmp_path / "out.conllu").read_text().splitlines()
    assert [line for line in after if not line.split("\t")[0].isdigit() and line] == [
        line for line in before if not line.split("\t")[0].isdigit() and line
    ]
    assert after[7] == "4\tel\tel\tDET\t_\t_\t3\tdet\t_\tA=b=c"


@pytest.mark.parametrize("seed", range(5))
def test_the_best_tree_is_the_best_of_all_with_one_root(seed: int) -> None:
    scores = np.random.default_rng(seed).normal(size=(4, 5))
    scores[:, 0] += 3  # without the rule all would hang on the root
    trees = [
        heads
        for heads in itertools.product(range(5), repeat=4)
        if heads.count(0) == 1 and all(_leads_to_root(heads, word) for word in range(1, 5))
    ]
    assert len(trees) == 64
    best = max(trees, key=lambda heads: sum(scores[word, head] for word, head in enumerate(heads)))
    assert tuple(best_tree(scores)) == best


def _leads_to_root(heads: tuple[int, ...], word: int) -> bool:
    for _ in heads:
        word = heads[word - 1] if word else 0
    return word == 0


def test_attachment_counts_every_word_and_no_subtypes() -> None:
    tree = Tree(["a", "b", "c", "."], [2, 0, 2, 2], ["nsubj:pass", "root", "obj", "punct"])
    row = tree_row(tree, [[2, "nsubj"], [0, "root"], [2, "obl:tmod"], [3, "punct"]])
    assert row == (3, 2, 4)
    assert attachment(np.array([row, (1, 1, 1)])) == {"uas": 0.8, "las": 0.6}


def test_the_baseline_hangs_words_on_the_better_neighbour() -> None:
    train = [Tree(["x", "y", "z"], [2, 3, 0], ["det", "det", "root"]), Tree(["x", "y"], [0, 1], ["root", "obj"])]
    assert parsing.neighbour(train, [Tree(["p", "q"], [0, 1], ["root", "obj"])]) == [[[2, "det"], [0, "root"]]]
    assert parsing.neighbour([], train[1:]) == [[[0, "root"], [1, "obj"]]]
    assert parsing.neighbour([], [Tree(["p"], [0], ["root"])]) == [[[0, "root"]]]


def test_biaffine_scores() -> None:
    layer = Biaffine(2, 1, 1)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[[2.0, 3.0], [5.0, 7.0], [11.0, 13.0]]]))
    x, y = torch.tensor([[[1.0, 10.0]]]), torch.tensor([[[100.0]]])
    assert layer("bnx,lxy,bmy->bnm", x, y).item() == 2 * 100 + 3 + 10 * (5 * 100 + 7) + 11 * 100 + 13


@pytest.fixture(scope="module")
def treebank() -> list[Tree]:
    """Every word hangs on the one before; short words are `a`, longer ones `b`."""
    return [
        Tree(words, list(range(len(words))), ["root", *("a" if len(word) < 4 else "b" for word in words[1:])])
        for words in map(str.split, sentences(16, seed=3))
    ]


def predict(model: Any, examples: list[Any], kind: Any, tokenizer: Any, names: list[str], batch: int = 16) -> list[Any]:
    """As the evaluation does."""
    items = kind.encode(examples, tokenizer, names, SETTINGS)
    model.eval()
    with torch.no_grad():
        groups = [items[start : start + batch] for start in range(0, len(items), batch)]
        found = [one for group in groups for one in kind.outputs(model, collate(group, tokenizer.pad_token_id or 0))]
    return kind.decode(examples, items, found, names, SETTINGS)


def fit(model: Any, examples: list[Any], kind: Any, tokenizer: Any, names: list[str], epochs: int) -> None:
    """Train for a moment."""
    items = kind.encode(examples, tokenizer, names, SETTINGS)
    optimiser = torch.optim.AdamW(model.parameters(), lr=5e-3)
    model.eval()  # without dropout a small model learns by heart at once
    for _ in range(epochs):
        for start in range(0, len(items), 16):
            batch = collate(items[start : start + 16], tokenizer.pad_token_id)
            (kind.loss(model, batch) / kind.count(batch)).backward()
            optimiser.step()
            optimiser.zero_grad()


def test_a_parser_learns(pico: Callable[[str], Path], treebank: list[Tree]) -> None:
    folder = str(pico("bert"))
    tokenizer, names = AutoTokenizer.from_pretrained(folder), parsing.labels(treebank)
    assert names == ["a", "b", "root"]
    torch.manual_seed(0)
    model = parsing.build(folder, names)
    assert scores(parsing.TASK, treebank, predict(model, treebank, parsing.PARSING, tokenizer, names))["las"] < 0.3
    fit(model, treebank, parsing.PARSING, tokenizer, names, 35)
    predictions = predict(model, treebank, parsing.PARSING, tokenizer, names)
    assert scores(parsing.TASK, treebank, predictions)["las"] > 0.75
    assert predictions == predict(model, treebank, parsing.PARSING, tokenizer, names, batch=1)  # padding changes nothing


@pytest.mark.parametrize("family", ["roberta", "xlm", "gpt2"])
def test_sentences_of_several_windows_become_one_tree(pico: Callable[[str], Path], treebank: list[Tree], family: str) -> None:
    folder = str(pico(family))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    words = [word for tree in treebank[:5] for word in tree.words]
    long = Tree(words, list(range(len(words))), ["root"] + ["a"] * (len(words) - 1))
    torch.manual_seed(0)
    model = parsing.build(folder, ["a", "root"])
    items = parsing.encode([long], tokenizer, ["a", "root"], SETTINGS)
    assert len(items) > 1 and max(len(item["input_ids"]) for item in items) <= SETTINGS.length
    assert items[1]["heads"].tolist()[:3] == [-100, 1, 2] and items[1]["labels"].tolist()[:2] == [-100, 0]
    collated = collate(items, 0)
    assert parsing.count(collated) == len(words) and torch.isfinite(parsing.loss(model, collated))
    (prediction,) = predict(model, [long, Tree([], [], [])], parsing.PARSING, tokenizer, ["a", "root"])[:1]
    heads = [head for head, _ in prediction]
    assert len(heads) == len(words) and all(_leads_to_root(tuple(heads), word) for word in range(1, len(heads) + 1))
    assert [relation for head, relation in prediction if head == 0] == ["root"]
    assert sum(relation == parsing.JOIN for _, relation in prediction) == len(items) - 1
    assert all(type(head) is int for head in heads)


def test_part_of_speech_tags(write: Callable[[str], Path]) -> None:
    first, second = read_pos(write(CONLLU))
    assert (first.words, first.tags) == (["vamos", "nos", "a", "el", "mar"], ["VERB", "PRON", "ADP", "DET", "NOUN"])
    assert second.tags == ["INTJ"]
    with pytest.raises(TextError, match=r"line 8: 'el' has no part of speech"):
        read_pos(write(CONLLU.replace("\tDET\t", "\t_\t")))


@pytest.mark.parametrize(
    ("text", "words", "tags"),
    [
        ("Jan\tB-PER\n \tO\nlebt\tO\n\tO\n\n#\tO\n", [["Jan", " ", "lebt", " "], ["#"]], [["B-PER", "O", "O", "O"], ["O"]]),
        (
            "-DOCSTART- -X- -X- O\n\nEU NNP B-NP I-ORG\n. . O O\n\n\nPeter NNP B-NP I-PER\n",
            [["EU", "."], ["Peter"]],
            [["I-ORG", "O"], ["I-PER"]],
        ),
        ("de:Jan\tB-PER\nde::\tO\nde:\tO\n\nde:am\tO", [["Jan", ":", " "], ["am"]], [["B-PER", "O", "O"], ["O"]]),
        ("de:Jan\tB-PER\nam\tO\n", [["de:Jan", "am"]], [["B-PER", "O"]]),
        ("be\u2028fore\tO\n", [["be\u2028fore"]], [["O"]]),
    ],
    ids=["tabs", "conll2003", "wikiann", "colon", "separator"],
)
def test_entities(write: Callable[[str], Path], text: str, words: list[list[str]], tags: list[list[str]]) -> None:
    found = read_ner(write(text))
    assert [sentence.words for sentence in found] == words
    assert [sentence.tags for sentence in found] == tags


@pytest.mark.parametrize(
    ("text", "message"),
    [("a\tO\nb\tX\n", "line 2: 'X' is no tag"), ("a O\n\nb\n", "line 3: one column, 'b'"), ("1\ta\tE-PER\n", "line 1: 'E-PER'")],
    ids=["tag", "column", "scheme"],
)
def test_what_is_no_entity_file(write: Callable[[str], Path], text: str, message: str) -> None:
    with pytest.raises(TextError, match=message):
        read_ner(write(text))
