"""Files of extractive question answering in SQuAD's layout, and the official measures of SQuAD 1.1, CMRC 2018 and MLQA."""

import json
import re
import string
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from lingraft.errors import TextError
from lingraft.evaluate.task import Array
from lingraft.text.read import open_bytes

ENDINGS = tuple(f".json{compression}" for compression in ("", ".gz", ".xz", ".zst"))
RANGE = re.compile(r"(.+)#documents=(\d*):(\d*)")


class Answer(BaseModel):
    """Text of the context, and the character where it starts; -1 where it is not there."""

    text: str = Field(min_length=1)
    answer_start: int = -1


class Asked(BaseModel):
    """A question with the answers of its annotators."""

    id: str = Field(coerce_numbers_to_str=True)
    question: str
    answers: list[Answer] = Field(min_length=1)


class Paragraph(BaseModel):
    """A context and what is asked about it."""

    context: str
    qas: list[Asked]


class Document(BaseModel):
    """An article. batch: in which of the translators' batches it is (lingraft.evaluate.xquad)."""

    title: str = ""
    batch: int | None = None
    paragraphs: list[Paragraph]


class Contents(BaseModel):
    """What a file in SQuAD's layout holds."""

    version: str = Field("1.1", coerce_numbers_to_str=True)
    data: list[Document] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Question:
    """A question about a context. starts: the character where each answer starts in it; -1: nowhere. language: of the context, if known."""

    id: str
    context: str
    question: str
    answers: list[str]
    starts: list[int]
    language: str = ""


def read(path: Path, language: str = "") -> list[Question]:
    """The questions of a file in SQuAD's layout (.json, also compressed), or of all of a folder.

    `FILE#documents=0:38` reads the documents from number 0 up to, not including, 38; both ends may be left out.
    Raises TextError where the file is no such JSON, has a question without answers, or the range is empty.
    """
    return [
        Question(
            asked.id,
            paragraph.context,
            asked.question,
            [answer.text for answer in asked.answers],
            [locate(paragraph.context, answer.text, answer.answer_start) for answer in asked.answers],
            language,
        )
        for document in documents(path)
        for paragraph in document.paragraphs
        for asked in paragraph.qas
    ]


def read_mlqa(path: Path) -> list[Question]:
    """The questions of MLQA's files (`test-context-de-question-en.json`), whose names say the language of the answers."""
    place, _ = split_range(path)
    found = []
    for file in _files(place) if place.is_dir() else [path]:
        match = re.search(r"context-([a-z]{2,3})-question", file.name)
        found += read(file, match[1] if match else "")
    return found


def documents(path: Path) -> list[Document]:
    """The documents of a file or folder, of the range that its name ends with. Raises TextError; see `read`."""
    place, (start, end) = split_range(path)
    every = [document for file in (_files(place) if place.is_dir() else [place]) for document in contents(file).data]
    if not every[start:end]:
        raise TextError(f"{place} has {len(every)} documents, none of them in {str(path).rpartition('#')[2]}. Give another range.")
    return every[start:end]


def split_range(path: Path) -> tuple[Path, tuple[int | None, int | None]]:
    """The file or folder of `PATH#documents=START:END`, and the two numbers, None where they are left out. Raises TextError."""
    match = RANGE.fullmatch(str(path))
    if not match:
        if "#documents" in path.name:
            raise TextError(f"{path}: a range of documents is written PATH#documents=0:38, with whole numbers.")
        return path, (None, None)
    return Path(match[1]), (int(match[2]) if match[2] else None, int(match[3]) if match[3] else None)


def contents(path: Path) -> Contents:
    """What a file in SQuAD's layout holds. Raises TextError, naming line or place, where it is no such file."""
    with open_bytes(str(path)) as stream:
        data = stream.read()
    try:
        return Contents.model_validate(json.loads(data.decode("utf-8-sig")))
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise TextError(f"{path}, line {line}: byte 0x{data[error.start]:02x} is not valid UTF-8. Convert the file.") from None
    except json.JSONDecodeError as error:
        raise TextError(f"{path}, line {error.lineno}: not JSON ({error.msg}). Give a file in SQuAD's layout.") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).lstrip(".")
        raise TextError(
            f"{path}, at {place or 'the top'}: {first['msg'].lower()}. SQuAD 1.1's layout is data[].paragraphs[] with context and qas[], "
            "each with id, question and at least one answer of text and answer_start."
        ) from None


def locate(context: str, text: str, start: int) -> int:
    """Where an answer starts: at `start`, else where it occurs nearest to that, else -1. Published files have some wrong starts."""
    if start >= 0 and context.startswith(text, start):
        return start
    return min((match.start() for match in re.finditer(re.escape(text), context)), key=lambda place: abs(place - start), default=-1)


def _files(folder: Path) -> list[Path]:
    found = sorted(file for file in folder.iterdir() if file.name.endswith(ENDINGS))
    if not found:
        raise TextError(f"{folder} has no file whose name ends with {', '.join(ENDINGS)}.")
    return found


