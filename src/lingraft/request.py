"""What a run is asked for, and its folder while it works: opened, held, compared with the recipe, cleared away after a mistake."""

import contextlib
import errno
import shutil
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lingraft.aids import Given, check_given, used
from lingraft.errors import Interrupted, LingraftError, LingraftWarning, RecipeError, RunError, TextError
from lingraft.files import digest, is_main_process, locked
from lingraft.languages import parse
from lingraft.recipe import Recipe
from lingraft.run import Run
from lingraft.text.corpus import language_of
from lingraft.text.parallel import Parallel


@dataclass(frozen=True, slots=True)
class Request:
    """What the user asks for. See lingraft.transfer. to: a code as `lingraft.languages.parse` gives it."""

    model: str
    to: str
    text: Sequence[str]
    given: Given
    recipe: Recipe
    out: Path
    seed: int
    minutes: float | None = None
    examples: bool = True


def listed(places: str | Sequence[str]) -> list[str]:
    """One place or several as a list."""
    return [places] if isinstance(places, str) else list(places)


def order(recipe: Recipe) -> list[str]:
    """The stages of a run, in their order."""
    rows = ["rows"] if recipe.verb == "transfer" or recipe.rows.method == "static" else []
    links = ["alignments"] if recipe.reads_links else []
    before = ["source", "text", "tokenizer", "tokens", *links, *rows, "held-out", "initial"]
    return [*before, *(f"phase.{name}" for name in recipe.phases), "evaluation", "model"]


@contextlib.contextmanager
def opened(request: Request, restart_from: str | None = None, *, only_phase: str = "") -> Iterator[Run]:
    """The run folder of a request, held for this process; its warnings are kept in run.json.

    only_phase: others may want the folder too: it is waited for, and `Run.held` can be released.

    A new folder is removed when a mistake of the user's ends the run before anything worth keeping was made.
    """
    if only_phase and restart_from:
        raise RecipeError("--only-phase goes on beside other processes, and --restart-from removes what they may need. Give one of them.")
    missing = [folder for folder in (request.out, *request.out.parents) if not folder.exists()]
    is_new = bool(missing) or (request.out.is_dir() and not any(request.out.iterdir()))
    run = Run.create(request.out)
    try:
        held = locked(run.path, waits=bool(only_phase)) if is_main_process() else contextlib.nullcontext()
        with held as run.held, _collected(run):
            _check(request.recipe, run, restart_from)
            if restart_from:
                run.restart_from(restart_from, order(request.recipe))
            yield run
    except LingraftError as error:
        done = [stage for stage in order(request.recipe)[2:] if run.is_complete(stage)]
        if is_new and is_main_process() and not isinstance(error, Interrupted) and (not done or isinstance(error, TextError)):
            _remove(run.path, missing)
        raise
    except KeyboardInterrupt:
        raise Interrupted("Interrupted. The same command goes on from the last complete stage.") from None
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise RunError(f"Cannot write to {run.path}: {error.strerror}. Free space, then run the same command again.") from error


def _remove(folder: Path, missing: list[Path]) -> None:
    """Take back a run folder and those of its parents that were missing before it."""
    shutil.rmtree(folder, ignore_errors=True)
    if not missing:
        folder.mkdir()
    with contextlib.suppress(OSError):  # another run may have moved in
        for parent in missing[1:]:
            parent.rmdir()


def _check(recipe: Recipe, run: Run, restart_from: str | None) -> None:
    """Raise RunError where the recipe is not the folder's in what stays of it; before anything is written or removed."""
    stages, settings = order(recipe), settings_of(recipe)
    kept = stages[: stages.index(restart_from)] if restart_from in stages else stages
    for stage in kept:
        if stage in settings:
            run.agree(stage, settings[stage])


def wanted(recipe: Recipe) -> set[str]:
    """Which of the things that a user may give have any part in the run."""
    return (
        used(recipe.rows) | ({"source_text"} if recipe.needs_source_text else set()) | ({"parallel"} if recipe.reads_parallel else set())
    )  # fmt: skip


def check_aids(request: Request) -> None:
    """Warn of aids that the recipe does not use. Raises RecipeError where one is missing that it cannot do without."""
    check_given(request.recipe.rows, request.given)
    if request.recipe.needs_source_text:
        _check_source_text(request)
    if request.recipe.reads_parallel and not request.given.parallel:
        raise RecipeError(f"The recipe {request.recipe.name!r} trains on parallel text. Give it with --parallel.")
    for name in (name for name in request.given.names() if name not in wanted(request.recipe)):
        option = name.replace("_", "-")
        warnings.warn(f"The recipe {request.recipe.name!r} does not use --{option}; it is left aside.", LingraftWarning, stacklevel=3)


def _check_source_text(request: Request) -> None:
    if not request.given.source_text:
        raise RecipeError(f"The recipe {request.recipe.name!r} needs text of the source's language too. Give it with --source-text.")
    if (code := parse(language_of(request.given.source_text, "en")).code) == request.to:
        raise RecipeError(f"--source-text is read as text of {code!r}, as --text is. Name its language: --source-text CODE=PATH.")


def settings_of(recipe: Recipe) -> dict[str, Any]:
    """Stage -> what of the recipe it is made from."""
    own = {"source": recipe.source, "text": recipe.text, "rows": recipe.rows, "held-out": recipe.evaluation, "initial": recipe.surgery}
    own |= {"alignments": recipe.alignment} if recipe.reads_links else {}
    phases = {f"phase.{name}": phase for name, phase in recipe.phases.items()}
    found: dict[str, Any] = {stage: settings.model_dump() for stage, settings in {**own, **phases}.items()}
    if recipe.verb == "pretrain":
        found["source"] = recipe.architecture.model_dump(exclude={"read"})  # the shape that is read counts, not where it lies
    read = recipe.tokenizer.read
    found["tokenizer"] = recipe.tokenizer.model_dump() | ({"read": digest(Path(read))} if read and Path(read).exists() else {})
    found["evaluation"] = found["model"] = {"phases": list(recipe.phases)}
    return found


def fingerprints(given: Given, wanted: set[str], parallel: Parallel | None) -> dict[str, Any]:
    """What tells whether files that the rows are made from have changed."""
    found: dict[str, Any] = {}
    for name in ("lexicon", "vectors"):
        if name in wanted and getattr(given, name):
            found[name] = [digest(Path(place)) for place in getattr(given, name)]
    if parallel is not None and "parallel" in wanted:
        found["parallel"] = parallel.survey.fingerprint
    if "helper" in wanted and given.helper:
        found["helper"] = given.helper
    return found


@contextlib.contextmanager
def _collected(run: Run) -> Iterator[None]:
    """Show lingraft's warnings and keep them in run.json."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", LingraftWarning)
        show = warnings.showwarning

        def keep(message: Warning | str, category: type[Warning], *place: Any) -> None:
            show(message, category, *place)
            with run.changing():
                known = run.facts.get("warnings", [])
                if issubclass(category, LingraftWarning) and str(message) not in known:
                    run.note(warnings=[*known, str(message)])

        warnings.showwarning = keep  # type: ignore[assignment]
        yield
