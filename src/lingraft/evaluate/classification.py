"""Classification and regression of texts and of pairs of texts, by transformers' own sequence classification head."""

import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from scipy import stats
from torch.nn import functional

from lingraft.evaluate import clue
from lingraft.evaluate.formats import Layout, Pair, read_numbers, read_pairs
from lingraft.evaluate.heads import load_with_head
from lingraft.evaluate.task import Array, Batch, Item, Kind, Task, TaskSettings
from lingraft.model.parts import has_segments


def labels(examples: Sequence[Pair]) -> list[str]:
    """All labels, sorted."""
    return sorted({str(pair.label) for pair in examples})


def encode_texts(firsts: Sequence[str], seconds: Sequence[str], tokenizer: Any, length: int) -> list[Item]:
    """input_ids and token_type_ids (length,) of texts, or of pairs as the tokenizer joins them, the longer text of a pair cut first.

    Where a tokenizer puts nothing between two texts, as those of decoders do, a line break stands there. An empty text is one token.
    """
    texts = [list(firsts)]
    if any(seconds):
        special = tokenizer("a", "a", return_special_tokens_mask=True)["special_tokens_mask"]
        is_joined = "1" not in "".join(map(str, special)).strip("1")
        texts.append([f"\n{text}" if is_joined else text for text in seconds])
    encoded = tokenizer(*texts, truncation="longest_first", max_length=length, return_token_type_ids=True)
    nothing = [tokenizer.eos_token_id or tokenizer.unk_token_id or 0]
    pairs = zip(encoded["input_ids"], encoded["token_type_ids"], strict=True)
    return [{"input_ids": np.array(ids or nothing), "token_type_ids": np.array(types or [0])} for ids, types in pairs]


def encode(examples: Sequence[Pair], tokenizer: Any, names: list[str], settings: TaskSettings) -> list[Item]:
    """Items of input_ids, token_type_ids (length,) and labels (): numbers, -100 for one the head does not know."""
    number = {name: i for i, name in enumerate(names)}
    items = encode_texts([pair.first for pair in examples], [pair.second for pair in examples], tokenizer, settings.length)
    found = [np.float32(pair.label) if isinstance(pair.label, float) else number.get(pair.label, -100) for pair in examples]
    return [item | {"labels": np.array(label), "example": np.array(i)} for i, (item, label) in enumerate(zip(items, found, strict=True))]


def build(name: str, names: list[str], **options: Any) -> Any:
    """A model with transformers' sequence classification head. One without a padding token in its configuration gets its end token."""
    model = load_with_head(name, "sequence", names, **options)
    config = model.config.get_text_config()
    if config.pad_token_id is None:
        end = config.eos_token_id
        config.pad_token_id = (end[0] if isinstance(end, list) else end) or 0
    return model


def inputs(model: Any, batch: Batch) -> Batch:
    """What the model is called with. Padding is what its configuration calls so: decoders classify at the last token that is not; and
    token types go to models that have several."""
    config = getattr(model, "module", model).config
    pad = config.get_text_config().pad_token_id
    mask = batch["attention_mask"]
    given = {"input_ids": batch["input_ids"].masked_fill(mask == 0, pad or 0), "attention_mask": mask}
    if has_segments(model):
        given["token_type_ids"] = batch["token_type_ids"]
    return given


def count(batch: Batch) -> int:
    """Examples whose label is known."""
    return int((batch["labels"] != -100).sum())


def loss(model: Any, batch: Batch) -> torch.Tensor:
    """Cross entropy, summed."""
    return functional.cross_entropy(model(**inputs(model, batch)).logits.float(), batch["labels"], reduction="sum")


def outputs(model: Any, batch: Batch) -> list[tuple[Array, ...]]:
    """The logits of each example, (labels,)."""
    return [(row,) for row in model(**inputs(model, batch)).logits.float().cpu().numpy()]


def decode(
    examples: Sequence[Pair], items: Sequence[Item], found: Sequence[tuple[Array, ...]], names: list[str], settings: TaskSettings
) -> list[str]:
    """The best label of each example."""
    return [names[int(logits.argmax())] for (logits,) in found]


CLASSIFICATION = Kind(labels, build, encode, count, loss, outputs, decode)


