"""Gogoulou et al. 2022 at small scale: BERTs of 4 layers x 256 in several languages, transferred to English, fine-tuned and probed.

python repro/gogoulou/run.py --data DATA --out WORK      measures what results.jsonl does not have yet, most telling models first
python repro/gogoulou/run.py --table                     the paper's tables 2 to 5 and 8 beside ours, and its claims one by one
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
from shared import options, text
from tables import print_tables

SIZE, LENGTH, BATCH = 8_000, 128, 16
SOURCE_STEPS, ENGLISH_STEPS, SEEDS = 2400, 1000, 3
SCRATCH_RATE, TRANSFER_RATE, TASK_RATE = "5e-4", "5e-4", "2e-4"
NOVELS = 8_000_000


@dataclass(frozen=True, slots=True)
class Corpus:
    """Text of a source language: files below DATA/text, and how many characters of them."""

    language: str
    files: tuple[str, ...]
    characters: int = NOVELS


SOURCES = {
    "sv": Corpus("sv", ("sv.eltec",)),
    "sv-small": Corpus("sv", ("sv.eltec",), NOVELS // 8),
    "de": Corpus("de", ("de.eltec",)),
    "hu": Corpus("hu", ("hu.eltec",)),
    "ru": Corpus("ru", ("ru.dracor", "ru.phpdoc")),
}
ARMS = {
    "rank": ("rank", "rows.order=frequency"),
    "source vocabulary": ("rank-source-vocabulary",),
    "rank by id": ("rank", "rows.order=id"),
    "random": ("random",),
}
MODELS = [
    "en",
    *(f"{source} > en, rank" for source in SOURCES),
    *(f"{source} > en, source vocabulary" for source in ("sv", "de")),
    *(f"sv > en, {arm}" for arm in ("random", "rank by id")),
]
"""The baseline from scratch first, then the paper's table 2, its table 3, and the rows it left for future work."""

UD, NLI, SENTIMENT, WIC = (
    "eval/ud/en/{}.conllu.gz",
    "eval/nli/en.mnli.{}.tsv.gz",
    "eval/sentiment/en.rt_polarity.{}.tsv.gz",
    "eval/wic/{}.en-en.jsonl.gz",
)
SICK = "eval/nli/en.sick.{}.tsv.gz"


@dataclass(frozen=True, slots=True)
class Test:
    """A task or a probe: its name in lingraft, its files, what is set, and the score that the tables show."""

    verb: str
    name: str
    files: str
    changes: tuple[str, ...] = ()
    fragment: str = ""


FINE = (f"learning_rate={TASK_RATE}", "warmup=0.1", "length=64", "accumulation=2")
LONGER = ("learning_rate=5e-4", *FINE[1:], "epochs=4")
TESTS = {
    "rt_polarity": Test("task", "classify", SENTIMENT, (*FINE, "epochs=1")),
    "POS": Test("task", "pos", UD, LONGER),
    "WiC": Test("probe", "wic", WIC),
    "structural": Test("probe", "structural", UD, ("layers=[2, 3, 4]",)),
    "SICK": Test("task", "regress", SICK, (*FINE, "epochs=1.5"), "#label=relatedness_score"),
    "parsing": Test("task", "parsing", UD, LONGER),
    "MNLI": Test("task", "classify", NLI, (*FINE, "epochs=1")),
}


def architecture(out: Path) -> str:
    """A folder with a small BERT of random weights, for the recipe `scratch` to copy the shape of."""
    import torch
    from transformers import BertConfig, BertForMaskedLM

    from lingraft.demo import source_model
    from lingraft.files import atomic_folder
    from lingraft.model.load import load_tokenizer

    folder = out / "architecture"
    if not folder.exists():
        out.mkdir(parents=True, exist_ok=True)
        tokenizer = load_tokenizer(source_model())
        torch.manual_seed(0)
        shape = {"hidden_size": 256, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 1024}
        model = BertForMaskedLM(BertConfig(vocab_size=len(tokenizer), max_position_embeddings=LENGTH, **shape))
        with atomic_folder(folder) as temporary:
            model.save_pretrained(temporary)
            tokenizer.save_pretrained(temporary)
    return str(folder)


