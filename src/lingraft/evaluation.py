"""`lingraft evaluate`: fine-tune on a task with n seeds, score every language, and keep what a reader needs to trust the numbers."""

import json
import shutil
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel

from lingraft.errors import LingraftWarning, ModelError, RunError, TextError, suggest
from lingraft.evaluate.bootstrap import combined_interval, summary
from lingraft.evaluate.learning import Learner, fit
from lingraft.evaluate.measures import MEASURES
from lingraft.evaluate.table import TASKS
from lingraft.evaluate.task import Array, Task, TaskSettings, rows, scores
from lingraft.files import digest, files_digest, is_main_process, read_json, write_json, write_text
from lingraft.languages import parse
from lingraft.machine import from_main
from lingraft.model.adapters import save_adapters
from lingraft.model.load import load_config, load_tokenizer
from lingraft.recipe import changed
from lingraft.run import EVALUATION, Run, called, model_folder, opened
from lingraft.train.loop import Options

PACKAGES = ("lingraft", "torch", "transformers", "tokenizers", "scikit-learn")
ANOTHER_SEED = 1_000


@dataclass(frozen=True, slots=True)
class Exam:
    """What is asked: a model on a task, learnt from `train`, chosen on `development`, scored on one text for each language."""

    model: str
    name: str
    task: Task
    train: Sequence[Any]
    development: Sequence[Any]
    examples: Mapping[str, Sequence[Any]]
    settings: TaskSettings


def evaluate(
    model: str,
    *,
    task: str,
    evaluation: Sequence[str],
    out: str | Path,
    train: Sequence[str] = (),
    development: Sequence[str] = (),
    language: str = "und",
    seeds: int = 1,
    changes: Sequence[str] = (),
    name: str = "",
    keep: bool = False,
    options: Options | None = None,
) -> dict[str, Any]:
    """Fine-tune `model` on a task and score it, and return what OUT/evaluation.json holds. The same call goes on where it stopped.

    model: folder or hub id. task: a name in TASKS. train, development, evaluation: paths; of `evaluation`, `CODE=PATH` names the language,
    and several are zero-shot targets. Without train the model's own head is scored. seeds: how many, from 0 on.
    keep: leave the fine-tuned models in OUT/seeds/N/model. name: how tables call the system (default: the model's).
    Raises LingraftError where something the user gave is wrong.
    """
    model = model_folder(model)
    texts = dict(_language_and_path(place, language) for place in evaluation)
    if len(texts) < len(evaluation):
        raise RunError("Two --eval of the same language: name each as CODE=PATH, as in --eval de=de/test.conllu --eval fr=fr/test.conllu.")
    if task in MEASURES:
        return _as_it_is(model, task, texts, Path(out), name, changes, trained=bool(train or development or seeds > 1))
    if task not in TASKS:
        raise RunError(f"There is no task {task!r}. {suggest(task, [*TASKS, *MEASURES])}")
    chosen = TASKS[task]
    settings = changed(TaskSettings, chosen.defaults, changes)
    load_config(model)
    read = {code: read_examples(chosen, [path]) for code, path in texts.items()}
    exam = Exam(model, task, chosen, read_examples(chosen, train), read_examples(chosen, development), read, settings)
    inputs = _inputs(model, task, settings, digests(train, development, texts))
    with opened(out) as run:
        run.begin("result", inputs)
        for seed in range(seeds if train else 1):
            if not run.begin(f"seed.{seed}", inputs):
                _one_seed(exam, seed, run.path / "seeds" / str(seed), keep, options or Options())
                run.finish(f"seed.{seed}")
        if not is_main_process():
            return {}
        result = {"name": name or called(model), **inputs, **_summary(exam, run, seeds if train else 1)}
        write_json(run.path / EVALUATION, {**result, "versions": versions()})
        run.finish("result")
    return dict(read_json(run.path / EVALUATION))


def _as_it_is(
    model: str, task: str, texts: Mapping[str, str], out: Path, name: str, changes: Sequence[str], trained: bool
) -> dict[str, Any]:
    """Scores that need no training, each text's written when it is done."""
    if trained:
        raise RunError(f"{task!r} measures the model as it is: it takes no --train, --dev and --seeds.")
    measure = MEASURES[task]
    settings = changed(measure.settings, {}, changes)
    inputs = _inputs(model, task, settings, digests([], [], texts))
    load_config(model)
    with opened(out) as run:
        run.begin("result", inputs)
        for code, path in texts.items():
            file = run.path / "texts" / f"{code}.json"
            if not file.exists():
                scores, guess, count = measure.measure(model, Path(path), code, settings)
                told = {score: {**summary([value]), "low": None, "high": None} for score, value in scores.items()}
                write_json(file, {"scores": told, "baseline": guess, "n": count})
        languages = {code: read_json(run.path / "texts" / f"{code}.json") for code in texts}
        means = {
            score: summary([float(np.mean([told["scores"][score]["mean"] for told in languages.values()]))])
            for score in scores_of(languages)
        }
        guesses = {
            score: float(np.mean([told["baseline"][score] for told in languages.values()]))
            for score in next(iter(languages.values()))["baseline"]
        }
        result = {
            "name": name or called(model),
            **inputs,
            "main": measure.main,
            "scores": means,
            "baseline": guesses,
            "languages": languages,
        }
        write_json(run.path / EVALUATION, {**result, "seeds": [], "training": [], "versions": versions()})
        run.finish("result")
    return dict(read_json(run.path / EVALUATION))


