"""Records of a benchmark's file, of one's own, or of the hub's, and the texts and labels in them.

A place is `PATH`, `FOLDER` or `hub:NAME[@CONFIG]`, and may end in choices: `PLACE#split=test&language=sw&text=COLUMN&second=COLUMN&
label=COLUMN`. A folder stands for its file of one split (dev unless chosen). Files are .tsv (no quoting: official files have single
quotation marks), .csv, .jsonl, .json (an array, or lines), .parquet, and each of them as .gz, .xz or .zst; any other name is read as .tsv.
"""

import csv
import io
import json
import math
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lingraft.errors import LingraftWarning, TextError, suggest
from lingraft.text.read import COMPRESSIONS, open_bytes, refuse_binary

CHOICES = ("split", "language", "text", "second", "label", "question", "options")
DEV = ("dev", "validation", "valid", "val")
TEXT = "text premise sentence1 text_a question sentence question1 s1 sentence_a context passage review document"
SECOND = "hypothesis hypo sentence2 text_b question2 s2 sentence_b sentence"
MRPC = ("quality", "#1 string", "#2 string")
LABEL = "label gold_label is_duplicate answer entailment_judgment"
SCORE = "score similarity relatedness_score label gold_label labels.label"
UNDECIDED = "-"
"""The label of a pair on which annotators did not agree, in SNLI and its followers."""

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Pair:
    """A text, or two ("" where there is no second), and a label or number. id: file and line."""

    first: str
    second: str
    label: str | float
    id: str


@dataclass(frozen=True, slots=True)
class Layout:
    """How a benchmark differs from a file whose first line names its columns.

    header: columns of a file that has no such line. files: patterns of its files in a folder, the first that matches anything counts.
    together: all files of a split belong to it. lenient: lines with too many or too few columns are left out (official files have some).
    labels: spellings that are allowed, each with the label it means; none: all, as they are. one_language: a file of several
    languages needs `#language=`. texts(record, place) -> both texts, where columns do not hold them as they are.
    """

    header: Sequence[str] = ()
    files: Sequence[str] = ("{split}.*", "*{language}*{split}*")
    together: bool = False
    lenient: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    one_language: bool = False
    label: str = LABEL
    texts: Callable[[Record, str], tuple[str, str]] | None = None


OWN = Layout()
NUMBERS = Layout(label=SCORE)


def locate(path: Path | str) -> tuple[str, dict[str, str]]:
    """A place without its choices, and these. Raises TextError for a choice that there is not."""
    place, _, fragment = str(path).partition("#")
    if not fragment or Path(path).exists():
        return str(path), {}
    parts = [part.partition("=") for part in fragment.split("&")]
    choices = {key if equals else "split": value if equals else key for key, equals, value in parts}
    for key in choices:
        if key not in CHOICES:
            raise TextError(f"{path}: there is no choice {key!r}. {suggest(key, CHOICES)}")
        if key in ("split", "language") and not re.fullmatch(r"[\w.-]+", choices[key]):
            raise TextError(f"{path}: {choices[key]!r} is no name of a {key}.")
    return place, choices


def files(path: Path | str, layout: Layout = OWN) -> list[str]:
    """The files that a place stands for (a hub's data set for itself). Raises TextError where a folder has none, or several."""
    place, choices = locate(path)
    if not Path(place).is_dir():
        if "split" in choices and Path(place).is_file():
            raise TextError(f"{path}: a file has no splits, only a folder or a hub's data set. Give the file of {choices['split']!r}.")
        return [place]
    wanted, language = choices.get("split", "dev"), choices.get("language", "*")
    for pattern in layout.files:
        names = [re.sub(r"\*+", "*", pattern.format(split=split, language=language)) for split in (DEV if wanted in DEV else (wanted,))]
        found = sorted({str(file) for name in names for file in Path(place).glob(name) if file.is_file() and "_answer" not in file.name})
        if len(found) == 1 or (found and layout.together):
            return found
        if found:
            raise TextError(
                f"{place} holds several files for {wanted!r}: {', '.join(Path(file).name for file in found)}. Name one of them."
            )
    there = ", ".join(sorted(file.name for file in Path(place).iterdir())[:12]) or "nothing"
    raise TextError(f"{place} holds no file of the split {wanted!r} (it holds {there}). Choose with {place}#split=NAME, or name a file.")


def records(path: Path | str, layout: Layout = OWN) -> Iterator[tuple[str, Record]]:
    """(where it stands, columns) of each record; objects in objects get the name OUTER.INNER. Raises TextError where there is none."""
    is_empty = True
    for place, record in values(path, layout):
        is_empty = False
        if not isinstance(record, dict):
            raise TextError(f"{place}: a record must be an object with named columns, not {type(record).__name__}.")
        inner = {f"{name}.{key}": more for name, value in record.items() if isinstance(value, dict) for key, more in value.items()}
        yield place, record | inner
    if is_empty:
        raise TextError(f"{path} holds no examples.")


