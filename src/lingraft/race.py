"""`auto`: every row method that what the user gave allows, raced on the real task for a few steps each; the best is kept.

Successive halving: in each lap all that are left train for equally many steps on the same blocks with the same masks, then the worse half
by the loss on blocks that none has seen is out. Of the last, those that these blocks cannot tell from the best are equal: the
one that stands first here wins, which did better in long runs. The loss before any training says little of what rows are worth after some.
Where the output matrix is not tied to the input matrix, a second race, with the winner's input rows, finds the rows of the output.
"""

import copy
import math
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lingraft.aids import Aids, Given
from lingraft.embeddings import NewRows
from lingraft.errors import LingraftError, RecipeError
from lingraft.model.heads import Predictor
from lingraft.model.parts import word_matrices
from lingraft.model.surgery import graft
from lingraft.train import checkpoint
from lingraft.train.batches import Blocks
from lingraft.train.data import Data
from lingraft.train.loop import Options, train
from lingraft.train.objectives import OBJECTIVES, Example
from lingraft.train.settings import PhaseSettings

SHARE = 0.2  # of the phase's tokens, at most
MOST_TOKENS = 1 << 19
BATCH = 4
JUDGED = 64  # blocks that losses are measured on

ALWAYS = ("focus", "focus/pieces", "pieces", "copy")
WITH = {
    "parallel": ("ramen/trans-tokenizer/focus", "ramen/focus", "ramen+focus"),
    "lexicon": ("lexicon/focus",),
    "vectors": ("wechsel/focus",),
    "source_text": ("rank",),
}


@dataclass(slots=True)
class Entry:
    """A candidate. output: the method of the output matrix, "" where it is the same. losses: before any training, and after each lap.
    judged: (blocks, 2) summed loss and predictions after the last lap. seconds: to make its rows. failed: why it could not be made.
    """

    method: str
    output: str = ""
    rows: NewRows | None = None
    output_rows: NewRows | None = None
    losses: list[float] = field(default_factory=list)
    judged: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))
    seconds: float = 0.0
    failed: str = ""

    def record(self, best: "Entry") -> dict[str, Any]:
        """For run.json. behind: (difference, 95 % interval's half) in nats to the best at the same lap, None where that ran further."""
        facts = {"method": self.method, "output": self.output, "losses": self.losses, "seconds": round(self.seconds, 2)}
        together = self is not best and len(self.losses) == len(best.losses) > 0
        return facts | {"behind": _behind(self.judged, best.judged) if together else None, "failed": self.failed}


@dataclass(frozen=True, slots=True)
class Course:
    """Where the race is run: the source's model, and what the first phase trains it on, how, and for how many steps in all."""

    model: Any
    roles: Mapping[str, int]
    data: Data
    settings: PhaseSettings
    total: int
    seed: int
    rank: int | None = None
    progress: Callable[[str, int, int, float], None] = lambda phase, step, total, loss: None


def candidates(given: Given) -> list[str]:
    """The methods that what is given allows."""
    return list(dict.fromkeys([*(method for name in given.names() for method in WITH.get(name, ())), *ALWAYS]))


def race(aids: Aids, course: Course) -> tuple[NewRows, NewRows | None, list[dict[str, Any]]]:
    """The winner's rows, its rows of the output matrix (None: the same), and a record of every candidate, the best first; where the
    output matrix is not tied, those of the race for it come first.

    Raises RecipeError where no candidate could be made.
    """
    entries = [_make(aids, method) for method in candidates(aids.given)]
    alive = [entry for entry in entries if entry.rows is not None]
    if not alive:
        raise RecipeError(f"No row method works here. {' '.join(f'{entry.method}: {entry.failed}' for entry in entries)}")
    untied = len(word_matrices(course.model)) > 1
    tokens = min(SHARE * course.total * course.settings.batch * course.settings.length, MOST_TOKENS) / (2 if untied else 1)
    best = _halve(alive, course, tokens)
    table = _table(entries, best)
    if untied:
        crossed = [Entry(best.method, entry.method, best.rows, entry.rows, seconds=entry.seconds) for entry in alive]
        best = _halve(crossed, course, tokens)
        table = _table(crossed, best) + table
    assert best.rows is not None
    return best.rows, best.output_rows, table


def _table(entries: Sequence[Entry], best: Entry) -> list[dict[str, Any]]:
    """Records of a race, the best first."""
    ordered = sorted(entries, key=lambda entry: (entry is not best, -len(entry.losses), entry.losses[-1:]))
    return [entry.record(best) for entry in ordered]


