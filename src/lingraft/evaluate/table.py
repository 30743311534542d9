"""TASKS: every task by its name."""

from pathlib import Path

from lingraft.evaluate import tagging
from lingraft.evaluate.task import Task
from lingraft.text.read import open_bytes


def read_pos(path: Path) -> list[tagging.Sentence]:
    with open_bytes(str(path)) as f:
        text = f.read().decode()
    found = []
    for block in text.split("\n\n"):
        rows = [line.split("\t") for line in block.split("\n") if line and line[0] != "#"]
        rows = [row for row in rows if row[0].isdigit()]
        if rows:
            found.append(tagging.Sentence([row[1] for row in rows], [row[3] for row in rows]))
    return found


TASKS: dict[str, Task] = {
    "pos": Task(tagging.TAGGING, read_pos, tagging.accuracy_row, tagging.accuracy, tagging.tag_of_each_word, lambda s: s.tags)
}
