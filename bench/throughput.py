"""Tokens per second of training against transformers' Trainer, and MB/s of text preparation against datasets.map."""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import Results, in_subprocess, make_bert, names, parser, working_folder, write_text

WARM_UP, BATCH, LENGTH, DROPOUT, MASK_RATE = 5, 16, 128, 0.1, 0.15
OPTIMISER: dict[str, Any] = {
    "learning_rate": 3e-4,
    "betas": (0.9, 0.98),
    "epsilon": 1e-8,
    "weight_decay": 0.01,
    "warmup": 0.06,
    "clip": 1.0,
}
HELD_OUT = 8_192  # tokens
PROBE = {"steps": 3, "warm_up": 1}


@dataclass(frozen=True, slots=True)
class Model:
    """What trains: MiniLM, or a BERT of `shape` (layers, width) with random weights; its vocabulary; the languages of its text."""

    vocabulary: int
    shape: tuple[int, int] | None = None
    codes: tuple[str, ...] = ("de",)


MODELS = {
    "4x256-8000": Model(8_000, shape=(4, 256)),
    "MiniLM-8000": Model(8_000),
    "MiniLM-32000": Model(32_000, codes=("de", "es", "fr", "eu")),  # German alone does not yield 32,000 tokens
}


def prepare(name: str, folder: Path) -> Path:
    """A run of no steps: the grafted model, its tokenizer, the text as ids, the held-out text. Both sides start from it."""
    from lingraft.demo import source_model
    from lingraft.model.load import load_tokenizer
    from lingraft.transfer import transfer

    model = MODELS[name]
    source = str(make_bert(folder / f"source-{name}", *model.shape)) if model.shape else source_model()
    if not (text := folder / f"{'-'.join(model.codes)}.txt").exists():
        write_text(text, *_whole(model.codes))
    changes = [
        f"tokenizer.size={model.vocabulary}",
        "tokenizer.algorithm=wordpiece",
        "steps=0",
        f"length={LENGTH}",
        "evaluation.max_characters=40_000",
    ]
    run = transfer(source, to="de", text=str(text), out=folder / name, recipe="random", changes=changes)
    size = load_tokenizer(str(run.path / "model")).vocab_size
    if size != model.vocabulary:
        raise SystemExit(f"The text in {model.codes} yields {size} tokens, not {model.vocabulary}: add a language to MODELS.")
    return run.path


def _whole(codes: tuple[str, ...]) -> tuple[float, tuple[str, ...]]:
    from lingraft.text import bundled

    return sum(len("\n".join(page.lines).encode()) + 2 for code in codes for page in bundled.documents(code)) / 1e6, codes


@dataclass(frozen=True, slots=True)
class Start:
    """What both sides start from, as a worker loads it."""

    model: Any
    tokenizer: Any
    data: Any
    evaluate: Callable[[Any], float]


def load(path: Path) -> Start:
    """Read what `prepare` left."""
    import torch

    from lingraft.evaluate.language_model import HeldOut, Reader, held_out_loss
    from lingraft.model.load import load_source
    from lingraft.text.shards import Shards
    from lingraft.tokenizer.vocabulary import blocks
    from lingraft.tongues import Tongue, masking
    from lingraft.train.data import Data

    source = load_source(str(path / "model"), seed=0)
    for module in source.model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = DROPOUT
    tokenizer = source.tokenizer
    data = Data(Tongue(tokenizer, Shards.open(path / "tokens" / "de")).blocks(LENGTH), masking(tokenizer, source.kind, source.tokenizer))
    before, after = blocks(tokenizer)
    reader = Reader(LENGTH, tuple(before), tuple(after), tokenizer.mask_token_id)
    held_out = HeldOut.load(path / "held-out" / "de.safetensors").head(HELD_OUT)
    return Start(source.model, tokenizer, data, lambda model: held_out_loss(model.eval(), held_out, reader))