def _halve(entries: Sequence[Entry], course: Course, tokens: float) -> Entry:
    """The best of the entries after laps of equal cost, of so many tokens in all."""
    alive, laps = list(entries), math.ceil(math.log2(len(entries)))
    last = alive
    runs, done = sum(math.ceil(len(alive) / 2**lap) for lap in range(laps)), 0
    training, judged = _split(course)
    with tempfile.TemporaryDirectory() as folder:
        places = {id(entry): Path(folder) / str(number) for number, entry in enumerate(entries)}
        for lap in range(laps):
            steps = int(tokens / laps / len(alive) / (BATCH * course.settings.length))
            for entry in alive:
                _run(entry, lap, steps, replace(course, data=training), judged, places[id(entry)])
                course.progress("race", done := done + 1, runs, entry.losses[-1])
            last, alive = alive, sorted(alive, key=lambda entry: entry.losses[-1])[: math.ceil(len(alive) / 2)]
    finalists = {id(entry) for entry in last}
    return _first_of_the_best([entry for entry in entries if id(entry) in finalists]) if laps else alive[0]


def _first_of_the_best(entries: Sequence[Entry]) -> Entry:
    """The first of those that the blocks cannot tell from the one with the lowest loss."""
    best = min(entries, key=lambda entry: entry.losses[-1])
    behind = ((entry, _behind(entry.judged, best.judged)) for entry in entries)
    return next(entry for entry, (difference, half) in behind if entry is best or difference <= half)


def _make(aids: Aids, method: str) -> Entry:
    began, entry = time.monotonic(), Entry(method)
    try:
        entry.rows = aids.rows(method)
    except LingraftError as error:
        entry.failed = str(error)
    entry.seconds = time.monotonic() - began
    return entry


def _split(course: Course) -> tuple[Data, list[Example]]:
    """The blocks to train on, and the last ones, masked once for all, to judge by."""
    blocks = course.data.blocks
    assert isinstance(blocks, Blocks), "rows are of the target's tokens only"
    count = min(JUDGED, len(blocks) // 5)
    before = len(blocks) - count
    objective = OBJECTIVES["clm" if course.data.vocabulary.mask is None else "mlm"]
    last = blocks.read(np.arange(before, len(blocks))) if count else blocks.read(np.arange(1))
    judged = [
        objective(last[i : i + BATCH], course.data.vocabulary, course.settings.mask_rate, False, np.random.default_rng([course.seed, i]))
        for i in range(0, len(last), BATCH)
    ]
    shorter = Blocks(blocks.tokens[: max(before, 1) * blocks.inner], blocks.length, blocks.prefix, blocks.suffix)
    return Data(shorter, course.data.vocabulary), judged


def _run(entry: Entry, lap: int, steps: int, course: Course, judged: list[Example], folder: Path) -> None:
    """One lap of one candidate, from where the lap before left it."""
    assert entry.rows is not None
    model = copy.deepcopy(course.model)
    graft(model, entry.rows, course.roles, output=entry.output_rows, seed=course.seed, rank=course.rank)
    if lap == 0:
        entry.losses.append(_mean(_losses(model, judged)))
    elif found := checkpoint.latest(folder / str(lap - 1)):
        checkpoint.restore_weights(model, found)
    changes = {"batch": BATCH, "accumulation": 1, "schedule": "constant", "warmup": 0.0, "switch": [], "start_from": None}
    options = Options(checkpoint_seconds=math.inf, log_steps=max(steps, 1), alone=True)
    settings = course.settings.model_copy(update=changes)
    train("race", model, settings, course.data, total=steps, seed=course.seed + lap, folder=folder / str(lap), options=options)
    entry.judged = _losses(model, judged)
    entry.losses.append(_mean(entry.judged))


@torch.no_grad()
def _losses(model: Any, judged: list[Example]) -> np.ndarray:
    """(blocks, 2) summed nats and number of predictions of each block."""
    predictor, device = Predictor(model), next(model.parameters()).device
    model.eval()
    found = []
    for example in judged:
        inputs, positions, targets = (torch.from_numpy(a).to(device) for a in (example.inputs, example.positions, example.targets))
        losses = torch.nn.functional.cross_entropy(predictor(inputs, positions).float(), targets, reduction="none").cpu().numpy()
        block = example.positions // example.inputs.shape[1]
        sums = [np.bincount(block, weights, len(example.inputs)) for weights in (losses, None)]
        found.append(np.stack(sums, axis=1))
    predictor.remove()
    return np.concatenate(found)


def _mean(judged: np.ndarray) -> float:
    return float(judged[:, 0].sum() / judged[:, 1].sum())


def _behind(judged: np.ndarray, best: np.ndarray) -> tuple[float, float]:
    """Mean difference in nats per prediction, and half of its 95 % interval, by the spread over blocks that both were judged on."""
    predictions = judged[:, 1].sum()
    differences = judged[:, 0] - best[:, 0]
    mean = float(differences.sum() / predictions)
    spread = differences - mean * judged[:, 1]
    return mean, float(1.96 * math.sqrt(len(spread) / max(1, len(spread) - 1) * (spread**2).sum()) / predictions)
