"""Zero-shot transfer of models of several languages, fine-tuned in each of a control set, tested in all (Malkin et al. 2022, section 6)."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lingraft.donors.hypotheses import CONTROL
from lingraft.donors.records import cell
from lingraft.donors.scores import read_scores
from lingraft.errors import RunError
from lingraft.evaluate.columns import blocks
from lingraft.evaluate.records import is_records
from lingraft.files import write_json, write_text

FOLDER = "zero-shot"
SENTENCES = {"pos": 1000, "ner": 5000}
"""Training sentences of each language, so that none has more than another (section 6.2)."""

KINDS = {"Z": "mean", "low": "low", "high": "high"}
"""What a result holds of each pair, and what evaluations call it."""


def sets(told: Mapping[str, Any], size: int = 4, recipients: int = 3, seed: int = 0) -> dict[str, list[str]]:
    """Pretraining sets and recipients drawn from a map's own languages (table 2): most, least, random donors; recipient, least recipient.

    The recipients are chosen first, and no donor is one of them. Random shares no language with most and least where others are enough,
    and else is at least neither of them. Raises RunError where the map has too few languages.
    """
    by_R = sorted(told["R"], key=lambda code: -told["R"][code]["mean"])
    by_D = [
        code for code in sorted(told["D"], key=lambda code: -told["D"][code]["mean"]) if code not in by_R[:recipients] + by_R[-recipients:]
    ]
    if len(by_R) < 2 * recipients or len(by_D) < 2 * size:
        raise RunError(
            f"{len(by_R)} languages are too few for two sets of {size} donors and two of {recipients} recipients. Ask for fewer."
        )
    generator, taken = np.random.default_rng(seed), (set(by_D[:size]), set(by_D[-size:]))
    others = by_D[size:-size] if len(by_D) >= 3 * size else by_D
    drawn = generator.choice(others, size=size, replace=False).tolist()
    while set(drawn) in taken and len(others) > 2:
        drawn = generator.choice(others, size=size, replace=False).tolist()
    donors = {"most": by_D[:size], "least": by_D[-size:], "random": sorted(drawn)}
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
    seeds: int = 1,
    sentences: int | None = None,
    changes: Sequence[str] = (),
    told: Callable[[str], None] = lambda line: None,
) -> list[Path]:
    """Fine-tune the model of every set in every recipient language, test it in all, and write GRID/zero-shot/TASK/SET.json.

    train, evaluation: paths with {} for the language's code. seed: of the random set; seeds: how often each is fine-tuned. sentences: of a
    language to fine-tune on (by default SENTENCES), the first ones. changes: KEY=VALUE of the fine-tuning; XTREME's 10 epochs at 2e-5
    unless they say otherwise. What is done is left. Raises RunError where a model is not there; the message has the command that makes it.
    """
    from lingraft.evaluation import evaluate  # imports torch

    grid = Path(grid)
    scored = read_scores(grid)
    chosen, mode = sets(scored, size, recipients, seed), scored["mode"]
    cells = {name: cell(*languages, mode=mode) for name, languages in pretraining(chosen).items()}
    models = {name: grid / "cells" / one.name / "model" for name, one in cells.items()}
    absent = dict.fromkeys(cells[name].languages for name, model in models.items() if not model.is_dir())
    if absent:
        asked = " ".join(f"--sets {'+'.join(languages)}" for languages in absent)
        asked += " --mode sequential" if mode == "sequential" else ""
        raise RunError(
            f"{grid} lacks models of several languages. Make them, with the settings of its other cells: "
            f"lingraft donors run CORPUS --out {grid} {asked}"
        )
    place, codes, written = grid / FOLDER / task, [*chosen["recipient"], *chosen["least recipient"]], []
    texts = {code: shortened(train.replace("{}", code), place / "train" / code, sentences or SENTENCES.get(task)) for code in codes}
    for name, model in models.items():
        found = {}
        for source in codes:
            told(f"{name}: fine-tuned in {source}")
            found[source] = evaluate(
                str(model),
                task=task,
                train=[texts[source]],
                evaluation=[f"{code}={evaluation.replace('{}', code)}" for code in codes],
                changes=["epochs=10", "learning_rate=2e-5", "length=128", *changes],
                seeds=seeds,
                out=place / "runs" / cells[name].name / source,
            )
        numbers = {key: {s: {t: by_language(of, t, kind) for t in codes} for s, of in found.items()} for key, kind in KINDS.items()}
        facts = {"languages": pretraining(chosen)[name], "recipient": chosen["recipient"], "least recipient": chosen["least recipient"]}
        more = {"task": task, "score": found[codes[0]]["main"], "seed": seed, "seeds": seeds, "changes": list(changes)}
        write_json(place / f"{name}.json", {**facts, **more, **numbers})
        written.append(place / f"{name}.json")
    return written


def shortened(path: str, place: Path, sentences: int | None) -> str:
    """A copy of a file of columns that ends after so many sentences; what is in another format is taken whole."""
    if sentences is None or not Path(path).is_file() or is_records(path):
        return path
    kept = itertools.islice(blocks(Path(path)), sentences)
    copy = place.with_name(place.name + "".join(suffix for suffix in Path(path).suffixes if suffix not in (".gz", ".xz", ".zst")))
    write_text(copy, "".join("".join(f"{line}\n" for _, line in block) + "\n" for block in kept))
    return str(copy)


def by_language(found: Mapping[str, Any], code: str, kind: str) -> float:
    """The main score of an evaluation in one of its languages: mean, or an end of its interval."""
    return float(found["languages"][code]["scores"][found["main"]][kind])
