"""From a source to the untrained model of the target, and what of it trains; a phase that is tried more than once."""

import math
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import torch
from accelerate import PartialState
from safetensors.numpy import load_file, save_file

from lingraft.embeddings import ORIGINS, NewRows
from lingraft.embeddings.rows import Floats
from lingraft.errors import ModelError, RecipeError, RunError, TrainingError
from lingraft.files import fingerprint
from lingraft.model import adapters
from lingraft.model.bare_begin import bare_begin, check_bare_begin
from lingraft.model.load import Source, load_source
from lingraft.model.parts import longest_input, parameters_of, set_trainable
from lingraft.model.scratch import from_scratch
from lingraft.model.surgery import graft
from lingraft.model.trilayer import check_trilayer, insert_trilayer, meeting, rename_target, set_mid_embeddings
from lingraft.recipe import Recipe
from lingraft.request import Request
from lingraft.run import ROWS, Run
from lingraft.text.corpus import language_of
from lingraft.text.shards import Shards
from lingraft.tokenizer import vocabulary
from lingraft.tongues import Tongues
from lingraft.train import checkpoint
from lingraft.train.data import Lessons
from lingraft.train.loop import Options, Speed, train
from lingraft.train.pairs import speaks
from lingraft.train.settings import ALIGNING, MEAN, REST, PhaseSettings
from lingraft.vectors.tokens import insist, of_both

OUTPUT = "output."  # before the names of arrays in rows.safetensors that are of the output matrix
BESIDE = "beside"


class Rows(NamedTuple):
    """Rows of the input matrix; of an output matrix, None: the same; and vectors (vocab, width) beside the states, where there are some."""

    words: NewRows
    output: NewRows | None = None
    beside: Floats | None = None


def save_rows(found: Rows, path: Path) -> None:
    """Write rows.safetensors."""
    others = {f"{OUTPUT}{name}": array for name, array in found.output.to_arrays().items()} if found.output else {}
    arrays = found.words.to_arrays() | others | ({} if found.beside is None else {BESIDE: found.beside})
    save_file(arrays, path, metadata={"origins": ",".join(ORIGINS)})  # one entry: of several, the order in the file is random


def read_rows(run: Run) -> Rows:
    """The rows that a run has found."""
    arrays = load_file(run.path / ROWS)
    others = {name.removeprefix(OUTPUT): array for name, array in arrays.items() if name.startswith(OUTPUT)}
    return Rows(NewRows.from_arrays(arrays), NewRows.from_arrays(others) if others else None, arrays.get(BESIDE))


def beside(request: Request, run: Run, source: Source, spoken: Tongues) -> Floats | None:
    """Skip-gram vectors of the source's tokens in both languages, (vocab, width), where the recipe puts such beside its states: the
    target's from its text, the source's from its side of the parallel text. Raises RecipeError as `insist` does."""
    settings, rows = request.recipe.surgery, request.recipe.rows
    if settings.adapters != "vectors":
        return None
    special = vocabulary.special_ids(source.tokenizer)
    names = ["" if i in special else name for i, name in enumerate(vocabulary.tokens(source.tokenizer))]
    texts = spoken.translations[0][0].shards, spoken.target.shards
    counts, sentences = [text.counts(len(names)) for text in texts], [partial(cut, text, names) for text in texts]
    table, trust = of_both(sentences, counts, names, settings.adapter_width, rows.mapping, request.seed, rows.adversary_steps)
    run.note(mapping=trust.measures())
    insist(trust, is_strict=rows.trust)
    return table


def cut(shards: Shards, names: Sequence[str]) -> Iterator[list[str]]:
    """Sentences of an encoded text as tokens, without those that have no name."""
    for first, last in pairwise(shards.sentences):
        yield [names[i] for i in shards.tokens[first:last] if names[i]]


def operate(request: Request, source: Source, spoken: Tongues, found: Rows, seed: int) -> None:
    """Put in what the recipe adds: new rows, TRILayer and language embeddings, adapters; and take position and segment off the first
    token. seed: of what is drawn."""
    settings, (rows, output, beside) = request.recipe.surgery, found
    if settings.bare_begin:
        bare_begin(source.model, begin_id(source))
    graft(source.model, spoken.rows(rows), spoken.roles(), output=spoken.output(output), seed=seed, rank=request.recipe.rows.rank)
    if settings.meets:
        codes = [language_of(request.given.source_text, "en"), request.to]
        insert_trilayer(source.model, codes, **settings.additions(), mid_embeddings=settings.mid_embeddings, seed=seed)
    else:
        rename_target(source.model, request.to)
    if settings.adapters != "none":
        adapters.insert(source.model, settings.adapters, settings.adapter_width, seed)
    if beside is not None:
        adapters.set_vectors(source.model, torch.from_numpy(beside))


