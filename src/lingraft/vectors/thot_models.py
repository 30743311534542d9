"""The alignment models of thot: IBM 1 and 2, HMM, and a Bayesian one after eflomal (Östling and Tiedemann 2016).

Each direction is trained by a process of its own with a single thread: thot adds numbers up in the order in which its threads bring
them, which would make the result a matter of chance, and it holds Python's lock all the while.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lingraft.vectors.fast_align import Ints, Side

STAGES = {
    "ibm1": ("Ibm1AlignmentModel",),
    "ibm2": ("Ibm1AlignmentModel", "Ibm2AlignmentModel"),
    "hmm": ("Ibm1AlignmentModel", "HmmAlignmentModel"),
    "eflomal": ("EflomalAlignmentModel",),
}
"""What each model is trained through: every stage starts from the tables of the one before it."""

TEXT = (".src", ".trg", ".srctrgc")
"""Files of a saved model that hold the text it was trained on, which nothing needs any more."""


class ThotModel:
    """A trained model of one direction: every target word has at most one source word."""

    def __init__(self, name: str, folder: Path) -> None:
        """Read what `train` wrote."""
        import thot.alignment

        self._model = getattr(thot.alignment, STAGES[name][-1])()
        self._model.load(str(folder / "model"))

    def best(self, source: Side, target: Side) -> Ints:
        """(target words,) the likeliest source position of every target word, counted from 1; 0 for none."""
        found = self._model.get_best_alignments(_sentences(source), _sentences(target))
        return np.array([position for _, matrix in found for position in matrix.to_list()], dtype=np.int32)

    def save(self, folder: Path) -> None:
        """Write the model into a folder."""
        self._model.print(str(folder / "model"))


def longest(name: str) -> int:
    """Words of the longest sentence that a model takes."""
    import thot.alignment

    return int(min(getattr(thot.alignment, stage)().max_sentence_length for stage in STAGES[name]))


def train(name: str, iterations: int, texts: Mapping[Path, tuple[Side, Side]]) -> None:
    """Train a model for each direction, at the same time, and write it to its folder: {folder: (source, target)}.

    iterations: for each stage; eflomal has a schedule of its own, by the size of the text.
    """
    processes = []
    try:
        for folder, sides in texts.items():
            folder.mkdir()
            for side, file in zip(sides, ("source.txt", "target.txt"), strict=True):
                (folder / file).write_text("".join(" ".join(words) + "\n" for words in _sentences(side)))
            command = [sys.executable, "-m", __name__, name, str(iterations), str(folder)]
            environment = {**os.environ, "OMP_NUM_THREADS": "1"}
            processes.append(subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True))
        for process in processes:
            said = process.communicate()[1]
            if process.returncode:
                raise RuntimeError(f"Training {name} failed ({process.returncode}):\n{said[-4000:]}")
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _sentences(side: Side) -> list[list[str]]:
    """The words of every pair, as thot takes them: ids, so that no word can be mistaken for one of thot's own marks."""
    names = [str(number) for number in side.ids.tolist()]
    ends = np.cumsum(side.lengths).tolist()
    return [names[end - length : end] for end, length in zip(ends, side.lengths.tolist(), strict=True)]


def _train_here(name: str, iterations: int, folder: Path) -> None:
    """Train on the two text files in `folder`, and leave the model there instead."""
    import thot.alignment

    model: Any = None
    for stage in STAGES[name]:
        kind = getattr(thot.alignment, stage)
        if model is None:
            model = kind()
            model.read_sentence_pairs(str(folder / "source.txt"), str(folder / "target.txt"))
        else:
            model = kind(model)
        model.start_training()
        for _ in range(getattr(model, "scheduled_iterations", iterations)):
            model.train()
        model.end_training()
    model.print(str(folder / "model"))
    for ending in TEXT:
        (folder / f"model{ending}").write_text("")
    for file in ("source.txt", "target.txt"):
        (folder / file).unlink()


if __name__ == "__main__":
    _train_here(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
