"""The stages of a transfer, each skipped where its output in the run folder is complete."""

import contextlib
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from lingraft import pictures
from lingraft.aids import Aids, used
from lingraft.card import model_card
from lingraft.embeddings.settings import AUTO
from lingraft.evaluate import language_model
from lingraft.evaluate.language_model import HeldOut, Reader
from lingraft.files import atomic_folder, atomic_write, fingerprint, is_main_process, locked, write_text
from lingraft.grafting import Rows, beside, check_surgery, enter, facts, note_drawn, read_rows, save_rows, set_meeting, train_best
from lingraft.machine import first, hardware
from lingraft.model.adapters import save_adapters
from lingraft.model.factorised import multiply_out
from lingraft.model.heads import detach_next_sentence_head
from lingraft.model.load import Source, load_source
from lingraft.model.parts import body_fingerprint, input_fingerprints, parameters_of
from lingraft.model.surgery import check_fits, check_specials
from lingraft.model.trelm import speak
from lingraft.race import Course, race
from lingraft.report import write_report
from lingraft.request import Request, fingerprints, settings_of, wanted
from lingraft.run import MODEL, RECIPE, SCORES, Run
from lingraft.run import ROWS as ROWS_FILE
from lingraft.speed import steps_for
from lingraft.text.balance import training_lines
from lingraft.text.corpus import Corpus, language_of, resolve
from lingraft.text.parallel import Parallel, resolve_parallel
from lingraft.text.shards import Shards, encode_to_shards
from lingraft.text.words import word_kind
from lingraft.tokenizer import train as tokenizers
from lingraft.tokenizer import vocabulary
from lingraft.tokenizer.measure import measure as measure_tokenizer
from lingraft.tokenizer.prepare import prepare
from lingraft.tongues import Tongue, Tongues, masking, tongues, with_lines
from lingraft.train.aligned import Aligned
from lingraft.train.data import Data, Lessons, objectives_of
from lingraft.train.links import Linked, link
from lingraft.train.loop import Options
from lingraft.train.pairs import encode_sides, open_sides
from lingraft.train.settings import PhaseSettings

HeldOuts = dict[str, tuple[HeldOut, Reader]]
LATER = ("adapters", "trilayer", "language")  # parts that a model is given after its rows
SAMPLE = 4_096  # held-out tokens that the loss is measured on during training


def load(request: Request, run: Run) -> Source:
    """The source model; its vocabulary fits its matrix."""
    recipe = request.recipe
    is_random = recipe.source.weights == "random"
    source = load_source(request.model, seed=request.seed, random_weights=is_random, next_sentence=recipe.predicts_next_sentence)
    check_fits(source.model, len(vocabulary.tokens(source.tokenizer)))
    check_surgery(request, source)
    for settings in recipe.phases.values():
        objectives_of(settings, source.kind)
    inputs = {"settings": settings_of(request.recipe)["source"], "seed": request.seed, "weights": source.fingerprint()}
    with first():
        run.begin("source", inputs | {"vocabulary": fingerprint(source.tokenizer.get_vocab())})
        run.finish("source")
    run.note(
        lingraft=version("lingraft"), recipe=request.recipe.name, kind=source.kind, seed=request.seed,
        source=source.facts(), hardware=hardware(), examples=request.examples,
        notes=source.notes(recipe.predicts_next_sentence, recipe.predicts_tokens),
    )  # fmt: skip
    return source


@dataclass(frozen=True, slots=True)
class Texts:
    """The target's text and, where they are given and used, the source's and parallel text."""

    target: Corpus
    source: Corpus | None
    parallel: Parallel | None


def survey(request: Request, run: Run) -> Texts:
    """The texts: found, read once, counted, fingerprinted."""
    settings, given, asked = request.recipe.text, request.given, wanted(request.recipe)
    corpus = resolve(request.text, request.to, settings=settings, spool=run.path / "stdin.txt")
    source_text = parallel = None
    if given.source_text and "source_text" in asked:
        source_text = resolve(given.source_text, language_of(given.source_text, "en"), settings=settings, spool=None)
    if given.parallel and "parallel" in asked:
        from_code = source_text.language if source_text else "en"
        parallel = resolve_parallel(given.parallel, from_code, request.to, normalisation=settings.normalisation, errors=settings.errors)
    texts: dict[str, Any] = {corpus.language: corpus} | ({"source": source_text} if source_text else {})
    inputs = {"language": request.to, "settings": settings_of(request.recipe)["text"]}
    with first():
        run.begin("text", inputs | {f"{name} text": text.survey.fingerprint for name, text in texts.items()})
        run.note(**({"parallel": {**asdict(parallel.survey), "places": list(parallel.places)}} if parallel else {}))
        run.note(language=request.to, text={name: {**asdict(text.survey), "places": list(text.places)} for name, text in texts.items()})
        write_text(run.path / RECIPE, request.recipe.to_toml())
        run.finish("text")
    return Texts(corpus, source_text, parallel)


