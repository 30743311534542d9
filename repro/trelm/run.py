"""TreLM 2020 at small scale: English to Chinese in full, German, Indonesian and Japanese in short, all from one English MiniLM.

python repro/trelm/run.py --data DATA --out WORK     measures what results.jsonl does not have yet, the most telling cells first
python repro/trelm/run.py --table                    the paper's tables beside ours, and its claims one by one

Given the --out of repro/monotrans/run.py, it shares that study's English model. Runs record their number of threads, and are not gone on
with by another: give all of it, and that English model, one OMP_NUM_THREADS.
"""

import argparse
import gzip
import json
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))
sys.path.insert(0, str(Path(__file__).parents[1]))
from common import study
from shared import english, options, pairs
from shared import text as text_of
from tables import SEEDS, print_tables

STEPS = {"commonality": 200, "to-target": 200, "to-source": 200, "language": 400}
RATES = {"commonality": "1e-3", "to-target": "3e-4", "to-source": "3e-4", "language": "3e-4"}
PLAIN_RATE = "3e-4"
BATCH, JOINT_SIZE, OWN_SIZE = 16, 12_000, 8_000
LENGTH, LONGEST_PAIR = 64, 180
"""Tokens of a block, and UTF-8 bytes of both sides of a pair: longer pairs are left out. TLM and BRLM read a pair in one block, CdLM has a
block for each side: 64 tokens would cut 37 % of all Chinese pairs for the former, 6 % for the latter. Bytes are the same for all
vocabularies; of the pairs within 180 (55 % of the Chinese ones, 42 % to 74 % elsewhere: far more than are seen) less than 1 % is still
cut in any language. Blocks of 96 would take half as much time again, to keep 87 %, within 320 bytes."""
LINES_SEEN = STEPS["to-target"] * BATCH // 2
"""Lines of parallel text that a half is trained on: the other half of each batch, or every other batch, is MLM's."""
CHARACTERS, SOURCE_CHARACTERS, HELD_OUT_CHARACTERS, TEST_EVERY = 5_000_000, 3_000_000, 60_000, 100
ADVERSARY_STEPS = 150
VOCABULARY = ("tokenizer.lowercase=true", "tokenizer.strip_accents=false", "tokenizer.alphabet=3000")
"""Of all: the same characters are tokens, whatever the size."""
BITS = ("bits_per_subword", "bits_per_byte")
TEXTS = {
    "zh": ("zh.cvwiki", "zh.phpdoc", "zh.debdocs"),
    "de": ("de.phpdoc", "de.eltec"),
    "id": ("id.debdocs", "id.commonvoice"),
    "ja": ("ja.wiki", "ja.aozora"),
}
MORE = ("de", "id", "ja")
ALIGNED, ALIGNED_OWN = "rows.method=copy+ramen+pieces", "rows.method=ramen+copy+pieces"
"""Copies come first in a joint vocabulary, whose English tokens no pair aligns; where all are the target's, copies may be false friends."""
ROWS = {
    "random": ("rows.method=random",),
    "random + adversarial": ("rows.vectors=random",),
    "fastText": ("rows.method=static",),
    "fastText + adversarial": (),
    "aligned": (ALIGNED,),
}
"""The four of table 5, and rows from parallel text."""


@dataclass(frozen=True, slots=True)
class System:
    """A way to a model of the target's language: a recipe and its changes.

    keeps: what of "fastText + adversarial", the run of table 5, it goes on from, where there is one: its "rows" with the vocabulary, or
    all up to the end of "commonality". num_pairs: of parallel text; 0: all. rate: factor of the learning rates. more_text: the target's
    side of the parallel text is text, too.
    """

    recipe: str
    changes: tuple[str, ...] = ()
    keeps: str = ""
    num_pairs: int = 0
    rate: float = 1.0
    more_text: bool = False