def scores_of(languages: Mapping[str, Any]) -> list[str]:
    """Names of the scores that all languages have."""
    names = [list(told["scores"]) for told in languages.values()]
    return [name for name in names[0] if all(name in others for others in names)]


def versions() -> dict[str, str]:
    """Of the packages that decide what comes out."""
    return {package: version(package) for package in PACKAGES}


def _language_and_path(place: str, language: str) -> tuple[str, str]:
    """The language and the path of an --eval."""
    code, equals, path = place.partition("=")
    if equals and "/" not in code and "." not in code and "#" not in code:
        return parse(code).code, path
    return language if language == "und" else parse(language).code, place


def read_examples(task: Task, places: Sequence[str]) -> list[Any]:
    """The examples of all places. Raises TextError where a place has none."""
    found = []
    for place in places:
        here = task.read(Path(place))
        if not here:
            raise TextError(f"{place} has no examples.")
        found += here
    return found


def _inputs(model: str, task: str, settings: BaseModel, data: dict[str, Any]) -> dict[str, Any]:
    """All that decides what comes out. weights: SHA-256 of the model's folder, which may hold another tomorrow; None for a hub id."""
    weights = files_digest(Path(model)) if Path(model).is_dir() else None
    return {"model": model, "weights": weights, "task": task, "settings": settings.model_dump(), "data": data}


def digests(train: Sequence[str], development: Sequence[str], texts: Mapping[str, str]) -> dict[str, Any]:
    """Path and SHA-256 of everything that is read."""
    places = {"train": train, "development": development, **{f"evaluation {code}": [path] for code, path in texts.items()}}

    def facts(place: str) -> dict[str, str]:
        path = Path(place.partition("#")[0])
        return {"path": place, "sha256": digest(path) if path.exists() else ""}

    return {name: [facts(place) for place in found] for name, found in places.items() if found}


def learner_of(exam: Exam, seed: int) -> Learner:
    """The model with its head: the model's own labels where nothing is trained, else those of the training examples."""
    torch.manual_seed(seed)
    tokenizer, own = load_tokenizer(exam.model), not exam.train
    labels = _names(exam.model) if own else exam.task.kind.labels([*exam.train, *exam.development])
    model = exam.task.kind.build(exam.model, labels)
    if own and model.missing:
        raise ModelError(
            f"{exam.model!r} has no head for the task {exam.name!r} ({model.missing[0]} is missing). Give --train to fine-tune one."
        )
    labels = _understood(exam, labels) if own else labels
    if tokenizer.pad_token_id is None and getattr(model.config, "pad_token_id", None) is None:
        model.config.pad_token_id = tokenizer.eos_token_id
    longest = min(exam.settings.length, tokenizer.model_max_length)
    return Learner(exam.task, model, tokenizer, labels, exam.settings.model_copy(update={"length": longest}))


def _names(model: str) -> list[str]:
    """What a model's configuration calls the outputs of its head."""
    return [str(name) for _, name in sorted(load_config(model).id2label.items())]


def _understood(exam: Exam, names: list[str]) -> list[str]:
    """The labels of the examples that a head's names mean: case does not matter, nor which of a task's spellings it is.

    Where the head only numbers its outputs, they are the labels that are these numbers, else all labels in alphabetical order; a warning
    says so. Raises ModelError where the head's names are others.
    """
    found = exam.task.kind.labels([example for examples in exam.examples.values() for example in examples])
    if not found:
        return names
    known = sorted(set(exam.task.spellings.values())) or found
    if all(name.startswith("LABEL_") for name in names):
        numbers = [str(number) for number in range(len(names))]
        told = numbers if set(known) <= set(numbers) else known
        if len(told) == len(names):
            text = f"The head of {exam.model!r} numbers its labels: taken as {', '.join(told)}."
            warnings.warn(text, LingraftWarning, stacklevel=2)
    else:
        spelled = {label.casefold(): label for label in known} | dict(exam.task.spellings)
        told = names if set(names) & set(known) else [spelled.get(name.casefold(), name) for name in names]
    if len(told) != len(names) or not set(told) & set(found):
        raise ModelError(
            f"The head of {exam.model!r} has the labels {_few(names)}; --eval has {_few(known)}. "
            "Name them alike in the model's config.json (id2label), or give --train."
        )
    return told


