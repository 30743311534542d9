"""`lingraft probe`: ask a frozen model what it knows, and keep what a reader needs to trust the numbers."""

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lingraft.errors import RunError, suggest
from lingraft.evaluate.bootstrap import summary
from lingraft.evaluate.probes import PROBES
from lingraft.evaluate.probes.base import Question
from lingraft.files import digest, files_digest, read_json, write_json, write_text
from lingraft.languages import parse
from lingraft.model.load import load_config
from lingraft.recipe import changed
from lingraft.run import model_folder, opened

PACKAGES = ("lingraft", "torch", "transformers", "tokenizers", "scikit-learn", "scipy")
RESULT, PREDICTIONS = "probe.json", "predictions.jsonl"


def probe(
    model: str,
    *,
    probe: str,
    evaluation: str | Path,
    out: str | Path,
    train: str | Path | None = None,
    development: str | Path | None = None,
    language: str = "und",
    seeds: int = 1,
    changes: list[str] | None = None,
) -> dict[str, Any]:
    """Probe a model (folder, run or hub id) and return what OUT/probe.json holds; a finished OUT is only read.

    probe: a name in PROBES. seeds: of probes that are trained. changes: KEY=VALUE of the probe's settings. Writes OUT/predictions.jsonl,
    and the pictures of the structural probe, beside it. Raises LingraftError where something the user gave is wrong.
    """
    if probe not in PROBES:
        raise RunError(f"There is no probe {probe!r}. {suggest(probe, PROBES)}")
    if not PROBES[probe].is_trained and (train or development):
        raise RunError(f"The {probe} probe is not trained: it takes no --train and --dev.")
    model, settings = model_folder(model), changed(PROBES[probe].settings, {}, changes or [])
    places = {"train": train, "development": development, "evaluation": evaluation}
    data = {name: Path(place) for name, place in places.items() if place is not None}
    code = language if language == "und" else parse(language).code
    load_config(model)
    fingerprints = {name: _digest(name, path) for name, path in data.items()}
    if Path(model).is_dir():
        fingerprints["model"] = files_digest(Path(model))
    inputs = {"probe": probe, "model": model, "language": code, "settings": settings.model_dump(), "seeds": seeds}
    inputs |= {"data": {name: str(path) for name, path in data.items()}, "fingerprints": fingerprints}
    with opened(out) as run:
        if not (run.is_complete("probe") and run.begin("probe", inputs)):  # a try that failed binds nobody
            question = Question(model, out=run.path, settings=settings, seeds=seeds, **data)
            answer = PROBES[probe].answer(question)
            lines = [json.dumps(line, ensure_ascii=False) + "\n" for line in answer.predictions]
            write_text(run.path / PREDICTIONS, "".join(lines))
            names = answer.scores[0]
            scores = {name: summary([found[name] for found in answer.scores]) for name in names}
            versions = {package: version(package) for package in PACKAGES}
            result = {"scores": scores, "baseline": answer.baseline, **inputs, **answer.facts, "versions": versions}
            write_json(run.path / RESULT, result)
            run.begin("probe", inputs)
            run.finish("probe")
    return dict(read_json(run.path / RESULT))


def _digest(name: str, path: Path) -> str:
    """SHA-256 of a file, or of the folder that a `#split=` is chosen from. Raises RunError where there is none."""
    place = Path(str(path).partition("#")[0])
    if not place.exists():
        raise RunError(f"There is no file {str(path)!r} for the {name} data. Check the path.")
    return digest(place)