def read(corpus: Corpus, name: str, given: argparse.Namespace) -> str:
    """The first characters of a corpus as one file."""
    return text(name, corpus.files, given, corpus.characters)


def transferred(name: str, given: argparse.Namespace) -> Any:
    """The finished run of a model by its name in MODELS or SOURCES, made where it is not there, with all that it starts from."""
    import lingraft

    source, _, arm = name.removesuffix(" > en").partition(" > en, ")
    english = name == "en" or bool(arm)
    corpus = Corpus("en", ("en.wiki",), 20_000_000) if english else SOURCES[name]
    steps, rate = (ENGLISH_STEPS if english else SOURCE_STEPS), (TRANSFER_RATE if arm else SCRATCH_RATE)
    recipe, *changes = ARMS[arm] if arm else ("scratch",)
    same = [
        f"steps={steps}",
        f"batch={BATCH}",
        f"length={LENGTH}",
        f"learning_rate={rate}",
        "phases.train.warmup=0.06",
        "phases.train.dropout=0.0",
    ]
    vocabulary = [] if arm == "source vocabulary" else ["tokenizer.algorithm=wordpiece", f"tokenizer.size={SIZE}"]
    own = read(SOURCES[source], source, given) if arm.startswith("rank") else ""
    return lingraft.transfer(
        str(transferred(source, given).path / "model") if arm else architecture(given.out),
        to=corpus.language,
        text=read(corpus, "en" if english else name, given),
        recipe=recipe,
        source_text=[own] if own else [],
        changes=[*same, *vocabulary, "text.normalisation=NFC", *changes],
        out=given.out / "runs" / name.replace(" > ", "-").replace(", ", "-").replace(" ", "-"),
        options=options(name),
    )


def measure(cell: str, name: str, given: argparse.Namespace) -> dict[str, Any]:
    """One cell: a model's own training ("training"), or what one of TESTS says of it."""
    run = transferred(name, given)
    if cell == "training":
        facts = {"seconds": run.facts["seconds"], "tokens_per_second": run.facts["tokens_per_second"], "rows": run.origin}
        return {**{score: run.scores[score] for score in ("loss", "mrr", "bits_per_byte")}, **facts}
    test, out = TESTS[cell], run.path / "tests" / cell
    train, dev, evaluation = (f"{given.data / test.files.format(split)}{test.fragment}" for split in ("train", "dev", "test"))
    began = time.monotonic()
    if test.verb == "probe":
        from lingraft.probing import probe

        files = {"train": train, "development": dev, "evaluation": evaluation}
        found = probe(str(run.path / "model"), probe=test.name, **files, changes=[*test.changes], seeds=SEEDS, out=out)
    else:
        from lingraft.evaluation import evaluate

        found = evaluate(
            str(run.path / "model"),
            task=test.name,
            train=[train],
            development=[dev],
            evaluation=[f"en={evaluation}"],
            changes=test.changes,
            seeds=SEEDS,
            out=out,
            options=options(f"{name}, {cell}"),
        )
    return {"scores": found["scores"], "baseline": found["baseline"], "minutes": round((time.monotonic() - began) / 60, 2)}


def cells() -> Iterator[tuple[str, str]]:
    """(cell, model): every source's training, then all about one model after the other: a lost model is then rarely needed again."""
    yield from (("training", name) for name in SOURCES)
    yield from ((cell, name) for name in MODELS for cell in ("training", *TESTS))


def main() -> None:
    """Measure every cell that is not measured yet."""
    keys = ({"cell": cell, "model": name} for cell, name in cells())
    study(__doc__, Path(__file__).parent, keys, lambda key, given: measure(key["cell"], key["model"], given), print_tables)


if __name__ == "__main__":
    main()
