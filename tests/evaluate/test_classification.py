"""Classification and regression: scores are those of scikit-learn and scipy, baselines, and models that learn."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn import metrics
from transformers import AutoTokenizer

from lingraft.evaluate import classification
from lingraft.evaluate.classification import CLASSIFICATION_TASKS, Pair
from lingraft.evaluate.task import Task, TaskSettings, collate, scores


def draws(num_labels: int, share: float) -> tuple[list[Pair], list[str]]:
    """Random labels, and predictions of which a share is right."""
    generator = np.random.default_rng(num_labels)
    gold = generator.integers(num_labels, size=300)
    found = np.where(generator.random(300) < share, gold, generator.integers(num_labels, size=300))
    return [Pair("", "", str(label), "") for label in gold], [str(label) for label in found]


@pytest.mark.parametrize("share", [0.0, 0.4, 0.9])
def test_scores_are_those_of_scikit_learn(share: float) -> None:
    examples, found = draws(2, share)
    labels = [pair.label for pair in examples]
    for task in ("glue/mrpc", "glue/qqp"):
        measured = scores(CLASSIFICATION_TASKS[task], examples, found)
        precision, recall, f1, _ = metrics.precision_recall_fscore_support(labels, found, pos_label="1", average="binary")
        expected = {"f1": f1, "precision": precision, "recall": recall, "accuracy": metrics.accuracy_score(labels, found)}
        assert measured == pytest.approx(expected)
    cola = scores(CLASSIFICATION_TASKS["glue/cola"], examples, found)
    assert cola["matthews"] == pytest.approx(metrics.matthews_corrcoef(labels, found))
    examples, found = draws(5, share)
    labels = [pair.label for pair in examples]
    expected = {"accuracy": metrics.accuracy_score(labels, found), "f1_macro": metrics.f1_score(labels, found, average="macro")}
    assert scores(CLASSIFICATION_TASKS["classify"], examples, found) == pytest.approx(expected)


def test_correlations_are_those_of_scipy() -> None:
    generator = np.random.default_rng(0)
    gold = generator.integers(6, size=200).astype(float)
    found = gold + generator.normal(size=200)
    examples = [Pair("", "", value, "") for value in gold]
    expected = {"spearman": stats.spearmanr(gold, found).statistic, "pearson": stats.pearsonr(gold, found).statistic}
    assert scores(CLASSIFICATION_TASKS["glue/stsb"], examples, list(found)) == pytest.approx(expected)


@pytest.mark.parametrize("name", ["classify", "glue/cola", "glue/mrpc"])
def test_the_baseline_is_the_most_frequent_label(name: str) -> None:
    task, examples = CLASSIFICATION_TASKS[name], [Pair("", "", label, "") for label in "1101"]
    assert task.baseline([Pair("", "", "0", "")], examples) == ["0"] * 4
    assert scores(task, examples, task.baseline([], examples))["accuracy"] == 0.75
    assert scores(task, examples, task.baseline([], examples)).get("matthews", 0.0) == 0.0


def test_a_constant_has_no_correlation() -> None:
    task, examples = CLASSIFICATION_TASKS["regress"], [Pair("", "", value, "") for value in (1.0, 2.0, 6.0)]
    assert task.baseline([], examples) == [3.0] * 3
    assert scores(task, examples, task.baseline([], examples)) == {"spearman": 0.0, "pearson": 0.0}


def pad_of(tokenizer: Any) -> int:
    """The padding token, or another that is there, as the training loop has it."""
    return next((int(i) for i in (tokenizer.pad_token_id, tokenizer.eos_token_id) if i is not None), 0)


@pytest.mark.parametrize(
    "family", ["bert", "roberta", "xlm", "distilbert", "electra", "modernbert", "gpt2", "opt", "llama", "qwen2", "gemma2"]
)
def test_padding_changes_no_prediction(family: str, pico: Callable[[str], Path]) -> None:
    folder, settings = pico(family), TaskSettings(length=24)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    torch.manual_seed(0)
    kind, names = classification.CLASSIFICATION, ["a", "b", "c"]
    model = kind.build(str(folder), names).eval()
    examples = [Pair("ab", "c", "a", ""), Pair("abc def ghi " * 9, "jkl mno pqr stu " * 4, "c", ""), Pair("", "", "b", "")]
    items = kind.encode(examples, tokenizer, names, settings)
    assert len(items[1]["input_ids"]) <= 24
    with torch.no_grad():
        together = kind.outputs(model, collate(items, pad_of(tokenizer)))
        alone = [kind.outputs(model, collate([item], pad_of(tokenizer)))[0] for item in items]
    assert np.allclose(np.array(together), np.array(alone), rtol=1e-4, atol=1e-6)
    assert not np.allclose(together[0], together[1], rtol=1e-4, atol=1e-6)


def test_a_decoder_reads_a_line_break_between_two_texts_and_an_encoder_what_it_has(pico: Callable[[str], Path]) -> None:
    decoder, encoder = (AutoTokenizer.from_pretrained(pico(family)) for family in ("gpt2", "bert"))
    (item,) = classification.encode_texts(["ab"], ["cd"], decoder, 16)
    assert decoder.decode(item["input_ids"]) == "ab\ncd"
    encoder.backend_tokenizer.post_processor = encoder.backend_tokenizer.post_processor.__class__(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 0), ("[SEP]", 1)]
    )
    (item,) = classification.encode_texts(["ab"], ["cd"], encoder, 16)
    expected = encoder("ab", "cd", return_token_type_ids=True)
    assert {name: array.tolist() for name, array in item.items()} == {name: expected[name] for name in item}
    assert set(item["token_type_ids"].tolist()) == {0, 1}


def learn(task: Task, examples: list[Pair], folder: Path) -> dict[str, float]:
    """Scores on what a pico model was trained on, by a loop of a few lines."""
    kind, settings = task.kind, TaskSettings(length=24)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    torch.manual_seed(0)
    names = kind.labels(examples)
    model = kind.build(str(folder), names)
    items = kind.encode(examples, tokenizer, names, settings)
    batch = collate(items, pad_of(tokenizer))
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(40):
        (kind.loss(model, batch) / kind.count(batch)).backward()
        optimiser.step()
        optimiser.zero_grad()
    model.eval()
    with torch.no_grad():
        return scores(task, examples, kind.decode(examples, items, kind.outputs(model, batch), names, settings))


@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_a_model_learns_labels_and_numbers(family: str, pico: Callable[[str], Path]) -> None:
    words = ["abc", "xyz"]
    texts = [f"{words[i % 2]} {words[i // 2 % 2]} {words[i // 4 % 2]}" for i in range(8)]
    labelled = [Pair(text, "", "yes" if text.startswith("abc") else "no", "") for text in texts]
    assert learn(CLASSIFICATION_TASKS["classify"], labelled, pico(family))["accuracy"] == 1.0
    numbers = [Pair(text, "", float(text.count("abc")), "") for text in texts]
    assert learn(CLASSIFICATION_TASKS["regress"], numbers, pico(family))["pearson"] > 0.8


def test_labels_that_the_head_does_not_know_are_no_part_of_the_loss(pico: Callable[[str], Path]) -> None:
    tokenizer = AutoTokenizer.from_pretrained(pico("bert"))
    items = classification.encode([Pair("a", "", "x", ""), Pair("a", "", "?", "")], tokenizer, ["x", "y"], TaskSettings())
    assert classification.count(collate(items, 0)) == 1