OWN = (f"tokenizer.size={OWN_SIZE}",)
SYSTEMS = {
    "trelm": System("trelm", keeps="commonality"),
    "trelm-tlm": System("trelm-tlm", keeps="commonality"),
    "full training, aligned rows": System("ramen", (ALIGNED_OWN, *OWN), rate=3.0),
    "full training, rank rows": System("rank", OWN),
    "trelm-no-cdlm": System("trelm-no-cdlm", keeps="rows", more_text=True),
    "trelm-no-trilayer": System("trelm-no-trilayer", keeps="rows"),
    "trelm-brlm": System("trelm-brlm", keeps="commonality"),
    "trelm, aligned rows": System("trelm", (ALIGNED,), rate=3.0),
    "trelm, nothing re-added": System("trelm", ("phases.language.mid_embeddings=false",), keeps="commonality"),
    "trelm-separate-vocabulary": System("trelm-separate-vocabulary", OWN),
}
SIZES = {f"trelm, {number} pairs": System("trelm", keeps="commonality", num_pairs=number) for number in (100, 400)}
"""Of figure 2, beside all pairs, of which a half sees LINES_SEEN."""
STOCK = {
    "trelm": ("without-trilayer",),
    "trelm, nothing re-added": ("folded", "without-trilayer"),
}
"""Ways out to a model that stock transformers reads."""
TRIALS = dict.fromkeys(
    ("trelm", "full training, aligned rows", "full training, rank rows", "trelm-tlm", "trelm, aligned rows"), ("0.33", "1", "3")
) | dict.fromkeys(("full training, aligned rows", "trelm, aligned rows"), ("0.33", "1", "3", "9"))
"""Factors of the learning rates above, each tried with a fifth of the steps. What is not tried has those of TreLM."""
TASK = ("learning_rate=5e-4", "warmup=0.1", "length=128", "epochs=10")
TASKS = {"parsing": (*TASK, "accumulation=2"), "srl": (*TASK, "batch=8", "accumulation=1")}
"""128 tokens cut about 1 sentence in 100, or none, into windows, which are read alone; 64 would cut up to 11, with a quarter of words.
Roles have smaller batches: of TreLM the F1 of arguments is 7 with these (one seed), and 2 with batches of 32."""
WITH_ROLES = ("trelm", "trelm-no-cdlm", "full training, aligned rows", "full training, rank rows")


