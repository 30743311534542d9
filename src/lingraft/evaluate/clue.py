"""CLUE's tasks whose files are more than columns (Xu et al. 2020): CSL, WSC, C3 and ChID; and questions with options of one's own."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lingraft.errors import TextError
from lingraft.evaluate.formats import LABEL, TEXT, Layout, Record, column, files, locate, records, text_of, values
from lingraft.text.read import COMPRESSIONS

BLANK = "\ue000"
"""Where the idiom is missing, a character of the private area; the tokenizer's mask takes its place."""
OTHER_BLANK = "____"
WINDOW = 60  # characters of a ChID passage on either side of the blank
IDIOM = re.compile(r"#idiom\d*#")
OPTIONS = "choices options choice candidates endings"
OPTION = re.compile(r"(option|choice|ending|answer|solution|sol)_?([0-9]|[a-e])", re.IGNORECASE)
C3 = Layout(files=("*{split}.json*",), together=True)


@dataclass(frozen=True, slots=True)
class Question:
    """A passage, a question ("" where options continue the passage or fill its BLANK), options, and the number of the right one."""

    context: str
    question: str
    options: list[str]
    label: int
    id: str


def keywords(record: Record, place: str) -> tuple[str, str]:
    """CSL: keywords, and an abstract that they may belong to."""
    words = _need(record, place, "keyword")
    return (" ".join(words) if isinstance(words, list) else words), _need(record, place, "abst")


def spans(record: Record, place: str) -> tuple[str, str]:
    """WSC: a sentence with its noun between underscores and its pronoun between square brackets. Raises TextError."""
    text, marks = _need(record, place, "text"), []
    for number, before, after in ((1, "_", "_"), (2, "[", "]")):
        start, span = (_need(record, place, f"target.span{number}_{what}") for what in ("index", "text"))
        if not (isinstance(start, int) and isinstance(span, str) and isinstance(text, str) and 0 <= start <= len(text) - len(span)):
            raise TextError(f"{place}: span {number}, {span!r}, cannot stand at character {start!r} of the text.")
        marks.append((start, start + len(span), before, after))
    for start, end, before, after in sorted(marks, reverse=True):
        text = text[:start] + before + text[start:end] + after + text[end:]
    return text, ""


def _need(record: Record, place: str, name: str) -> Any:
    return record[column(record, place, name, (), name)]


def read_c3(path: Path | str) -> list[Question]:
    """C3 (Sun et al. 2020): [lines of a passage, [{question, choice, answer}, …], id]; a folder's d- and m-files are read together."""
    found = []
    for place, value in values(path, C3):
        if isinstance(value, dict):  # as the hub has it, a record for each question
            found.append(_question(value, place, {}))
            continue
        try:
            passage, questions = "\n".join(value[0]), list(value[1])
        except (TypeError, IndexError, KeyError):
            raise TextError(f"{place}: not as C3 is, [[line, …], [{{question, choice, answer}}, …], id].") from None
        for number, question in enumerate(questions, 1):
            found.append(_question(question | {"context": passage}, f"{place}, question {number}", {}))
    return found


def read_chid(path: Path | str) -> list[Question]:
    """ChID (Zheng et al. 2019), a question for each blank: `FILE.json` has {content, candidates}, `FILE_answer.json` {blank: number}.

    Of the passage WINDOW characters on either side stay; other blanks become OTHER_BLANK. Raises TextError.
    """
    found: list[Question] = []
    answers = _answers(path)
    for place, record in records(path):
        right = iter(record.get("answers.candidate_id", ()))
        for passage in _need(record, place, "content"):
            for blank in IDIOM.finditer(passage):
                label = answers.get(blank[0], None if answers else next(right, None))
                options = _need(record, place, "candidates")
                if not isinstance(label, int) or not 0 <= label < len(options):
                    raise TextError(f"{place}: there is no answer for {blank[0]}. It belongs in the file beside it, FILE_answer.json.")
                found.append(Question(_window(passage, *blank.span()), "", options, label, Path(place).name))
    return found


def _window(passage: str, start: int, end: int) -> str:
    before, after = (IDIOM.sub(OTHER_BLANK, part) for part in (passage[:start], passage[end:]))
    return before[-WINDOW:] + BLANK + after[:WINDOW]


def _answers(path: Path | str) -> dict[str, int]:
    """The answers beside a file of ChID, by blank; {} where it has none beside it."""
    (file,) = files(path)
    packed = Path(file).suffix if Path(file).suffix in COMPRESSIONS else ""
    stem = file.removesuffix(packed)
    beside = Path(f"{stem.removesuffix(Path(stem).suffix)}_answer{Path(stem).suffix}{packed}")
    return {blank: number for _, part in records(beside) for blank, number in part.items()} if beside.is_file() else {}


def read_questions(path: Path | str) -> list[Question]:
    """Questions of one's own: columns of text, question (optional), options (a list, or option1, option2, …), and label: the number of the
    right option from 0, its letter, or its text. Raises TextError."""
    choices = locate(path)[1]
    return [_question(record, place, choices) for place, record in records(path)]


def _question(record: Record, place: str, choices: dict[str, str]) -> Question:
    first = column(record, place, choices.get("text"), TEXT.replace(" question ", " ") + " sent1", "text")
    asked = column(record, place, choices.get("question"), "question sent2", "", first)
    label = column(record, place, choices.get("label"), LABEL + " correct", "label", first)
    options = list(_options(record, place, choices.get("options")))
    return Question(
        text_of(record, first, place),
        text_of(record, asked, place) if asked else "",
        options,
        _right(record[label], options, place),
        Path(place).name,
    )


def _options(record: Record, place: str, wanted: str | None) -> Iterator[str]:
    name = column(record, place, wanted, OPTIONS, "")
    texts = record[name] if name else [value for key, value in record.items() if OPTION.fullmatch(key) and value not in ("", None)]
    if not isinstance(texts, list) or len(texts) < 2 or not all(isinstance(text, str) for text in texts):
        there = ", ".join(map(repr, record))
        raise TextError(
            f"{place} needs two options or more: a list in a column such as 'choices', or option1, option2, … (there are {there})."
        )
    yield from texts


def _right(value: Any, options: list[str], place: str) -> int:
    """The number of the right option."""
    text = str(value).strip()
    if text in options:
        return options.index(text)
    number = int(text) if text.isdecimal() else ord(text.upper()) - ord("A") if len(text) == 1 else -1
    if not 0 <= number < len(options):
        raise TextError(
            f"{place}: {value!r} is none of the {len(options)} options: neither a text of one, nor its number from 0, nor letter."
        )
    return number
