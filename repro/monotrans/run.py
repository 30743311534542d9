"""Artetxe, Ruder and Yogatama 2020 at small scale: zero-shot POS and NER by MonoTrans and its rivals, all from MiniLM, and section 5.

python repro/monotrans/run.py --data DATA --out WORK     measures what results.jsonl does not have yet, the first claims first
python repro/monotrans/run.py --table                    the table beside the paper's, and its claims one by one

All of it takes about eleven hours of one core; --minutes N begins no cell after so many.
"""

import argparse
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))
sys.path.insert(0, str(Path(__file__).parents[1]))
from common import study
from shared import ALONE_TRIAL, LENGTH, SIZE, budget, english, folder, options, pairs, same
from shared import text as text_of
from systems import ALIGNED, BODIES, FULL, SYSTEMS, TRIED, TWINS, System
from tables import print_tables

ALONE_STEPS, ALONE_RATE, SEEDS = 1200, "5e-4", 3
VOCABULARY = ("tokenizer.algorithm=wordpiece", "tokenizer.lowercase=true", "tokenizer.strip_accents=false")
"""Of all, so that they differ in what is asked only; WordPiece, since the words of treebanks stand alone, marks among them."""
TEXTS = {
    "en": ("en.wiki",),
    "de": ("de.eltec", "de.phpdoc"),
    "ru": ("ru.dracor", "ru.phpdoc"),
    "es": ("es.eltec", "es.phpdoc"),
    "fr": ("fr.eltec", "fr.phpdoc"),
}
TASKS = {
    "pos": ("eval/ud/en/train.conllu.gz", "eval/ud/{}/test.conllu.gz"),
    "ner": ("eval/ner/wikineural/en/train.tsv.gz", "eval/ner/wikineural/{}/test.tsv.gz"),
}
FINE_TUNING = {"pos": ("learning_rate=5e-4",), "ner": ("learning_rate=2e-4", "batch=8")}
"""Names need more steps than parts of speech: F1 in English was 33 and 44 in 125 of 32 sentences."""


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


def body(name: str, code: str, given: argparse.Namespace, trial: str = "") -> Any:
    """The finished run of a body for English and `code`, made where it is not there, with what it starts from; trial: see `english`."""
    import lingraft
    from lingraft.demo import source_model

    if name == "en":
        return english(given, trial)
    chosen = BODIES[name]
    others = [code if language == "{}" else language for language in chosen.others]
    places = "-".join([name.replace(" ", "-"), *(others if "{}" in chosen.others else [])])
    vocabulary = [] if chosen.recipe == "target-finetune" else [f"tokenizer.size={SIZE}", *VOCABULARY]
    return lingraft.transfer(
        str(body(chosen.start, code, given).path / "model") if chosen.start else source_model(),
        to=others[0] if others else "en",
        text=[text(language, given) for language in others or ["en"]],
        source_text=[text("en", given)] if others else [],
        recipe=chosen.recipe,
        changes=[*vocabulary, *same(*budget(chosen.steps, chosen.rate, trial)), *chosen.changes],
        out=folder(given, f"bodies/{places}", trial),
        options=options(places),
    )


def alone(code: str, given: argparse.Namespace, trial: str = "") -> Any:
    """The finished run of a small model from scratch that knows `code` only (section 5). It predicts the next token: one that predicts
    masked ones knew after 10 million tokens of English no more than how frequent they are (6.34 nats a token; this one after 0.7: 6.03)."""
    import lingraft

    shape = ["architecture.family=gpt2", f"architecture.positions={LENGTH}", "architecture.dropout=0.0", "phases.train.next_sentence=false"]
    return lingraft.pretrain(
        [f"{code}={text(code, given)}"],
        recipe="pretrain",
        changes=[f"tokenizer.size={SIZE}", *VOCABULARY, *same(*budget(ALONE_STEPS, ALONE_RATE, trial, ALONE_TRIAL)), *shape],
        out=folder(given, f"bodies/alone-{code}", trial),
        options=options(f"alone {code}"),
    )


