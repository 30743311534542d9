"""Artetxe, Ruder and Yogatama 2020 at small scale: zero-shot POS and NER by MonoTrans and its rivals, all from MiniLM, and section 5.

python repro/monotrans/run.py --data DATA --out WORK     measures what results.jsonl does not have yet, the first claims first
python repro/monotrans/run.py --table                    the table beside the paper's, and its claims one by one
"""

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))
sys.path.insert(0, str(Path(__file__).parents[1]))
from common import study
from shared import BODY_RATE, BODY_STEPS, LENGTH, SIZE, english, options, pairs, same
from shared import text as text_of
from tables import print_tables

ALONE_STEPS, GRAFT_STEPS, SEEDS = 1200, 600, 3
ALONE_RATE, GRAFT_RATE, TASK_RATE = "5e-4", "3e-3", "2e-4"
FULL, MORE = ("de", "ru"), ("es", "fr")
TEXTS = {
    "en": ("en.wiki",),
    "de": ("de.eltec", "de.phpdoc"),
    "ru": ("ru.dracor", "ru.phpdoc"),
    "es": ("es.eltec", "es.phpdoc"),
    "fr": ("fr.eltec", "fr.phpdoc"),
}


@dataclass(frozen=True, slots=True)
class Body:
    """A model of English and perhaps more: the body that it starts from ("": MiniLM), the recipe, its other languages, changes, steps."""

    start: str
    recipe: str
    others: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    steps: int = BODY_STEPS


ALL = FULL + MORE
BODIES = {
    "en bare": Body("en", "target-finetune", (), ("surgery.bare_begin=true",), 0),
    "joint": Body("en", "joint", ("{}",)),
    "disjoint": Body("en", "disjoint", ("{}",)),
    "multi small": Body("en", "joint", ALL),
    "multi large": Body("en", "joint", ALL, ("tokenizer.size=24000",)),
    "clwe": Body("", "copy", (), ("rows.method=static", "phases.train.train=['body','head','positions','specials','added']")),
}
"""Beside "en", which studies share: a body that starts from it has seen as much English and BODY_STEPS more. {}: the target."""


@dataclass(frozen=True, slots=True)
class System:
    """A row of the table: its body, the recipe of its graft ("" for none: the body has both languages), how it is fine-tuned.

    everywhere: measured in the languages of MORE, too.
    """

    body: str
    graft: str = ""
    changes: tuple[str, ...] = ()
    freeze: tuple[str, ...] = ()
    noise: float = 0.0
    everywhere: bool = False


WORDS, POSITIONS, ALIGNED, SIGMA = ("embeddings",), ("embeddings", "positions"), ("rows.method=ramen",), 0.075
MAPPED = ("rows.trust=false",)  # where vectors could not be mapped, that is a score too
SYSTEMS = {
    "MonoTrans": System("en", "monotrans", (), WORDS, everywhere=True),
    "MonoTrans, aligned rows": System("en", "monotrans", ALIGNED, WORDS),
    "JointPair, disjoint": System("disjoint", freeze=WORDS, everywhere=True),
    "MonoTrans + pos": System("en bare", "monotrans-pos", (), POSITIONS),
    "MonoTrans + pos, aligned rows": System("en bare", "monotrans-pos", ALIGNED, POSITIONS),
    "+ noise": System("en bare", "monotrans-pos", (), POSITIONS, SIGMA),
    "+ noise, aligned rows": System("en bare", "monotrans-pos", ALIGNED, POSITIONS, SIGMA),
    "+ adapters": System("en bare", "monotrans-adapters", (), POSITIONS, SIGMA),
    "+ adapters, aligned rows": System("en bare", "monotrans-adapters", ALIGNED, POSITIONS, SIGMA),
    "JointPair, joint": System("joint"),
    "JointMulti, 8,000": System("multi small"),
    "JointMulti, 24,000": System("multi large"),
    "CLWE": System("clwe", "clwe-graft", MAPPED, WORDS),
}
TASKS = {
    "pos": ("eval/ud/en/train.conllu.gz", "eval/ud/{}/test.conllu.gz"),
    "ner": ("eval/ner/wikineural/en/train.tsv.gz", "eval/ner/wikineural/{}/test.tsv.gz"),
}