def squared_error(model: Any, batch: Batch) -> torch.Tensor:
    """Squared error, summed."""
    return functional.mse_loss(model(**inputs(model, batch)).logits.float()[:, 0], batch["labels"].float(), reduction="sum")


def decode_numbers(
    examples: Sequence[Pair], items: Sequence[Item], found: Sequence[tuple[Array, ...]], names: list[str], settings: TaskSettings
) -> list[float]:
    """The number of each example."""
    return [float(number[0]) for (number,) in found]


def build_regression(name: str, names: list[str]) -> Any:
    """A model with one output."""
    return build(name, [], num_labels=1, problem_type="regression")


def nothing(examples: Sequence[Any]) -> list[str]:
    """There are no labels to tell apart."""
    return []


def all_items(batch: Batch) -> int:
    """Every item is one prediction."""
    return len(batch["labels"])


REGRESSION = Kind(nothing, build_regression, encode, all_items, squared_error, outputs, decode_numbers)


def label_row(example: Pair, prediction: str) -> tuple[int, int]:
    """A number for the right label, and for the one that was predicted."""
    return zlib.crc32(str(example.label).encode()), zlib.crc32(prediction.encode())


def positive_row(example: Pair, prediction: str) -> tuple[int, int]:
    """Whether the label is "1", and whether it was predicted to be."""
    return int(example.label == "1"), int(prediction == "1")


def number_row(example: Pair, prediction: float) -> tuple[float, float]:
    """The right number, and the predicted one."""
    return float(example.label), prediction


def confusion(rows: Array) -> Array:
    """(labels, labels) how often a label, a row, was predicted to be one, a column."""
    known, numbers = np.unique(rows, return_inverse=True)
    gold, found = numbers.reshape(rows.shape).T
    return np.bincount(gold * len(known) + found, minlength=len(known) ** 2).reshape(len(known), len(known))


def accuracy(rows: Array) -> dict[str, float]:
    """Share of the labels that are right, and the mean over the labels of their F1."""
    table = confusion(rows)
    f1 = 2 * np.diag(table) / np.maximum(table.sum(axis=0) + table.sum(axis=1), 1)
    return {"accuracy": float(np.trace(table) / max(table.sum(), 1)), "f1_macro": float(f1.mean()) if len(f1) else 0.0}


def _four(rows: Array) -> tuple[float, float, float, float]:
    """Of label 1: rightly found, wrongly found, missed, rightly not found."""
    gold, found = rows.T.astype(bool)
    return float((gold & found).sum()), float((~gold & found).sum()), float((gold & ~found).sum()), float((~gold & ~found).sum())


def f1(rows: Array) -> dict[str, float]:
    """F1 of label 1 with its precision and recall, and accuracy."""
    right, wrong, missed, rest = _four(rows)
    return {
        "f1": 2 * right / max(2 * right + wrong + missed, 1),
        "precision": right / max(right + wrong, 1),
        "recall": right / max(right + missed, 1),
        "accuracy": (right + rest) / max(len(rows), 1),
    }


def matthews(rows: Array) -> dict[str, float]:
    """Matthews' correlation of two labels (0 where one of them is never there or never found), and accuracy."""
    right, wrong, missed, rest = _four(rows)
    spread = np.sqrt(right + wrong) * np.sqrt(right + missed) * np.sqrt(rest + wrong) * np.sqrt(rest + missed)
    correlation = (right * rest - wrong * missed) / spread if spread else 0.0
    return {"matthews": float(correlation), "accuracy": (right + rest) / max(len(rows), 1)}


def correlations(rows: Array) -> dict[str, float]:
    """Spearman's and Pearson's correlation; 0 where either side is constant."""
    gold, found = rows.T
    if len(rows) < 2 or not np.ptp(gold) or not np.ptp(found):
        return {"spearman": 0.0, "pearson": 0.0}
    return {"spearman": float(stats.spearmanr(gold, found).statistic), "pearson": float(stats.pearsonr(gold, found).statistic)}


def most_frequent(train: Sequence[Pair], examples: Sequence[Pair]) -> list[str]:
    """The most frequent label everywhere."""
    counts = Counter(str(pair.label) for pair in (train or examples))
    return [min(counts, key=lambda name: (-counts[name], name))] * len(examples)


