"""Extractive question answering: the span of a context that answers a question (Devlin et al. 2019, section 4.2)."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from lingraft.errors import TokenizerError
from lingraft.evaluate import squad
from lingraft.evaluate.classification import inputs
from lingraft.evaluate.heads import load_with_head
from lingraft.evaluate.squad import Question
from lingraft.evaluate.task import Array, Batch, Item, Kind, Task, TaskSettings

LONGEST_QUESTION = 64
"""Tokens of a question that are kept; never more than half of an input."""
LONGEST_ANSWER = 30
"""Tokens of a predicted span."""


def labels(examples: Sequence[Question]) -> list[str]:
    """None: the head has a score for the first token and one for the last."""
    return []


def encode(examples: Sequence[Question], tokenizer: Any, names: list[str], settings: TaskSettings) -> list[Item]:
    """Items of a question, cut where it is long, and a window of its context; neighbouring windows share `stride` tokens.

    input_ids and token_type_ids (length,). first (): where the context begins. offsets (tokens, 2): the characters of its tokens. labels
    (2,): first and last token of the first answer that lies inside the window, else the input's first token twice. An example with an empty
    context has no items. Raises TokenizerError where the tokenizer gives no offsets.
    """
    if not getattr(tokenizer, "is_fast", False):
        raise TokenizerError(f"{type(tokenizer).__name__} does not say which characters its tokens stand for. Use a fast tokenizer.")
    if not examples:
        return []
    length = min(settings.length, tokenizer.model_max_length)
    free = length - tokenizer.num_special_tokens_to_add(pair=True)
    limit = max(min(LONGEST_QUESTION, free // 2), 1)
    encoded = tokenizer(
        _cut([example.question for example in examples], tokenizer, limit),
        [example.context for example in examples],
        truncation="only_second",
        max_length=length,
        stride=min(settings.stride, (free - limit) // 2),
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
        return_token_type_ids=True,
    )
    places = encoded["overflow_to_sample_mapping"]
    found = (_item(encoded, window, examples[place], place) for window, place in enumerate(places))
    return [item for item in found if len(item["offsets"])]


def _cut(texts: list[str], tokenizer: Any, limit: int) -> list[str]:
    """The texts, each as far as its first `limit` tokens go; white space at the edges goes too."""
    stripped = [text.strip() for text in texts]
    offsets = tokenizer(stripped, add_special_tokens=False, return_offsets_mapping=True, verbose=False)["offset_mapping"]
    return [text[: spans[limit - 1][1]] if len(spans) > limit else text for text, spans in zip(stripped, offsets, strict=True)]


def _item(encoded: Any, window: int, example: Question, place: int) -> Item:
    inside = np.flatnonzero(np.array(encoded.sequence_ids(window), dtype=object) == 1)
    offsets = np.array(encoded["offset_mapping"][window])[inside].reshape(-1, 2)
    first = int(inside[0]) if len(inside) else 0
    target = next(filter(None, (_target(offsets, *span) for span in _spans(example))), None)
    item = {name: np.array(encoded[name][window]) for name in ("input_ids", "token_type_ids")}
    return item | {
        "labels": np.array([first + token for token in target] if target else [0, 0]),
        "first": np.array(first),
        "offsets": offsets,
        "example": np.array(place),
    }


def _spans(example: Question) -> list[tuple[int, int]]:
    return [(start, start + len(text)) for start, text in zip(example.starts, example.answers, strict=True) if start >= 0]


def _target(offsets: Array, start: int, end: int) -> tuple[int, int] | None:
    """First and last token of the characters from start to end, if all of them lie inside the window of these offsets (tokens, 2)."""
    if not len(offsets) or offsets[0, 0] > start or offsets[-1, 1] < end:
        return None
    return int(np.searchsorted(offsets[:, 1], start, side="right")), int(np.searchsorted(offsets[:, 1], end))


def _logits(model: Any, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores of first and last tokens, (batch, length), in float32; padding has none."""
    found = model(**inputs(model, batch))
    padding = batch["attention_mask"] == 0
    return found.start_logits.float().masked_fill(padding, -torch.inf), found.end_logits.float().masked_fill(padding, -torch.inf)


