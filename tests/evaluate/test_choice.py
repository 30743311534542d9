"""Multiple choice: layouts of C3, ChID and one's own are read, questions with fewer options lose nothing, and a model learns to choose."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer

from lingraft.errors import ModelError, TextError
from lingraft.evaluate import choice
from lingraft.evaluate.choice import CHOICE_TASKS, Question
from lingraft.evaluate.clue import BLANK, WINDOW
from lingraft.evaluate.task import TaskSettings, collate, scores

C3 = [
    [["男：你好。", "女：再见。"], [{"question": "谁走了？", "choice": ["男的", "女的", "没有人"], "answer": "女的"}], "1-1"],
    [
        ["一段话。"],
        [{"question": "甲？", "choice": ["一", "二"], "answer": "一"}, {"question": "乙？", "choice": ["三", "四"], "answer": "四"}],
        "1-2",
    ],
]


def questions(name: str, path: Path | str) -> list[tuple[str, str, list[str], int]]:
    """Questions of a file without their ids."""
    return [(q.context, q.question, q.options, q.label) for q in CHOICE_TASKS[name].read(Path(path))]


def test_c3_is_read_and_a_folder_stands_for_both_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "c3-d-dev.json").write_text(json.dumps(C3[:1], ensure_ascii=False, indent=2))
    (tmp_path / "c3-m-dev.json").write_text(json.dumps(C3[1:]))
    (tmp_path / "c3-m-train.json").write_text(json.dumps(C3))
    dialogue = ("男：你好。\n女：再见。", "谁走了？", ["男的", "女的", "没有人"], 1)
    assert questions("clue/c3", tmp_path / "c3-d-dev.json") == [dialogue]
    assert questions("clue/c3", tmp_path) == [dialogue, ("一段话。", "甲？", ["一", "二"], 0), ("一段话。", "乙？", ["三", "四"], 1)]
    assert len(questions("clue/c3", f"{tmp_path}#train")) == 3
    assert CHOICE_TASKS["clue/c3"].read(tmp_path)[2].id == "c3-m-dev.json, record 1, question 2"


def test_chid_has_a_question_for_each_blank_and_its_answers_in_the_file_beside(tmp_path: Path) -> None:
    passage = "远" * 100 + "他#idiom000001#地说，又#idiom000002#。"
    idioms = ["一心一意", "三心二意", "七上八下"]
    (tmp_path / "dev.json").write_text(json.dumps({"content": [passage], "candidates": idioms}, ensure_ascii=False) + "\n")
    with pytest.raises(TextError, match=r"dev\.json, line 1: there is no answer for #idiom000001#"):
        questions("clue/chid", tmp_path)
    (tmp_path / "dev_answer.json").write_text(json.dumps({"#idiom000001#": 2, "#idiom000002#": 0}))
    first, second = questions("clue/chid", tmp_path)
    assert first == ("远" * (WINDOW - 1) + "他" + BLANK + "地说，又____。", "", idioms, 2)
    assert second[0].endswith("他____地说，又" + BLANK + "。")
    assert second[3] == 0
    record = {"content": [passage], "candidates": idioms, "answers": {"text": [], "candidate_id": [1, 2]}}
    (tmp_path / "hub.json").write_text(json.dumps(record))
    assert [question[3] for question in questions("clue/chid", tmp_path / "hub.json")] == [1, 2]


OWN = {
    "a list and a number": ("own.jsonl", '{"context": "C", "question": "Q", "choices": ["x", "y"], "label": 1}'),
    "a text": ("own.jsonl", '{"context": "C", "question": "Q", "options": ["x", "y"], "answer": "y"}'),
    "a letter": ("own.json", '[{"context": "C", "question": "Q", "options": ["x", "y"], "answer": "B"}]'),
    "columns": ("own.csv", "passage,question,option1,option2,option3,label\nC,Q,x,y,,1\n"),
    "columns by name": ("own.tsv", "passage\tquestion\tchoice_a\tchoice_b\tright\nC\tQ\tx\ty\tb\n"),
}


@pytest.mark.parametrize("case", [*OWN])
def test_own_questions_have_their_options_in_a_list_or_in_columns(case: str, tmp_path: Path) -> None:
    name, text = OWN[case]
    (tmp_path / name).write_text(text)
    assert questions("choice", f"{tmp_path / name}{'#label=right' if 'right' in text else ''}") == [("C", "Q", ["x", "y"], 1)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"context": "C", "choices": ["x", "y"], "label": 2}', r"line 1: 2 is none of the 2 options"),
        ('{"context": "C", "choices": ["x", "y"], "label": "z!"}', r"line 1: 'z!' is none of the 2 options"),
        ('{"context": "C", "choices": ["x"], "label": 0}', r"line 1 needs two options or more"),
        ('{"context": "C", "label": 0}', r"there are 'context', 'label'"),
        ('{"context": "C", "choices": ["x", "y"]}', r"no column holds the label"),
    ],
    ids=["number", "text", "one", "none", "label"],
)
def test_what_is_wrong_with_a_question_is_said_with_its_line(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "own.jsonl").write_text(text)
    with pytest.raises(TextError, match=message):
        questions("choice", tmp_path / "own.jsonl")


def test_a_file_that_is_not_c3s_is_refused(tmp_path: Path) -> None:
    (tmp_path / "dev.json").write_text("[[1, 2, 3]]")
    with pytest.raises(TextError, match="record 1: not as C3 is"):
        questions("clue/c3", tmp_path)


def asked(count: int) -> list[Question]:
    """Questions of two or three options, of which the right one is always the same word."""
    orders = [["abc", "xyz"], ["xyz", "abc", "mno"], ["mno", "xyz", "abc"]]
    return [Question("def", "", orders[i % 3], orders[i % 3].index("abc"), "") for i in range(count)]


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "modernbert"])
def test_questions_with_fewer_options_are_scored_as_if_alone(family: str, pico: Callable[[str], Path]) -> None:
    folder, examples = (
        pico(family),
        [Question("abc " * 9, "def", ["g", "h i j"], 0, ""), Question("k" + BLANK, "", ["l", "m", "n o p"], 2, "")],
    )
    tokenizer = AutoTokenizer.from_pretrained(folder)
    torch.manual_seed(0)
    kind, settings = choice.CHOICE, TaskSettings(length=20)
    model = kind.build(str(folder), []).eval()
    items = kind.encode(examples, tokenizer, [], settings)
    assert tokenizer.mask_token_id in items[1]["input_ids"]
    assert items[0]["input_ids"].shape[1] <= 20
    with torch.no_grad():
        together = kind.outputs(model, collate(items, tokenizer.pad_token_id))
        alone = [kind.outputs(model, collate([item], tokenizer.pad_token_id))[0] for item in items]
        loss = kind.loss(model, collate(items, tokenizer.pad_token_id))
    assert [len(row) for (row,) in together] == [2, 3]
    for (one,), (other,) in zip(together, alone, strict=True):
        assert np.allclose(one, other, atol=1e-6)
    expected = sum(-torch.tensor(row).log_softmax(0)[question.label] for (row,), question in zip(together, examples, strict=True))
    assert loss.item() == pytest.approx(float(expected), rel=1e-5)


def test_a_model_learns_to_choose(pico: Callable[[str], Path]) -> None:
    task, examples, settings = CHOICE_TASKS["choice"], asked(6), TaskSettings(length=20)
    tokenizer: Any = AutoTokenizer.from_pretrained(pico("bert"))
    torch.manual_seed(0)
    model = task.kind.build(str(pico("bert")), task.kind.labels(examples))
    items = task.kind.encode(examples, tokenizer, [], settings)
    batch = collate(items, tokenizer.pad_token_id)
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(40):
        (task.kind.loss(model, batch) / task.kind.count(batch)).backward()
        optimiser.step()
        optimiser.zero_grad()
    model.eval()
    with torch.no_grad():
        found = task.kind.decode(examples, items, task.kind.outputs(model, batch), [], settings)
    assert scores(task, examples, found) == {"accuracy": 1.0}
    assert [task.gold(question) for question in examples] == found


def test_the_baseline_is_the_most_frequent_place() -> None:
    task = CHOICE_TASKS["choice"]
    train = [Question("", "", ["a", "b", "c"], label, "") for label in (2, 2, 0)]
    assert task.baseline(train, asked(3)) == [min(2, len(question.options) - 1) for question in asked(3)]
    assert scores(task, train, task.baseline([], train))["accuracy"] == pytest.approx(2 / 3)


def test_a_decoder_has_no_head_for_it(pico: Callable[[str], Path]) -> None:
    with pytest.raises(ModelError, match="with a choice head"):
        choice.build(str(pico("gpt2")), [])


def test_items_may_bring_an_attention_mask_of_any_rank() -> None:
    items = [
        {"input_ids": np.ones((2, 3), dtype=np.int64), "attention_mask": np.array([[1, 1, 1], [1, 0, 0]])},
        {"input_ids": np.ones((1, 4), dtype=np.int64), "attention_mask": np.array([[1, 1, 1, 1]])},
    ]
    batch = collate(items, 7)
    assert batch["attention_mask"].tolist() == [[[1, 1, 1, 0], [1, 0, 0, 0]], [[1, 1, 1, 1], [0, 0, 0, 0]]]
    assert batch["input_ids"].tolist() == [[[1, 1, 1, 7], [1, 1, 1, 7]], [[1, 1, 1, 1], [7, 7, 7, 7]]]