def tokenizer(request: Request, run: Run, source: Source, texts: Texts) -> PreTrainedTokenizerBase:
    """The target's tokenizer: trained on the training part of the text (joint: of both texts), read, or the source's own."""
    settings, folder = request.recipe.tokenizer, run.path / "tokenizer" / request.to
    corpora = [texts.target, texts.source] if settings.vocabulary == "joint" else [texts.target]
    with first():
        if not run.begin("tokenizer", {"settings": settings_of(request.recipe)["tokenizer"]}):
            lines = training_lines([corpus for corpus in corpora if corpus], settings.alpha)
            with atomic_folder(run.path / "tokenizer" / "source") as temporary:
                source.tokenizer.save_pretrained(temporary)
            with atomic_folder(folder) as temporary:
                made = prepare(lines, settings, source.tokenizer)
                tokenizers.check_family(made, source.model.config)
                check_specials(vocabulary.roles(made), source.kind, source.model)
                made.save_pretrained(temporary)
            run.note(tokenizer=measure_tokenizer(made, texts.target.split("held-out"), source.tokenizer))
            run.finish("tokenizer")
    return source.tokenizer if settings.vocabulary == "source" else tokenizers.read(str(folder))


def tokens(request: Request, run: Run, source: Source, texts: Texts, made: PreTrainedTokenizerBase) -> Tongues:
    """The training part of the target's text as ids, and of the source's where a phase trains on it."""
    folder, disjoint = run.path / "tokens", request.recipe.tokenizer.vocabulary == "disjoint"
    encoded = [(request.to, texts.target, made)]
    old = source.tokenizer if disjoint else made
    if texts.source and request.recipe.trains_on_source:
        encoded.append((texts.source.language, texts.source, old))
    parallel = texts.parallel if request.recipe.reads_parallel else None
    prints = ({"parallel": parallel.survey.fingerprint} if parallel else {}) | ({"aligned": True} if request.recipe.aligns else {})
    inputs: dict[str, Any] = {"languages": [code for code, _, _ in encoded]} | prints
    with first():
        if not run.begin("tokens", inputs):
            for code, corpus, reading in encoded:
                encode_to_shards(corpus.split("train"), reading, folder / code, end_id=vocabulary.end_id(reading))
            if parallel:
                encode_sides(parallel.pairs, (source.tokenizer if request.recipe.aligns else old, made), folder / "parallel")
            run.finish("tokens")
    target, *others = (Shards.open(folder / code) for code, _, _ in encoded)
    lines = open_sides(folder / "parallel") if parallel else None
    links = _links(request, run, lines)
    found = tongues(source, made, request.to, target, next(iter(others), None), disjoint, lines, links)
    return with_lines(found, source, request.recipe.tokenizer.vocabulary != "replace") if request.recipe.aligns else found


def _links(request: Request, run: Run, lines: tuple[Shards, Shards] | None) -> Linked | None:
    """Which piece of parallel text stands for which, where a phase asks for it; how many pairs are good enough is noted."""
    folder = run.path / "alignments"
    if lines is None or not request.recipe.reads_links:
        return None
    with first():
        if not run.begin("alignments", {"settings": settings_of(request.recipe)["alignments"]}):
            with run.timed("alignments"):
                run.note(alignments=link(*lines, request.recipe.alignment, folder))
            run.finish("alignments")
    return Linked.open(folder)


def rows(request: Request, run: Run, source: Source, spoken: Tongues, texts: Texts, options: Options) -> Rows:
    """New rows of the target's vocabulary by the recipe's method, with their origins in rows.safetensors; those of an untied output
    matrix, where they differ; and vectors beside the states, where there are some."""
    made, shards = spoken.target.tokenizer, spoken.target.shards
    settings, given = request.recipe.rows, request.given
    for phase in request.recipe.phases.values():
        spoken.data(phase)
    inputs = {"settings": settings_of(request.recipe)["rows"], **fingerprints(given, used(settings), texts.parallel)}
    with first():
        if not run.begin("rows", inputs):
            num_old = check_fits(source.model, 0)
            aids = Aids(
                settings, source.tokenizer, made, num_old, shards, texts.target, texts.source, texts.parallel, given, request.seed,
                source.model, spoken.source.shards if spoken.source and spoken.target.ids is None else None,
            )  # fmt: skip
            with run.timed("rows"):
                if settings.method == AUTO:
                    found, output, table = race(aids, _course(request, source, made, shards, options))
                    run.note(race=table)
                else:
                    found, output = aids.rows(settings.method), aids.rows(settings.output) if settings.output else None
                extra = beside(request, run, source, spoken)
            with atomic_write(run.path / ROWS_FILE) as temporary:
                save_rows(Rows(found, output, extra), temporary)
            own = request.recipe.tokenizer.vocabulary == "disjoint" or request.recipe.aligns  # each side in its language's own pieces
            pictures.keep(run, aids, found, disjoint=own, words=request.examples)
            run.note(origin=found.counts(), **aids.notes)
            run.finish("rows")
    return read_rows(run)


