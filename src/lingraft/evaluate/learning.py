"""Fine-tuning on a task, and predicting: the items of a kind as material of the one training loop."""

import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from lingraft.errors import TextError
from lingraft.evaluate.task import Array, Item, Kind, Task, TaskSettings, collate, scores
from lingraft.files import atomic_write, is_main_process, read_json, write_json
from lingraft.model.noise import Noise
from lingraft.tokenizer.vocabulary import special_ids
from lingraft.train.batches import Ids, drawn
from lingraft.train.loop import Options, train


@dataclass(frozen=True, slots=True)
class Items:
    """The items of a task as the training loop wants them."""

    kind: Kind
    items: Sequence[Item]
    pad: int
    rows: Mapping[str, Ids] = field(default_factory=dict)
    noise: Noise = field(default_factory=lambda: Noise(0.0))
    ragged: bool = True

    def network(self, model: Any) -> Any:
        """The model itself, with noise on its embeddings."""
        self.noise.attach(model)
        return model

    def batch(self, settings: TaskSettings, step: int, seed: int) -> list[Item]:
        """The items of a step, shortest first: every epoch in an order of its own. Whole batches of like length would hold less padding,
        and teach much less."""
        items = (self.items[i] for i in drawn(step, settings.batch, seed, len(self.items)))
        return sorted(items, key=lambda item: item["input_ids"].size)

    def size(self, batch: list[Item]) -> int:
        """Tokens of a batch."""
        return sum(item["input_ids"].size for item in batch)

    def loss(self, network: Any, batch: list[Item], index: int, shares: int, device: torch.device) -> torch.Tensor:
        """Loss of a share of the batch, ()."""
        first, last = index * len(batch) // shares, (index + 1) * len(batch) // shares
        total = self.kind.count(collate(batch, self.pad)) if shares > 1 else None
        share = collate(batch[first:last], self.pad, device)
        return self.kind.loss(network, share) / max(1, self.kind.count(share) if total is None else total)

    def measured(self) -> Mapping[str, torch.Tensor]:
        """Nothing beside the loss."""
        return {}

    def release(self, network: Any) -> None:
        """Nothing is held."""

    def remove(self, network: Any) -> None:
        """No more noise."""
        self.noise.remove()


def pad_id(tokenizer: Any) -> int:
    """What fills the shorter inputs of a batch: the padding token, or another that is there."""
    return next((int(i) for i in (tokenizer.pad_token_id, tokenizer.eos_token_id) if i is not None), 0)


@torch.inference_mode()
def predict(model: Any, kind: Kind, items: Sequence[Item], pad: int, size: int) -> list[tuple[Array, ...]]:
    """What the model puts out for each item, in their order; batches hold items of like length."""
    model.eval()
    device = next(model.parameters()).device
    order = sorted(range(len(items)), key=lambda i: len(items[i]["input_ids"]))
    found: list[Any] = [None] * len(items)
    for start in range(0, len(order), size):
        chosen = order[start : start + size]
        for i, output in zip(chosen, kind.outputs(model, collate([items[i] for i in chosen], pad, device)), strict=True):
            found[i] = output
    return found


@dataclass(slots=True)
class Learner:
    """A model with the head of a task, and what it needs to read examples."""

    task: Task
    model: Any
    tokenizer: Any
    labels: list[str]
    settings: TaskSettings

    def predictions(self, examples: Sequence[Any]) -> list[Any]:
        """One for each example."""
        kind = self.task.kind
        items = kind.encode(examples, self.tokenizer, self.labels, self.settings)
        found = predict(self.model, kind, items, pad_id(self.tokenizer), 2 * self.settings.batch)
        return kind.decode(examples, items, found, self.labels, self.settings)

    def score(self, examples: Sequence[Any]) -> dict[str, float]:
        """Scores of its predictions."""
        return scores(self.task, examples, self.predictions(examples))