def mean(train: Sequence[Pair], examples: Sequence[Pair]) -> list[float]:
    """The mean everywhere."""
    return [float(np.mean([pair.label for pair in (train or examples)]))] * len(examples)


def gold(example: Pair) -> str | float:
    """Its label."""
    return example.label


NLI = {name: name for name in ("entailment", "neutral", "contradiction")} | {"contradictory": "contradiction"}
TWO_WAY = {name: name for name in ("entailment", "not_entailment")}
TRUTH = {"0": "0", "1": "1", "false": "0", "true": "1"}
SAME = TRUTH | {"not_equivalent": "0", "equivalent": "1", "not_duplicate": "0", "duplicate": "1"}
ACCEPTABLE = TRUTH | {"unacceptable": "0", "acceptable": "1"}
XNLI = Layout(files=("xnli.{split}.tsv*", "multinli.{split}.{language}.tsv*", "*{language}*{split}*"), labels=NLI, one_language=True)


def _task(layout: Layout = Layout(), about: str = "", **defaults: Any) -> Task:  # noqa: B008, since it is frozen
    read = partial(read_pairs, layout=layout)
    more: dict[str, Any] = {"defaults": defaults, "about": about, "spellings": layout.labels}
    return Task(CLASSIFICATION, read, label_row, accuracy, most_frequent, gold, **more)


def _binary(layout: Layout, main: str, reduce: Callable[[Array], dict[str, float]], about: str) -> Task:
    read = partial(read_pairs, layout=layout)
    return Task(CLASSIFICATION, read, positive_row, reduce, most_frequent, gold, main, about=about, spellings=layout.labels)


def _regression(about: str) -> Task:
    return Task(REGRESSION, read_numbers, number_row, correlations, mean, gold, "spearman", about=about)


def _glue(kind: str) -> tuple[str, ...]:
    """Names of MNLI's files: development and test sets come in two kinds."""
    return f"{{split}}_{kind}.tsv*", "{split}.tsv*"


CLASSIFICATION_TASKS: Mapping[str, Task] = {
    "classify": _task(about="texts or pairs of your own with labels"),
    "regress": _regression("texts or pairs of your own with numbers"),
    "xnli": _task(XNLI, "natural language inference (Conneau et al. 2018)", epochs=2.0),
    "pawsx": _task(Layout(labels=TRUTH), "paraphrases (Yang et al. 2019)", epochs=2.0),
    "mldoc": _task(Layout(("label", "text"), ("{language}.{split}*", "*{split}*")), "topics of news (Schwenk & Li 2018)", epochs=2.0),
    "glue/cola": _binary(Layout(("source", "label", "mark", "sentence"), labels=ACCEPTABLE), "matthews", matthews, "acceptability"),
    "glue/mnli": _task(Layout(files=_glue("matched"), labels=NLI, lenient=True), "inference, matched genres"),
    "glue/mnli-mm": _task(Layout(files=_glue("mismatched"), labels=NLI, lenient=True), "inference, other genres"),
    "glue/mrpc": _binary(Layout(labels=SAME), "f1", f1, "paraphrases in news"),
    "glue/qnli": _task(Layout(labels=TWO_WAY, lenient=True), "does a sentence answer a question"),
    "glue/qqp": _binary(Layout(labels=SAME, lenient=True), "f1", f1, "duplicate questions"),
    "glue/rte": _task(Layout(labels=TWO_WAY, lenient=True), "entailment"),
    "glue/sst2": _task(about="sentiment"),
    "glue/stsb": _regression("similarity of sentences"),
    "clue/afqmc": _task(Layout(labels=TRUTH), "questions that mean the same"),
    "clue/cmnli": _task(Layout(labels=NLI), "inference; OCNLI too"),
    "clue/csl": _task(Layout(labels=TRUTH, texts=clue.keywords), "do keywords belong to an abstract", length=256),
    "clue/tnews": _task(about="topics of headlines"),
    "clue/iflytek": _task(about="topics of applications"),
    "clue/wsc": _task(Layout(labels=TRUTH, texts=clue.spans), "whom a pronoun means"),
}