def values(path: Path | str, layout: Layout = OWN) -> Iterator[tuple[str, Any]]:
    """(where it stands, JSON value) of everything in a place. Raises TextError, naming file and line."""
    for file in files(path, layout):
        stem = file.removesuffix(Path(file).suffix) if Path(file).suffix in COMPRESSIONS else file
        if file.startswith("hub:"):
            yield from _hub(file, locate(path)[1].get("split", "validation"))
        elif stem.endswith(".parquet"):
            yield from _parquet(file)
        elif stem.endswith((".json", ".jsonl")):
            yield from _json(file)
        elif stem.endswith(".csv"):
            yield from _csv(file, layout)
        else:
            yield from _tsv(file, layout)


def lines(file: str) -> Iterator[tuple[int, str]]:
    """(number, text) of each line of a file. Raises TextError where it is not UTF-8."""
    with open_bytes(file) as stream:
        for number, line in enumerate(stream, 1):
            refuse_binary(line, file)
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError:
                raise TextError(f"{file}, line {number}: not UTF-8. Convert the file, for example with iconv -f latin1 -t utf-8.") from None
            yield number, text


def _tsv(file: str, layout: Layout) -> Iterator[tuple[str, Record]]:
    return _table(file, ((number, line.rstrip("\r\n").split("\t")) for number, line in lines(file) if line.strip()), layout)


def _csv(file: str, layout: Layout) -> Iterator[tuple[str, Record]]:
    reader = csv.reader((text for _, text in lines(file)), strict=True)
    try:
        yield from _table(file, ((reader.line_num, row) for row in reader if row), layout)
    except csv.Error as error:
        raise TextError(f"{file}, line {reader.line_num}: {error}. A .csv file has commas and double quotation marks.") from None


def _table(file: str, rows: Iterator[tuple[int, list[str]]], layout: Layout) -> Iterator[tuple[str, Record]]:
    """Rows as records. Those with another number of columns than the header has are refused, or left out where the layout is lenient."""
    header, odd = list(layout.header), 0
    for number, row in rows:
        if not header:
            header = row
            if twice := sorted({name for name in row if row.count(name) > 1}):
                raise TextError(f"{file}, line {number}: there are two columns {twice[0]!r}. Rename one of them.")
        elif len(row) == len(header):
            yield f"{file}, line {number}", dict(zip(header, row, strict=True))
        elif layout.lenient:
            odd += 1
        else:
            names = ", ".join(header)
            raise TextError(f"{file}, line {number} has {len(row)} columns, but there should be {len(header)}: {names}.")
    if odd:
        warnings.warn(f"{file}: {odd} lines with too many or too few columns are left out.", LingraftWarning, stacklevel=2)


def _json(file: str) -> Iterator[tuple[str, Any]]:
    """Values of JSON lines, or of one array."""
    source = lines(file)
    for number, line in source:
        if not line.strip():
            continue
        try:
            value = json.loads(line + "".join(more for _, more in source) if line.lstrip().startswith("[") else line.strip())
        except json.JSONDecodeError as error:
            place = f"{file}, line {number + error.lineno - 1}"
            raise TextError(f"{place}: not JSON ({error.msg}). Give one object a line, or one array of them.") from None
        if isinstance(value, list):
            yield from ((f"{file}, record {count}", one) for count, one in enumerate(value, 1))
        else:
            yield f"{file}, line {number}", value


def _parquet(file: str) -> Iterator[tuple[str, Record]]:
    import pyarrow
    import pyarrow.parquet

    with open_bytes(file) as stream:
        try:
            rows = pyarrow.parquet.read_table(io.BytesIO(stream.read())).to_pylist()
        except pyarrow.ArrowInvalid as error:
            raise TextError(f"{file} is not a Parquet file: {error}.") from None
    yield from ((f"{file}, record {number}", row) for number, row in enumerate(rows, 1))


def _hub(place: str, split: str) -> Iterator[tuple[str, Record]]:
    """Records of a data set on the hub, labels by their names. Raises TextError where it cannot be had."""
    name, _, config = place.removeprefix("hub:").partition("@")
    try:
        import datasets

        data = datasets.load_dataset(name, config or None, split=split, streaming=True)
        kinds = {column: getattr(kind, "feature", kind) for column, kind in (data.features or {}).items()}
        names = {column: kind.names for column, kind in kinds.items() if isinstance(kind, datasets.ClassLabel)}
        for number, record in enumerate(data, 1):
            named = {column: _named(record[column], known) for column, known in names.items()}
            yield f"{place}#{split}, record {number}", record | named
    except TextError:
        raise
    except Exception as error:  # whatever the hub, the network or the data set's files raise
        raise TextError(
            f"{place} cannot be read: {error}. Are the name and the split {split!r} right, and the hub within reach?"
        ) from error