def train_lingraft(
    start: Start, steps: int, seed: int, warm_up: int = WARM_UP, after_step: Callable[[], None] = lambda: None
) -> dict[str, Any]:
    """Our loop: tokens per second, and the loss of every step."""
    from lingraft.train.loop import Options, train
    from lingraft.train.settings import PhaseSettings

    losses: list[float] = []
    settings = PhaseSettings(batch=BATCH, length=LENGTH, mask_rate=MASK_RATE, dropout=DROPOUT, **OPTIMISER)
    options = Options(
        checkpoint_seconds=float("inf"),
        log_steps=1,
        warm_up=warm_up,
        record=lambda line: losses.append(line["loss"]),
        progress=lambda *step: after_step(),
    )
    with tempfile.TemporaryDirectory() as folder:
        speed = train("bench", start.model, settings, start.data, total=steps, seed=seed, folder=Path(folder), options=options)
    return {"tokens_per_second": speed.tokens_per_second, "losses": losses}


def train_trainer(start: Start, steps: int, seed: int, warm_up: int = WARM_UP, bf16: bool = False) -> dict[str, Any]:
    """The Trainer, as run_mlm.py sets it up, on the very blocks that our loop reads in so many steps (in an order of its own)."""
    import math

    import datasets
    import numpy as np
    import torch
    from transformers import DataCollatorForLanguageModeling, Trainer, TrainerCallback, TrainingArguments

    losses: list[torch.Tensor] = []
    ends: list[float] = []

    class Recorded(Trainer):
        def compute_loss(self, *arguments: Any, **options: Any) -> Any:
            loss = super().compute_loss(*arguments, **options)
            losses.append((loss[0] if isinstance(loss, tuple) else loss).detach())
            return loss

    class Clock(TrainerCallback):
        def on_step_end(self, *arguments: Any, **options: Any) -> None:
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            ends.append(time.perf_counter())

    ids = np.concatenate([start.data.blocks.batch(step, BATCH, seed) for step in range(steps)])
    special = np.isin(ids, start.tokenizer.all_special_ids).astype(np.int8)
    columns = {"input_ids": ids, "token_type_ids": ids * 0, "attention_mask": ids * 0 + 1, "special_tokens_mask": special}
    blocks = datasets.Dataset.from_dict({name: column.tolist() for name, column in columns.items()})
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder, max_steps=steps, per_device_train_batch_size=BATCH, seed=seed,
            bf16=bf16, use_cpu=not torch.cuda.is_available(),
            learning_rate=OPTIMISER["learning_rate"], adam_beta1=OPTIMISER["betas"][0], adam_beta2=OPTIMISER["betas"][1],
            adam_epsilon=OPTIMISER["epsilon"], weight_decay=OPTIMISER["weight_decay"], max_grad_norm=OPTIMISER["clip"],
            warmup_steps=math.ceil(OPTIMISER["warmup"] * steps), lr_scheduler_type="linear",
            save_strategy="no", logging_strategy="no", report_to=[], disable_tqdm=True,
        )  # fmt: skip
        collator = DataCollatorForLanguageModeling(start.tokenizer, mlm_probability=MASK_RATE)
        Recorded(start.model, arguments, collator, train_dataset=blocks, callbacks=[Clock()]).train()
    tokens = (steps - warm_up) * BATCH * LENGTH
    return {"tokens_per_second": tokens / (ends[-1] - ends[warm_up - 1]), "losses": [float(loss) for loss in losses]}


def prepare_lingraft(text: Path, tokenizer: Any, folder: Path, processes: int) -> dict[str, Any]:
    """Our text preparation: the survey (a pass that counts and fingerprints), then everything from the file to ids on disk."""
    from lingraft.text.corpus import TextSettings, resolve
    from lingraft.text.shards import encode_to_shards

    corpus, began = resolve([str(text)], "de", settings=TextSettings()), time.perf_counter()
    _ = corpus.survey
    surveyed = time.perf_counter()
    info = encode_to_shards(corpus.documents(), tokenizer, folder / "tokens", end_id=tokenizer.sep_token_id)
    ended = time.perf_counter()
    return {"seconds": ended - surveyed, "before": surveyed - began, "tokens": info.num_tokens}


