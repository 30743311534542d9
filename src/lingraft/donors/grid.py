"""The grid: a model of every language and of every pair, each a cell that is run once, by whichever process comes to it first."""

import itertools
import json
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from lingraft.donors.corpus import Corpus, read
from lingraft.donors.records import Cell, Mode, Record, cell, read_record
from lingraft.donors.settings import GridSettings
from lingraft.donors.training import Kit, choose_epochs, previous, train_cell
from lingraft.errors import Interrupted, LanguageError, RecipeError, RunError, suggest
from lingraft.files import fingerprint, locked, read_json, write_json
from lingraft.recipe import changed

Engine = Literal["local", "batched", "ray"]
Told = Callable[[str], None]
FAILURES = "failures.jsonl"
LAST_LINES = 6  # of a traceback


@dataclass(frozen=True)
class Outcome:
    """What became of the cells that a command was asked for. failed: name -> why, in a line. All that is neither done nor failed is
    missing: nobody was asked to run it, or it was left off."""

    cells: list[str]
    before: int
    ran: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def is_complete(self) -> bool:
        """Whether every cell has its record."""
        return not self.failed


def cells(languages: Sequence[str], mode: Mode = "joint", seeds: int = 1, sets: Iterable[Sequence[str]] = ()) -> list[Cell]:
    """Seed by seed: every language, every pair (sequential: both ways round), every set."""
    pairs = itertools.permutations(languages, 2) if mode == "sequential" else itertools.combinations(languages, 2)
    groups = [*((code,) for code in languages), *pairs, *sets]
    return list(dict.fromkeys(cell(*group, mode=mode, seed=seed) for seed in range(seeds) for group in groups))


def read_sets(given: Sequence[str], known: Sequence[str]) -> list[tuple[str, ...]]:
    """Sets of languages: A+B+C, or a file with one a line. Raises LanguageError for a language that the corpus has not."""
    lines = [line for one in given for line in (Path(one).read_text(encoding="utf-8").split() if Path(one).is_file() else [one])]
    found = [tuple(line.split("+")) for line in lines]
    for code in itertools.chain(*found):
        check_known(code, known)
    return found


def check_known(code: str, known: Sequence[str]) -> str:
    """The code, if the corpus has it. Raises LanguageError."""
    if code not in known:
        raise LanguageError(f"The corpus has no language {code!r}. {suggest(code, known)}")
    return code


def open_grid(
    corpus: Corpus, out: Path, mode: Mode, seeds: int, settings: GridSettings, sets: Sequence[Sequence[str]], keep_models: bool
) -> Kit:
    """The grid below `out`, begun or gone on with. Raises RunError where it is one of another corpus, mode or settings."""
    facts: dict[str, Any] = {"corpus": corpus.fingerprint, "mode": mode, "settings": settings.model_dump(mode="json")}
    recipe, place = fingerprint({name: facts[name] for name in ("corpus", "settings")}), out / "grid.json"
    before = read_json(place) if place.exists() else facts
    if different := [name for name in facts if before[name] != facts[name]]:
        changed_keys = [f"{key} = {value!r}" for key, value in before["settings"].items() if value != facts["settings"].get(key)]
        was = {"settings": f"with {', '.join(changed_keys)}", "corpus": "on another corpus", "mode": f"{before['mode']}"}
        raise RunError(f"{out} is a grid that was run {' and '.join(was[name] for name in different)}. Ask for the same, or choose another --out.")
    all_sets = sorted({*map(tuple, before.get("sets", [])), *map(tuple, sets)})
    facts |= {"languages": list(corpus.languages), "seeds": max(seeds, before.get("seeds", 1)), "sets": all_sets, "recipe": recipe}
    write_json(place, facts)
    wanted = cells(corpus.languages, mode, facts["seeds"], all_sets)
    kept = wanted if keep_models else [one for one in map(previous, wanted) if one is not None]
    return Kit(out, corpus, settings, recipe, frozenset(one.name for one in kept))


def check_record(kit: Kit, one: Cell) -> None:
    """Raises RunError where a cell was run with other settings or on another corpus."""
    if kit.is_done(one) and (record := read_record(kit.folder(one))).recipe != kit.recipe:
        raise RunError(
            f"{kit.folder(one)} was run with other settings or on another corpus (recipe {record.recipe[:8]}, not {kit.recipe[:8]}). "
            "Remove it, and it is run again; or choose another --out."
        )


