"""The record of a cell of the grid: one model, the languages it was trained on, and what it scored."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from lingraft.errors import RunError
from lingraft.files import atomic_folder, read_json, write_json

Mode = Literal["joint", "sequential"]
Ranks = tuple[NDArray[np.float32], NDArray[np.int32]]
"""Of a language's held-out sentences, in order: sum of the reciprocal ranks, number of masked positions; both (num_sentences,)."""


class Cell(BaseModel):
    """What is trained: the languages, together or one after the other, and the seed. One language: a monolingual cell."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    languages: tuple[str, ...] = Field(min_length=1)
    mode: Mode = "joint"
    seed: int = Field(0, ge=0)

    @property
    def name(self) -> str:
        """Of its folder, without a character that a file system minds: "de.0", "de+sv.0" (jointly), "sv-then-de.0" (sv first)."""
        return (
            " then ".join(self.languages).replace(" ", "-") if self.mode == "sequential" else "+".join(self.languages)
        ) + f".{self.seed}"


def cell(*languages: str, mode: Mode = "joint", seed: int = 0) -> Cell:
    """A cell whose name does not depend on the order of languages that are trained together, nor on the mode of a single one."""
    single = len(languages) == 1
    return Cell(languages=languages if mode == "sequential" else tuple(sorted(languages)), mode="joint" if single else mode, seed=seed)


class Score(BaseModel):
    """Of one model on one language's held-out sentences, all their masked positions."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mrr: float = Field(ge=0, le=1)
    loss: float
    positions: int = Field(ge=1)


class Record(BaseModel):
    """A finished cell."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cell: Cell
    scores: dict[str, Score]
    epochs: float = Field(description="how long the kept model was trained; of a sequential cell its last language")
    steps: int
    tokens: int
    seconds: float
    engine: str = Field(description="what ran it: local, batched, ray")
    recipe: str = Field("", description="fingerprint of corpus and settings: cells are compared only where they are the same")


def read_plan(grid: Path) -> dict[str, Any]:
    """What grid.json says of a grid: corpus, languages, mode, seeds, sets, settings; nothing where it is not there."""
    return dict(read_json(grid / "grid.json")) if (grid / "grid.json").exists() else {}


def write_record(folder: Path, record: Record, ranks: Mapping[str, Ranks], model: Path | None = None) -> None:
    """Write a cell's folder, whole. model: a folder to move into it."""
    from safetensors.numpy import save_file

    arrays = {f"{code}.{name}": array for code, both in ranks.items() for name, array in zip(("sum", "count"), both, strict=True)}
    with atomic_folder(folder) as temporary:
        save_file(arrays, temporary / "ranks.safetensors")
        if model is not None:
            model.rename(temporary / "model")
        write_json(temporary / "record.json", record.model_dump(mode="json"))


def read_record(folder: Path) -> Record:
    """The record in a cell's folder. Raises RunError where it is damaged."""
    try:
        return Record.model_validate(read_json(folder / "record.json"))
    except ValueError as error:
        raise RunError(f"{folder / 'record.json'} is damaged ({error}). Remove the folder; the cell is then run again.") from error


def read_ranks(folder: Path) -> dict[str, Ranks]:
    """Reciprocal ranks by language, of a cell's folder."""
    from safetensors.numpy import load_file

    arrays = load_file(folder / "ranks.safetensors")
    return {code: (arrays[f"{code}.sum"], arrays[f"{code}.count"]) for code in sorted({name.rpartition(".")[0] for name in arrays})}


def read_records(grid: Path) -> dict[str, Record]:
    """Every finished cell of a grid by its name, in the order of names."""
    folders: Iterable[Path] = sorted(path.parent for path in (grid / "cells").glob("*/record.json") if not path.parent.name.startswith("."))
    return {folder.name: read_record(folder) for folder in folders}
