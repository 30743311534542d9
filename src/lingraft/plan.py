"""What a transfer would do, without doing it.

The stages before training run in a folder that is thrown away, and each phase for a few steps that tell time and memory.
"""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lingraft import stages
from lingraft.aids import Given
from lingraft.embeddings import NewRows
from lingraft.embeddings.settings import AUTO
from lingraft.grafting import check_phases, operate
from lingraft.languages import parse
from lingraft.model.heads import let_train
from lingraft.model.load import Source
from lingraft.model.parts import FrozenRows, parameters_of
from lingraft.race import SHARE, candidates
from lingraft.recipe import Recipe, load_recipe
from lingraft.request import Request, check_aids, listed, opened
from lingraft.run import Run, model_folder
from lingraft.speed import pace, steps_within
from lingraft.train.data import Lessons
from lingraft.train.loop import Options, segments
from lingraft.train.settings import PhaseSettings


def plan(
    model: str,
    *,
    to: str,
    text: str | Sequence[str],
    recipe: str = "auto",
    changes: Sequence[str] = (),
    given: Given | None = None,
    seed: int = 0,
    minutes: float | None = None,
) -> str:
    """The plan of `lingraft.transfer` with the same arguments, as text. Leaves nothing behind; raises what it raises."""
    with tempfile.TemporaryDirectory() as folder:
        chosen = load_recipe(recipe, changes).for_verb("transfer")
        request = Request(model_folder(model), parse(to).code, listed(text), given or Given(), chosen, Path(folder) / "run", seed, minutes)
        with opened(request, None) as run:
            check_aids(request)
            return "\n".join([*_race_lines(request), *_lines(replace(request, recipe=_without_race(request)), run)])


def _race_lines(request: Request) -> Iterator[str]:
    """What would be raced. The plan goes on with the first."""
    if request.recipe.rows.method == AUTO:
        field = candidates(request.given)
        yield f"race        between {', '.join(field)}; at most {SHARE:.0%} of the first phase's tokens; the rows below are {field[0]}'s"


def _without_race(request: Request) -> Recipe:
    rows = request.recipe.rows
    method = candidates(request.given)[0] if rows.method == AUTO else rows.method
    return request.recipe.model_copy(update={"rows": rows.model_copy(update={"method": method})})


def _lines(request: Request, run: Run) -> Iterator[str]:
    source = stages.load(request, run)
    texts = stages.survey(request, run)
    corpus = texts.target
    tokenizer = stages.tokenizer(request, run, source, texts)
    tongues = stages.tokens(request, run, source, texts, tokenizer)
    rows = stages.rows(request, run, source, tongues, texts, Options())
    operate(request, source, tongues, rows, request.seed)
    check_phases(request, source.model)
    stages.held_out(request, run, source.kind, tongues, {request.to: corpus})
    yield f"{request.model} to {request.to} by the recipe {request.recipe.name!r}: {request.recipe.title}"
    text = corpus.survey
    yield f"text        {text.bytes:,} bytes in {text.documents:,} documents; 1 part in {corpus.held_out_every} is held out"
    yield f"tokens      {tongues.target.shards.info.num_tokens:,} to train on"
    if tongues.source:
        yield f"            {tongues.source.shards.info.num_tokens:,} of the source's language"
    yield _rows_line(rows[0])
    yield _parameters_line(source)
    for name, settings in request.recipe.phases.items():
        yield from _phase_lines(request, source.model, name, settings, tongues.data(settings))


def _rows_line(rows: NewRows) -> str:
    return f"rows        {rows.num_new:,}: " + ", ".join(f"{number:,} {origin}" for origin, number in rows.counts().items())


def _parameters_line(source: Source) -> str:
    sizes = {part: _size(parameters_of(source.model, part)) for part in ("all", "embeddings", "body", "head")}
    added = " (the head is new)" if source.added_head else ""
    return f"parameters  {sizes.pop('all'):,}: " + ", ".join(f"{part} {size:,}" for part, size in sizes.items()) + added


def _phase_lines(request: Request, model: Any, name: str, settings: PhaseSettings, data: Lessons) -> Iterator[str]:
    """What one phase trains, for how long, at what cost: measured with the real batch."""
    if not settings.trains:
        yield f"phase {name}\n  merges    {', '.join(settings.starts)}"
        return
    measured = pace(model, settings, data)
    tries = 1 + settings.restarts
    share = stages.minutes_of(request, settings)
    steps = stages.planned_steps(settings, data) if share is None else steps_within(measured, share)
    num_blocks = data.num_blocks(settings)
    yield f"phase {name}"
    for first, parts in segments(settings, steps).items():
        frozen = FrozenRows(model, let_train(model, parts, settings), data.vocabulary.rows)
        trained = _size({key: parameter for key, parameter in model.named_parameters() if parameter.requires_grad}) - frozen.size
        yield f"  trains    {', '.join(parts)}: {trained:,} parameters" + (f", from step {first:,} on" if first else "")
    model.requires_grad_(True)
    yield f"  steps     {steps:,} of {settings.batch} blocks of {settings.length} tokens; {num_blocks:,} blocks are there"
    yield f"  tokens    {steps * settings.batch * settings.length:,}: the text {steps / data.per_epoch(settings):.2g} times"
    # float32: weights of all, and for what trains its gradient and the optimiser's two moments
    held = 4 * _size(dict(model.named_parameters())) + 12 * _most_trained(model, settings, steps)
    yield f"  memory    {held / 1e6:,.0f} MB of weights, gradients and moments; {measured.memory / 1e6:,.0f} MB with all else, measured"
    yield f"  time      {_duration(tries * steps * measured.seconds)}, at {measured.seconds:.3g} s a step, measured" + (
        f"; trained {tries} times" if settings.restarts else ""
    )


def _most_trained(model: Any, settings: PhaseSettings, steps: int) -> int:
    chosen = [set().union(*(parameters_of(model, part) for part in parts)) for parts in segments(settings, steps).values()]
    named = dict(model.named_parameters())
    return max(_size({name: named[name] for name in names}) for names in chosen)


def _size(parameters: dict[str, Any]) -> int:
    return sum(parameter.numel() for parameter in parameters.values())


def _duration(seconds: float) -> str:
    minutes, hours = seconds / 60, seconds / 3600
    return f"{hours:.1f} hours" if hours >= 1 else f"{minutes:.0f} minutes" if minutes >= 2 else f"{seconds:.0f} seconds"
