"""The run folder: the interface between stages. A stage whose output is complete is skipped; that one rule gives resume."""

import contextlib
import json
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

import filelock

from lingraft.errors import LingraftError, RunError, suggest
from lingraft.files import is_main_process, locked, read_json, write_json, write_text

RECIPE, FACTS, METRICS, SCORES, ROWS, MODEL, REPORT, EVALUATION = (
    "recipe.toml", "run.json", "metrics.jsonl", "scores.jsonl", "rows.safetensors", "model", "report.html", "evaluation.json"
)  # fmt: skip
FINETUNE = "finetune.json"
PICTURES = "pictures"  # .json and .safetensors
STAGES = ".stages"


def model_folder(name: str) -> str:
    """Where a model is: in the folder `model` of a finished run, else `name` itself."""
    inner = Path(name) / MODEL
    return str(inner) if (inner / "config.json").is_file() and not (Path(name) / "config.json").exists() else name


@contextlib.contextmanager
def opened(out: str | Path) -> Iterator["Run"]:
    """A run folder without --restart-from, held for this process. A new one is removed where a mistake of the user's ends the run before
    anything is in it. Raises RunError for a folder that holds something else."""
    path, is_main = Path(out), is_main_process()
    is_new = not path.exists()
    run = Run.create(path, can_restart=False)
    with locked(path) if is_main else contextlib.nullcontext():
        try:
            yield run
        except LingraftError:
            if is_new and is_main and all(file.name.startswith(".") for file in path.iterdir()):
                shutil.rmtree(path)
            raise


def called(model: str) -> str:
    """How tables call a model: its folder's or its hub id's last name, of a run's folder the run's."""
    path = Path(model)
    return (path.parent.name if path.name == MODEL else path.name) or model


def flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    """Nested tables as one level with dotted keys; lists as they are."""
    if not isinstance(value, Mapping):
        return {prefix: value}
    return {key: inner for name, item in value.items() for key, inner in flatten(item, f"{prefix}.{name}" if prefix else str(name)).items()}


def differences(before: Any, now: Any) -> list[str]:
    """One line per key that differs."""
    old, new = flatten(before), flatten(now)
    keys = [*old, *(key for key in new if key not in old)]
    return [f"{key}: was {old.get(key)!r}, now {new.get(key)!r}" for key in keys if old.get(key) != new.get(key)]


