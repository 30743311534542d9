"""Extractive question answering: files, measures with known answers, windows, spans, and a model that learns."""

import copy
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from tokenizers import processors

from lingraft.errors import TextError, TokenizerError
from lingraft.evaluate import question, squad
from lingraft.evaluate.squad import Question
from lingraft.evaluate.task import TaskSettings, collate, rows, scores
from lingraft.model.load import load_tokenizer

NEAR = pytest.approx


def ask(answers: list[str], context: str = "", asked: str = "", language: str = "") -> Question:
    return Question("1", context, asked, answers, [context.find(answer) for answer in answers], language)


def layout(documents: int, **changes: Any) -> dict[str, Any]:
    """A file of SQuAD's layout: each document has one paragraph and two questions."""

    def asked(number: int, text: str, start: int) -> dict[str, Any]:
        return {"id": str(number), "question": "Who ?", "answers": [{"text": text, "answer_start": start}]} | changes

    return {
        "version": "1.1",
        "data": [
            {"title": f"D{n}", "paragraphs": [{"context": "Ann met Bo.", "qas": [asked(2 * n, "Ann", 0), asked(2 * n + 1, "Bo", 8)]}]}
            for n in range(documents)
        ],
    }


def test_read_plain_compressed_and_folder(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(layout(2)), encoding="utf-8-sig")
    (tmp_path / "b.json.gz").write_bytes(gzip.compress(json.dumps(layout(1)).encode()))
    (tmp_path / "README.md").write_text("not data")
    first = squad.read(tmp_path / "a.json")
    assert first[1] == Question("1", "Ann met Bo.", "Who ?", ["Bo"], [8])
    assert len(first) == 4 and len(squad.read(tmp_path / "b.json.gz")) == 2 and len(squad.read(tmp_path)) == 6


@pytest.mark.parametrize(("given", "found"), [("0:38", 4), ("1:2", 2), ("1:", 2), (":1", 2)])
def test_a_range_of_documents(tmp_path: Path, given: str, found: int) -> None:
    (tmp_path / "a.json").write_text(json.dumps(layout(2)))
    assert len(squad.read(tmp_path / f"a.json#documents={given}")) == found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{\n\n]", "a.json, line 3: not JSON"),
        ("[]", "a.json, at the top: "),
        (json.dumps({"data": [{"paragraphs": [{"qas": []}]}]}), r"at data\[0\].paragraphs\[0\].context: field required"),
        (json.dumps(layout(1, answers=[])), r"at data\[0\].paragraphs\[0\].qas\[0\].answers: .* at least 1 item"),
        (json.dumps(layout(1, question=3)), r"qas\[0\].question: .*string"),
        ('{"data": []}', "at data: "),
    ],
    ids=["json", "list", "context", "no-answer", "question", "empty"],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(TextError, match=said):
        squad.read(tmp_path / "a.json")


@pytest.mark.parametrize(
    ("end", "said"), [("5:9", "has 2 documents, none"), ("x:2", "is written PATH#documents=0:38"), ("1", "is written")]
)
def test_a_range_that_is_wrong(tmp_path: Path, end: str, said: str) -> None:
    (tmp_path / "a.json").write_text(json.dumps(layout(2)))
    with pytest.raises(TextError, match=said):
        squad.read(tmp_path / f"a.json#documents={end}")


def test_missing_empty_and_badly_encoded(tmp_path: Path) -> None:
    (tmp_path / "latin.json").write_bytes(b'{"data":\n"\xe9"}')
    (tmp_path / "empty").mkdir()
    for path, said in (("latin.json", "line 2: byte 0xe9"), ("empty", "has no file whose name ends"), ("none.json", "no file")):
        with pytest.raises(TextError, match=said):
            squad.read(tmp_path / path)


@pytest.mark.parametrize(
    ("context", "text", "start", "found"),
    [("to be or to be", "be", 12, 12), ("to be or to be", "be", 10, 12), ("to be or to be", "be", -1, 3), ("to be", "me", 3, -1)],
    ids=["right", "shifted", "unknown", "absent"],
)
def test_wrong_starts_are_put_right(context: str, text: str, start: int, found: int) -> None:
    assert squad.locate(context, text, start) == found


@pytest.mark.parametrize(
    ("answers", "prediction", "em", "f1"),
    [
        (["The  Denver Broncos!"], "denver broncos", 1, 1),
        (["a cat"], "an-cat", 0, 0),  # the hyphen goes before articles are looked for
        (["U.S."], "us", 1, 1),
        (["gold", "in gold leaf"], "gold leaf", 0, 0.8),
        (["one two three four"], "three four five", 0, 4 / 7),
        (["yes yes"], "yes", 0, 2 / 3),
        (["no"], "", 0, 0),
        (["theatre"], "the atre", 0, 0),
        (["燃烧室"], "燃烧", 0, 0),  # no white space: no part of it counts
    ],
)
def test_squad(answers: list[str], prediction: str, em: float, f1: float) -> None:
    assert squad.squad_row(ask(answers), prediction) == NEAR((em, f1))