def text(code: str, given: argparse.Namespace) -> str:
    """A language's text as one file."""
    return text_of(code, TEXTS[code], given)


def parallel(code: str, given: argparse.Namespace) -> str:
    """Help pages and Bible as lines of an English text, a tab and its translation."""
    from lingraft.files import write_text

    path = given.out / "parallel" / f"{code}.tsv"
    if not path.exists():
        write_text(path, "".join(f"{old}\t{new}\n" for old, new in pairs(code, given)))
    return str(path)


def body(name: str, code: str, given: argparse.Namespace) -> Any:
    """The finished run of a body for English and `code`, made where it is not there, with the one that it starts from."""
    import lingraft
    from lingraft.demo import source_model

    if name == "en":
        return english(given)
    chosen = BODIES[name]
    others = [code if language == "{}" else language for language in chosen.others]
    places = "-".join([name.replace(" ", "-"), *(others if "{}" in chosen.others else [])])
    vocabulary = [] if chosen.recipe == "target-finetune" else [f"tokenizer.size={SIZE}", "tokenizer.lowercase=true"]
    return lingraft.transfer(
        str(body(chosen.start, code, given).path / "model") if chosen.start else source_model(),
        to=others[0] if others else "en",
        text=[text(language, given) for language in others or ["en"]],
        source_text=[text("en", given)] if others else [],
        recipe=chosen.recipe,
        changes=[*vocabulary, *same(chosen.steps, BODY_RATE), *chosen.changes],
        out=given.out / "bodies" / places,
        options=options(places),
    )


def alone(code: str, given: argparse.Namespace) -> Any:
    """The finished run of a small model from scratch that knows `code` only (section 5)."""
    import lingraft

    shape = [f"architecture.positions={LENGTH}", "architecture.dropout=0.0"]
    return lingraft.pretrain(
        [f"{code}={text(code, given)}"],
        recipe="pretrain",
        changes=[f"tokenizer.size={SIZE}", "tokenizer.lowercase=true", *same(ALONE_STEPS, ALONE_RATE), *shape],
        out=given.out / "bodies" / f"alone-{code}",
        options=options(f"alone {code}"),
    )


def graft(system: System, source: Any, source_code: str, code: str, given: argparse.Namespace) -> Any:
    """The finished run that gives `source` the language `code`."""
    import lingraft

    steps = 0 if system.graft == "clwe-graft" else GRAFT_STEPS
    kind = "-".join([system.graft, *(change.partition("=")[2] for change in system.changes)])
    aids = {"parallel": parallel(code, given)} if ALIGNED[0] in system.changes else {}
    aids |= {"source_text": text(source_code, given)} if system.graft == "clwe-graft" else {}
    return lingraft.transfer(
        str(source.path / "model"),
        to=code,
        text=text(code, given),
        recipe=system.graft,
        changes=[f"tokenizer.size={SIZE}", "tokenizer.lowercase=true", *same(steps, GRAFT_RATE), *system.changes],
        out=given.out / "grafts" / f"{source.path.name}-{kind}-{code}",
        options=options(f"{kind} {code}"),
        **aids,
    )