class Run:
    """A run folder. Reading it needs nothing of the run's own code or data."""

    def __init__(self, path: str | Path, can_restart: bool = True) -> None:
        """Open an existing run. can_restart: its command has --restart-from. Raises RunError where `path` holds none."""
        self.path, self._can_restart = Path(path), can_restart
        self.held: filelock.BaseFileLock | None = None
        self._lock = filelock.FileLock(self.path / ".changes.lock")
        if not (self.path / STAGES).is_dir() and not (self.path / FACTS).is_file():
            raise RunError(f"{self.path} is not a run: it has no {FACTS}. Give a folder that `lingraft transfer --out` made.")

    @classmethod
    def create(cls, path: str | Path, can_restart: bool = True) -> "Run":
        """Open a run folder, making it where it does not exist. Raises RunError for a folder that holds something else."""
        path = Path(path)
        if path.exists() and not path.is_dir():
            raise RunError(f"--out {path} is a file. Give a folder that does not exist, or a run's.")
        foreign = [] if not path.exists() or (path / STAGES).is_dir() else [p.name for p in path.iterdir() if not p.name.startswith(".")]
        if foreign:
            raise RunError(f"--out {path} holds something that is not a run ({sorted(foreign)[0]} …). Give a new folder.")
        try:
            (path / STAGES).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"Cannot make the run folder {path}: {error.strerror}.") from error
        return cls(path, can_restart)

    # Stages

    def begin(self, stage: str, inputs: Mapping[str, Any]) -> bool:
        """Whether `stage` is complete already; if it is new, note what it is made from.

        Raises RunError where the stage was begun with other inputs, naming the differences.
        """
        inputs = json.loads(json.dumps(inputs, default=str))
        record = self._stage_file(stage)
        if not record.exists():
            if is_main_process():
                write_json(record, {"inputs": inputs, "complete": False})
            return False
        known = read_json(record)
        self._compare(stage, known["inputs"], inputs)
        return bool(known["complete"]) and all(output.exists() for output in self.outputs(stage))

    def agree(self, stage: str, settings: Mapping[str, Any]) -> None:
        """Raise RunError, naming the differences, where the stage was begun with other settings."""
        if self._stage_file(stage).exists():
            self._compare(stage, read_json(self._stage_file(stage))["inputs"]["settings"], json.loads(json.dumps(settings, default=str)))

    def _compare(self, stage: str, before: Any, now: Any) -> None:
        if not (changed := differences(before, now)):
            return
        start = f"{self.path} was made differently at stage {stage!r}: {'; '.join(changed[:6])}. Use another --out"
        if not self._can_restart:
            raise RunError(f"{start}, or go back to the old setting.")
        raise RunError(f"{start}, go back to the old setting, or redo this stage and all after it with --restart-from {stage}.")

    def finish(self, stage: str) -> None:
        """Note that the stage's output is complete."""
        if is_main_process():
            write_json(self._stage_file(stage), {**read_json(self._stage_file(stage)), "complete": True})

    def is_complete(self, stage: str) -> bool:
        """Whether the stage is done."""
        record = self._stage_file(stage)
        return record.exists() and bool(read_json(record)["complete"])

    def phase_lock(self, name: str) -> Path:
        """The folder that a process holds while it trains a phase."""
        return self.path / STAGES / "held" / name

    def _stage_file(self, stage: str) -> Path:
        return self.path / STAGES / f"{stage}.json"

    def restart_from(self, stage: str, order: list[str]) -> None:
        """Forget `stage` and all after it in `order`, outputs included. Raises RunError for an unknown stage."""
        if stage not in order:
            raise RunError(f"There is no stage {stage!r} to restart from. {suggest(stage, order)}")
        for name in order[order.index(stage) :]:
            self._stage_file(name).unlink(missing_ok=True)
            for output in self.outputs(name):
                shutil.rmtree(output) if output.is_dir() else output.unlink(missing_ok=True)
            if name.startswith("phase."):
                self.forget_metrics(name.removeprefix("phase."), -1)
                self.spend(name.removeprefix("phase."), None)
                if tried := self.facts.get("restarts"):
                    self.note(restarts={phase: told for phase, told in tried.items() if f"phase.{phase}" != name})

    def outputs(self, stage: str) -> list[Path]:
        """What a stage leaves in the folder."""
        if stage.startswith("phase."):
            return [self.path / "phases" / stage.removeprefix("phase.")]
        if stage.startswith("seed."):
            return [self.path / "seeds" / stage.removeprefix("seed.") / "scores.json"]
        names = {
            "tokenizer": ["tokenizer"],
            "tokens": ["tokens"],
            "alignments": ["alignments"],
            "rows": [ROWS],
            "held-out": ["held-out"],
            "result": [EVALUATION],
            "fine-tuning": [MODEL, FINETUNE],
            "initial": [SCORES],
            "model": [MODEL, REPORT],
        }
        others = sorted(self.path.glob(f"{MODEL}-*")) if stage == "model" else []
        return [*(self.path / name for name in names.get(stage, [])), *others]

    # Facts, metrics, scores

    @property
    def facts(self) -> dict[str, Any]:
        """run.json; empty where it is not written yet."""
        path = self.path / FACTS
        return dict(read_json(path)) if path.exists() else {}

    @contextlib.contextmanager
    def changing(self) -> Iterator[None]:
        """Hold run.json and metrics.jsonl while they are read and written anew: phases may be trained side by side."""
        with self._lock if is_main_process() else contextlib.nullcontext():
            yield

    def note(self, **facts: Any) -> None:
        """Add to run.json."""
        if is_main_process():
            with self.changing():
                write_json(self.path / FACTS, {**self.facts, **facts})

    def note_in(self, name: str, key: str, value: Any) -> None:
        """Add to a table in run.json."""
        with self.changing():
            self.note(**{name: {**self.facts.get(name, {}), key: value}})

    @contextlib.contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Note what a stage before training takes, in seconds."""
        began = time.monotonic()
        yield
        self.note_in("preparation_seconds", stage, time.monotonic() - began)

    def spend(self, phase: str, seconds: float | None) -> None:
        """Count `seconds` of training for a phase; None: forget those it has."""
        with self.changing():
            spent = dict(self.facts.get("phase_seconds", {}))
            if seconds is not None:
                spent[phase] = spent.get(phase, 0.0) + seconds
            elif spent.pop(phase, None) is None:
                return
            self.note(phase_seconds=spent, seconds=sum(spent.values()))

    def lines(self, name: str) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl or scores.jsonl; a torn last line is left out."""
        path, found = self.path / name, []
        for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
        return found

    def record(self, line: Mapping[str, Any]) -> None:
        """Append a line to metrics.jsonl."""
        if is_main_process():
            with self.changing(), (self.path / METRICS).open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")

    def forget_metrics(self, phase: str, step: int) -> None:
        """Drop the lines of a phase beyond `step`, which a resume will write again."""
        if not is_main_process() or not (self.path / METRICS).exists():
            return
        with self.changing():
            kept = [line for line in self.lines(METRICS) if not (line["phase"] == phase and line["step"] > step)]
            if step < 0:  # a phase from its beginning has no restarts yet
                kept = [line for line in kept if not line["phase"].startswith(f"{phase} ")]
            write_text(self.path / METRICS, "".join(json.dumps(line) + "\n" for line in kept))

    def write_scores(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """Write scores.jsonl."""
        if is_main_process():
            write_text(self.path / SCORES, "".join(json.dumps(line) + "\n" for line in lines))

    @property
    def languages(self) -> dict[str, dict[str, float]]:
        """Language -> name -> value for the finished model."""
        found: dict[str, dict[str, float]] = {}
        for line in self.lines(SCORES):
            if line["model"] == "final":
                found.setdefault(line.get("language", "und"), {})[line["name"]] = line["value"]
        return found

    @property
    def scores(self) -> dict[str, float]:
        """Name -> value for the finished model, the mean over its languages."""
        found = list(self.languages.values())
        return {name: fmean(scores[name] for scores in found) for name in (found[0] if found else ())}

    @property
    def origin(self) -> dict[str, int]:
        """How many rows were copied, mixed, given directly, drawn."""
        return dict(self.facts.get("origin", {}))

    def load(self) -> tuple[Any, Any]:
        """The finished model, with adapters where it has some, and its tokenizer: plain transformers objects.

        Raises RunError where the run is not finished.
        """
        from lingraft.model.load import load

        return load(self._finished_model())

    def push(self, repo_id: str) -> str:
        """Upload the finished model to the hub and return its address. Raises RunError where it is not finished, or the hub refuses."""
        from huggingface_hub import HfApi

        folder = self._finished_model()
        try:
            HfApi().create_repo(repo_id, exist_ok=True)
            return str(HfApi().upload_folder(repo_id=repo_id, folder_path=folder))
        except (OSError, ValueError) as error:  # what the hub's errors are made of
            raise RunError(f"Cannot upload {folder} to {repo_id!r}: {error} Log in with `hf auth login`, and check the name.") from error

    def _finished_model(self) -> Path:
        if not self.is_complete("model"):
            raise RunError(f"{self.path} is not finished. Run the same `lingraft transfer` command again: it goes on where it stopped.")
        return self.path / MODEL