@pytest.mark.parametrize(
    ("answers", "prediction", "em", "f1"),
    [
        (["《战国无双3》"], "战国无双3", 1, 1),
        (["光荣和ω-force"], "光荣和ω-force开发", 0, 8 / 10),
        (["人民大会堂"], "人民会堂", 0, 4 / 9),  # the longest run that both have is of two characters
        (["abc def", "1998年"], "在1998年", 0, 4 / 5),
        (["3,000人"], "3,000人", 1, 1),
        (["北京"], "上海", 0, 0),
        (["北京"], "", 0, 0),
    ],
)
def test_cmrc(answers: list[str], prediction: str, em: float, f1: float) -> None:
    assert squad.cmrc_row(ask(answers), prediction) == NEAR((em, f1))


def test_cmrc_segments() -> None:
    assert squad.cmrc_segments(" 在New York。市（2,500人），e-mail!") == ["在", "new", "york", "市", "2,500", "人", "email", "!"]


@pytest.mark.parametrize(
    ("language", "answer", "prediction", "em", "f1"),
    [
        ("de", "der Rhein", "Rhein", 1, 1),
        ("en", "der Rhein", "Rhein", 0, 2 / 3),
        ("es", "«los Andes»", "Andes", 1, 1),
        ("ar", "الكتاب", "كتاب", 1, 1),
        ("zh", "燃烧室。", "燃烧", 0, 4 / 5),
        ("", "the Rhine", "Rhine", 1, 1),
    ],
)
def test_mlqa(language: str, answer: str, prediction: str, em: float, f1: float) -> None:
    assert squad.mlqa_row(ask([answer], language=language), prediction) == NEAR((em, f1))


def test_mlqa_knows_the_language_by_the_name(tmp_path: Path) -> None:
    (tmp_path / "test-context-de-question-en.json").write_text(json.dumps(layout(1)))
    assert {each.language for each in squad.read_mlqa(tmp_path)} == {"de"}
    assert len(squad.read_mlqa(tmp_path / "test-context-de-question-en.json#documents=0:1")) == 2


def test_scores_are_means_over_questions() -> None:
    task = question.QUESTION_TASKS["squad"]
    examples = [ask(["one two"]), ask(["three"])]
    assert scores(task, examples, ["one", "three"]) == {"f1": NEAR((2 / 3 + 1) / 2), "em": 0.5}
    assert rows(task, examples, ["one", "three"]).shape == (2, 2)
    assert task.main == "f1" and task.gold(examples[0]) == {"id": "1", "answers": ["one two"]}


def test_the_baseline_is_near_the_words_of_the_question() -> None:
    context = "Far away stands a house. " * 8 + "The red fox ate nine white hens at night."
    assert squad.nearest_words([], [ask(["x"], context, "What did the red fox eat at night?"), ask(["x"], "")]) == ["ate nine white", ""]


@pytest.fixture(scope="module")
def pairs(pico: Callable[[str], Path]) -> Any:
    """A BERT's tokenizer that joins pairs as a BERT's does."""
    tokenizer = load_tokenizer(str(pico("bert")))
    tokenizer.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
    ids = [(name, tokenizer.convert_tokens_to_ids(name)) for name in ("[CLS]", "[SEP]")]
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ids
    )
    return tokenizer


def settings(**changes: Any) -> TaskSettings:
    return TaskSettings(**({"length": 64, "stride": 8} | changes))


def text_of(item: dict[str, Any], example: Question) -> str:
    """What the labels of an item stand for."""
    first, last = item["labels"] - item["first"]
    return example.context[item["offsets"][first, 0] : item["offsets"][last, 1]].strip()


def test_targets_are_the_answer_where_a_window_has_it(pairs: Any) -> None:
    context = "ab cd " * 30 + "zoo keeper " + "ef gh " * 30
    example = ask(["zoo keeper"], context, "who is it")
    items = question.encode([example], pairs, [], settings(length=48))
    assert len(items) > 2 and all(len(item["input_ids"]) <= 48 for item in items)
    with_answer = [item for item in items if item["labels"].any()]
    assert with_answer and {text_of(item, example) for item in with_answer} == {"zoo keeper"}
    without = [item for item in items if not item["labels"].any()]
    assert without and all("zoo keeper" not in context[item["offsets"][0, 0] : item["offsets"][-1, 1]] for item in without)
    covered = np.zeros(len(context.rstrip()), dtype=bool)
    for item in items:
        covered[item["offsets"][0, 0] : item["offsets"][-1, 1]] = True
        assert item["input_ids"][0] == pairs.cls_token_id and item["token_type_ids"][item["first"]] == 1
    shared = [items[0]["offsets"][-1, 1] - items[1]["offsets"][0, 0]]
    assert covered.all() and shared[0] > 0


def test_a_long_question_is_cut_and_leaves_room(pairs: Any) -> None:
    example = ask(["zoo"], "the zoo is open", "what " * 200)
    items = question.encode([example], pairs, [], settings(length=40, stride=30))
    assert items and all(len(item["input_ids"]) <= 40 for item in items)
    assert any(item["labels"].any() and text_of(item, example) == "zoo" for item in items)