def zero_shot(name: str, task: str, code: str, seed: int, given: argparse.Namespace) -> tuple[str, str]:
    """The task model in English, and the one for `code` made of it without training."""
    import lingraft

    system, source = SYSTEMS[name], body(SYSTEMS[name].body, code, given)
    has_folders = system.body == "disjoint"
    english = source.path / ("model-en" if has_folders else "model")
    settings = (str(english), "-".join(system.freeze), str(system.noise))
    tuned = given.out / "tasks" / f"{source.path.name}-{task}-{settings[1] or 'all'}-{system.noise}-{seed}"
    train = str(given.data / TASKS[task][0])
    changes = [f"learning_rate={TASK_RATE}", "warmup=0.1", f"length={LENGTH}", "epochs=2"]
    lingraft.finetune(
        str(english),
        task=task,
        train=train,
        freeze=list(system.freeze),
        noise=system.noise,
        changes=changes,
        seed=seed,
        out=tuned,
        options=options(tuned.name),
    )
    if not system.graft and not has_folders:
        return str(tuned / "model"), str(tuned / "model")
    found = source.path / "model" if has_folders else graft(system, source, "en", code, given).path
    swapped = given.out / "swapped" / f"{tuned.name}-{found.name if not has_folders else code}"
    lingraft.swap(tuned, graft=found, out=swapped)
    return str(tuned / "model"), str(swapped)


def measure(name: str, task: str, code: str, given: argparse.Namespace) -> dict[str, Any]:
    """A cell: scores in English and in `code` over the seeds of fine-tuning."""
    import statistics

    from lingraft.evaluation import evaluate

    english, other = [], []
    for seed in range(SEEDS):
        for language, model, scores in zip(("en", code), zero_shot(name, task, code, seed, given), (english, other), strict=True):
            place = given.data / TASKS[task][1].format(language)
            out = given.out / "scores" / f"{Path(model).parent.name if Path(model).name == 'model' else Path(model).name}-{language}"
            found = evaluate(model, task=task, evaluation=[f"{language}={place}"], out=out)
            scores.append(found["scores"][found["main"]]["mean"])
            baseline = found["baseline"][found["main"]]
    spread = {which: statistics.stdev(scores) for which, scores in (("en", english), ("target", other))}
    means = {"en": statistics.fmean(english), "target": statistics.fmean(other)}
    return {"scores": means, "sd": spread, "n": SEEDS, "baseline": baseline}


def probing(code: str, probe_name: str, given: argparse.Namespace) -> dict[str, Any]:
    """Section 5: English rows learnt on a body that knows `code` only ("en": the English body itself), probed in English."""
    from lingraft.probing import probe

    source = alone(code, given)
    run = source if code == "en" else graft(SYSTEMS["MonoTrans"], source, code, "en", given)
    files = {"evaluation": str(given.data / "eval/syntax/clams.en.tsv.gz"), "changes": []}
    if probe_name == "wic":
        names = {"train": "train", "development": "dev", "evaluation": "test"}
        files = {key: str(given.data / f"eval/wic/{split}.en-en.jsonl.gz") for key, split in names.items()}
        files["changes"] = ["representation=summary"]  # as the paper: of the pair, not of the two words
    found = probe(str(run.path / "model"), probe=probe_name, out=given.out / "probes" / f"{code}-{probe_name}", **files)
    return {"scores": {name: told["mean"] for name, told in found["scores"].items()}, "baseline": found["baseline"]}


def cells() -> Iterator[dict[str, str]]:
    """The systems in the order of SYSTEMS, each in the full languages first; then section 5."""
    for everywhere in (False, True):
        for name, system in SYSTEMS.items():
            for code in MORE if everywhere else FULL:
                if system.everywhere or not everywhere:
                    yield from ({"system": name, "task": task, "language": code} for task in TASKS)
        if not everywhere:
            yield from ({"probe": probe_name, "language": code} for code in ("en", *FULL, "es") for probe_name in ("wic", "syntactic"))


def main() -> None:
    """Measure every cell that is not measured yet."""

    def one(key: dict[str, str], given: argparse.Namespace) -> dict[str, Any]:
        began = time.monotonic()
        is_probe = "probe" in key
        found = probing(key["language"], key["probe"], given) if is_probe else measure(key["system"], key["task"], key["language"], given)
        return {**found, "minutes": round((time.monotonic() - began) / 60, 2)}

    study(__doc__, Path(__file__).parent, cells(), one, print_tables)


if __name__ == "__main__":
    main()
