"""`lingraft swap`: a task model of the source's language becomes one of another language, whose graft fits its body (MonoTrans, step 4)."""

import shutil
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lingraft.embeddings.rows import Ints, picked
from lingraft.errors import LingraftWarning, RunError
from lingraft.evaluate.heads import HEAD, load_task_model, load_with_head
from lingraft.files import atomic_folder, digest, read_json, write_json
from lingraft.model.adapters import FILE as ADAPTERS
from lingraft.model.adapters import has_adapters, save_adapters, take_adapters
from lingraft.model.bare_begin import bare_begin, tied_begin
from lingraft.model.load import load_tokenizer
from lingraft.model.parts import body_fingerprint, is_adapter, position_tables
from lingraft.model.surgery import graft as put_rows
from lingraft.run import FINETUNE, MODEL, STAGES, Run, model_folder
from lingraft.tokenizer import vocabulary

SWAP = "swap.json"
BEGUN = f"{STAGES}/fine-tuning.json"  # in the folders of task models


@dataclass(frozen=True, slots=True)
class Graft:
    """What a run learnt for a language. folder: its model. learnt: see `learnt`. body: fingerprint, where the run noted it.

    inputs: the fingerprints of segments and positions, when it began and when it ended.
    """

    folder: Path
    language: str
    learnt: dict[str, Any]
    body: str | None
    inputs: tuple[dict[str, str], ...] = ()

    @property
    def has_positions(self) -> bool:
        """Whether its positions are its own, on a body that it shares."""
        return bool(self.learnt["positions"]) and not self.learnt["body_trained"]


def swap(task_model: str | Path, *, graft: str | Path, out: str | Path, force: bool = False) -> dict[str, Any]:
    """Write to `out` a transformers folder that does the task in the graft's language, and return what OUT/swap.json holds.

    task_model: a folder that `finetune` made, or another task model's. graft: a run whose body stayed the source's, or RUN/model-CODE of
    a run with disjoint vocabularies. From the task model come body, head, norms, segments and the special tokens' rows, from the graft all
    other rows, the tokenizer, and positions and adapters where it has its own. force: also where the body that the task model began with
    is not known. Raises RunError where the two do not fit.
    """
    known, found = _known(Path(task_model)), _open(Path(graft))
    folder = Path(model_folder(str(task_model)))
    inputs = {"task_model": str(folder), "graft": str(found.folder), "language": found.language, "task": known.get("task")}
    inputs |= {"digests": {"task_model": digest(folder), "graft": digest(found.folder)}}
    if (Path(out) / SWAP).is_file() and (told := read_json(Path(out) / SWAP)).items() >= inputs.items():
        return dict(told)
    if Path(out).exists() and (not Path(out).is_dir() or any(Path(out).iterdir())):
        raise RunError(f"--out {out} holds something else already. Give a new folder.")
    model, other = load_task_model(str(folder)), load_with_head(str(found.folder), "none", [])
    body = _check(model, other, known, found, force)
    tokenizers = load_tokenizer(str(folder)), load_tokenizer(str(found.folder))
    ids = _shared(*tokenizers, other.get_input_embeddings().num_embeddings)
    if getattr(other.config, "lingraft_bare_begin", False):
        bare_begin(model, vocabulary.roles(tokenizers[0]).get("begin"))
    compose(model, other, ids, vocabulary.roles(tokenizers[1]), positions=found.has_positions)
    if (found.folder / ADAPTERS).is_file():
        take_adapters(model, found.folder)
    told = {**inputs, "body": body, "special_rows": int((ids >= 0).sum()), **_parts(found)}
    with atomic_folder(Path(out)) as temporary:
        model.save_pretrained(temporary)
        save_adapters(model, temporary)
        tokenizers[1].save_pretrained(temporary)
        if (folder / HEAD).is_file():
            shutil.copyfile(folder / HEAD, temporary / HEAD)
        write_json(temporary / SWAP, told)
    return told


def _parts(found: Graft) -> dict[str, Any]:
    return {"positions": found.has_positions, "adapters": found.learnt.get("adapters")}