def from_nothing(request: Request, source: Source, spoken: Tongues, seed: int) -> None:
    """Put a model of the recipe's architecture with random weights of `seed` in place. Raises RecipeError where there is no such model."""
    paired = request.recipe.predicts_next_sentence
    source.model, source.kind = from_scratch(request.recipe.architecture, spoken.masking.size, spoken.roles(), seed, paired)
    if request.recipe.surgery.bare_begin:
        check_bare_begin(source.model, begin_id(source))
        bare_begin(source.model, begin_id(source))


def check_surgery(request: Request, source: Source) -> None:
    """Raise ModelError where the source's family does not allow what the recipe builds in, MissingExtra where a package is missing;
    and what `check_phases` raises."""
    settings = request.recipe.surgery
    if settings.meets:
        check_trilayer(source.model, **settings.additions())
    if settings.adapters != "none":
        adapters.check(source.model, settings.adapters)
    if settings.bare_begin:
        check_bare_begin(source.model, begin_id(source))
    for name, phase in request.recipe.phases.items():
        if speaks(source.model) and ALIGNING & set(phase.objectives):
            raise RecipeError(
                f"Phase {name!r} has the objective {phase.objective!r}, which does not tell the model a line's language, but "
                f"{request.model} has language embeddings: it would read the source's lines as the target's. Start from a model without."
            )
    yet_to_come = {"adapters": settings.adapters != "none", "language": settings.language_embeddings, "trilayer": settings.meets}
    check_phases(request, source.model, leave_out=tuple(part for part, comes in yet_to_come.items() if comes))


def check_phases(request: Request, model: Any, *, leave_out: tuple[str, ...] = ()) -> None:
    """Raise ModelError where a block is longer than the model has positions, RecipeError for a part to train that it does not have.

    leave_out: parts that are not there yet.
    """
    longest = longest_input(model)
    for name, settings in request.recipe.phases.items():
        if longest is not None and settings.length > longest:
            raise ModelError(
                f"Blocks of phase {name!r} have {settings.length} tokens, but {request.model or 'the model'} has positions for "
                f"{longest} only. Use --set length={longest}."
            )
        for parts in settings.all_parts():
            train, freeze = ([part for part in named if part not in leave_out] for named in (parts, settings.freeze))
            set_trainable(model, train, freeze)
        owners(model, {part: phase for part, phase in (settings.merge or {}).items() if part not in leave_out})
    model.requires_grad_(True)


def begin_id(source: Source) -> int | None:
    """The id of the token that every text of a masked model's begins with; None where there is none."""
    begin = vocabulary.roles(source.tokenizer).get("begin")
    return begin if source.kind == "mlm" and vocabulary.blocks(source.tokenizer)[0][:1] == [begin] else None


def facts(recipe: Recipe, model: Any) -> dict[str, Any]:
    """What `lingraft swap` asks of a graft: which parts trained, whether positions did, or the body, and its kind of adapters; and what
    the model has between its halves."""
    phases = [settings for settings in recipe.phases.values() if settings.steps != 0]
    trained = _moved(model, phases)
    every = {part for settings in phases for parts in settings.all_parts() for part in parts}
    return {
        "trained_parts": sorted(every),
        "positions": bool(trained & set(parameters_of(model, "positions"))),
        "adapters": adapters.kind_of(model),
        "meeting": meeting(model),
        "body_trained": bool(trained & set(parameters_of(model, "body"))),
    }


def note_drawn(recipe: Recipe, model: Any) -> None:
    """Name in the config (`lingraft_drawn`) the parameters that the source lacked and no phase trained, so that they are not taken for
    what a model learnt: they are still what was drawn for them."""
    predicting = [settings for settings in recipe.phases.values() if settings.steps != 0 and not ALIGNING & set(settings.objectives)]
    moved = _moved(model, predicting)
    vars(model.config).pop("lingraft_drawn", None)
    if names := sorted({*parameters_of(model, "added")} - moved):
        model.config.lingraft_drawn = names


