"""Zero-shot transfer of models of several languages, fine-tuned in each of a control set, tested in all (Malkin et al. 2022, section 6)."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lingraft.donors.hypotheses import CONTROL
from lingraft.donors.records import cell
from lingraft.donors.scores import read_scores
from lingraft.errors import RunError
from lingraft.files import write_json

FOLDER = "zero-shot"


def sets(told: Mapping[str, Any], size: int = 4, recipients: int = 3, seed: int = 0) -> dict[str, list[str]]:
    """Pretraining sets and recipients drawn from a map's own languages (table 2): most, least, random donors; recipient, least recipient.

    The recipients are chosen first, and no donor is one of them. Raises RunError where the map has too few languages.
    """
    by_R = sorted(told["R"], key=lambda code: -told["R"][code]["mean"])
    by_D = [
        code for code in sorted(told["D"], key=lambda code: -told["D"][code]["mean"]) if code not in by_R[:recipients] + by_R[-recipients:]
    ]
    if len(by_R) < 2 * recipients or len(by_D) < 2 * size:
        raise RunError(
            f"{len(by_R)} languages are too few for two sets of {size} donors and two of {recipients} recipients. Ask for fewer."
        )
    drawn = np.random.default_rng(seed).choice(by_D, size=size, replace=False)
    donors = {"most": by_D[:size], "least": by_D[-size:], "random": sorted(map(str, drawn))}
    return {**donors, "recipient": by_R[:recipients], "least recipient": by_R[-recipients:]}


def pretraining(chosen: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """The languages that each model is trained on: those of a set and all recipients; for control the recipients alone."""
    both = [*chosen["recipient"], *chosen["least recipient"]]
    return {**{name: sorted([*chosen[name], *both]) for name in ("most", "least", "random")}, CONTROL: sorted(both)}


def zero_shot(
    grid: str | Path,
    *,
    task: str,
    train: str,
    evaluation: str,
    size: int = 4,
    recipients: int = 3,
    seed: int = 0,
    changes: Sequence[str] = (),
    told: Callable[[str], None] = lambda line: None,
) -> list[Path]:
    """Fine-tune the model of every set in every recipient language, test it in all, and write GRID/zero-shot/TASK/SET.json.

    train, evaluation: paths with {} for the language's code. changes: KEY=VALUE of the fine-tuning; XTREME's 10 epochs at 2e-5 unless they
    say otherwise. What is done is left. Raises RunError where a model is not there; the message has the command that makes it.
    """
    from lingraft.evaluation import evaluate

    grid = Path(grid)
    chosen = sets(read_scores(grid), size, recipients, seed)
    models = {name: grid / "cells" / cell(*languages).name / "model" for name, languages in pretraining(chosen).items()}
    absent = [cell(*pretraining(chosen)[name]).languages for name, model in models.items() if not model.is_dir()]
    if absent:
        asked = " ".join(f"--sets {'+'.join(languages)}" for languages in absent)
        raise RunError(
            f"{grid} lacks models of several languages. Make them with: lingraft donors run CORPUS --out {grid} --keep-models {asked}"
        )
    codes, written = [*chosen["recipient"], *chosen["least recipient"]], []
    for name, model in models.items():
        Z: dict[str, dict[str, float]] = {}
        for source in codes:
            told(f"{name}: fine-tuned in {source}")
            found = evaluate(
                str(model),
                task=task,
                train=[train.replace("{}", source)],
                evaluation=[f"{code}={evaluation.replace('{}', code)}" for code in codes],
                changes=["epochs=10", "learning_rate=2e-5", "length=128", *changes],
                out=grid / FOLDER / task / "runs" / f"{name}-{source}",
            )
            Z[source] = {code: by_language(found, code) for code in codes}
        facts = {"languages": pretraining(chosen)[name], "recipient": chosen["recipient"], "least recipient": chosen["least recipient"]}
        path = grid / FOLDER / task / f"{name}.json"
        write_json(path, {**facts, "task": task, "score": found["main"], "seed": seed, "changes": list(changes), "Z": Z})
        written.append(path)
    return written


def by_language(found: Mapping[str, Any], code: str) -> float:
    """The main score of an evaluation in one of its languages."""
    return float(found["languages"][code]["scores"][found["main"]]["mean"])
