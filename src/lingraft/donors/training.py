"""One cell of the grid: a model of one language or several, trained and scored, and nothing of it written before it is whole."""

import math
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerBase

from lingraft.donors.corpus import Corpus
from lingraft.donors.ranking import Questions, answer, questions, score
from lingraft.donors.records import Cell, Mode, Record, cell, write_record
from lingraft.donors.sentences import encode, sentences
from lingraft.donors.settings import GridSettings
from lingraft.files import locked, read_json, write_json
from lingraft.model.load import load_model, load_tokenizer
from lingraft.model.scratch import from_scratch
from lingraft.tokenizer.vocabulary import roles
from lingraft.tongues import masking
from lingraft.train.batches import Sentences, drawn
from lingraft.train.data import Data
from lingraft.train.loop import Options, train
from lingraft.train.objectives import Vocabulary

CHOICE = "epochs.json"


@dataclass(frozen=True)
class Kit:
    """What the cells of a grid share. recipe: fingerprint of all that decides what comes out. keeps: names of cells whose model stays.
    by, changes: the recipe that trains cells instead of the settings, and what is changed in it."""

    grid: Path
    corpus: Corpus
    settings: GridSettings
    recipe: str
    keeps: frozenset[str] = frozenset()
    mode: Mode = "joint"
    by: str = ""
    changes: tuple[str, ...] = ()

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """That of the corpus."""
        return load_tokenizer(str(self.corpus.tokenizer))

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """What masking needs to know of it."""
        return masking(self.tokenizer, "mlm")

    def folder(self, one: Cell) -> Path:
        """Of a finished cell."""
        return self.grid / "cells" / one.name

    def work(self, one: Cell) -> Path:
        """Where a cell that is being trained has its lock and its checkpoints."""
        return self.grid / "work" / one.name

    def is_done(self, one: Cell) -> bool:
        """Whether a cell has its record, and its model where that is wanted."""
        folder = self.folder(one)
        return (folder / "record.json").exists() and (one.name not in self.keeps or (folder / "model").exists())

    def is_by_recipe(self, one: Cell) -> bool:
        """Whether the recipe trains a cell; what it goes on from in sequence, it does not."""
        return bool(self.by) and (one.mode == "sequential") == (self.mode == "sequential")

    def prepare(self) -> None:
        """Encode the corpus, once for all cells."""
        encode(self.corpus, self.tokenizer, self.grid / "tokens")

    def text(self, languages: Sequence[str]) -> Sentences:
        """Sentences to train on, each language's all."""
        return sentences([self.grid / "tokens" / "text" / code for code in languages], self.tokenizer, self.settings.length)

    def asked(self, languages: Sequence[str]) -> dict[str, Questions]:
        """The held-out sentences of languages, masked."""
        folder = self.grid / "tokens" / "held-out"
        held_out = {code: sentences([folder / code], self.tokenizer, self.settings.length) for code in languages}
        return {code: questions(found, code, self.vocabulary, self.settings) for code, found in held_out.items()}

    def new_model(self, seed: int) -> Any:
        """Random weights: of one seed the same in every cell, so that cells differ by what they read alone."""
        return from_scratch(self.settings.architecture(), self.vocabulary.size, roles(self.tokenizer), seed)[0]


def previous(one: Cell) -> Cell | None:
    """The cell whose model a sequential cell goes on from."""
    return cell(*one.languages[:-1], mode="sequential", seed=one.seed) if one.mode == "sequential" else None


def planned_steps(settings: GridSettings, text: Sentences, epochs: float | None = None) -> int:
    """Optimiser steps of a cell that trains on `text`, for so many epochs, or those of the settings."""
    return settings.steps if settings.steps is not None else max(1, math.ceil((epochs or settings.epochs) * len(text) / settings.batch))


def num_steps(kit: Kit, text: Sentences) -> int:
    """The same, with the number of epochs that was chosen."""
    return planned_steps(kit.settings, text, read_json(kit.grid / CHOICE)["epochs"] if kit.settings.choose_epochs else None)


def seen(text: Sentences, steps: int, batch: int, seed: int) -> int:
    """Tokens that so many steps read, specials included."""
    around = len(text.before) + len(text.after)
    return int(text.cut(drawn(0, steps * batch, seed, len(text))).sum()) + steps * batch * around


