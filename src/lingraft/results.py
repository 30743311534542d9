"""What evaluation, probe and run folders say of a system, in one form. A pure reader.

Values are on the scale they are printed in: fractions and correlations times 100, bits, nats and perplexities as they are.
"""

import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError, model_validator

from lingraft.errors import RunError
from lingraft.files import read_json
from lingraft.run import EVALUATION, FACTS, SCORES, Run, called

PROBE = "probe.json"
UNSCALED = re.compile(r"(?i)bits|loss|perplexity|likelihood|bleu|pairs$|seconds")


class Scored(BaseModel):
    """A score as folders have it: its mean over n seeds, their deviation, and its interval. A bare number is a mean."""

    mean: float = math.nan
    sd: float | None = None
    n: int = 1
    low: float | None = None
    high: float | None = None
    text: str | None = None
    """How it is printed where it was published."""

    @model_validator(mode="before")
    @classmethod
    def _number(cls, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {name: item for name, item in value.items() if item is not None}
        return {"mean": value}


class Language(BaseModel):
    """The scores of one language, and those that need no model."""

    scores: dict[str, Scored] = Field(min_length=1)
    baseline: dict[str, Scored] = {}


class Result(BaseModel):
    """What a folder says of one system on one task. scores: means over languages. data: hashes of what was read, by its use."""

    task: str
    name: str
    languages: dict[str, Language] = Field(min_length=1)
    scores: dict[str, Scored] = {}
    main: str | None = None
    data: dict[str, list[dict[str, str]]] = {}

    def test(self, code: str) -> str:
        """The hash of what a language was scored on, with the part that was taken of it; nothing where the folder does not say."""
        files = self.data.get(f"evaluation {code}", [])
        return " ".join(f"{file.get('sha256', '')}#{file.get('path', '').partition('#')[2]}" for file in files)

    def metrics(self) -> list[str]:
        """Names of the scores, the main one first."""
        names = dict.fromkeys(name for language in self.languages.values() for name in language.scores)
        return sorted(names, key=lambda name: name != self.main)


def scale(metric: str) -> int:
    """100 for fractions and correlations, 1 for what has a unit of its own."""
    return 1 if UNSCALED.search(metric) else 100


def read_results(folders: Iterable[Path]) -> list[Result]:
    """Everything that folders say, on the scale it is printed in. Raises RunError where one says nothing, or is damaged."""
    return [_scaled(result) for folder in dict.fromkeys(folders) for result in _read(Path(folder))]


def _read(folder: Path) -> list[Result]:
    found = []
    if (folder / EVALUATION).is_file():
        found.append(_checked({"name": folder.name, **_filled(read_json(folder / EVALUATION))}, folder / EVALUATION))
    if (folder / PROBE).is_file():
        found.append(_checked(_probe(_filled(read_json(folder / PROBE)), folder.name), folder / PROBE))
    if (folder / FACTS).is_file() and (folder / SCORES).is_file():
        found += _run(folder)
    if not found:
        raise RunError(
            f"There is nothing to compare in {folder}: it has no {EVALUATION}, {PROBE} or {SCORES}. "
            "Give folders that `lingraft evaluate`, `lingraft probe` or `lingraft transfer` made."
        )
    return found


def _filled(value: Any) -> dict[str, Any]:
    return {name: item for name, item in value.items() if item is not None} if isinstance(value, dict) else {}


def _checked(value: dict[str, Any], path: Path) -> Result:
    try:
        return Result.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise RunError(
            f"{path} is not what lingraft writes: {where}: {first['msg']}. Make it again with the command that wrote it."
        ) from None


def _probe(value: dict[str, Any], folder: str) -> dict[str, Any]:
    """A probe's result as an evaluation of one language."""
    code, hashes = value.get("language", "und"), value.get("fingerprints", {})
    language = {"scores": value.get("scores"), "baseline": value.get("baseline", {})}
    files = {name: [{"path": path, "sha256": hashes.get(name, "")}] for name, path in value.get("data", {}).items()}
    data = {f"{name} {code}" if name == "evaluation" else name: facts for name, facts in files.items()}
    name = called(str(value.get("model", folder)))
    return {"name": name, "task": value.get("probe", "probe"), **value, "data": data, "languages": {code: language}}


def _run(folder: Path) -> list[Result]:
    """The finished model's scores, one result for each suite."""
    lines = [line for line in Run(folder).lines(SCORES) if line.get("model") == "final"]
    found: dict[str, dict[str, Any]] = {}
    for line in lines:
        suite = str(line.get("suite", "scores"))
        task = "language-modelling" if suite == "language_model" else suite
        result = found.setdefault(task, {"task": task, "name": folder.name, "languages": {}})
        result["languages"].setdefault(str(line.get("language", "und")), {"scores": {}})["scores"][str(line["name"])] = line["value"]
    return [_checked(value, folder / SCORES) for value in found.values()]


def _scaled(result: Result) -> Result:
    def times(scores: Mapping[str, Scored]) -> dict[str, Scored]:
        return {name: _times(score, scale(name)) for name, score in scores.items()}

    languages = {
        code: Language(scores=times(language.scores), baseline=times(language.baseline)) for code, language in result.languages.items()
    }
    return result.model_copy(update={"languages": languages, "scores": times(result.scores)})


def _times(score: Scored, factor: int) -> Scored:
    values = {name: value * factor for name, value in score if isinstance(value, float)}
    return score.model_copy(update=values)