@pytest.mark.parametrize("family", ["bert", "roberta", "xlm-roberta"])
def test_targets_of_every_kind_of_tokenizer(family: str, pico: Callable[[str], Path]) -> None:
    context = "when Äpfel,pears (or plums) fell"
    examples = [ask([answer], context, "what fell?") for answer in ("when", "pears", "or plums", "Äpfel", "fell")]
    items = question.encode(examples, load_tokenizer(str(pico(family))), [], settings())
    assert [text_of(item, examples[item["example"]]) for item in items] == [example.answers[0] for example in examples]


def test_the_model_s_longest_input_and_empty_texts(pairs: Any) -> None:
    long, empty, silent = ask(["ab"], "ab " * 300, "who"), ask(["x"], "", "who"), ask(["ab"], "ab", "")
    items = question.encode([long, empty, silent], pairs, [], settings(length=5000))
    assert max(len(item["input_ids"]) for item in items) == pairs.model_max_length
    assert {int(item["example"]) for item in items} == {0, 2}
    assert question.decode([empty], [], [], [], settings()) == [""]
    assert question.encode([], pairs, [], settings()) == []


def test_a_tokenizer_without_offsets_is_refused() -> None:
    with pytest.raises(TokenizerError, match="Use a fast tokenizer"):
        question.encode([ask(["a"], "a", "b")], object(), [], settings())


def test_the_best_span_is_valid() -> None:
    start, end = np.zeros(50), np.zeros(50)
    start[40], end[5], end[45], start[2] = 9, 9, 3, 1
    assert question.best_span(start, end) == (12.0, 40, 45)  # not 40 to 5
    end[45] = 0
    end[[5, 40]] = 0
    start[2], end[49] = 20, 7
    assert question.best_span(start, end)[1:] != (2, 49)  # too long


def test_the_best_of_all_windows_counts() -> None:
    example = ask(["two"], "one two", "?")
    items = [{"example": np.array(0), "first": np.array(1), "offsets": np.array([[a, b]])} for a, b in ((0, 3), (3, 7))]
    found = [(np.array([99.0, low, 0]), np.array([99.0, low, 0])) for low in (1.0, 2.0)]
    assert question.decode([example], items, found, [], settings()) == ["two"]


@pytest.mark.parametrize("family", ["bert", "roberta", "xlm", "distilbert", "electra", "modernbert", "gpt2"])
def test_scores_do_not_depend_on_the_batch(family: str, pico: Callable[[str], Path]) -> None:
    tokenizer = load_tokenizer(str(pico(family)))
    examples = [ask(["cd"], "ab cd", "who"), ask(["gh"], "ab cd ef gh " * 4, "which of them")]
    items = question.encode(examples, tokenizer, [], settings())
    torch.manual_seed(0)
    model = question.build(str(pico(family)), []).eval()
    with torch.no_grad():
        together, losses = question.outputs(model, collate(items, 0)), question.loss(model, collate(items, 0))
        alone = [question.outputs(model, collate([item], 0))[0] for item in items]
        apart = sum(question.loss(model, collate([item], 0)) for item in items)
    assert float(losses) == NEAR(float(apart), abs=1e-4) and question.count(collate(items, 0)) == len(items)
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_a_context_is_the_second_segment_where_there_are_several(family: str, pairs: Any, pico: Callable[[str], Path]) -> None:
    """Whatever inputs a tokenizer names."""
    model, example, found = question.build(str(pico(family)), []).eval(), [ask(["cd"], "ab cd", "who")], []
    bare = copy.deepcopy(pairs)
    bare.model_input_names = ["input_ids", "attention_mask"]
    for tokenizer in (pairs, bare):
        batch = collate(question.encode(example, tokenizer, [], settings()), 0)
        assert batch["token_type_ids"].any()
        with torch.no_grad():
            found.append(question.outputs(model, batch)[0][0])
    with torch.no_grad():
        one = model(input_ids=batch["input_ids"]).start_logits[0].numpy()
    np.testing.assert_array_equal(*found)
    assert np.allclose(found[0], one, atol=1e-5) == (family == "gpt2")


def test_a_model_learns(pairs: Any, pico: Callable[[str], Path], tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    words = [" ".join(generator.choice(["ab", "cd", "ef", "gh"], size=12)) for _ in range(16)]
    examples = [
        ask(["zoo"], f"{text[: 3 * n]}zoo {text[3 * n :]}", "who") for text, n in zip(words, generator.integers(1, 11, 16), strict=True)
    ]
    transformers.set_seed(0)
    model = question.build(str(pico("bert")), [])
    batch = collate(question.encode(examples, pairs, [], settings()), pairs.pad_token_id)
    optimiser = torch.optim.Adam(model.parameters(), 5e-3)
    for _ in range(40):
        optimiser.zero_grad()
        (question.loss(model.train(), batch) / question.count(batch)).backward()
        optimiser.step()
    with torch.no_grad():
        found = question.outputs(model.eval(), batch)
    items = question.encode(examples, pairs, [], settings())
    assert scores(question.QUESTION_TASKS["qa"], examples, question.decode(examples, items, found, [], settings()))["em"] > 0.9
