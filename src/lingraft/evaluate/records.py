"""Tagged words and questions from records (JSON lines, Parquet, the hub's data sets), and from folders."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from lingraft.errors import TextError
from lingraft.evaluate import formats, squad
from lingraft.evaluate.formats import Layout, Record
from lingraft.evaluate.tagging import Sentence
from lingraft.evaluate.trees import Tree, check_tree

Example = TypeVar("Example")
WORDS = ("tokens", "words", "form")
TREEBANK = Layout(files=("*-ud-{split}.conllu*", "{split}.conllu*", "*{language}*{split}*.conllu*"))
COLUMNS = Layout(files=("{split}.*", "{split}", "*{language}*{split}*"))


def is_records(path: Path | str) -> bool:
    """Whether a place holds named columns and no lines of columns: JSON lines, Parquet, a data set of the hub."""
    place = formats.locate(path)[0]
    for ending in (".gz", ".xz", ".zst"):
        place = place.removesuffix(ending)
    return place.startswith("hub:") or place.endswith((".jsonl", ".json", ".parquet"))


def is_squad(path: Path | str) -> bool:
    """Whether a place is one JSON document, as SQuAD's files are."""
    return ".json" in Path(formats.locate(path)[0]).suffixes


def in_folders(read: Callable[[Path], list[Example]], layout: Layout) -> Callable[[Path], list[Example]]:
    """`read`, that takes a folder too: its file of the split (`FOLDER#split=test`; dev by default)."""

    def every(path: Path) -> list[Example]:
        return [example for file in formats.files(path, layout) for example in read(Path(file))]

    return every


def tagged(read: Callable[[Path], list[Sentence]], tags: Sequence[str], layout: Layout) -> Callable[[Path], list[Sentence]]:
    """`read`, that takes folders and records too: words in `tokens`, their tags in the first column of `tags` that is there."""

    def every(path: Path) -> list[Sentence]:
        if not is_records(path):
            return in_folders(read, layout)(path)
        choices = formats.locate(path)[1]
        return [_sentence(record, place, choices, tags) for place, record in formats.records(path)]

    return every


def _sentence(record: Record, place: str, choices: Mapping[str, str], tags: Sequence[str]) -> Sentence:
    words = record[formats.column(record, place, choices.get("text"), WORDS, "text")]
    found = record[formats.column(record, place, choices.get("label"), tags, "label")]
    if not isinstance(words, list) or not isinstance(found, list) or len(words) != len(found):
        raise TextError(f"{place}: words and tags must be two lists of the same length.")
    return Sentence([str(word) for word in words], [str(tag) for tag in found])


def trees(read: Callable[[Path], list[Tree]]) -> Callable[[Path], list[Tree]]:
    """`read`, that takes folders and records too: lists of words in `tokens`, heads in `head` (0: the root), relations in `deprel`."""

    def every(path: Path) -> list[Tree]:
        if not is_records(path):
            return in_folders(read, TREEBANK)(path)
        choices = formats.locate(path)[1]
        return [_tree(record, place, choices) for place, record in formats.records(path)]

    return every


def _tree(record: Record, place: str, choices: Mapping[str, str]) -> Tree:
    words = record[formats.column(record, place, choices.get("text"), WORDS, "text")]
    heads, relations = record.get("head", ()), record.get("deprel", ())
    if not all(isinstance(column, list) for column in (words, heads, relations)) or not len(words) == len(heads) == len(relations):
        raise TextError(f"{place}: a tree needs the lists head and deprel, as long as its words (there are {', '.join(record)}).")
    if not all(str(head).isdecimal() for head in heads):
        raise TextError(f"{place}: heads must be numbers, 0 for the root; these are {', '.join(map(str, heads))}.")
    tree = Tree([str(word) for word in words], [int(head) for head in heads], [str(relation) for relation in relations])
    check_tree(tree.heads, tree.words, [f"{place}, word {number}" for number in range(1, len(words) + 1)])
    return tree


def questions(read: Callable[[Path], list[squad.Question]]) -> Callable[[Path], list[squad.Question]]:
    """`read`, that takes records too: id, context, question, answers {text: […], answer_start: […]}, as the hub has SQuAD and its kind."""

    def every(path: Path) -> list[squad.Question]:
        if "#documents" not in str(path) and is_records(path) and not is_squad(path):
            return [_question(record, where) for where, record in formats.records(path)]
        return read(path)

    return every


def _question(record: Record, place: str) -> squad.Question:
    answers: Any = record.get("answers")
    if not isinstance(answers, dict) or not answers.get("text") or not isinstance(record.get("context"), str):
        raise TextError(
            f"{place}: a record needs context, question, and answers with text and answer_start (there are {', '.join(record)})."
        )
    context, texts = record["context"], [str(text) for text in answers["text"]]
    starts = [
        squad.locate(context, text, int(start)) for text, start in zip(texts, answers.get("answer_start", [-1] * len(texts)), strict=True)
    ]
    return squad.Question(str(record.get("id", place)), context, str(record["question"]), texts, starts)
