"""Loggers that accelerate knows (TensorBoard, W&B, MLflow and others), beside metrics.jsonl."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from accelerate import Accelerator
from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers

from lingraft.errors import MissingExtra, RecipeError, suggest
from lingraft.train.alone import Alone


def check_tracker(name: str) -> str:
    """The name, if accelerate can log to it here. Raises RecipeError for an unknown one, MissingExtra without its package."""
    if name not in LOGGER_TYPE_TO_CLASS:
        raise RecipeError(f"There is no tracker {name!r}. {suggest(name, LOGGER_TYPE_TO_CLASS)}")
    if name not in {str(tracker) for tracker in get_available_trackers()}:
        raise MissingExtra(f"--track {name} needs the package {name}, which is not installed. Install it: pip install {name}")
    return name


@contextlib.contextmanager
def tracked(accelerator: Accelerator | Alone, phase: str, settings: Mapping[str, Any]) -> Iterator[None]:
    """While the block runs, `accelerator.log` reaches the trackers that the accelerator was made with."""
    plain = {key: value if isinstance(value, bool | int | float | str) else str(value) for key, value in settings.items()}
    accelerator.init_trackers("lingraft", config={"phase": phase, **plain})
    try:
        yield
    finally:  # not accelerator.end_training(), which would end the group of processes too
        for tracker in accelerator.trackers:
            tracker.finish()


def numbers(line: Mapping[str, Any]) -> dict[str, float]:
    """What of a line of metrics.jsonl a tracker takes; the step goes apart."""
    return {key: value for key, value in line.items() if key != "step" and isinstance(value, int | float)}