def fit(learner: Learner, examples: Sequence[Any], development: Sequence[Any], seed: int, folder: Path, options: Options) -> dict[str, Any]:
    """Train in place, from where a run below `folder` was interrupted; with a development set the weights that did best there are kept.

    Returns {"steps", "seconds", "development": [[step, score], …], "best_step", "stopped_early"}. Raises TextError for no examples.
    """
    kind, settings = learner.task.kind, learner.settings
    items = kind.encode(examples, learner.tokenizer, learner.labels, settings)
    if not items:
        raise TextError("There is nothing to train on: --train has no example that the task can use.")
    total = settings.steps if settings.steps is not None else max(1, math.ceil(settings.epochs * len(items) / settings.batch))
    best = Best(folder, learner, development, settings.patience)
    looks = max(1, round(settings.epochs)) if settings.steps is None else 5
    options = replace(options, evaluations=looks, **best.hooks(options) if development else {})
    specials = np.array(sorted(special_ids(learner.tokenizer)), dtype=np.int64)
    noise = Noise(settings.noise, settings.noise_relative)
    data = Items(kind, items, pad_id(learner.tokenizer), {"specials": specials}, noise)
    speed = train("fine-tune", learner.model, settings, data, total=total, seed=seed, folder=folder / "training", options=options)
    if is_main_process():
        shutil.rmtree(folder / "training", ignore_errors=True)
    return {"steps": total, "seconds": round(speed.all_seconds, 2), **best.finish()}


@dataclass(slots=True)
class Best:
    """The weights that did best on a development set, kept on disk beside the scores so far."""

    folder: Path
    learner: Learner
    development: Sequence[Any]
    patience: int | None
    seen: list[list[float]] = field(default_factory=list)

    def hooks(self, before: Options) -> dict[str, Any]:
        """Of `Options`: what to call when a phase resumes, at each look, and after each step, after what was to be called `before`."""
        resumed, record = _both(before.resumed, self._resumed), _both(before.record, self._note)
        return {"resumed": resumed, "evaluate": self._look, "record": record, "enough": self._enough}

    @property
    def _record(self) -> Path:
        return self.folder / "development.json"

    def _resumed(self, step: int) -> None:
        known = read_json(self._record) if self._record.exists() and step >= 0 else []
        self.seen = [line for line in known if line[0] <= step]

    def _look(self, model: Any) -> float:
        return self.learner.score(self.development)[self.learner.task.main]

    def _note(self, line: dict[str, Any]) -> None:
        if "held_out_loss" not in line:
            return
        step, score = line["step"], line["held_out_loss"]
        if step and (not self.seen or score > max(value for _, value in self.seen)):
            with atomic_write(self.folder / "best.safetensors") as temporary:
                save_file({name: tensor.detach().clone() for name, tensor in self._state().items()}, temporary)
        if step:
            self.seen.append([step, score])
            write_json(self._record, self.seen)

    def _state(self) -> dict[str, torch.Tensor]:
        return dict(self.learner.model.named_parameters())

    def _enough(self) -> bool:
        values = [value for _, value in self.seen]
        return bool(self.patience and values) and len(values) - 1 - values.index(max(values)) >= (self.patience or 0)

    def finish(self) -> dict[str, Any]:
        """Put the best weights back, and say what was seen."""
        if not self.seen:
            return {"development": [], "best_step": None, "stopped_early": False}
        best = max(self.seen, key=lambda line: (line[1], -line[0]))
        with torch.no_grad():
            stored = load_file(self.folder / "best.safetensors")
            for name, parameter in self._state().items():
                parameter.copy_(stored[name])
        (self.folder / "best.safetensors").unlink()
        return {"development": self.seen, "best_step": int(best[0]), "stopped_early": self._enough()}


def _both(first: Callable[[Any], None], second: Callable[[Any], None]) -> Callable[[Any], None]:
    """One call for two."""

    def call(argument: Any) -> None:
        first(argument)
        second(argument)

    return call
