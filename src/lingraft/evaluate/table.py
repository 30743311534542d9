"""TASKS: every task by its name."""

from lingraft.evaluate import parsing, roles, tagging
from lingraft.evaluate.choice import CHOICE_TASKS
from lingraft.evaluate.classification import CLASSIFICATION_TASKS
from lingraft.evaluate.columns import read_ner, read_pos
from lingraft.evaluate.question import QUESTION_TASKS
from lingraft.evaluate.tagging import TAGGING, Sentence
from lingraft.evaluate.task import Task


def _tags(sentence: Sentence) -> list[str]:
    return sentence.tags


TASKS: dict[str, Task] = {
    "pos": Task(
        TAGGING,
        read_pos,
        tagging.accuracy_row,
        tagging.accuracy,
        tagging.tag_of_each_word,
        _tags,
        about="part-of-speech tags: UPOS of CoNLL-U",
    ),
    "ner": Task(
        TAGGING,
        read_ner,
        tagging.span_row,
        tagging.span_f1,
        tagging.tag_of_each_word,
        _tags,
        main="f1",
        about="named entities: columns with BIO tags, CoNLL and WikiANN; F1 of spans",
    ),
    "parsing": parsing.TASK,
    "srl": roles.TASK,
    **QUESTION_TASKS,
    **CLASSIFICATION_TASKS,
    **CHOICE_TASKS,
}