def _course(request: Request, source: Source, made: PreTrainedTokenizerBase, shards: Shards, options: Options) -> Course:
    """The race's: the first phase, or with none the default one; adapters, TRILayer and language embeddings come after it."""
    settings = next(iter(request.recipe.phases.values()), PhaseSettings())
    train, freeze = ([part for part in parts if part not in LATER] for parts in (settings.train, settings.freeze))
    train = train or PhaseSettings().train
    settings = settings.model_copy(update={"train": train, "freeze": freeze, "objective": "auto", "next_sentence": False})
    data = Data(Tongue(made, shards).blocks(settings.length), masking(made, source.kind, source.tokenizer))
    total, rank = planned_steps(settings, data), request.recipe.rows.rank
    return Course(source.model, vocabulary.roles(made), data, settings, total, request.seed, rank, options.progress)


def held_out(request: Request, run: Run, kind: str, spoken: Tongues, texts: Mapping[str, Corpus]) -> HeldOuts:
    """The held-out part of each text, with its masks, and how the model reads it: in blocks as long as the last phase's."""
    settings, tokenizers = request.recipe.evaluation, {code: tongue.tokenizer for code, tongue in spoken.targets.items()}
    paths = {code: run.path / "held-out" / f"{code}.safetensors" for code in texts}
    with first():
        if not run.begin("held-out", {"settings": settings_of(request.recipe)["held-out"]}):
            for code, corpus in texts.items():
                found = language_model.prepare(corpus.split("held-out"), tokenizers[code], settings, vocabulary.end_id(tokenizers[code]))
                with atomic_write(paths[code]) as temporary:
                    found.save(temporary)
            run.finish("held-out")
    length = [phase.length for phase in request.recipe.phases.values()][-1:] or [128]
    return {code: (HeldOut.load(path), _reader(tokenizers[code], kind, length[0])) for code, path in paths.items()}


def _reader(tokenizer: PreTrainedTokenizerBase, kind: str, length: int) -> Reader:
    before, after = vocabulary.blocks(tokenizer)
    return Reader(length, tuple(before), tuple(after), tokenizer.mask_token_id if kind == "mlm" else None)


def measure(request: Request, spoken: Tongues, model: Any, found: HeldOuts, which: str) -> list[dict[str, Any]]:
    """Lines of scores.jsonl for the model as it is, in each language with that language's vocabulary."""
    lines, seed = [], request.recipe.evaluation.seed
    for code, (text, how) in found.items():
        facts = {"suite": "language_model", "model": which, "language": code, "word": word_kind(code)}
        lines += language_model.as_lines(language_model.measure(spoken.targets[code].alone(model), text, how, seed), facts)
    return lines


def initial(request: Request, run: Run, source: Source, spoken: Tongues, found: HeldOuts) -> None:
    """The scores of the model before any training: what the initialisation is worth."""
    if not run.begin("initial", {"settings": settings_of(request.recipe)["initial"]}) and is_main_process():
        run.write_scores(measure(request, spoken, source.model, found, "initial"))
        run.note(parameters={part: _size(source.model, part) for part in ("all", "embeddings", "body", "head")})
        run.note(body=body_fingerprint(source.model), inputs=input_fingerprints(source.model))
        run.finish("initial")


def _size(model: Any, part: str) -> int:
    return sum(parameter.numel() for parameter in parameters_of(model, part).values())


def phase(request: Request, run: Run, source: Source, spoken: Tongues, found: HeldOuts, name: str, options: Options) -> None:
    """Train one phase, or go on with it, or take its result; where another process trains it, wait for that."""
    with contextlib.ExitStack() as held:
        with first():
            if is_main_process():
                held.enter_context(locked(run.phase_lock(name), waits=True, name=f"phase {name!r} of {run.path}"))
        _phase(request, run, source, spoken, found, name, options)


