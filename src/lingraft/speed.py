"""How fast this machine trains: a few steps on a copy of the model, thrown away."""

import copy
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lingraft.train.data import Lessons
from lingraft.train.loop import Options, train
from lingraft.train.settings import PhaseSettings

MEASURED = 3


@dataclass(frozen=True, slots=True)
class Pace:
    """seconds: of one optimiser step. memory: peak bytes of this process so far."""

    seconds: float
    memory: int


def pace(model: Any, settings: PhaseSettings, data: Lessons) -> Pace:
    """Measure a phase's steps on this machine."""
    import resource

    options = Options(warm_up=1, evaluations=1, alone=True)
    with tempfile.TemporaryDirectory() as folder:
        trial = settings.model_copy(update={"start_from": None, "switch": []})
        speed = train("trial", copy.deepcopy(model), trial, data, total=1 + MEASURED, seed=0, folder=Path(folder), options=options)
    return Pace(speed.seconds / MEASURED, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def steps_for(model: Any, settings: PhaseSettings, data: Lessons, minutes: float) -> int:
    """Steps of a phase that fit into so many minutes on this machine, at least 1."""
    return steps_within(pace(model, settings, data), minutes)


def steps_within(measured: Pace, minutes: float) -> int:
    """Steps at a measured pace that fit into so many minutes, at least 1."""
    return max(1, int(minutes * 60 / measured.seconds))