def _named(value: Any, names: Sequence[str]) -> Any:
    """A label's name, or those of a list of labels; a number that has none stays."""
    if isinstance(value, list):
        return [_named(one, names) for one in value]
    return names[value] if value in range(len(names)) else value


def column(record: Record, place: str, wanted: str | None, known: str | Sequence[str], what: str, used: str = "") -> str:
    """The column that is wanted, else the first of the known ones but `used`. Raises TextError, or returns "" where `what` is ""."""
    known = known.split() if isinstance(known, str) else known
    if wanted:
        if wanted not in record:
            raise TextError(f"{place} has no column {wanted!r}. {suggest(wanted, record)}")
        return wanted
    names = {name.lower(): name for name in record if name != used}
    found = next((names[name] for name in known if name in names), "")
    if what and not found:
        there = ", ".join(map(repr, record)) or "none"
        raise TextError(f"{place}: no column holds the {what} (there are {there}). Name it: PATH#{what}=COLUMN.")
    return found


def text_of(record: Record, name: str, place: str) -> str:
    """Text of a column, a list of texts by lines. Raises TextError where it is something else."""
    value = record[name]
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        return "\n".join(value)
    if isinstance(value, str):
        return value.strip()
    raise TextError(f"{place}, column {name!r} holds {type(value).__name__}, not text.")


def read_pairs(path: Path | str, layout: Layout = OWN) -> list[Pair]:
    """Texts or pairs of texts with their labels. Raises TextError, naming file and line."""
    choices, found, undecided, languages = locate(path)[1], [], 0, set()
    language = choices.get("language")
    for place, record in records(path, layout):
        languages.add(record.get("language", language if Path(locate(path)[0]).is_dir() else None))
        if language and record.get("language", language) != language:
            continue
        label = _label(record, place, choices, layout)
        if label == UNDECIDED and layout.labels:
            undecided += 1
            continue
        found.append(Pair(*_texts(record, place, choices, layout), label, Path(place).name))
    _check_language(str(path), language, languages, layout)
    if undecided:
        warnings.warn(f"{path}: {undecided} examples that annotators did not agree on are left out.", LingraftWarning, stacklevel=2)
    return found


def read_numbers(path: Path | str, layout: Layout = NUMBERS) -> list[Pair]:
    """The same, with numbers for labels."""
    return [Pair(pair.first, pair.second, _number(pair), pair.id) for pair in read_pairs(path, layout)]


def _number(pair: Pair) -> float:
    try:
        number = float(pair.label)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise TextError(f"{pair.id}: {pair.label!r} is not a number. Choose the column of scores: PATH#label=COLUMN.")
    return number


def _check_language(path: str, language: str | None, languages: set[Any], layout: Layout) -> None:
    """Raise TextError where the language that was chosen is not there, or none was chosen among several."""
    there = ", ".join(sorted(str(name) for name in languages if name))
    if language and language not in languages:
        raise TextError(f"{path}: there is nothing in {language!r}; " + (f"it holds {there}." if there else "it has no column 'language'."))
    if layout.one_language and not language and len(languages) > 1:
        raise TextError(f"{path} holds {len(languages)} languages: {there}. Choose one: {path}#language=CODE.")


def _texts(record: Record, place: str, choices: Mapping[str, str], layout: Layout) -> tuple[str, str]:
    if layout.texts:
        return layout.texts(record, place)
    first = column(record, place, choices.get("text"), [*TEXT.split(), MRPC[1]], "text")
    only = "text" in choices and "second" not in choices
    second = "" if only else column(record, place, choices.get("second"), [*SECOND.split(), MRPC[2]], "", first)
    return text_of(record, first, place), text_of(record, second, place) if second else ""


def _label(record: Record, place: str, choices: Mapping[str, str], layout: Layout) -> str:
    name = column(record, place, choices.get("label"), [*layout.label.split(), MRPC[0]], "label")
    value = record[name]
    label = str(value).lower() if isinstance(value, bool) else str(value).strip()
    if isinstance(value, dict | list) or value is None or not label:
        raise TextError(f"{place}, column {name!r} holds no label. Leave the line out, or choose another column: PATH#label=COLUMN.")
    if not layout.labels or label == UNDECIDED:
        return label
    if label.lower() not in layout.labels:
        raise TextError(
            f"{place}: {label!r} is not a label of this task. {suggest(label, layout.labels)} For other labels: --task classify."
        )
    return layout.labels[label.lower()]