def _phase(request: Request, run: Run, source: Source, spoken: Tongues, found: HeldOuts, name: str, options: Options) -> None:
    settings = request.recipe.phases[name]
    data = spoken.data(settings)
    enter(run, source.model, settings)
    set_meeting(request.recipe, source.model, settings)
    total = _total(request, run, source, data, name)
    own_seed = int(fingerprint([request.seed, name])[:8], 16)
    inputs = {
        "settings": settings_of(request.recipe)[f"phase.{name}"],
        "steps": total,
        "seed": own_seed,
        "threads": torch.get_num_threads(),
    }
    is_done = run.begin(f"phase.{name}", inputs)
    samples = [spoken.targets[code].heard(text.head(SAMPLE), how) for code, (text, how) in found.items()]
    options = replace(
        options,
        record=run.record,
        resumed=lambda step: run.forget_metrics(name, step),
        evaluate=data.held_out_loss
        if isinstance(data, Aligned)
        else lambda model: fmean(language_model.held_out_loss(model, *sample) for sample in samples),
    )
    found_rows = read_rows(run) if (run.path / ROWS_FILE).exists() else None
    began = time.monotonic()
    try:
        speed = train_best(request, run, source, spoken, found_rows, data, name, total, own_seed, options)
    finally:
        if not is_done:
            run.spend(name, time.monotonic() - began)
    source.model.to("cpu")
    if data.skipped:
        run.note(documents_without_pairs=data.skipped)
    if speed.steps:
        run.note(tokens_per_second=speed.tokens_per_second)
    run.finish(f"phase.{name}")


def _total(request: Request, run: Run, source: Source, data: Lessons, name: str) -> int:
    """Optimiser steps of a phase: as --minutes allows (measured once, then kept), as the recipe says, or as its epochs need."""
    settings = request.recipe.phases[name]
    share = minutes_of(request, settings)
    if share is None:
        return planned_steps(settings, data)
    key = f"{name} {request.minutes}"
    if key not in run.facts.get("steps_from_minutes", {}):
        with first():
            run.note_in("steps_from_minutes", key, steps_for(source.model, settings, data, share))
    return int(run.facts["steps_from_minutes"][key])


def minutes_of(request: Request, settings: PhaseSettings) -> float | None:
    """What a phase has, each time that it is trained, of the minutes that were asked for: all that train have the same. None: no limit."""
    if request.minutes is None or not settings.trains:
        return None
    return request.minutes / sum(phase.trains for phase in request.recipe.phases.values()) / (1 + settings.restarts)


def planned_steps(settings: PhaseSettings, data: Lessons) -> int:
    """Optimiser steps that a recipe asks for."""
    return settings.steps if settings.steps is not None else math.ceil(data.per_epoch(settings) * settings.epochs)


def evaluate(request: Request, run: Run, source: Source, spoken: Tongues, found: HeldOuts) -> None:
    """The scores of the finished model."""
    if not run.begin("evaluation", {"settings": settings_of(request.recipe)["evaluation"]}) and is_main_process():
        before = [line for line in run.lines(SCORES) if line["model"] == "initial"]
        run.write_scores(before + measure(request, spoken, source.model, found, "final"))
        run.finish("evaluation")


def export(request: Request, run: Run, source: Source, spoken: Tongues) -> None:
    """A plain transformers folder with its card, and the report; with disjoint vocabularies one for each of the other languages too."""
    if not run.begin("model", {"settings": settings_of(request.recipe)["model"]}) and is_main_process():
        run.note(graft=facts(request.recipe, source.model))
        note_drawn(request.recipe, source.model)
        multiply_out(source.model)
        detach_next_sentence_head(source.model)
        pictures.keep_trained(run, spoken.target.alone(source.model))
        for code, tongue in spoken.separate.items():
            with atomic_folder(run.path / f"{MODEL}-{code}") as temporary:
                _save(code, tongue, source.model, temporary)
        with atomic_folder(run.path / MODEL) as temporary:
            _save(request.to, spoken.target, source.model, temporary)
            write_text(temporary / "README.md", model_card(run.path))
        run.note(final_body=body_fingerprint(source.model), final_inputs=input_fingerprints(source.model))
        run.finish("model")
    if is_main_process():
        write_report([run.path])


def _save(code: str, tongue: Tongue, model: Any, folder: Path) -> None:
    alone = tongue.alone(model)
    speak(alone, code)
    alone.save_pretrained(folder)
    save_adapters(alone, folder)
    tongue.tokenizer.save_pretrained(folder)