ARTICLES = {
    "en": r"\b(a|an|the)\b",
    "es": r"\b(un|una|unos|unas|el|la|los|las)\b",
    "vi": r"\b(của|là|cái|chiếc|những)\b",
    "de": r"\b(ein|eine|einen|einem|eines|einer|der|die|das|den|dem|des)\b",
    "ar": r"\sال^|ال",  # as published, though the first half can match nothing
}
PUNCTUATION = str.maketrans("", "", string.punctuation)
CMRC_SIGNS = "-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』"
"""What CMRC's evaluation leaves out; its list has the ellipsis too, but as two characters, which no character equals."""
_HAN = re.compile("([\u4e00-\u9fa5])")
_ALONE = r"""\]\[(){}<>;@#$%&?!"«»“”‘„—"""
_WORDS = re.compile(rf"[{_ALONE}]|\.{{2,}}|,(?!\d)|\.(?=\s*$)|(?:[^\s,.{_ALONE}]|,(?=\d)|\.(?!\s*$))+")


def squad_tokens(example: Question, text: str) -> list[str]:
    """Words of an answer as SQuAD 1.1's evaluation compares them: small letters, no ASCII punctuation, no English articles."""
    return re.sub(ARTICLES["en"], " ", text.lower().translate(PUNCTUATION)).split()


def mlqa_tokens(example: Question, text: str) -> list[str]:
    """Words of an answer as MLQA's evaluation compares them: as SQuAD's, with all of Unicode's punctuation and the language's articles
    gone, and in Chinese each character apart. Where the language is not known, it is English."""
    plain = "".join(c for c in text.lower() if c not in string.punctuation and unicodedata.category(c)[0] != "P")
    language = example.language or "en"
    words = re.sub(ARTICLES[language], " ", plain) if language in ARTICLES else plain
    return (_HAN.sub(r" \1 ", words) if language == "zh" else words).split()


def overlap(tokens: Callable[[Question, str], list[str]], example: Question, prediction: str) -> tuple[float, float]:
    """Exact match and F1 of the bags of words: the best over the answers (Rajpurkar et al. 2016, section 6.1)."""
    found = tokens(example, prediction)
    pairs = [(float(found == gold), _bag_f1(found, gold)) for gold in (tokens(example, answer) for answer in example.answers)]
    return max(exact for exact, _ in pairs), max(f1 for _, f1 in pairs)


def _bag_f1(found: Sequence[str], gold: Sequence[str]) -> float:
    same = (Counter(found) & Counter(gold)).total()
    return 2 * same / (len(found) + len(gold)) if same else 0.0


squad_row: Callable[[Question, str], tuple[float, float]] = partial(overlap, squad_tokens)
mlqa_row: Callable[[Question, str], tuple[float, float]] = partial(overlap, mlqa_tokens)


def cmrc_row(example: Question, prediction: str) -> tuple[float, float]:
    """Exact match and F1 as CMRC 2018 counts them: without its signs, equal; and by the longest run of segments that both have."""
    found = cmrc_segments(prediction)
    exact = float(_without_signs(prediction) in map(_without_signs, example.answers))
    return exact, max(_run_f1(found, cmrc_segments(answer)) for answer in example.answers)


def cmrc_segments(text: str) -> list[str]:
    """Each Chinese character, and the words between them, in small letters and without CMRC's signs.

    The official script cuts those words by NLTK. Here brackets and punctuation, a comma before no digit, and a last full stop are cut off
    as there; English contractions are not.
    """
    return [word for piece in _HAN.split(_without_signs(text)) for word in _WORDS.findall(piece)]


def _without_signs(text: str) -> str:
    return text.lower().strip().translate(str.maketrans("", "", CMRC_SIGNS))


def _run_f1(found: Sequence[str], gold: Sequence[str]) -> float:
    """F1 of the longest common run of two sequences: found by length, row by row."""
    longest, row = 0, [0] * (len(gold) + 1)
    for segment in found:
        row = [0, *(before + 1 if segment == other else 0 for other, before in zip(gold, row[:-1], strict=True))]
        longest = max(longest, *row)
    return 2 * longest / (len(found) + len(gold)) if longest else 0.0


def exact_and_f1(rows: Array) -> dict[str, float]:
    """Means of exact match and F1 over questions."""
    em, f1 = rows.mean(axis=0)
    return {"f1": float(f1), "em": float(em)}


def gold(example: Question) -> dict[str, Any]:
    """The id and the answers of a question."""
    return {"id": example.id, "answers": example.answers}


def nearest_words(train: Sequence[Question], examples: Sequence[Question], longest: int = 3, around: int = 5) -> list[str]:
    """A baseline without a model: of the runs of three words, the first that has most of the question's words among the five on either side
    and none of them in itself (words as lingraft counts them: characters in scripts without spaces)."""
    return [_nearest_words(example, longest, around) for example in examples]


def _nearest_words(example: Question, longest: int, around: int) -> str:
    from lingraft.text.words import word_spans

    spans = word_spans(example.context)
    if not spans:
        return ""
    asked = {example.question[start:end].lower().strip(string.punctuation) for start, end in word_spans(example.question)}
    words = [example.context[start:end].lower().strip(string.punctuation) for start, end in spans]
    hits = [0]
    for word in words:
        hits.append(hits[-1] + (word in asked))

    def score(start: int) -> int:
        end = min(start + longest, len(words))
        near = hits[min(end + around, len(words))] - hits[max(start - around, 0)]
        return near if hits[end] == hits[start] else -1

    best = max(range(len(words)), key=score)
    return example.context[spans[best][0] : spans[min(best + longest, len(spans)) - 1][1]].strip()
