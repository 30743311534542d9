"""`lingraft finetune`: a model for a task, with parts that stay, so that grafts of other languages fit it (MonoTrans, step 3)."""

import contextlib
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lingraft.errors import Interrupted, LingraftError, RunError, suggest
from lingraft.evaluate.table import TASKS
from lingraft.evaluate.task import TaskSettings
from lingraft.evaluation import Exam, digests, forget_attempts, learn, learner_of, read_examples, versions
from lingraft.files import atomic_folder, files_digest, is_main_process, locked, read_json, write_json
from lingraft.model.adapters import kind_of, save_adapters
from lingraft.model.load import load_config
from lingraft.model.parts import body_fingerprint, input_fingerprints, parameters_of, set_trainable, word_matrices
from lingraft.recipe import changed
from lingraft.run import FINETUNE, MODEL, Run, model_folder
from lingraft.train.loop import Options

ROWS = "embeddings"
"""What --freeze calls the part `words`, as the paper does: the rows of all words; those of the special tokens train."""


def finetune(
    model: str,
    *,
    task: str,
    train: str | Sequence[str],
    out: str | Path,
    development: str | Sequence[str] = (),
    freeze: Sequence[str] = (),
    noise: float = 0.0,
    noise_relative: bool = False,
    changes: Sequence[str] = (),
    seed: int = 0,
    options: Options | None = None,
) -> dict[str, Any]:
    """Fine-tune `model` on a task, leave the task model in OUT/model, and return what OUT/finetune.json holds.

    model: folder, run or hub id. task: a name in TASKS. train, development: paths; the weights that do best on the latter are kept.
    freeze: parts that stay; `embeddings` are the rows of all words but the special tokens. noise: standard deviation of noise on embeddings
    in training, relative: in parts of each table's own. changes: K=V, as --set. The same call goes on where it stopped, to the same bytes.
    Raises LingraftError where something the user gave is wrong.
    """
    model, train, development = model_folder(model), _listed(train), _listed(development)
    if task not in TASKS:
        raise RunError(f"There is no task {task!r}. {suggest(task, TASKS)}")
    if freeze and any(change.partition("=")[0].strip() == "freeze" for change in changes):
        raise RunError("--freeze and --set freeze=… say two things. Give one of them: in --freeze, `embeddings` are the words' rows.")
    asked = {"freeze": ["words" if part == ROWS else part for part in freeze], "noise": noise, "noise_relative": noise_relative}
    settings = changed(TaskSettings, {**TASKS[task].defaults, **asked}, changes)
    load_config(model)
    examples, others = (read_examples(TASKS[task], places) for places in (train, development))
    if not examples:
        raise RunError("lingraft finetune needs --train PATH.")
    exam = Exam(model, task, TASKS[task], examples, others, {}, settings)
    untrained = learner_of(exam, seed).model  # what is wrong with it or the parts shows before anything is written
    weights = files_digest(Path(model)) if Path(model).is_dir() else None
    inputs: dict[str, Any] = {"model": model, "weights": weights, "task": task, "seed": seed, "settings": settings.model_dump()}
    inputs |= {"body": body_fingerprint(untrained), "inputs": input_fingerprints(untrained)}
    inputs |= {"frozen": _frozen(untrained, settings), "noise": settings.noise, "noise_relative": settings.noise_relative}
    inputs |= {"data": digests(train, development, {})}
    is_new = not Path(out).exists()
    with locked(Path(out)) if is_main_process() else contextlib.nullcontext():
        run = Run.create(out, can_restart=False)
        if not run.begin("fine-tuning", inputs):
            try:
                _learn(exam, run, inputs, seed, options or Options())
            except LingraftError as error:
                if is_new and is_main_process() and not isinstance(error, Interrupted):
                    shutil.rmtree(run.path)
                raise
    return dict(read_json(run.path / FINETUNE)) if is_main_process() else {}


def _listed(places: str | Sequence[str]) -> list[str]:
    return [places] if isinstance(places, str) else list(places)


def _frozen(model: Any, settings: TaskSettings) -> list[str]:
    """Which of the parts that a graft brings or stands on stay through all of training: words, positions, body.

    Raises RecipeError for parts that the model does not have.
    """
    moved: set[str] = set()
    for parts in settings.all_parts():
        partial = set_trainable(model, parts, settings.freeze)
        moving = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
        moved |= {part for part in ("positions", "body") if moving & parameters_of(model, part).keys()}
        moved |= {"words" for name in word_matrices(model).keys() & moving if "words" in partial.get(name, ["words"])}
    return [part for part in ("words", "positions", "body") if part not in moved and parameters_of(model, part)]


def _learn(exam: Exam, run: Run, inputs: dict[str, Any], seed: int, options: Options) -> None:
    """Train, and write the model, then what there is to know of it."""
    options = replace(options, record=run.record, resumed=lambda step: run.forget_metrics("fine-tune", step))
    learner, facts = learn(exam, seed, run.path, options)
    if not is_main_process():
        return
    with atomic_folder(run.path / MODEL) as temporary:
        learner.model.save_pretrained(temporary)
        save_adapters(learner.model, temporary)
        learner.tokenizer.save_pretrained(temporary)
    told = {**inputs, "adapters": kind_of(learner.model), "labels": learner.labels, **facts, "versions": versions()}
    write_json(run.path / FINETUNE, told)
    run.finish("fine-tuning")
    forget_attempts(run.path)