def graft(system: System, source: Any, source_code: str, code: str, given: argparse.Namespace, trial: str = "") -> Any:
    """The finished run that gives `source` the language `code`; trial: see `english`."""
    import lingraft

    kind = "-".join(
        [system.graft, *(re.sub(r"\W+", "-", change.partition("=")[2]).strip("-") for change in system.changes), str(system.steps)]
    )
    aids = {"parallel": parallel(code, given)} if {*ALIGNED, *TWINS} & {*system.changes} else {}
    aids |= {"source_text": text(source_code, given)} if system.graft == "clwe-graft" else {}
    return lingraft.transfer(
        str(source.path / "model"),
        to=code,
        text=text(code, given),
        recipe=system.graft,
        changes=[
            f"tokenizer.size={system.size}",
            *VOCABULARY,
            *same(*budget(system.steps, system.rate, trial)),
            *system.changes,
        ],
        out=folder(given, f"grafts/{source.path.name}-{kind}-{code}", trial),
        options=options(f"{kind} {code}"),
        **aids,
    )


def fine_tuned(system: System, task: str, code: str, seed: int, given: argparse.Namespace, trial: str = "") -> Path:
    """The run of a task in English on the body of a system; trial: with this rate."""
    import lingraft

    source, rate = body(system.body, code, given), trial or (system.pos_rate if task == "pos" else "")
    settings = f"{'-'.join(system.freeze) or 'all'}-{system.noise}{'-relative' if system.is_relative else ''}"
    settings += f"-{rate}" if rate and not trial else ""
    out = folder(given, f"tasks/{source.path.name}-{task}-{settings}-{seed}", trial)
    changes = [*FINE_TUNING[task], *([f"learning_rate={rate}"] if rate else []), "warmup=0.1", f"length={LENGTH}", "epochs=2"]
    lingraft.finetune(
        str(source.path / _english(system)),
        task=task,
        train=str(given.data / TASKS[task][0]),
        freeze=list(system.freeze),
        noise=system.noise,
        noise_relative=system.is_relative,
        changes=changes,
        seed=seed,
        out=out,
        options=options(out.name),
    )
    return out


def _english(system: System) -> str:
    """The folder of a body's model for English."""
    return "model-en" if system.body == "disjoint" else "model"


def zero_shot(name: str, task: str, code: str, seed: int, given: argparse.Namespace) -> tuple[Path, Path]:
    """The task model in English, and the one for `code` made of it without training."""
    import lingraft

    system, tuned = SYSTEMS[name], fine_tuned(SYSTEMS[name], task, code, seed, given)
    source, has_folders = body(system.body, code, given), system.body == "disjoint"
    if not system.graft and not has_folders:
        return tuned / "model", tuned / "model"
    found = source.path / "model" if has_folders else graft(system, source, "en", code, given).path
    swapped = given.out / "swapped" / f"{tuned.name}-{found.name if not has_folders else code}"
    lingraft.swap(tuned, graft=found, out=swapped)
    return tuned / "model", swapped


def tried(name: str, rate: str, given: argparse.Namespace) -> dict[str, Any]:
    """A short training at a rate: its score on development text, or in a task on development sentences in English."""
    from lingraft.evaluation import evaluate

    begun = {
        "English body": lambda: english(given, rate),
        "JointPair, disjoint": lambda: body("disjoint", "de", given, rate),
        "JointPair, joint": lambda: body("joint", "de", given, rate),
        "CLWE body": lambda: body("clwe", "de", given, rate),
        "MonoTrans": lambda: graft(SYSTEMS["MonoTrans"], english(given), "en", "de", given, rate),
        "MonoTrans, aligned rows": lambda: graft(SYSTEMS["MonoTrans, aligned rows"], english(given), "en", "de", given, rate),
        "MonoTrans + pos": lambda: graft(SYSTEMS["MonoTrans + pos"], body("en bare", "de", given), "en", "de", given, rate),
        "+ adapters": lambda: graft(SYSTEMS["+ adapters"], body("en bare", "de", given), "en", "de", given, rate),
        "alone": lambda: alone("de", given, rate),
    }
    if name in begun:
        (line,) = (line for line in begun[name]().lines("scores.jsonl") if (line["model"], line["name"]) == ("final", "bits_per_byte"))
        return {"score": "bits per byte", "value": line["value"]}
    system, task = name.split(": ")
    model = fine_tuned(SYSTEMS[system], task, "de", 0, given, rate) / "model"
    place = given.data / TASKS[task][0].replace("train", "dev")
    found = evaluate(str(model), task=task, evaluation=[f"en={place}"], out=model.parent / "development")
    return {"score": found["main"], "value": found["scores"][found["main"]]["mean"]}