def parallel(code: str, given: argparse.Namespace, num_pairs: int = 0) -> dict[str, str]:
    """Files of parallel text: "train", lines with a tab, the first `num_pairs` of a fixed shuffle or all; "target", the other side of it;
    and of every TEST_EVERY-th pair "test-en" and "test", no line of which is in the others. Pairs longer than LONGEST_PAIR are in none."""
    import random

    from lingraft.files import write_text

    names = {name: given.out / "parallel" / f"trelm-{code}-{name}.txt" for name in (f"train-{num_pairs}", "target", "test-en", "test")}
    if not all(path.exists() for path in names.values()):
        found = [pair for pair in pairs(code, given) if len("".join(pair).encode()) <= LONGEST_PAIR]
        test = found[TEST_EVERY // 2 :: TEST_EVERY]
        sides = {side for pair in test for side in pair}
        train = [pair for pair in found if not sides & {*pair}]
        random.Random(0).shuffle(train)
        texts = [
            (f"{old}\t{new}" for old, new in train[: num_pairs or None]),
            (new for _, new in train),
            (old for old, _ in test),
            (new for _, new in test),
        ]
        for path, lines in zip(names.values(), texts, strict=True):
            write_text(path, "".join(f"{line}\n" for line in lines))
    return {name.partition("-")[0] if name.startswith("train") else name: str(path) for name, path in names.items()}


def text(code: str, given: argparse.Namespace) -> str:
    """Text of a language; of English what TreLM's phases see of it."""
    files, characters = (("en.wiki",), SOURCE_CHARACTERS) if code == "en" else (TEXTS[code], CHARACTERS)
    return text_of(f"trelm-{code}", files, given, characters)


def changes(system: System, factor: str = "") -> list[str]:
    """The settings of all trainings, then the system's own. All have as many steps in all; a trial of a factor of the rates has fewer. A
    first phase that systems share keeps its rate."""
    from lingraft.recipe import load_recipe

    shared = ["text.normalisation=NFC", *VOCABULARY, f"tokenizer.size={JOINT_SIZE}", f"batch={BATCH}", f"length={LENGTH}"]
    shared += [f"evaluation.max_characters={HELD_OUT_CHARACTERS}", f"rows.adversary_steps={ADVERSARY_STEPS}"]
    own = load_recipe(system.recipe).phases
    for name, phase in own.items():
        told = {"steps": STEPS.get(name, 0), "learning_rate": RATES.get(name, RATES["commonality"])} if len(own) > 1 else plain()
        shares = not factor and name == "commonality" and system.keeps == name
        told["learning_rate"] = float(told["learning_rate"]) * (1.0 if shares else float(factor or system.rate))
        told["steps"] //= 5 if factor else 1
        if phase.trains:
            shared += [f"phases.{name}.{key}={value}" for key, value in {**told, "dropout": 0.0}.items()]
        if phase.next_sentence:  # the English model has no head for it
            shared.append(f"phases.{name}.next_sentence=false")
    return [*shared, *system.changes]


def plain() -> dict[str, Any]:
    """Of the one phase of full training: as TreLM's are."""
    return {"steps": sum(STEPS.values()), "learning_rate": PLAIN_RATE, "betas": [0.9, 0.999], "weight_decay": 0.01, "warmup": 0.1}


def begin(out: Path, start: Path, keeps: str) -> None:
    """Begin the run `out` with what the finished run `start` has done: vocabulary and rows; keeps = "commonality": that phase, too."""
    from lingraft.files import atomic_folder, write_json

    if out.exists():
        return
    with_phase = keeps == "commonality"
    stages = ["source", "tokenizer", "rows", *(["phase.commonality"] if with_phase else [])]
    with atomic_folder(out) as temporary:
        for name in ("tokenizer", *(["phases/commonality"] if with_phase else [])):
            shutil.copytree(start / name, temporary / name)
        (temporary / ".stages").mkdir()
        for name in ("rows.safetensors", *(["metrics.jsonl"] if with_phase else []), *(f".stages/{stage}.json" for stage in stages)):
            shutil.copy2(start / name, temporary / name)
        facts = json.loads((start / "run.json").read_text(encoding="utf-8"))
        spent = {name: seconds for name, seconds in facts["phase_seconds"].items() if with_phase and name == "commonality"}
        write_json(temporary / "run.json", {**facts, "phase_seconds": spent, "seconds": sum(spent.values())})


def commonality(rows: str, is_longer: bool, given: argparse.Namespace) -> Any:
    """The finished run of the first phase from some rows; is_longer: of as many steps again."""
    system = System(str(Path(__file__).with_name("commonality.toml")), ROWS[rows])
    longer = [f"phases.longer.steps={STEPS['commonality']}"] if is_longer else []
    out = given.out / "runs" / f"zh-rows-{rows.replace(' + ', '-')}{'-longer' if is_longer else ''}"
    if is_longer:
        begin(out, commonality(rows, False, given).path, "commonality")
    return transfer(system, "zh", out, [*changes(system), *longer], given)


def trained(name: str, code: str, given: argparse.Namespace) -> Any:
    """The finished run of a system for a language, made where it is not there, with all that it starts from."""
    system = {**SYSTEMS, **SIZES}[name]
    out = given.out / "runs" / f"{code}-{name.replace(', ', '-').replace(' ', '-')}"
    if system.keeps and code == "zh":
        begin(out, commonality("fastText + adversarial", False, given).path, system.keeps)
    return transfer(system, code, out, changes(system), given)


def tried(name: str, factor: str, given: argparse.Namespace) -> dict[str, Any]:
    """A short training with a factor of the learning rates: its score on held-out text."""
    system, out = SYSTEMS[name], given.out / "trials" / f"zh-{name.replace(', ', '-').replace(' ', '-')}-{factor}"
    if system.keeps:
        begin(out, commonality("fastText + adversarial", False, given).path, "rows")
    found = told(transfer(system, "zh", out, changes(system, factor), given))
    return {score: found[score] for score in BITS}


def transfer(system: System, code: str, out: Path, settings: list[str], given: argparse.Namespace) -> Any:
    """A run of a system, with the aids that it uses."""
    import lingraft
    from lingraft.recipe import load_recipe
    from lingraft.request import wanted

    files = parallel(code, given, system.num_pairs)
    aids = {"source_text": text("en", given), "parallel": files["train"]}
    asked = wanted(load_recipe(system.recipe, settings))
    return lingraft.transfer(
        str(english(given).path / "model"),
        to=code,
        text=[text(code, given), *([files["target"]] if system.more_text else [])],
        recipe=system.recipe,
        changes=settings,
        out=out,
        options=options(out.name),
        **{name: place for name, place in aids.items() if name in asked},
    )


def told(run: Any) -> dict[str, Any]:
    """What a run says of itself. predicted: the masked tokens that bits are a mean over. pairs: that are aligned well enough, and lines,
    how many of them a half was trained on."""
    scores = {line["name"]: line for line in run.lines("scores.jsonl") if line["model"] == "final"}
    facts = {"origin": run.origin, "mapping": run.facts.get("mapping"), "pairs": run.facts.get("alignments", {}).get("kept")}
    named = {name: scores[name]["value"] for name in (*BITS, "mrr")}
    seconds = {name: run.facts.get(name, {}) for name in ("seconds", "phase_seconds", "preparation_seconds")}
    if facts["pairs"] and "to-target" in seconds["phase_seconds"]:
        facts["lines"] = min(facts["pairs"], LINES_SEEN)
    return {**named, "predicted": scores["bits_per_subword"]["n"], **seconds, **{key: value for key, value in facts.items() if value}}


def roles(split: str, given: argparse.Namespace) -> str:
    """A file of Universal Propositions with words in the script of the texts, which its column of lemmas has."""
    from lingraft.files import write_text

    path = given.out / "srl" / f"zh-{split}.conllu"
    if not path.exists():
        lines = gzip.decompress((given.data / f"eval/srl/zh/{split}.conllu.gz").read_bytes()).decode().splitlines()
        words = ([column if column != "_" else old for old, column in [line.split("\t")[1:3]]] for line in lines if "\t" in line)
        made = ["\t".join([line.split("\t")[0], *next(words), *line.split("\t")[2:]]) if "\t" in line else line for line in lines]
        write_text(path, "\n".join(made) + "\n")
    return str(path)


def stock(system: str, how: str, given: argparse.Namespace) -> dict[str, Any]:
    """A model made stock, and as it was: bits on text that neither trained on; parsing of the stock one, if it is another function."""
    from lingraft.evaluation import evaluate
    from lingraft.export import export

    run, test = trained(system, "zh", given), parallel("zh", given)["test"]
    out, found = run.path / how, {}
    if not out.exists():
        export(run.path, stock=how, out=out)
    for when, model, place in (("before", run.path, "bits"), ("after", out, f"bits-{how}")):
        told = evaluate(
            str(model),
            task="language-modelling",
            evaluation=[f"zh={test}"],
            changes=[f"length={LENGTH}"],
            out=run.path / "tests" / place,
        )
        found[when] = {score: told["scores"][score]["mean"] for score in BITS}
    return found if how == "folded" else {**found, "parsing": task("parsing", system, "zh", given, how)}


def task(name: str, system: str, code: str, given: argparse.Namespace, how: str = "") -> dict[str, Any]:
    """Scores of a fine-tuned model, over seeds; how: of its stock model of this kind."""
    from lingraft.evaluation import evaluate

    run, splits = trained(system, code, given), ("train", "dev", "test")
    train, dev, test = (roles(split, given) if name == "srl" else str(given.data / f"eval/ud/{code}/{split}.conllu.gz") for split in splits)
    began = time.monotonic()
    found = evaluate(
        str(run.path / (how or "model")),
        task=name,
        train=[train],
        development=[dev],
        evaluation=[f"{code}={test}"],
        changes=TASKS[name],
        seeds=SEEDS,
        out=run.path / "tests" / f"{name}{how and '-'}{how}",
        options=options(f"{name} {run.path.name}"),
    )
    return {"scores": found["scores"], "baseline": found["baseline"], "minutes": round((time.monotonic() - began) / 60, 2)}


def translation(system: str, way: str, given: argparse.Namespace) -> dict[str, Any]:
    """BLEU of translations read off the half that was trained on this way, and of the input itself."""
    from lingraft.translation import translate

    files, to_source = parallel("zh", given), way == "zh > en"
    read, right = ("test", "test-en") if to_source else ("test-en", "test")
    phase, path = "to-source" if to_source else "to-target", trained(system, "zh", given).path
    found = translate(path, text=files[read], reference=files[right], to_source=to_source, phase=phase, out=path / f"{phase}.txt")
    return {name: found[name] for name in ("scores", "baseline", "signature", "lines")}


def cells() -> Iterator[dict[str, str]]:
    """What is measured, rates first, then the most telling."""
    yield from ({"cell": "trial", "system": system, "factor": factor} for system, factors in TRIALS.items() for factor in factors)
    for system in SYSTEMS:
        yield from ({"cell": cell, "system": system, "language": "zh"} for cell in ("training", "parsing"))
    for rows in reversed(ROWS):
        yield from ({"cell": "rows", "rows": rows, "budget": budget} for budget in ("1", "2"))
    for system in ("trelm", "trelm-tlm"):
        yield from ({"cell": "translation", "system": system, "way": way} for way in ("en > zh", "zh > en"))
    yield from ({"cell": "stock", "system": system, "how": how} for system, ways in STOCK.items() for how in ways)
    yield from ({"cell": "srl", "system": system, "language": "zh"} for system in WITH_ROLES)
    yield from ({"cell": "training", "system": system, "language": "zh"} for system in SIZES)
    for code in MORE:
        for system in ("trelm", "full training, aligned rows"):
            yield from ({"cell": cell, "system": system, "language": code} for cell in ("training", "parsing"))


def measure(key: dict[str, str], given: argparse.Namespace) -> dict[str, Any]:
    """One cell."""
    cell = key["cell"]
    if cell == "rows":
        return told(commonality(key["rows"], key["budget"] == "2", given))
    if cell == "translation":
        return translation(key["system"], key["way"], given)
    if cell == "trial":
        return tried(key["system"], key["factor"], given)
    if cell == "stock":
        return stock(key["system"], key["how"], given)
    if cell == "training":
        return told(trained(key["system"], key["language"], given))
    return task(cell, key["system"], key["language"], given)


if __name__ == "__main__":
    study(__doc__, Path(__file__).parent, cells(), measure, print_tables)
