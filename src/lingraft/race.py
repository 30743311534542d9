"""`auto`: every row method that what the user gave allows, raced on the real task for a few steps each; the best is kept.

Successive halving: in each lap all that are left train for equally many steps on the same blocks with the same masks, then the worse half
by the loss on blocks that none has seen is out. The loss before any training says little of what rows are worth after some.
"""

import copy
import math
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lingraft.aids import Aids, Given
from lingraft.embeddings import NewRows
from lingraft.errors import LingraftError, RecipeError
from lingraft.model.heads import Predictor
from lingraft.model.surgery import graft
from lingraft.train import checkpoint
from lingraft.train.batches import Blocks
from lingraft.train.loop import Data, Options, train
from lingraft.train.objectives import OBJECTIVES, Example
from lingraft.train.settings import PhaseSettings

SHARE = 0.2  # of the phase's tokens, at most
MOST_TOKENS = 1 << 19
BATCH = 4
JUDGED = 32  # blocks that losses are measured on

ALWAYS = ("copy", "pieces", "focus")
WITH = {
    "parallel": ("ramen+copy", "ramen+focus", "trans-tokenizer+focus"),
    "lexicon": ("lexicon+focus",),
    "vectors": ("wechsel",),
    "source_text": ("rank",),
}


@dataclass(slots=True)
class Entry:
    """A candidate. losses: before any training, and after each lap. seconds: to make its rows. failed: why it could not be made."""

    method: str
    rows: NewRows | None = None
    losses: list[float] = field(default_factory=list)
    seconds: float = 0.0
    failed: str = ""

    def record(self) -> dict[str, Any]:
        """For run.json."""
        return {"method": self.method, "losses": self.losses, "seconds": round(self.seconds, 2), "failed": self.failed}


@dataclass(frozen=True, slots=True)
class Course:
    """Where the race is run: the source's model, and what the first phase trains it on, how, and for how many steps in all."""

    model: Any
    roles: Mapping[str, int]
    data: Data
    settings: PhaseSettings
    total: int
    seed: int


def candidates(given: Given) -> list[str]:
    """The methods that what is given allows."""
    return list(dict.fromkeys([*(method for name in given.names() for method in WITH.get(name, ())), *ALWAYS]))


def race(aids: Aids, course: Course) -> tuple[NewRows, list[dict[str, Any]]]:
    """The winner's rows, and a record of every candidate, the best first. Raises RecipeError where none could be made."""
    entries = [_make(aids, method) for method in candidates(aids.given)]
    alive = [entry for entry in entries if entry.rows is not None]
    if not alive:
        raise RecipeError(f"No row method works here. {' '.join(f'{entry.method}: {entry.failed}' for entry in entries)}")
    laps, training, judged = math.ceil(math.log2(len(alive))), *_split(course)
    tokens = min(SHARE * course.total * course.settings.batch * course.settings.length, MOST_TOKENS)
    with tempfile.TemporaryDirectory() as folder:
        for lap in range(laps):
            steps = int(tokens / laps / len(alive) / (BATCH * course.settings.length))
            for entry in alive:
                _run(entry, lap, steps, replace(course, data=training), judged, Path(folder) / entry.method)
            alive = sorted(alive, key=lambda entry: entry.losses[-1])[: math.ceil(len(alive) / 2)]
    entries.sort(key=lambda entry: (-len(entry.losses), entry.losses[-1:]))
    assert alive[0].rows is not None
    return alive[0].rows, [entry.record() for entry in entries]


def _make(aids: Aids, method: str) -> Entry:
    began, entry = time.monotonic(), Entry(method)
    settings = aids.settings.model_copy(update={"method": method})
    try:
        entry.rows = aids.rows_by(settings)
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
    graft(model, entry.rows, course.roles, seed=course.seed)
    if lap == 0:
        entry.losses.append(_loss(model, judged))
    elif found := checkpoint.latest(folder / str(lap - 1)):
        checkpoint.restore_weights(model, found)
    changes = {"batch": BATCH, "accumulation": 1, "schedule": "constant", "warmup": 0.0, "switch": [], "start_from": None}
    options = Options(checkpoint_seconds=math.inf, log_steps=max(steps, 1))
    settings = course.settings.model_copy(update=changes)
    train("race", model, settings, course.data, total=steps, seed=course.seed + lap, folder=folder / str(lap), options=options)
    entry.losses.append(_loss(model, judged))


@torch.no_grad()
def _loss(model: Any, judged: list[Example]) -> float:
    """Mean nats per predicted token."""
    predictor, device = Predictor(model), next(model.parameters()).device
    model.eval()
    total = 0.0
    for example in judged:
        inputs, positions, targets = (torch.from_numpy(a).to(device) for a in (example.inputs, example.positions, example.targets))
        total += float(torch.nn.functional.cross_entropy(predictor(inputs, positions).float(), targets, reduction="sum"))
    predictor.remove()
    return total / sum(len(example.targets) for example in judged)