def learned(one: Cell) -> tuple[str, ...]:
    """The languages that a cell itself trains on: of a sequential one the last."""
    return one.languages[-1:] if one.mode == "sequential" else one.languages


def finish(kit: Kit, one: Cell, model: Any, steps: int, tokens: int | None, seconds: float, engine: str) -> Record:
    """Score a trained model and write the cell's folder. tokens: that it has read; None: as `seen` counts them."""
    scores, ranks = score(model, kit.asked(one.languages))
    text, settings = kit.text(learned(one)), kit.settings
    epochs = steps * settings.batch / len(text) if tokens is None else tokens / len(text.tokens)
    tokens = seen(text, steps, settings.batch, one.seed) if tokens is None else tokens
    record = Record(
        cell=one, scores=scores, epochs=round(epochs, 4), steps=steps, tokens=tokens, seconds=round(seconds, 2), engine=engine,
        recipe=kit.recipe,
    )  # fmt: skip
    kept = kit.work(one) / "model" if one.name in kit.keeps else None
    if kept:
        shutil.rmtree(kept, ignore_errors=True)
        model.cpu().save_pretrained(kept)
        kit.tokenizer.save_pretrained(kept)
    write_record(kit.folder(one), record, ranks, kept)
    shutil.rmtree(kit.work(one) / "training", ignore_errors=True)
    return record


def begun(kit: Kit, one: Cell) -> Any:
    """The model that a cell begins with: of random weights, or that of the cell before it, which is there."""
    before = previous(one)
    return load_model(str(kit.folder(before) / "model"), "mlm", seed=one.seed)[0] if before else kit.new_model(one.seed)


def train_cell(kit: Kit, one: Cell, engine: str = "local") -> Record:
    """Train a cell, from where an earlier try was stopped, and write it. The cell that it goes on from is there, with its model.

    Raises Interrupted after a signal, TrainingError where the loss is not a number.
    """
    began, folder, before = time.monotonic(), kit.work(one) / "training", previous(one)
    if kit.is_by_recipe(one):
        from lingraft.donors.by_recipe import train_by_recipe

        source = kit.folder(before) / "model" if before else None
        model, steps, tokens = train_by_recipe(kit.corpus, one, source, kit.by, kit.changes, folder)
        return finish(kit, one, model, steps, tokens, time.monotonic() - began, engine)
    model, text = begun(kit, one), kit.text(learned(one))
    total, phase, data = num_steps(kit, text), kit.settings.phase(), Data(text, kit.vocabulary)
    train(one.name, model, phase, data, total=total, seed=one.seed, folder=folder, options=Options(alone=True, keep=1))
    return finish(kit, one, model, total, None, time.monotonic() - began, engine)


def choose_epochs(kit: Kit) -> None:
    """Where the settings ask for it, choose the number of epochs: held-out loss after each of them, of some languages (section 4.1)."""
    settings, place, folder = kit.settings, kit.grid / CHOICE, kit.grid / "work" / "epochs"
    if not settings.choose_epochs or place.exists():
        return
    with locked(folder, waits=True):
        for code in settings.choose_epochs:
            if not (folder / f"{code}.json").exists():
                write_json(folder / f"{code}.json", _losses(kit, code))
    losses = {code: read_json(folder / f"{code}.json") for code in settings.choose_epochs}
    means = np.mean(list(losses.values()), axis=0)
    write_json(place, {"epochs": int(means.argmin()) + 1, "held_out_loss": losses})


def _losses(kit: Kit, code: str) -> list[float]:
    """Held-out loss of a monolingual model after each epoch."""
    lines: list[dict[str, Any]] = []
    settings, text = kit.settings, kit.text([code])
    asked, total = kit.asked([code])[code], math.ceil(settings.epochs * len(text) / settings.batch)
    options = Options(
        alone=True,
        checkpoint_seconds=math.inf,
        evaluations=int(settings.epochs),
        record=lines.append,
        evaluate=lambda m: answer(m, asked)[0].loss,
    )
    folder = kit.grid / "work" / "epochs" / "training"
    shutil.rmtree(folder, ignore_errors=True)
    train(
        f"epochs of {code}",
        kit.new_model(0),
        settings.phase(),
        Data(text, kit.vocabulary),
        total=total,
        seed=0,
        folder=folder,
        options=options,
    )
    shutil.rmtree(folder, ignore_errors=True)
    return [line["held_out_loss"] for line in lines if line["step"] and "held_out_loss" in line]