def prepare_datasets(text: Path, tokenizer: Any, folder: Path, processes: int) -> dict[str, Any]:
    """run_mlm.py's: load the lines, map the tokenizer, map the grouping into blocks; in a fresh cache."""
    import datasets

    datasets.disable_progress_bars()
    began = time.perf_counter()
    lines = datasets.load_dataset("text", data_files={"train": str(text)}, cache_dir=str(folder), split="train")
    loaded = time.perf_counter()

    def tokenize(examples: dict[str, list[str]]) -> Any:
        return tokenizer(examples["text"], return_special_tokens_mask=True)

    def group(examples: dict[str, list[list[int]]]) -> dict[str, list[list[int]]]:
        joined = {name: [number for row in rows for number in row] for name, rows in examples.items()}
        total = len(next(iter(joined.values()))) // LENGTH * LENGTH
        return {name: [row[i : i + LENGTH] for i in range(0, total, LENGTH)] for name, row in joined.items()}

    workers = processes if processes > 1 else None
    tokens = lines.map(tokenize, batched=True, num_proc=workers, remove_columns=["text"], load_from_cache_file=False)
    blocks = tokens.map(group, batched=True, num_proc=workers, load_from_cache_file=False)
    return {"seconds": time.perf_counter() - loaded, "before": loaded - began, "tokens": len(blocks) * LENGTH}


SIDES: dict[str, Callable[..., dict[str, Any]]] = {"lingraft": train_lingraft, "Trainer": train_trainer}
PREPARATIONS = {"lingraft": prepare_lingraft, "datasets.map": prepare_datasets}


def work(task: dict[str, Any]) -> dict[str, Any]:
    """One measurement, in a process of its own."""
    if "side" in task:
        start = load(Path(task["run"]))
        result = SIDES[task["side"]](start, **task["options"])
        return result | ({"held_out_loss": start.evaluate(start.model)} if task["held_out"] else {})
    from lingraft.model.load import load_tokenizer

    with tempfile.TemporaryDirectory(dir=task["folder"]) as folder:
        tokenizer = load_tokenizer(task["tokenizer"])
        return PREPARATIONS[task["preparation"]](Path(task["text"]), tokenizer, Path(folder), task["processes"])


def probe(run: Path) -> dict[str, float]:
    """Tokens per second of the Trainer in each dtype, in a short run each. 0: it does not run, or takes more than twice as long."""

    def short(bf16: bool, timeout: float | None) -> float:
        task = {"side": "Trainer", "run": str(run), "options": {**PROBE, "seed": 0, "bf16": bf16}, "held_out": False}
        try:
            found = in_subprocess(__file__, task, timeout)
        except RuntimeError as error:
            if not bf16 or "doesn't support bf16" not in str(error):
                raise
            return 0.0
        return float(found["tokens_per_second"]) if found else 0.0

    began = time.monotonic()
    float32 = short(False, None)
    return {"float32": float32, "bfloat16": short(True, 2 * (time.monotonic() - began))}