def measure(name: str, task: str, code: str, given: argparse.Namespace) -> dict[str, Any]:
    """A cell: scores in English and in `code` over the seeds of fine-tuning."""
    import statistics

    from lingraft.evaluation import evaluate

    english, other = [], []
    for seed in range(SEEDS):
        for language, model, scores in zip(("en", code), zero_shot(name, task, code, seed, given), (english, other), strict=True):
            place = given.data / TASKS[task][1].format(language)
            out = given.out / "scores" / f"{model.parent.name if model.name == 'model' else model.name}-{language}"
            found = evaluate(str(model), task=task, evaluation=[f"{language}={place}"], out=out)
            scores.append(found["scores"][found["main"]]["mean"])
            baseline = found["baseline"][found["main"]]
    spread = {which: statistics.stdev(scores) for which, scores in (("en", english), ("target", other))}
    means = {"en": statistics.fmean(english), "target": statistics.fmean(other)}
    found = {"scores": means, "sd": spread, "n": SEEDS, "baseline": baseline}
    system = SYSTEMS[name]
    mapping = graft(system, body(system.body, code, given), "en", code, given).facts.get("mapping") if system.graft else None
    return found | ({"mapping": mapping} if mapping else {})


def probing(code: str, probe_name: str, given: argparse.Namespace) -> dict[str, Any]:
    """Section 5: English rows learnt on a body that knows `code` only ("en": the English body itself; "none": on one of random weights),
    probed in English."""
    from lingraft.probing import probe

    source, system = alone("de" if code == "none" else code, given), SYSTEMS["MonoTrans"]
    if code == "none":
        system = replace(system, changes=("source.weights=random",))
    run = source if code == "en" else graft(system, source, code, "en", given)
    files = {"evaluation": str(given.data / "eval/syntax/clams.en.tsv.gz"), "changes": []}
    if probe_name == "wic":
        names = {"train": "train", "development": "dev", "evaluation": "test"}
        files = {key: str(given.data / f"eval/wic/{split}.en-en.jsonl.gz") for key, split in names.items()}
        files["changes"] = ["representation=summary"]  # as the paper: of the pair, not of the two words
    found = probe(str(run.path / "model"), probe=probe_name, out=given.out / "probes" / f"{code}-{probe_name}", **files)
    (bits,) = (line["value"] for line in run.lines("scores.jsonl") if (line["model"], line["name"]) == ("final", "bits_per_byte"))
    scores = {name: told["mean"] for name, told in found["scores"].items()}
    return {"scores": scores, "baseline": found["baseline"], "bits_per_byte": bits}


def cells() -> Iterator[dict[str, str]]:
    """Rates; the systems in the order of SYSTEMS, each in the full languages first; then section 5."""
    yield from ({"tried": name, "rate": rate} for name, rates in TRIED.items() for rate in rates)
    for further in (False, True):
        for name, system in SYSTEMS.items():
            for code in system.languages:
                if (code in FULL) != further:
                    yield from ({"system": name, "task": task, "language": code} for task in TASKS)
        if not further:
            yield from (
                {"probe": probe_name, "language": code} for code in ("en", *FULL, "es", "none") for probe_name in ("wic", "syntactic")
            )


def main() -> None:
    """Measure every cell that is not measured yet."""

    def one(key: dict[str, str], given: argparse.Namespace) -> dict[str, Any]:
        began = time.monotonic()
        if "tried" in key:
            found = tried(key["tried"], key["rate"], given)
        elif "probe" in key:
            found = probing(key["language"], key["probe"], given)
        else:
            found = measure(key["system"], key["task"], key["language"], given)
        return {**found, "minutes": round((time.monotonic() - began) / 60, 2)}

    study(__doc__, Path(__file__).parent, cells(), one, print_tables)


if __name__ == "__main__":
    main()