@contextmanager
def held(kit: Kit, one: Cell, wait: bool) -> Iterator[bool]:
    """Whether this process has the cell to itself. wait: until it has."""
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(kit.work(one), wait))
            is_ours = True
        except RunError:
            is_ours = False
        yield is_ours


def obtain(kit: Kit, one: Cell, engine: str, wait: bool = False) -> Record | None:
    """Run a cell, and those it goes on from, unless another process has done so. None where another one is at it (and we do not wait)."""
    with held(kit, one, wait) as ours:
        if not ours:
            return None
        if not kit.is_done(one):
            before = previous(one)
            if before is not None and not kit.is_done(before):
                obtain(kit, before, engine, wait=True)
            return train_cell(kit, one, engine)
    return read_record(kit.folder(one))


def note_failure(kit: Kit, one: Cell, attempt: int, error: str) -> None:
    """A line in failures.jsonl: the end of the traceback."""
    line = {"cell": one.name, "attempt": attempt, "error": error.strip().splitlines()[-LAST_LINES:]}
    with (kit.grid / FAILURES).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line, ensure_ascii=False) + "\n")


def _attempts(kit: Kit, one: Cell, retries: int, told: Told) -> Record | str | None:
    """The record, the reason why there is none, or None where another process is at it."""
    reason = ""
    for attempt in range(1, retries + 2):
        try:
            return obtain(kit, one, "local")
        except (Interrupted, KeyboardInterrupt) as error:
            raise Interrupted(f"Interrupted in cell {one.name}. The same command goes on from there.") from error
        except Exception as error:
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            note_failure(kit, one, attempt, traceback.format_exc())
            told(f"{one.name} failed ({reason}), attempt {attempt} of {retries + 1}")
    return reason


def run_locally(kit: Kit, wanted: Sequence[Cell], outcome: Outcome, retries: int, told: Told) -> None:
    """One cell after the other; those that other processes are at come last, and are taken over where these die."""
    pending = list(wanted)
    while pending:
        later = []
        for one in pending:
            result = _attempts(kit, one, retries, told)
            if result is None:
                later.append(one)
            else:
                note(outcome, one, result, told)
        if len(later) == len(pending):
            time.sleep(1)
        pending = later


def note(outcome: Outcome, one: Cell, result: Record | str, told: Told) -> None:
    """Count a cell that has ended, and say so."""
    if isinstance(result, str):
        outcome.failed[one.name] = result
        return
    outcome.ran.append(one.name)
    scores = "  ".join(f"{code} {score.mrr:.4f}" for code, score in result.scores.items())
    told(f"{outcome.before + len(outcome.ran)} of {len(outcome.cells)}  {one.name}  {scores}  {result.seconds:.0f} s")


def run(
    corpus: str | Path,
    *,
    out: str | Path,
    engine: Engine = "local",
    shard: tuple[int, int] = (1, 1),
    mode: Mode = "joint",
    seeds: int = 1,
    languages: Sequence[str] | None = None,
    sets: Sequence[str] = (),
    changes: Sequence[str] = (),
    keep_models: bool = False,
    retries: int = 1,
    told: Told = lambda line: None,
) -> Outcome:
    """Run the cells of a grid that are not there yet, and say what became of them.

    shard: (i, n), every n-th cell from the i-th on. languages: only cells of these. sets: A+B+C, or a file of such lines. changes: K=V, as
    --set. Raises LingraftError where something the user gave is wrong, Interrupted after a signal; what fails in a cell is noted.
    """
    found, settings = read(corpus), changed(GridSettings, {}, changes)
    chosen = [check_known(code, found.languages) for code in (found.languages if languages is None else languages)]
    for code in settings.choose_epochs:
        check_known(code, found.languages)
    more = read_sets(sets, found.languages)
    if not 1 <= shard[0] <= shard[1]:
        raise RecipeError(f"--shard {shard[0]}/{shard[1]}: the first number is from 1 to the second.")
    with locked(Path(out), wait=True):
        kit = open_grid(found, Path(out), mode, seeds, settings, more, keep_models)
    mine = [one for one in cells(found.languages, mode, seeds, more) if set(one.languages) <= set(chosen)][shard[0] - 1 :: shard[1]]
    for one in mine:
        check_record(kit, one)
    missing = [one for one in mine if not kit.is_done(one)]
    outcome = Outcome([one.name for one in mine], len(mine) - len(missing))
    if missing:
        kit.prepare()
        choose_epochs(kit)
        run_locally(kit, missing, outcome, retries, told)
    return outcome