@torch.no_grad()
def compose(model: Any, other: Any, ids: Ints, roles: dict[str, int], *, positions: bool) -> None:
    """Give `model` the words of `other`, in place.

    ids: (num_new,) the row of `model` that stays for each token of `other`, -1 where `other`'s own is taken. roles: role -> id of a token.
    positions: whether `other`'s position rows are taken too; that of a bare first token is then of `model`'s segment row again.
    """
    rows = other.get_input_embeddings().weight.detach().float().numpy()
    own = np.flatnonzero(ids < 0)
    kept = picked(np.maximum(ids, 0), model.get_input_embeddings().num_embeddings)
    put_rows(model, replace(kept, direct_ids=own, direct=rows[own]), roles, seed=0)
    if positions:
        for table, theirs in zip(position_tables(model), position_tables(other), strict=True):
            table.weight.copy_(theirs.weight)
    if tie := tied_begin(model):
        tie.restore()


def _shared(source: Any, target: Any, size: int) -> Ints:
    """(size,) the source's id of special tokens that the target has too, by role or string; -1 for all other tokens, and beyond them."""
    ids = vocabulary.stacked_ids(source, target)
    shared = np.where(ids < len(vocabulary.tokens(source)), ids, -1)
    return np.concatenate([shared, np.full(size - len(shared), -1, dtype=np.int64)])


def _known(folder: Path) -> dict[str, Any]:
    """What finetune.json says of a task model; empty where it was made elsewhere. Raises RunError where there is none, or none finished."""
    if not folder.is_dir():
        raise RunError(f"There is no folder {folder}. Give a task model that `lingraft finetune` made.")
    home = folder.parent if folder.name == MODEL and (folder.parent / FINETUNE).is_file() else folder
    if (home / FINETUNE).is_file():
        return dict(read_json(home / FINETUNE))
    if (folder / SWAP).is_file():
        raise RunError(f"{folder} was swapped already. Give the task model that it was made of, {read_json(folder / SWAP)['task_model']}.")
    if (home / BEGUN).exists():
        raise RunError(f"{home} holds no finished task model. Run the same `lingraft finetune` command again: it goes on where it stopped.")
    return {}


def _open(path: Path) -> Graft:
    """The graft of a run, or of one language of it. Raises RunError for a folder that holds none, and for a run that is not finished."""
    inside = path.name.startswith(MODEL) and (path.parent / STAGES).is_dir()
    run = Run(path.parent if inside else path)
    if (run.path / BEGUN).exists():
        raise RunError(f"{run.path} is a task model, not a graft. Give a run of `lingraft transfer`.")
    if not run.is_complete("model"):
        raise RunError(f"{run.path} is no finished transfer. Run the same `lingraft transfer` command again: it goes on where it stopped.")
    folder, language = path if inside else run.path / MODEL, run.facts.get("language", "und")
    if not folder.is_dir():
        there = ", ".join(sorted(model.name for model in run.path.glob(f"{MODEL}*")))
        raise RunError(f"There is no {folder}. {run.path} has {there}.")
    if folder.name == MODEL and not isinstance(language, str) and (each := sorted(map(str, run.path.glob(f"{MODEL}-*")))):
        raise RunError(f"{run.path} has a model for each of its languages. Give one of them: {', '.join(each)}.")
    spoken = folder.name.partition("-")[2] or (language if isinstance(language, str) else ", ".join(language))
    return Graft(folder, spoken, learnt(run), run.facts.get("final_body"), inputs_of(run))


def learnt(run: Run) -> dict[str, Any]:
    """What a run's training touched: `trained_parts`, `positions`, `adapters`, `body_trained`. Where it does not say, it made a model."""
    unknown = {"trained_parts": [], "positions": False, "adapters": None, "body_trained": True}
    return dict(run.facts.get("graft", unknown))


