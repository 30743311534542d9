"""A corpus of three made languages, small enough that a cell takes a part of a second."""

from pathlib import Path
from typing import Any

from conftest import BERT, World, sentences, train_tokenizer

from lingraft.donors import grid
from lingraft.donors.running import Outcome
from lingraft.files import write_json

CODES = ("de", "en", "sv")
SMALL = ["layers=2", "width=32", "heads=2", "length=24", "batch=4", "steps=6", "learning_rate=1e-2", "precision=float32"]


def make_corpus(folder: Path) -> Path:
    """What `lingraft donors corpus` writes, of 40, 60 and 50 sentences: the second is a cipher of the first."""
    lines = {"de": sentences(40, seed=1), "en": [World.encipher(line) for line in sentences(60, seed=1)], "sv": sentences(50, seed=2)}
    for part, seed in (("text", 0), ("held-out", 3)):
        (folder / part).mkdir(parents=True)
        for code in CODES:
            kept = lines[code] if part == "text" else sentences(9, seed) if code != "en" else map(World.encipher, sentences(9, seed))
            (folder / part / f"{code}.txt").write_text("\n".join(kept) + "\n\nlast one .\n")
    (folder / "all.txt").write_text("".join((folder / "text" / f"{code}.txt").read_text() for code in CODES))
    train_tokenizer("wordpiece", folder / "all.txt", BERT, "[CLS] $A [SEP]", size=200).save_pretrained(folder / "tokenizer")
    write_json(folder / "corpus.json", {"plan": {"languages": CODES}, "fingerprint": "made"})
    return folder


def run(corpus: Path, out: Path, *changes: str, **options: Any) -> Outcome:
    """Run a grid of small models."""
    return grid.run(corpus, out=out, changes=[*SMALL, *changes], **options)
