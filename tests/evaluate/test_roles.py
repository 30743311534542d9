"""Semantic role labelling."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import sentences
from transformers import AutoTokenizer

from lingraft.errors import TextError
from lingraft.evaluate import roles
from lingraft.evaluate.propositions import Propositions, read_propositions, role_f1, role_row, write_propositions
from lingraft.evaluate.task import TaskSettings, collate, scores

SETTINGS = TaskSettings(length=32)
COMES = Propositions(
    ["AP", "comes", "to", "say"], ["AP", "come", "to", "say"], [(2, "come.03"), (4, "tell.01")], [(2, 1, "A1"), (4, 1, "A0"), (4, 4, "A2")]
)
CONLL2009 = """1\tAP\tap\tAP\tN\tN\t_\t_\t2\t2\tSBJ\tSBJ\t_\t_\tA1\tA0
2\tcomes\tcom\tcome\tV\tV\t_\t_\t0\t0\tROOT\tROOT\tY\tcome.03\t_\t_
3\tto\tto\tto\tT\tT\t_\t_\t2\t2\tOPRD\tOPRD\t_\t_\t_\t_
4\tsay\tsay\tsay\tV\tV\t_\t_\t3\t3\tIM\tIM\tY\ttell.01\t_\tA2

1\tYes\tyes\tyes\tU\tU\t_\t_\t0\t0\tROOT\tROOT\t_\t_
"""
TEN_COLUMNS = """# text = AP comes to say
1\tAP\tAP\tPROPN\t_\t_\t2\tnsubj\t2:nsubj\t_\t_\tA1\tA0
2\tcomes\tcome\tVERB\t_\t_\t0\troot\t0:root\t_\tcome.03\tV\t_
3\tto\tto\tPART\t_\t_\t4\tmark\t4:mark\t_\t_\t_\t_
4\tsay\tsay\tVERB\t_\t_\t2\txcomp\t2:xcomp\tSpaceAfter=No\ttell.01\t_\tA2

1\tYes\tyes\tINTJ\t_\t_\t0\troot\t0:root\t_\t_\t
"""
FLAGGED = """1-2\tAPcomes\t_\t_\t_\t_\t_\t_\t_\t_\t_\t_
1\tAP\tAP\tPROPN\t_\t_\t2\tnsubj\t_\t_\tA1\tA0
2\tcomes\tcome\tVERB\t_\t_\t0\troot\tY\tcome.03\t_\t_
3\tto\tto\tPART\t_\t_\t4\tmark\t_\t_\t_\t_
4\tsay\tsay\tVERB\t_\t_\t2\txcomp\tY\ttell.01\t_\tA2