def count(batch: Batch) -> int:
    """Windows."""
    return len(batch["input_ids"])


def loss(model: Any, batch: Batch) -> torch.Tensor:
    """Mean of the cross entropies of first and last token, summed over windows."""
    targets = batch["labels"].T
    return sum(
        (
            functional.cross_entropy(logits, target, reduction="sum") / 2
            for logits, target in zip(_logits(model, batch), targets, strict=True)
        ),
        start=torch.zeros((), device=targets.device),
    )


def outputs(model: Any, batch: Batch) -> list[tuple[Array, ...]]:
    """The scores of each token as first and as last one of the answer, (length,) each."""
    starts, ends = (logits.cpu().numpy() for logits in _logits(model, batch))
    lengths = batch["attention_mask"].sum(dim=1).tolist()
    return [(start[:length], end[:length]) for start, end, length in zip(starts, ends, lengths, strict=True)]


def decode(
    examples: Sequence[Question],
    items: Sequence[Item],
    found: Sequence[tuple[Array, ...]],
    names: list[str],
    settings: TaskSettings,
) -> list[str]:
    """The text of the best span over all windows of each example, as it stands in the context."""
    best: list[tuple[float, str]] = [(-np.inf, "") for _ in examples]
    for item, (start, end) in zip(items, found, strict=True):
        place, offsets = int(item["example"]), item["offsets"]
        context = slice(int(item["first"]), int(item["first"]) + len(offsets))
        score, first, last = best_span(start[context], end[context])
        if score > best[place][0]:
            best[place] = score, examples[place].context[offsets[first, 0] : offsets[last, 1]].strip()
    return [text for _, text in best]


def best_span(start: Array, end: Array) -> tuple[float, int, int]:
    """Score, first and last token of the best of all spans of at most LONGEST_ANSWER tokens; start and end (tokens,) are their scores."""
    padded = np.pad(end, (0, LONGEST_ANSWER - 1), constant_values=-np.inf)
    scores = start[:, None] + np.lib.stride_tricks.sliding_window_view(padded, LONGEST_ANSWER)
    first, more = np.unravel_index(int(scores.argmax()), scores.shape)
    return float(scores[first, more]), int(first), int(first + more)


def build(name: str, names: list[str]) -> Any:
    """A model with transformers' own question answering head."""
    return load_with_head(name, "question", names)


QUESTION = Kind(labels, build, encode, count, loss, outputs, decode)

_task = partial(
    Task,
    QUESTION,
    reduce=squad.exact_and_f1,
    baseline=squad.nearest_words,
    gold=squad.gold,
    main="f1",
    defaults={"epochs": 2.0, "length": 384, "stride": 128},
)
QUESTION_TASKS: dict[str, Task] = {
    "qa": _task(squad.read, squad.squad_row, about="extractive question answering, SQuAD's layout and measures"),
    "squad": _task(squad.read, squad.squad_row, about="SQuAD 1.1 (Rajpurkar et al. 2016)"),
    "xquad": _task(squad.read, squad.squad_row, about="XQuAD (Artetxe et al. 2020), by SQuAD's measures in every language"),
    "mlqa": _task(squad.read_mlqa, squad.mlqa_row, about="MLQA (Lewis et al. 2020), by its own measures"),
    "cmrc2018": _task(squad.read, squad.cmrc_row, about="CMRC 2018 (Cui et al. 2019) in SQuAD's layout, by its own measures"),
    "drcd": _task(squad.read, squad.cmrc_row, about="DRCD (Shao et al. 2018), by CMRC's measures"),
}
"""Tasks of this kind. Settings are those of Artetxe et al. (2020, section 3.3): Adam 2e-5, batches of 32, 2 epochs."""
