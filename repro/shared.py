"""What the studies share (no script itself): text and parallel text cut from DATA, verdicts on claims; of the studies from MiniLM the
English model that they start from.

It lies in OUT/bodies/en: studies that are given the same --out train it once.
"""

import argparse
import gzip
import lzma
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Number = tuple[float, float]
"""A mean, and its standard error over fine-tuning seeds (0: one training)."""
SIZE, LENGTH, BATCH, CHARACTERS = 8_000, 128, 16, 10_000_000
BODY_STEPS, BODY_RATE = 1000, "3e-4"
TRIAL_STEPS, ALONE_TRIAL = 150, 300
"""Of a trial of a rate; of a model that begins with nothing."""


def text(name: str, files: Sequence[str], given: argparse.Namespace, characters: int | None = None) -> str:
    """The first characters (default: CHARACTERS) of files below DATA/text as one file, up to a line's end."""
    from lingraft.files import write_text

    path = given.out / "text" / f"{name}.txt"
    if not path.exists():
        whole = "\n\n".join(lzma.decompress((given.data / "text" / f"{file}.txt.xz").read_bytes()).decode() for file in files)
        write_text(path, whole[: characters or CHARACTERS].rpartition("\n")[0] + "\n")
    return str(path)


def pairs(code: str, given: argparse.Namespace) -> list[tuple[str, str]]:
    """English and the language, paragraph by paragraph of the help pages, then verse by verse of the Bible where there is one."""
    found = []
    for corpus in ("lohelp", "bible"):
        files = [given.data / "parallel" / corpus / f"{language}.tsv.gz" for language in ("en", code)]
        if files[1].exists():
            old, new = (dict(line.split("\t", 1) for line in gzip.decompress(file.read_bytes()).decode().splitlines()) for file in files)
            found += [(old[key], new[key]) for key in old if old[key].strip() and new.get(key, "").strip()]
    return found


def english(given: argparse.Namespace, trial: str = "") -> Any:
    """The finished run of MiniLM with an English vocabulary and a masked head that can predict; trial: a short one at this rate."""
    import lingraft
    from lingraft.demo import source_model

    return lingraft.transfer(
        source_model(),
        to="en",
        text=text("en", ["en.wiki"], given),
        recipe="copy",
        changes=[f"tokenizer.size={SIZE}", "tokenizer.lowercase=true", *same(*budget(BODY_STEPS, BODY_RATE, trial))],
        out=folder(given, "bodies/en", trial),
        options=options("en"),
    )


def same(steps: int, rate: str) -> list[str]:
    """What all trainings of one phase share."""
    optimiser = ["phases.train.optimizer=adamw", "phases.train.warmup=0.06", "phases.train.dropout=0.0"]
    return [f"steps={steps}", f"batch={BATCH}", f"length={LENGTH}", f"learning_rate={rate}", *optimiser, "text.normalisation=NFC"]


def budget(steps: int, rate: str, trial: str, trial_steps: int = TRIAL_STEPS) -> tuple[int, str]:
    """Steps and rate of a training, or of a trial of the rate `trial`."""
    return (trial_steps, trial) if trial else (steps, rate)


def folder(given: argparse.Namespace, name: str, trial: str) -> Path:
    """The place of a run, or of its trial."""
    return Path(given.out / "trials" / f"{name.replace('/', '-')}-{trial}" if trial else given.out / name)


def options(name: str) -> Any:
    """Progress on stderr."""
    from lingraft.train.loop import Options

    began = time.monotonic()

    def progress(phase: str, step: int, total: int, loss: float) -> None:
        print(f"  {name}: {phase} {step} of {total}, loss {loss:.3f}, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)

    return Options(progress=progress, log_steps=50)


def gain(one: Number, other: Number) -> Number:
    """By how much one is ahead of the other."""
    return one[0] - other[0], math.hypot(one[1], other[1])


def verdict(text: str, gains: dict[str, Number], seeds: int = 3) -> str:
    """A claim, held where every gain is above 0; surely, where each is farther from 0 than chance brings it once in 20 times, by Student's
    t for two means over so many seeds each. Shown are two standard errors."""
    from scipy.stats import t

    bound = float(t.ppf(0.975, 2 * (seeds - 1)))
    held, failed = all(mean > 0 for mean, _ in gains.values()), all(mean <= 0 for mean, _ in gains.values())
    sure = held != failed and all(error and abs(mean) > bound * error for mean, error in gains.values())
    says = "held" if held else "did not hold" if failed else "held in part"
    each = ", ".join(f"{name} {mean:+.2f}{f' ± {2 * error:.2f}' if error else ''}" for name, (mean, error) in gains.items())
    return f"{text}: {says}{', surely' if sure else ''} ({each})"
