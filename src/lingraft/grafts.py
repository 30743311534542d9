"""`lingraft grafts`: what is in a folder of runs, and what fits what. A reader: it changes nothing."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lingraft.errors import RunError
from lingraft.files import read_json
from lingraft.run import FACTS, FINETUNE, METRICS, STAGES, Run
from lingraft.swap import SWAP, inputs_of, learnt, share_inputs

SCORES = ("loss", "bits_per_byte")
INPUTS = "inputs"  # for `fits` alone, not told


def grafts(folder: str | Path) -> list[dict[str, Any]]:
    """What the folders in `folder` hold, each `{name, kind, …}`, by name; `folder` itself where it is a run.

    kind: `graft` (a run whose body stayed the source's), `model` (a run that trained the body, of `lingraft pretrain` or `transfer`),
    `task` (of `lingraft finetune`), `swapped`, `unfinished`. body: the fingerprint that says what fits what, None where it is not known:
    a graft fits the task models that began with the same one, named in `fits`. Raises RunError where there is nothing of the kind.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise RunError(f"There is no folder {folder}. Give one that holds runs.")
    inner = [folder] if _is_ours(folder) else sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    found = [told for path in inner if _is_ours(path) for told in _entries(path)]
    if not found:
        raise RunError(f"{folder} holds no run of `lingraft transfer`, `pretrain`, `finetune` or `swap`.")
    for told in found:
        tasks = [other for other in found if other["kind"] == "task"] if told["kind"] in ("graft", "model") and told["body"] else []
        told["fits"] = [task["name"] for task in tasks if _fits(told, task)]
    return [{name: value for name, value in told.items() if name != INPUTS} for told in found]


def _fits(graft: dict[str, Any], task: dict[str, Any]) -> bool:
    """Whether the bodies are the same, what stands before them is, positions that the graft brings are for ones that stayed, and adapters
    of the task model's own language have others to stand in for them."""
    shared = graft["body"] == task["body"] and share_inputs(task[INPUTS], graft[INPUTS], graft["positions"])
    replaces = task["adapters"] in (None, graft["adapters"])
    return bool(shared and replaces and (not graft["positions"] or "positions" in task["frozen"]))


def _is_ours(path: Path) -> bool:
    begun = (f"{STAGES}/{stage}.json" for stage in ("source", "fine-tuning"))
    return any((path / name).exists() for name in (*begun, FACTS, FINETUNE, SWAP))


def _entries(path: Path) -> Iterator[dict[str, Any]]:
    """What one folder holds: one thing, or a model for each of several languages."""
    empty = dict.fromkeys(("language", "task", "recipe", "body", "tokens", "positions", "adapters", INPUTS, *SCORES)) | {
        "name": path.resolve().name
    }
    if (path / SWAP).is_file():
        told = read_json(path / SWAP)
        yield empty | {"kind": "swapped"} | {name: told[name] for name in ("language", "task", "body", "positions", "adapters")}
    elif (path / FINETUNE).is_file():
        told = read_json(path / FINETUNE)
        own = {name: told.get(name) for name in ("task", "body", "frozen", "adapters", INPUTS)}
        yield empty | {"kind": "task", "development": _best(told)} | own
    elif (path / FACTS).is_file():
        yield empty | _of_run(Run(path))
    else:
        yield empty | {"kind": "unfinished"}


def _best(told: dict[str, Any]) -> float | None:
    """The best score on the development set; None without one."""
    return max((score for attempt in told["attempts"] for _, score in attempt["development"]), default=None)


def _of_run(run: Run) -> dict[str, Any]:
    facts = run.facts
    told = {"language": facts.get("language"), "recipe": facts.get("recipe"), "tokens": _tokens(run)}
    if not run.is_complete("model"):
        return told | {"kind": "unfinished"}
    graft = learnt(run)
    told |= {name: run.scores.get(name) for name in SCORES}
    told |= {"body": facts.get("final_body"), INPUTS: inputs_of(run), "adapters": graft["adapters"]}
    return told | {"kind": "model" if graft["body_trained"] else "graft", "positions": graft["positions"] and not graft["body_trained"]}


def _tokens(run: Run) -> int:
    """Tokens that the phases trained on, all together."""
    last: dict[str, int] = {}
    for line in run.lines(METRICS):
        last[line["phase"]] = max(last.get(line["phase"], 0), line["tokens"])
    return sum(last.values())
