"""Which of two sentences that hardly differ is grammatical? (Marvin & Linzen 2018; BLiMP, Warstadt et al. 2020)

Masked models, score = "masked" (Goldberg 2019; Artetxe et al. 2020, appendix C): the one piece in which the sentences differ is masked,
and the likelier piece chosen; pairs that differ in more are left out, and coverage says how many were asked. score = "pll" compares
pseudo-log-likelihoods of whole sentences, causal models log probabilities: then all pairs are asked.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field

from lingraft.errors import ModelError, TextError
from lingraft.evaluate.likelihood import sentence_scores
from lingraft.evaluate.probes.base import Answer, ProbeSettings, Question, read_lines, some
from lingraft.evaluate.tagging import specials_around
from lingraft.evaluate.task import Array
from lingraft.model.heads import Predictor
from lingraft.model.load import kind_of, load_config, load_model, load_tokenizer
from lingraft.model.parts import longest_input

AT_ONCE = 64
AGREEMENT, REFLEXIVES = "agreement", "reflexives"
CONSTRUCTIONS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "simple_agreement": (AGREEMENT, "Simple", ("simple_agrmt",)),
    "sentential_complement": (AGREEMENT, "In a sentential complement", ("sent_comp",)),
    "short_vp_coordination": (AGREEMENT, "Short VP coordination", ("vp_coord",)),
    "long_vp_coordination": (AGREEMENT, "Long VP coordination", ("long_vp_coord",)),
    "across_prepositional_phrase": (AGREEMENT, "Across a prepositional phrase", ("prep_anim", "prep_inanim", "prep")),
    "across_subject_relative": (AGREEMENT, "Across a subject relative clause", ("subj_rel",)),
    "across_object_relative": (AGREEMENT, "Across an object relative clause", ("obj_rel_across_anim", "obj_rel_across_inanim")),
    "across_object_relative_no_that": (
        AGREEMENT,
        "Across an object relative (no that)",
        ("obj_rel_no_comp_across_anim", "obj_rel_no_comp_across_inanim"),
    ),
    "in_object_relative": (AGREEMENT, "In an object relative clause", ("obj_rel_within_anim", "obj_rel_within_inanim")),
    "in_object_relative_no_that": (
        AGREEMENT,
        "In an object relative (no that)",
        ("obj_rel_no_comp_within_anim", "obj_rel_no_comp_within_inanim"),
    ),
    "simple_reflexives": (REFLEXIVES, "Simple", ("simple_reflexives",)),
    "reflexives_sentential_complement": (REFLEXIVES, "In a sentential complement", ("reflexive_sent_comp",)),
    "reflexives_across_relative": (REFLEXIVES, "Across a relative clause", ("reflexives_across",)),
}
"""The rows of Artetxe et al. 2020, tables 10 and 11, in their order: group, the paper's words, and the names in CLAMS."""

NAMES = {phenomenon: name for name, (_, _, phenomena) in CONSTRUCTIONS.items() for phenomenon in phenomena}


class SyntacticSettings(ProbeSettings):
    """How sentences are compared."""

    score: Literal["masked", "pll"] = Field("masked", description="of masked models: the piece that differs, or the whole sentence")


@dataclass(frozen=True, slots=True)
class MinimalPair:
    """A grammatical and an ungrammatical sentence. construction: a name in CONSTRUCTIONS, or the file's own."""

    construction: str
    good: str
    bad: str


def read_minimal_pairs(path: Path) -> list[MinimalPair]:
    """TSV of CLAMS (phenomenon, grammatical, ungrammatical) or JSON lines of BLiMP (UID, sentence_good, sentence_bad).

    Raises TextError, naming the line.
    """
    return [_minimal_pair(line, f"{path}, line {number}") for number, line in enumerate(read_lines(path), 1) if line.strip()]


def _minimal_pair(line: str, place: str) -> MinimalPair:
    if line.lstrip().startswith("{"):
        try:
            record = json.loads(line)
            return MinimalPair(str(record["UID"]), str(record["sentence_good"]), str(record["sentence_bad"]))
        except (ValueError, KeyError) as error:
            raise TextError(f"{place}: not a pair of BLiMP ({error}). It has UID, sentence_good, sentence_bad.") from None
    columns = line.split("\t")
    if len(columns) != 3:
        raise TextError(f"{place}: {len(columns)} columns, not 3: phenomenon, grammatical and ungrammatical sentence, tab separated.")
    return MinimalPair(NAMES.get(columns[0], columns[0]), columns[1], columns[2])


def difference(good: Sequence[int], bad: Sequence[int], unknown: int | None) -> int | None:
    """The one place where two sentences' pieces differ, both known; None where they differ in more, or not at all."""
    if len(good) != len(bad):
        return None
    places = [place for place, pair in enumerate(zip(good, bad, strict=True)) if pair[0] != pair[1]]
    return places[0] if len(places) == 1 and unknown not in (good[places[0]], bad[places[0]]) else None