1\tYes\tyes\tINTJ\t_\t_\t0\troot\t_\t_
"""


def read(folder: Path, text: str) -> list[Propositions]:
    (folder / "roles.txt").write_text(text)
    return read_propositions(folder / "roles.txt")


@pytest.mark.parametrize("text", [CONLL2009, TEN_COLUMNS, FLAGGED], ids=["conll2009", "ten-columns", "flagged"])
def test_formats_are_recognised(tmp_path: Path, text: str) -> None:
    first, second = read(tmp_path, text)
    assert first.predicates == ([(2, "03"), (4, "01")] if text == CONLL2009 else COMES.predicates)
    assert (first.words, first.lemmas, sorted(first.arguments)) == (COMES.words, COMES.lemmas, COMES.arguments)
    assert (second.words, second.predicates, second.arguments) == (["Yes"], [], [])


def test_dashes_double_roles_and_senses_without_numbers(tmp_path: Path) -> None:
    text = (
        CONLL2009.replace("Y\tcome.03\t_\t_", "Y\tcome\t-\t_")
        .replace("Y\ttell.01\t_\tA2", "Y\ta.b.c\tA1|A2\t_")
        .replace("_\tA1\tA0", "-\tA1\tA0")
    )
    (first, _) = read(tmp_path, text)
    assert first.predicates == [(2, "come"), (4, "a.b.c")]
    assert first.arguments == [(2, 1, "A1"), (2, 4, "A1"), (2, 4, "A2"), (4, 1, "A0")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (CONLL2009.replace("Y\ttell", "_\ttell") + "\n" + CONLL2009, "line 4: columns 13 and 14 disagree.*'say'.*CoNLL-2009"),
        (TEN_COLUMNS.replace("V\t_\n", "V\n") + "\n" + TEN_COLUMNS, "line 3: 1 columns of roles, but the sentence has 2 predicates"),
        (FLAGGED.replace("0\troot\tY", "x\troot\tY"), "line 3: column 7, 'x', is not the number of a head"),
        ("1\tAP\tO\n", "none of the formats"),
        ("AP O\n", "none of the formats"),
        (FLAGGED[FLAGGED.index("1\tYes") :], "no predicates"),
    ],
    ids=["flag", "roles", "head", "few-columns", "no-columns", "no-predicates"],
)
def test_other_files_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(TextError, match=message):
        read(tmp_path, text)


@pytest.mark.parametrize("text", [CONLL2009, TEN_COLUMNS, FLAGGED], ids=["conll2009", "ten-columns", "flagged"])
def test_what_is_written_is_what_was_read(tmp_path: Path, text: str) -> None:
    """The same bytes for what was right, but for tabs at ends of lines; else the prediction, and all other columns as they were."""
    gold = read(tmp_path, text)
    write_propositions(gold, list(map(roles.gold, gold)), tmp_path / "same.txt")
    right = text.replace("tell.01", "say.01") if text == CONLL2009 else text  # its senses are those of the lemma
    assert (tmp_path / "same.txt").read_text() == right.replace("\t\n", "\n") + "\n"
    other = {"predicates": [[3, "02"], [1, "go.01"]], "arguments": [[3, 3, "A1"], [1, 4, "A2"], [1, 4, "A3"]]}
    write_propositions(gold, [other, {"predicates": [], "arguments": []}], tmp_path / "other.txt")
    first, second = read_propositions(tmp_path / "other.txt")
    assert first.predicates == [(1, "01" if text == CONLL2009 else "go.01"), (3, "02")]
    assert first.arguments == [(1, 4, "A2"), (1, 4, "A3"), (3, 3, "A1")]
    assert (first.words, first.lemmas, second.predicates) == (gold[0].words, gold[0].lemmas, [])


def test_what_was_in_no_file_is_written_too(tmp_path: Path) -> None:
    write_propositions([COMES], [roles.gold(COMES)], tmp_path / "made.txt")
    (found,) = read_propositions(tmp_path / "made.txt")
    assert (found.words, found.lemmas, found.predicates, sorted(found.arguments)) == (
        COMES.words, COMES.lemmas, COMES.predicates, COMES.arguments
    )  # fmt: skip


def test_senses_that_are_no_numbers_keep_their_form(tmp_path: Path) -> None:
    gold = read(tmp_path, CONLL2009.replace("come.03", "come").replace("tell.01", "a.b.c").replace("say\tsay\tsay", "say\tsay\ts.a"))
    write_propositions(gold, list(map(roles.gold, gold)), tmp_path / "same.txt")
    assert [each.predicates for each in read_propositions(tmp_path / "same.txt")] == [each.predicates for each in gold]
    write_propositions(gold[:1], [{"predicates": [[4, "02"]], "arguments": []}], tmp_path / "other.txt")
    assert read_propositions(tmp_path / "other.txt")[0].predicates == [(4, "02")]


def test_senses_count_beside_arguments() -> None:
    """One of two senses, and two of three arguments of which three were said: 3 of 5 said, 3 of 5 there."""
    prediction = {"predicates": [[2, "come.03"], [4, "say.01"]], "arguments": [[2, 1, "A1"], [4, 1, "A0"], [4, 2, "A2"]]}
    row = role_row(COMES, prediction)
    assert row == (3, 5, 5, 2, 3, 3)
    assert role_f1(np.array([row])) == pytest.approx({"f1": 0.6, "precision": 0.6, "recall": 0.6, "argument_f1": 2 / 3})
    nothing = role_row(COMES, {"predicates": [], "arguments": []})
    assert role_f1(np.array([row, nothing])) == pytest.approx({"f1": 6 / 15, "precision": 0.6, "recall": 0.3, "argument_f1": 4 / 9})
    assert role_row(COMES, roles.gold(COMES)) == (5, 5, 5, 3, 3, 3)


@pytest.mark.parametrize(
    ("sense", "lemma", "label"),
    [("come.03", "come", "~.03"), ("tell.01", "say", "tell.01"), ("come", "come", "~"), ("become.01", "be", "become.01")],
)
def test_a_sense_of_the_lemma_is_named_without_it(sense: str, lemma: str, label: str) -> None:
    assert roles.to_label(sense, lemma) == label
    assert roles.to_sense(label, lemma) == sense


def test_labels() -> None:
    assert roles.labels([COMES]) == ["role A0", "role A1", "role A2", "sense tell.01", "sense ~.03"]


def test_the_baseline_is_the_most_frequent_sense() -> None:
    train = [
        COMES,
        Propositions(["AP", "comes"], ["AP", "come"], [(2, "come.01")], []),
        Propositions(["comes"], ["come"], [(1, "come.01")], []),
    ]
    test = Propositions(["he", "comes", "to", "say"], ["he", "come", "to", "say"], [], [])
    assert roles.most_frequent_senses(train, [test]) == [{"predicates": [[2, "come.01"], [4, "tell.01"]], "arguments": []}]


@pytest.fixture(scope="module")
def corpus() -> list[Propositions]:
    """Words of two letters are predicates of sense 01; the word after is its A0."""
    found = []
    for words in map(str.split, sentences(24, seed=5)):
        predicates = [(i, f"{word}.01") for i, word in enumerate(words, 1) if len(word) == 2]
        arguments = [(i, i + 1, "A0") for i, _ in predicates if i < len(words)]
        found.append(Propositions(words, words, predicates, arguments))
    return found


def test_a_role_labeller_learns(pico: Callable[[str], Path], corpus: list[Propositions]) -> None:
    folder, kind = str(pico("bert")), roles.ROLES
    tokenizer, names = AutoTokenizer.from_pretrained(folder), roles.labels(corpus)
    torch.manual_seed(0)
    model = roles.build(folder, names)
    items = kind.encode(corpus, tokenizer, names, SETTINGS)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2)
    model.eval()  # without dropout a small model learns by heart at once
    for _ in range(60):
        for start in range(0, len(items), 16):
            batch = collate(items[start : start + 16], tokenizer.pad_token_id)
            (kind.loss(model, batch) / kind.count(batch)).backward()
            optimiser.step()
            optimiser.zero_grad()
    with torch.no_grad():
        together = kind.outputs(model, collate(items, tokenizer.pad_token_id))
        alone = [kind.outputs(model, collate([item], tokenizer.pad_token_id))[0] for item in items]
    assert all(np.array_equal(a, b) for one, other in zip(together, alone, strict=True) for a, b in zip(one, other, strict=True))
    found = scores(roles.TASK, corpus, kind.decode(corpus, items, together, names, SETTINGS))
    assert found["f1"] > 0.9 and found["argument_f1"] > 0.85


def test_windows_unknown_labels_and_sentences_without_predicates(pico: Callable[[str], Path]) -> None:
    folder, kind = str(pico("roberta")), roles.ROLES
    tokenizer = AutoTokenizer.from_pretrained(folder)
    words = " ".join(sentences(5, seed=1)).split()
    end = len(words)
    long = Propositions(
        words, words, [(1, "a.01"), (2, "b.01"), (end, "a.01")], [(2, 1, "A0"), (1, 2, "A9"), (end, 1, "A0"), (end, end, "A0")]
    )
    plain = Propositions(["no"], ["no"], [], [])
    names = ["role A0", "sense a.01"]
    items = kind.encode([long, plain], tokenizer, names, SETTINGS)
    assert len(items) > 2
    assert items[0]["labels"].tolist()[:3] == [1, -100, 0]  # the second one's sense is unknown, and so it has no row of roles
    assert items[0]["roles"][:, :3].tolist() == [[0, -100, 0]]
    assert items[-2]["roles"].sum() == items[-2]["roles"][0, -1] == 1  # an argument in another window is lost
    torch.manual_seed(0)
    model = kind.build(folder, names)
    assert torch.isfinite(kind.loss(model, collate(items, 1))) and torch.isfinite(kind.loss(model, collate(items[-1:], 1)))
    assert kind.count(collate(items, 1)) == end + 1
    found = [(np.array([1] + [0] * (int(item["words"]) - 1)), np.eye(1, int(item["words"]), dtype=int)) for item in items]
    first, second = kind.decode([long, plain], items, found, names, SETTINGS)
    starts = [1 + sum(int(item["words"]) for item in items[:i]) for i in range(len(items) - 1)]
    assert first == {"predicates": [[i, "a.01"] for i in starts], "arguments": [[i, i, "A0"] for i in starts]}
    assert second == {"predicates": [[1, "a.01"]], "arguments": [[1, 1, "A0"]]}