def _few(names: list[str]) -> str:
    return ", ".join(names[:8]) + (f" … ({len(names)})" if len(names) > 8 else "")


def learn(exam: Exam, seed: int, folder: Path, options: Options) -> tuple[Learner, dict[str, Any]]:
    """Train with one seed, more than once where development says that it failed: the best model, and how it went."""
    attempts: list[dict[str, Any]] = []
    best: tuple[float, Learner] | None = None
    kept = 0
    floor = _floor(exam)
    for attempt in range(1 + exam.settings.restarts):
        learner = learner_of(exam, seed + ANOTHER_SEED * attempt)
        if exam.train:
            told = fit(learner, exam.train, exam.development, seed + ANOTHER_SEED * attempt, folder / f"attempt-{attempt}", options)
            attempts.append({"seed": seed + ANOTHER_SEED * attempt, **told})
        reached = max((score for _, score in attempts[-1]["development"]), default=np.inf) if exam.train else np.inf
        reached = from_main(reached)  # where development is looked at
        if best is None or reached > best[0]:
            best, kept = (reached, learner), attempt
        if reached > floor:
            break
    assert best is not None
    return best[1], {"attempts": attempts, "kept": kept, "restarts": max(0, len(attempts) - 1)}


def forget_attempts(folder: Path) -> None:
    """Remove what training left in a folder."""
    for left in folder.glob("attempt-*"):
        shutil.rmtree(left)


def _one_seed(exam: Exam, seed: int, folder: Path, keep: bool, options: Options) -> None:
    """Train with one seed, and write what came out."""
    learner, facts = learn(exam, seed, folder, options)
    if not is_main_process():
        return
    found = {code: learner.predictions(examples) for code, examples in exam.examples.items()}
    for code, predictions in found.items():
        lines = [{"gold": exam.task.gold(example), "predicted": p} for example, p in zip(exam.examples[code], predictions, strict=True)]
        write_text(folder / f"predictions-{code}.jsonl", "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
        if exam.task.write:
            exam.task.write(exam.examples[code], predictions, folder / f"predictions-{code}.{exam.task.ending}")
    if keep:
        learner.model.save_pretrained(folder / "model")
        save_adapters(learner.model, folder / "model")
        learner.tokenizer.save_pretrained(folder / "model")
    forget_attempts(folder)
    measured = {code: scores(exam.task, exam.examples[code], predictions) for code, predictions in found.items()}
    write_json(folder / "scores.json", {"scores": measured, **facts})


def _floor(exam: Exam) -> float:
    """What the baseline reaches on the development set; minus infinity without one."""
    if not exam.development:
        return -np.inf
    guessed = exam.task.baseline(exam.train, exam.development)
    return scores(exam.task, exam.development, guessed)[exam.task.main]


def _summary(exam: Exam, run: Run, seeds: int) -> dict[str, Any]:
    """Scores of every language over the seeds with intervals, their mean over languages, the baselines, and how training went."""
    told = [read_json(run.path / "seeds" / str(seed) / "scores.json") for seed in range(seeds)]
    languages: dict[str, Any] = {}
    baselines: dict[str, dict[str, float]] = {}
    for code, examples in exam.examples.items():
        baselines[code] = scores(exam.task, examples, exam.task.baseline(exam.train, examples))
        each = [seed["scores"][code] for seed in told]
        lines = [_stored_rows(exam, run.path / "seeds" / str(seed) / f"predictions-{code}.jsonl", code) for seed in range(seeds)]
        found = {}
        for name in each[0]:
            low, high = combined_interval(lines, exam.task.reduce, name, seed=0)
            found[name] = {**summary([scored[name] for scored in each]), "low": low, "high": high}
        languages[code] = {"scores": found, "baseline": baselines[code], "n": len(examples)}
    names = next(iter(languages.values()))["scores"]
    mean = {name: summary([float(np.mean([s["scores"][code][name] for code in exam.examples])) for s in told]) for name in names}
    if len(languages) == 1:
        mean = names
    baseline = {name: float(np.mean([scored[name] for scored in baselines.values()])) for name in names}
    training = [{key: value for key, value in seed.items() if key != "scores"} for seed in told]
    return {
        "main": exam.task.main,
        "scores": mean,
        "baseline": baseline,
        "languages": languages,
        "seeds": list(range(seeds)),
        "training": training,
    }


def _stored_rows(exam: Exam, path: Path, code: str) -> Array:
    """(n, k) numbers of the examples' scores, from a file of predictions."""
    predictions = [json.loads(line)["predicted"] for line in path.read_text(encoding="utf-8").splitlines()]
    return rows(exam.task, exam.examples[code], predictions)
