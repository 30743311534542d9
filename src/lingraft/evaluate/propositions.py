"""Predicates and their arguments: the formats of semantic role labelling, CoNLL-2009 and Universal Propositions, and their score."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lingraft.errors import TextError
from lingraft.evaluate.columns import Lines, blocks
from lingraft.evaluate.task import Array
from lingraft.files import write_text

NOTHING = ("_", "-", "")
"""How columns of senses and roles say that there is none (CoNLL-2009's Chinese part writes a dash)."""
ITSELF = "V"
"""What Universal Propositions write at the predicate in its own column of roles: no argument."""
LEMMA = re.compile(r"^[^.]+\.(?=[^.]+$)")


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a format keeps what, columns counting from 0. flag: `Y` at predicates. The roles, one column for each predicate in order,
    follow the senses. whole: senses have lemmas of their own, which are to be predicted. own: what a predicate has in its own column."""

    name: str
    lemma: int
    head: int
    flag: int | None
    sense: int
    whole: bool
    own: str = "_"


LAYOUTS = (
    Layout("CoNLL-2009", 3, 8, 12, 13, False),
    Layout("Universal Propositions after CoNLL-U's ten columns", 2, 6, None, 10, True, own=ITSELF),
    Layout("Universal Propositions with a predicate flag", 2, 6, 8, 9, True),
)


@dataclass(frozen=True, slots=True)
class Propositions:
    """A sentence with its predicates (word, sense) and their arguments (predicate, word, role). Words count from 1. Of CoNLL-2009's senses
    only what stands behind the dot is kept, the lemma being given: so its scorer compares them. lines: as in the file, in its layout."""

    words: list[str]
    lemmas: list[str]
    predicates: list[tuple[int, str]]
    arguments: list[tuple[int, int, str]]
    lines: list[str] = field(default_factory=list)
    layout: Layout = LAYOUTS[1]


Prediction = dict[str, list[list[int | str]]]
"""predicates: [word, sense]; arguments: [predicate, word, role]."""

Row = tuple[int, list[str]]
"""A word: the number of its line and its columns."""


def read_propositions(path: Path) -> list[Propositions]:
    """The sentences of a file. Its layout is the one of LAYOUTS that fits the most of them.

    Raises TextError where none fits, where a sentence has another layout than the rest, or where there is no predicate.
    """
    pairs = [(block, [_columns(*line) for line in block if line[1].split("\t")[0].isdigit()]) for block in blocks(path)]
    sentences = [(block, rows) for block, rows in pairs if rows]
    faults = {layout: [_fault(layout, rows) for _, rows in sentences] for layout in LAYOUTS}
    layout = min(LAYOUTS, key=lambda each: sum(map(bool, faults[each])))
    if not sentences or all(faults[layout]):
        known = "; ".join(f"{each.name} (senses in column {each.sense + 1})" for each in LAYOUTS)
        raise TextError(f"{path} has none of the formats of semantic roles: {known}. After the senses comes a column for each predicate.")
    for fault in filter(None, faults[layout]):
        raise TextError(f"{path}, line {fault[0]}: {fault[1]} (the file's layout: {layout.name}).")
    found = [_propositions(layout, block, rows) for block, rows in sentences]
    if not any(each.predicates for each in found):
        raise TextError(f"{path} has no predicates: no word has a sense in column {layout.sense + 1} (the file's layout: {layout.name}).")
    return found


def _columns(number: int, line: str) -> Row:
    return number, line.removesuffix("\t").split("\t")  # without a predicate some files end their lines with a tab


def _fault(layout: Layout, rows: Sequence[Row]) -> tuple[int, str] | None:
    """The line of the first fault of a sentence in a layout, and what it is."""
    predicates = 0
    for number, columns in rows:
        if len(columns) <= layout.sense:
            return number, f"{len(columns)} columns, but senses are in column {layout.sense + 1}"
        if not columns[layout.head].isdigit():
            return number, f"column {layout.head + 1}, {columns[layout.head]!r}, is not the number of a head"
        is_predicate = columns[layout.sense] not in NOTHING
        if layout.flag is not None and (columns[layout.flag] == "Y") != is_predicate:
            return number, f"columns {layout.flag + 1} and {layout.sense + 1} disagree on whether {columns[1]!r} is a predicate"
        predicates += is_predicate
    for number, columns in rows:
        if len(columns) - layout.sense - 1 != predicates:
            return number, f"{len(columns) - layout.sense - 1} columns of roles, but the sentence has {predicates} predicates"
    return None


def _propositions(layout: Layout, block: Lines, rows: Sequence[Row]) -> Propositions:
    table = [columns for _, columns in rows]
    senses = [(word, columns[layout.sense]) for word, columns in enumerate(table, 1) if columns[layout.sense] not in NOTHING]
    if not layout.whole:
        senses = [(word, LEMMA.sub("", sense)) for word, sense in senses]
    arguments = [
        (predicate, word, role)
        for place, (predicate, _) in enumerate(senses, layout.sense + 1)
        for word, columns in enumerate(table, 1)
        for role in columns[place].split("|")
        if role not in (*NOTHING, ITSELF)
    ]
    words, lemmas = ([columns[place] for columns in table] for place in (1, layout.lemma))
    return Propositions(words, lemmas, senses, arguments, [line for _, line in block], layout)


def write_propositions(examples: Sequence[Propositions], predictions: Sequence[Prediction], path: Path) -> None:
    """Write predicted predicates and arguments in the layout that was read; all other columns stay. Raises RunError where that fails.

    CoNLL-2009's senses get the word's lemma back, without its dots: with them a reader could not tell where the sense begins. What was
    not read from a file is written as Universal Propositions after ten columns, every head 0.
    """
    write_text(path, "".join(_predicted(*pair) for pair in zip(examples, predictions, strict=True)))


def _predicted(example: Propositions, prediction: Prediction) -> str:
    layout, numbered = example.layout, enumerate(zip(example.words, example.lemmas, strict=True), 1)
    senses = {int(word): str(sense) for word, sense in sorted(prediction["predicates"])}
    roles: dict[tuple[int, int], list[str]] = {(each, each): [layout.own] for each in senses}
    for predicate, word, role in prediction["arguments"]:
        said = roles.setdefault((int(predicate), int(word)), [])
        said[:] = [*(other for other in said if other != layout.own), str(role)]
    found, place = [], 0
    for line in example.lines or ["\t".join([str(n), word, lemma, *"___0___"]) for n, (word, lemma) in numbered]:
        columns = line.split("\t")[: layout.sense]
        if line.startswith("#"):
            found.append(line)
        elif not columns[0].isdigit():
            found.append("\t".join([*columns, *"_" * (1 + len(senses))]))
        else:
            place += 1
            if layout.flag is not None:
                columns[layout.flag] = "Y" if place in senses else "_"
            sense = _written(senses.get(place, "_"), example.lemmas[place - 1], layout)
            found.append("\t".join([*columns, sense, *("|".join(roles.get((each, place), "_")) for each in senses)]))
    return "\n".join(found) + "\n\n"


def _written(sense: str, lemma: str, layout: Layout) -> str:
    is_alone = not layout.whole and sense != "_" and "." not in sense
    return f"{lemma.replace('.', '') or '_'}.{sense}" if is_alone else sense


def role_row(example: Propositions, prediction: Prediction) -> tuple[int, ...]:
    """Dependencies that are right, found and there, a predicate with its sense being one as in CoNLL-2009; then the arguments' alone."""
    senses = _counts(example.predicates, prediction["predicates"])
    arguments = _counts(example.arguments, prediction["arguments"])
    return *(a + b for a, b in zip(senses, arguments, strict=True)), *arguments


def _counts(gold: Iterable[Sequence[int | str]], found: Iterable[Sequence[int | str]]) -> tuple[int, int, int]:
    right, guess = set(map(tuple, gold)), set(map(tuple, found))
    return len(right & guess), len(guess), len(right)


def role_f1(rows: Array) -> dict[str, float]:
    """Micro-averaged F1, precision and recall of semantic dependencies, and the arguments' F1 without the senses."""
    right, found, gold, right_arguments, found_arguments, gold_arguments = rows.sum(axis=0)
    return {
        "f1": 2 * right / max(found + gold, 1),
        "precision": right / max(found, 1),
        "recall": right / max(gold, 1),
        "argument_f1": 2 * right_arguments / max(found_arguments + gold_arguments, 1),
    }