@torch.no_grad()
def masked_margins(model: Any, tokenizer: Any, pairs: Sequence[MinimalPair], length: int) -> Array:
    """(n,) log probability of the grammatical piece minus that of the other; nan where a pair is left out."""
    before, after = specials_around(tokenizer)
    both = [
        tokenizer([getattr(pair, side) for pair in pairs], add_special_tokens=False, verbose=False)["input_ids"] for side in ("good", "bad")
    ]
    groups: dict[int, list[int]] = defaultdict(list)
    places = [difference(good, bad, tokenizer.unk_token_id) for good, bad in zip(*both, strict=True)]
    for number, place in enumerate(places):
        if place is not None and len(both[0][number]) + len(before) + len(after) <= length:
            groups[len(both[0][number])].append(number)
    margins, predictor, device = np.full(len(pairs), np.nan), Predictor(model), next(model.parameters()).device
    try:
        for numbers in (group[i : i + AT_ONCE] for group in groups.values() for i in range(0, len(group), AT_ONCE)):
            columns = np.array([len(before) + (places[number] or 0) for number in numbers])
            inputs = np.array([[*before, *both[0][number], *after] for number in numbers])
            rows = np.arange(len(numbers))
            inputs[rows, columns] = tokenizer.mask_token_id
            positions = torch.from_numpy(rows * inputs.shape[1] + columns).to(device)
            logits = predictor(torch.from_numpy(inputs).to(device), positions).double().cpu().numpy()
            good, bad = ([side[number][places[number] or 0] for number in numbers] for side in both)
            margins[numbers] = logits[rows, good] - logits[rows, bad]
    finally:
        predictor.remove()
    return margins


def margins(question: Question, pairs: Sequence[MinimalPair]) -> Array:
    """(n,) how much likelier the model finds the grammatical sentence, in nats; nan where it was not asked.

    Raises ModelError where the model has no language-model head of its own.
    """
    kind = kind_of(load_config(question.model))
    model, added = load_model(question.model, kind, seed=0)
    tokenizer = load_tokenizer(question.model)
    if added:
        raise ModelError(
            f"{question.model!r} has no language-model head ({added[0]} is missing, or was drawn and not trained), so it cannot say which "
            "sentence is likelier. "
            "Give a model that was trained with one, as `lingraft transfer` leaves it."
        )
    model = model.to("cuda" if torch.cuda.is_available() else "cpu")
    length = min(question.settings.length, longest_input(model) or question.settings.length, tokenizer.model_max_length)
    if kind == "mlm" and question.settings.score == "masked":
        if tokenizer.mask_token_id is None:
            raise ModelError(f"The tokenizer of {question.model!r} has no mask token, which this probe puts where the sentences differ.")
        return masked_margins(model, tokenizer, pairs, length)
    sentences = [sentence for pair in pairs for sentence in (pair.good, pair.bad)]
    scores = sentence_scores(model, tokenizer, sentences, kind)
    return scores[::2] - scores[1::2]


def table(pairs: Sequence[MinimalPair], found: Array) -> list[dict[str, Any]]:
    """For each construction its pairs, those that were asked, coverage and accuracy (None: none was): first the paper's, also those that
    the data lacks, if it has any of them; then the others by name."""
    numbers: dict[str, list[int]] = defaultdict(list)
    for number, pair in enumerate(pairs):
        numbers[pair.construction].append(number)
    known = list(CONSTRUCTIONS) if numbers.keys() & CONSTRUCTIONS.keys() else []
    rows = []
    for name in [*known, *sorted(numbers.keys() - set(known))]:
        group, title, _ = CONSTRUCTIONS.get(name, ("other", name, ()))
        values = found[numbers[name]]
        asked = values[~np.isnan(values)]
        rows.append(
            {
                "name": name,
                "group": group,
                "title": title,
                "pairs": len(values),
                "covered": len(asked),
                "coverage": len(asked) / len(values) if len(values) else None,
                "accuracy": _accuracy(asked) if len(asked) else None,
            }
        )
    return rows


def _accuracy(values: Array) -> float:
    """Share of pairs whose grammatical sentence is the likelier; a tie counts half."""
    return float((values > 0).mean() + (values == 0).mean() / 2)


def _macro(rows: Sequence[Mapping[str, Any]]) -> float | None:
    """Mean accuracy over constructions; None where none was asked."""
    known = [row["accuracy"] for row in rows if row["accuracy"] is not None]
    return float(np.mean(known)) if known else None


def answer(question: Question) -> Answer:
    """Accuracy, macro-averaged over constructions and over the paper's two groups; micro; coverage; each construction's.

    Where the data has constructions of the paper, the first, micro and coverage are over these alone (CLAMS has others too).
    """
    pairs = some(read_minimal_pairs(question.evaluation), question.evaluation)
    found = margins(question, pairs)
    if np.isnan(found).all():
        raise TextError(
            f"No pair of {question.evaluation} differs in exactly one piece of this model's vocabulary. "
            "--set score=pll compares whole sentences."
        )
    rows = table(pairs, found)
    counted = [row for row in rows if row["group"] != "other"] or rows
    numbers = {name: [row[name] for row in counted] for name in ("pairs", "covered", "accuracy")}
    right = sum(covered * (accuracy or 0) for covered, accuracy in zip(numbers["covered"], numbers["accuracy"], strict=True))
    macros = {f"accuracy_{group}": _macro([row for row in rows if row["group"] == group]) for group in (AGREEMENT, REFLEXIVES)}
    micro = right / sum(numbers["covered"]) if sum(numbers["covered"]) else None
    scores = {
        "accuracy": _macro(counted),
        "accuracy_micro": micro,
        **macros,
        **{f"accuracy/{row['name']}": row["accuracy"] for row in rows},
    }
    kept = {name: float(value) for name, value in scores.items() if value is not None}
    coverage = sum(numbers["covered"]) / sum(numbers["pairs"])
    lines = [
        {"construction": pair.construction, "good": pair.good, "bad": pair.bad, "margin": None if np.isnan(value) else float(value)}
        for pair, value in zip(pairs, found, strict=True)
    ]
    return Answer([{**kept, "coverage": coverage}], dict.fromkeys(kept, 0.5), lines, {"constructions": rows})