def _check(model: Any, other: Any, known: dict[str, Any], found: Graft, force: bool) -> str | None:
    """The body's fingerprint, None where it is not known. Raises RunError where the graft does not fit the task model."""
    _check_shapes(model, other, found)
    body, name = found.body or body_fingerprint(other), str(found.folder)
    if not known and not force:
        raise RunError(
            f"Which body the task model began with is not known: it has no {FINETUNE}, which `lingraft finetune` writes. "
            f"If it was fine-tuned from the model that {name} was grafted on, say so with --force."
        )
    alone = found.learnt["body_trained"] and not any(found.folder.parent.glob(f"{MODEL}-*"))  # no other language shares its body
    if known["body"] != body if known else alone:
        why = "this run trained the body itself" if found.learnt["body_trained"] else "the graft was made for another body"
        began = f"began with {known['body'][:12]}, of {known['model']}" if known else "has another"
        raise RunError(
            f"{name} does not fit: {why} ({body[:12]}; the task model {began}). "
            "Graft that model with a frozen body, or fine-tune from this one."
        )
    if known and found.has_positions and "positions" not in known["frozen"]:
        raise RunError(
            f"{name} has positions of its own, but those of the task model trained with it. "
            "Fine-tune with --freeze embeddings,positions, or take a graft without positions."
        )
    _check_inputs(known, found)
    _warn(known, found)
    return body if known else None


def _check_inputs(known: dict[str, Any], found: Graft) -> None:
    """Raise RunError where the task model began with other segments than the graft, or with other positions, and the graft brings none."""
    if not share_inputs(known.get("inputs"), found.inputs, found.has_positions):
        parts = "segments" if found.has_positions else "segments or positions"
        raise RunError(
            f"{found.folder} does not fit: {known['model']}, which the task model began with, has the same body, but {parts} of its own. "
            "Graft that model, or fine-tune the one that the graft was made for."
        )


def share_inputs(began: dict[str, str] | None, of_run: Sequence[dict[str, str]], has_positions: bool) -> bool:
    """Whether a run has had the segments, and, where it brings none of its own, the positions that a task model began with; True where
    one of the two did not note them."""
    parts = ["segments"] if has_positions else ["segments", "positions"]
    return not began or not of_run or any(all(began[part] == own[part] for part in parts) for own in of_run)


def inputs_of(run: Run) -> tuple[dict[str, str], ...]:
    """The fingerprints of segments and positions that a run noted, when it began and when it ended."""
    return tuple(run.facts[name] for name in ("inputs", "final_inputs") if name in run.facts)


def _check_shapes(model: Any, other: Any, found: Graft) -> None:
    """Raise RunError for another family, or other sizes."""
    words = {id(one.get_input_embeddings().weight) for one in (model, other)}
    ours, theirs = (
        {name: tuple(p.shape) for name, p in one.base_model.named_parameters() if id(p) not in words and not is_adapter(name)}
        for one in (model, other)
    )
    families, widths = zip(*((one.config.model_type, one.get_input_embeddings().embedding_dim) for one in (model, other)), strict=True)
    wrong = next((name for name in {**ours, **theirs} if "pooler" not in name and theirs.get(name) != ours.get(name)), None)
    if len(set(families)) > 1 or len(set(widths)) > 1 or wrong:
        which = f"{wrong} is {ours.get(wrong)} and {theirs.get(wrong)}" if wrong else f"words are {widths[0]} and {widths[1]} wide"
        raise RunError(f"{found.folder} is not of the task model's build: {families[0]} and {families[1]}, {which}.")
    if has_adapters(model) and not found.learnt["adapters"]:
        raise RunError(f"The task model has adapters of its own language, and {found.folder} has none to put in their place.")


def _warn(known: dict[str, Any], found: Graft) -> None:
    """Say what makes the result worse than it could be."""
    if known and "words" not in known["frozen"]:
        told = "The task model's word rows trained with its body, which no longer fits rows of another language as well."
        warnings.warn(f"{told} Fine-tune with --freeze-embeddings.", LingraftWarning, stacklevel=3)
    if not known and found.has_positions:
        told = "The graft has positions of its own. They fit if those of the task model stayed as they were, which is not known."
        warnings.warn(told, LingraftWarning, stacklevel=3)
    if {"all", "embeddings", "segments", "specials"} & set(found.learnt["trained_parts"]) and not found.learnt["body_trained"]:
        told = "The graft trained special tokens, norm or segments of its embeddings too; the task model's own are taken."
        warnings.warn(f"{told} Train ['words'] only, as the recipe monotrans does.", LingraftWarning, stacklevel=3)