def _moved(model: Any, phases: Iterable[PhaseSettings]) -> set[str]:
    """Names of the parameters that phases train."""
    found: set[str] = set()
    for settings in phases:
        for parts in settings.all_parts():
            set_trainable(model, parts, settings.freeze)
            found |= {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    model.requires_grad_(True)
    return found


def enter(run: Run, model: Any, settings: PhaseSettings) -> None:
    """Bring `model` to where a phase starts, if that is not where the one before it ended."""
    found = {name: finished(run, name) for name in settings.starts}
    if settings.merge:
        rest = settings.merge[REST]
        checkpoint.restore_merged(model, found, owners(model, settings.merge), None if rest == MEAN else rest)
    elif settings.start_from:
        checkpoint.restore_weights(model, found[settings.start_from])


def owners(model: Any, merge: Mapping[str, str]) -> dict[str, str]:
    """Name of a parameter -> the phase that it comes from, for the parts that a merge names. Raises RecipeError where two of them hold it,
    and where the model has no such part."""
    found: dict[str, str] = {}
    for part, phase in merge.items():
        if part != REST:
            named = parameters_of(model, part)
            if not named or set(named) & set(found):
                why = "which another part that it names holds too" if named else "which this model does not have"
                raise RecipeError(f"merge names the part {part!r}, {why}.")
            found |= dict.fromkeys(named, phase)
    return found


def finished(run: Run, name: str) -> checkpoint.Checkpoint:
    """The result of a phase. Raises RunError where it is lost."""
    found = checkpoint.latest(run.path / "phases" / name)
    if found is None:
        raise RunError(f"The result of phase {name!r} in {run.path} is lost. Redo it with --restart-from phase.{name}.")
    return found


def again(request: Request, run: Run, source: Source, spoken: Tongues, found: Rows | None, name: str, seed: int) -> None:
    """Bring `source.model` back to where phase `name` starts: drawn from `seed` where it is the first, else what comes before it."""
    names, settings = list(request.recipe.phases), request.recipe.phases[name]
    before = settings.start_from or next(iter(names[: names.index(name)][-1:]), None)
    if before is not None:
        checkpoint.restore_weights(source.model, finished(run, before))
        return
    if request.recipe.verb == "pretrain":
        from_nothing(request, source, spoken, seed)
        if found:
            graft(source.model, found[0], spoken.roles(), seed=seed)
        return
    assert found is not None
    is_random, paired = request.recipe.source.weights == "random", request.recipe.predicts_next_sentence
    source.model = load_source(request.model, seed=seed, random_weights=is_random, next_sentence=paired).model
    operate(request, source, spoken, found, seed)


def set_meeting(recipe: Recipe, model: Any, settings: PhaseSettings) -> None:
    """Whether a phase adds positions and language again between the halves: as it says, or the recipe that grew the model; a model that
    was grown before does as it did."""
    if settings.mid_embeddings is not None or recipe.surgery.meets:
        set_mid_embeddings(model, recipe.surgery.mid_embeddings if settings.mid_embeddings is None else settings.mid_embeddings)


def train_best(
    request: Request, run: Run, source: Source, spoken: Tongues, found: Rows | None,
    data: Lessons, name: str, total: int, seed: int, options: Options,
) -> Speed:  # fmt: skip
    """Train a phase, with restarts so many times more, each from a seed of its own, and keep what has the lowest held-out loss.

    found: the rows that a restart of the first phase is drawn from; None: from scratch. Every attempt's loss goes into
    run.json as `restarts`.
    Raises TrainingError where no attempt has a loss that is a number.
    """
    settings, folder = request.recipe.phases[name], run.path / "phases" / name
    if settings.restarts and not (folder.exists() and checkpoint.latest(folder)):
        tried: list[dict[str, Any]] = []
        speeds: list[Speed] = []
        for number in range(1 + settings.restarts):
            own = seed if number == 0 else int(fingerprint([seed, number])[:8], 16)
            if number:
                again(request, run, source, spoken, found, name, own)
                set_meeting(request.recipe, source.model, settings)
            label = f"{name} restart {number}" if number else name
            loss, speed = _attempt(run, source.model, settings, data, label, total, own, folder / f"attempt-{number}", options)
            speeds.append(speed)
            tried.append({"seed": own, "held_out_loss": loss})
        best = min(range(len(tried)), key=lambda i: math.inf if tried[i]["held_out_loss"] is None else tried[i]["held_out_loss"])
        run.note_in("restarts", name, {"attempts": tried, "kept": best})
        _keep(source.model, folder, folder / f"attempt-{best}", total, name)
        return speeds[best]
    return train(name, source.model, settings, data, total=total, seed=seed, folder=folder, options=options)


def _attempt(
    run: Run, model: Any, settings: PhaseSettings, data: Lessons, label: str, total: int, seed: int, folder: Path, options: Options
) -> tuple[float | None, Speed]:
    """The held-out loss of one attempt, None where it failed; and how fast it was."""
    options = replace(options, resumed=lambda step: run.forget_metrics(label, step))
    try:
        speed = train(label, model, settings, data, total=total, seed=seed, folder=folder, options=options)
    except TrainingError:
        return None, Speed()
    assert options.evaluate is not None
    loss = options.evaluate(model)
    return loss if math.isfinite(loss) else None, speed


def _keep(model: Any, folder: Path, best: Path, total: int, name: str) -> None:
    """Make the best attempt's weights the phase's result, and remove all attempts. Raises TrainingError where it has none."""
    kept = checkpoint.latest(best) if best.exists() else None
    if kept is None or kept.step < total:
        raise TrainingError(f"The loss of phase {name!r} was no number in any attempt. Lower learning_rate, or raise warmup.")
    checkpoint.restore_weights(model, kept)
    state = PartialState()
    state.wait_for_everyone()
    if state.is_main_process:
        checkpoint.save(folder, total, model, None, keep=1)
        for attempt in folder.glob("attempt-*"):
            shutil.rmtree(attempt)
    state.wait_for_everyone()
