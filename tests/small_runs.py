"""Runs on pico models, whatever the test: how they are asked for, stopped, and told apart."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from conftest import World
from transformers import AutoTokenizer

import lingraft
from lingraft.files import digest
from lingraft.run import Run
from lingraft.train.loop import Options

Pico = Callable[[str], Path]
SMALL = ["tokenizer.size=300", "batch=4", "length=32", "evaluation.max_characters=2000", "precision=float32"]


class StoppedError(Exception):
    """Stands for whatever may end a process."""


def stopping(phase: str, step: int, **options: Any) -> Options:
    """Checkpoints every 5 steps, and an exception at a step of a phase."""

    def progress(name: str, done: int, total: int, loss: float) -> None:
        if (name, done) == (phase, step):
            raise StoppedError

    return Options(checkpoint_steps=5, log_steps=1, progress=progress, **options)


def go(model: Path | str, world: World, out: Path, *changes: str, steps: int = 3, **options: Any) -> Run:
    asked: dict[str, Any] = {
        "to": "de",
        "text": str(world.cipher),
        "recipe": "copy",
        "changes": [*SMALL, f"steps={steps}", *changes],
    } | options
    return lingraft.transfer(str(model), out=out, **asked)


def reversed_ids(tokenizer: Path, spell: Callable[[str], str], folder: Path, count: int | None = None) -> Path:
    """A tokenizer with its tokens spelled another way, and its ids, or the first `count`, in reverse, special ones too."""
    AutoTokenizer.from_pretrained(tokenizer).save_pretrained(folder)
    told = json.loads((folder / "tokenizer.json").read_text())
    vocabulary = told["model"]["vocab"]
    last = (count or len(vocabulary)) - 1
    ids = {name: last - place if place <= last else place for name, place in vocabulary.items()}
    special = {added["content"] for added in told["added_tokens"]}
    told["model"]["vocab"] = {name if name in special else spell(name): place for name, place in ids.items()}
    for added in told["added_tokens"]:
        added["id"] = ids[added["content"]]
    for name, framing in told["post_processor"]["special_tokens"].items():
        framing["ids"] = [ids[name]]
    (folder / "tokenizer.json").write_text(json.dumps(told))
    return folder


def aids_of(world: World) -> dict[str, str]:
    """All that a recipe may ask for beside the text."""
    return {"source_text": str(world.plain), "parallel": str(world.parallel), "lexicon": str(world.lexicon)}


def results(run: Path) -> dict[str, str]:
    """Digests of what must be the same bytes: weights, tokenizer, rows, held-out text, scores."""
    files = [file for place in ("model", "tokenizer", "tokens", "held-out") for file in sorted((run / place).rglob("*")) if file.is_file()]
    found = {str(file.relative_to(run)): digest(file) for file in [*files, run / "rows.safetensors", run / "scores.jsonl"]}
    return {name: value for name, value in found.items() if not name.endswith("README.md")}


def times(run: Path) -> dict[str, int]:
    return {
        str(file.relative_to(run)): file.stat().st_mtime_ns for file in run.rglob("*") if file.is_file() and not file.name.endswith(".lock")
    }


def tagged(world: World, folder: Path) -> tuple[dict[str, Path], float]:
    """Files train, en and de (the cipher) of sentences, each word with the tag drawn for it; and the share of the most frequent tag."""
    lines = [line.split() for line in world.plain.read_text().splitlines() if line][:400]
    words = sorted({word for line in lines for word in line})
    tags = dict(zip(words, np.random.default_rng(0).choice(["A", "B", "C"], size=len(words)), strict=True))
    places = {}
    for name, some, letters in (("train", lines[:300], str), ("en", lines[300:], str), ("de", lines[300:], World.encipher)):
        rows = ["\n".join(f"{i}\t{letters(w)}\t_\t{tags[w]}\t_\t_\t0\t_\t_\t_" for i, w in enumerate(line, 1)) for line in some]
        places[name] = folder / f"{name}.conllu"
        places[name].write_text("\n\n".join(rows) + "\n\n")
    return places, max(float(np.mean([tags[word] == tag for line in lines[300:] for word in line])) for tag in "ABC")