def compare(run: Path, steps: int, seed: int, dtype: str) -> dict[str, Any]:
    """One round: each side once, from the same weights, on the same blocks."""
    found: dict[str, dict[str, Any]] = {}
    for side in sorted(SIDES, reverse=bool(seed % 2)):  # the first place goes to each in turn
        options = {"steps": steps, "seed": seed} | ({"bf16": dtype == "bfloat16"} if side == "Trainer" else {})
        found[side] = in_subprocess(__file__, {"side": side, "run": str(run), "options": options, "held_out": True}) or {}
    speeds = {side: found[side]["tokens_per_second"] for side in SIDES}
    values: dict[str, Any] = {**speeds, "ratio": speeds["lingraft"] / speeds["Trainer"], "Trainer_dtype": dtype}
    half = {side: statistics.mean(found[side]["losses"][steps // 2 :]) for side in SIDES}
    for name, losses in (("training_loss", half), ("held_out_loss", {side: found[side]["held_out_loss"] for side in SIDES})):
        values |= {f"{name}_{side}": loss for side, loss in losses.items()}
        values[f"{name}_difference_percent"] = 100 * (losses["lingraft"] / losses["Trainer"] - 1)
    return values


def measure_training(results: Results, given: argparse.Namespace, folder: Path) -> None:
    """All rounds of all models that are not measured yet."""
    for name in given.models:
        key = {"model": name, "steps": given.steps}
        missing = [number for number in range(given.rounds) if not results.here(**key, round=number)]
        if not missing:
            continue
        run = prepare(name, folder)
        before = results.here(**key)
        probed = before[0]["Trainer_probe"] if before else probe(run)
        for number in missing:
            values = compare(run, given.steps, number, max(probed, key=lambda dtype: probed[dtype]))
            results.add({**key, "round": number}, {**values, "Trainer_probe": probed})


def measure_text(results: Results, given: argparse.Namespace, folder: Path) -> None:
    """Text preparation on both sides, datasets.map with one process and with two."""
    from lingraft.demo import source_model

    text = folder / f"text-{given.megabytes:g}.txt"
    ways = [("lingraft", 1), ("datasets.map", 1), ("datasets.map", 2)]
    for number in range(given.rounds):
        for way, processes in ways:
            key = {"text_mb": given.megabytes, "preparation": way, "processes": processes, "round": number}
            if results.here(**key):
                continue
            if not text.exists():
                write_text(text, given.megabytes)
            task = {"preparation": way, "processes": processes, "text": str(text), "tokenizer": source_model(), "folder": str(folder)}
            found = in_subprocess(__file__, task) or {}
            size = text.stat().st_size / 1e6
            with_reading = size / (found["seconds"] + found["before"])
            results.add(
                key, {"mb_per_s": size / found["seconds"], "mb_per_s_with_survey_or_loading": with_reading, "tokens": found["tokens"]}
            )


def preparation_ratio(results: Results, megabytes: float) -> str:
    """One line: how much faster ours is than the better datasets.map."""

    def median(way: str, processes: int) -> float:
        found = results.here(text_mb=megabytes, preparation=way, processes=processes)
        return statistics.median(values["mb_per_s"] for values in found) if found else 0.0

    better = max(median("datasets.map", processes) for processes in (1, 2))
    return f"Text preparation: {median('lingraft', 1) / better:.1f} times the better datasets.map." if better else ""


def profile(name: str, folder: Path, rows: int = 15) -> Iterator[str]:
    """The operations that three of our steps spend their time in, after five to warm up."""
    import torch
    from torch.profiler import ProfilerActivity, schedule
    from torch.profiler import profile as profiled

    start = load(prepare(name, folder))
    on_gpu = torch.cuda.is_available()
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    with profiled(activities=activities, schedule=schedule(wait=WARM_UP - 1, warmup=1, active=3)) as profiler:
        train_lingraft(start, WARM_UP + 3, seed=0, after_step=profiler.step)
    yield f"{name}: {rows} operations with the most time of their own, over 3 steps"
    yield profiler.key_averages().table(
        sort_by=f"self_{'device' if on_gpu else 'cpu'}_time_total", row_limit=rows, max_name_column_width=50
    )


def main() -> None:
    """Measure what is not measured yet, or print a profile."""
    options = parser(__doc__)
    options.add_argument("--models", type=names(MODELS), default=",".join(MODELS), help="separated by commas")
    options.add_argument("--steps", type=int, default=25, help="optimiser steps of each run")
    options.add_argument("--rounds", type=int, default=3, help="runs of each side, alternating")
    options.add_argument("--megabytes", type=float, default=20.0, help="text for the preparation")
    options.add_argument("--only", choices=["training", "text"], help="one of the two halves")
    options.add_argument("--profile", action="store_true", help="print where our steps' time goes, and stop")
    options.add_argument("--worker", type=json.loads, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.worker:
        print(json.dumps(work(given.worker)))
        return
    if given.steps <= WARM_UP:
        options.error(f"--steps must be more than {WARM_UP}, which are not timed")
    training, text = Results("throughput", given.results), Results("preparation", given.results)
    with working_folder(given.out) as folder:
        if given.profile:
            print(*(line for name in given.models for line in profile(name, folder)), sep="\n")
            return
        if given.only != "text" and not given.table:
            measure_training(training, given, folder)
        if given.only != "training" and not given.table:
            measure_text(text, given, folder)
    print(training.table(over="round"), text.table(over="round"), preparation_ratio(text, given.megabytes), sep="\n\n")


if __name__ == "__main__":
    main()
