"""TASKS: every task by its name."""

from dataclasses import replace

from lingraft.evaluate import parsing, roles, tagging
from lingraft.evaluate.choice import CHOICE_TASKS
from lingraft.evaluate.classification import CLASSIFICATION_TASKS
from lingraft.evaluate.columns import read_ner, read_pos
from lingraft.evaluate.question import QUESTION_TASKS
from lingraft.evaluate.records import COLUMNS, TREEBANK, in_folders, questions, tagged, trees
from lingraft.evaluate.tagging import TAGGING, Sentence
from lingraft.evaluate.task import Task


def _tags(sentence: Sentence) -> list[str]:
    return sentence.tags


TASKS: dict[str, Task] = {
    "pos": Task(
        TAGGING,
        tagged(read_pos, ("upos", "pos_tags", "pos", "tags"), TREEBANK),
        tagging.accuracy_row,
        tagging.accuracy,
        tagging.tag_of_each_word,
        _tags,
        about="part-of-speech tags: UPOS of CoNLL-U",
    ),
    "ner": Task(
        TAGGING,
        tagged(read_ner, ("ner_tags", "ner", "tags"), COLUMNS),
        tagging.span_row,
        tagging.span_f1,
        tagging.tag_of_each_word,
        _tags,
        main="f1",
        about="named entities: columns with BIO tags, CoNLL and WikiANN; F1 of spans",
    ),
    "parsing": replace(parsing.TASK, read=trees(parsing.TASK.read)),
    "srl": replace(roles.TASK, read=in_folders(roles.TASK.read, COLUMNS)),
    **{name: replace(task, read=questions(task.read)) for name, task in QUESTION_TASKS.items()},
    **CLASSIFICATION_TASKS,
    **CHOICE_TASKS,
}
