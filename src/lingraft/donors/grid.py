"""The grid: a model of every language and of every pair, each a cell that is run once, by whichever process comes to it first."""

import difflib
import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

from lingraft.donors import by_recipe
from lingraft.donors.corpus import Corpus, read
from lingraft.donors.ray_engine import RayOptions, run_on_ray
from lingraft.donors.records import Cell, Mode, cell, read_plan, read_record
from lingraft.donors.running import Outcome, Told, chunks, run_here
from lingraft.donors.settings import GridSettings
from lingraft.donors.training import Kit, choose_epochs, previous
from lingraft.errors import LanguageError, RecipeError, RunError, TextError, suggest
from lingraft.files import fingerprint, locked, write_json
from lingraft.recipe import changed

Engine = Literal["local", "batched", "ray"]


def cells(languages: Sequence[str], mode: Mode = "joint", seeds: int = 1, sets: Iterable[Sequence[str]] = ()) -> list[Cell]:
    """Seed by seed: every language, every pair (sequential: both ways round), every set."""
    pairs = itertools.permutations(languages, 2) if mode == "sequential" else itertools.combinations(languages, 2)
    groups = [*((code,) for code in languages), *pairs, *sets]
    return list(dict.fromkeys(cell(*group, mode=mode, seed=seed) for seed in range(seeds) for group in groups))


def read_sets(given: Sequence[str], known: Sequence[str]) -> list[tuple[str, ...]]:
    """Sets of languages: A+B+C, or a file with one a line. Raises LanguageError for a language that the corpus has not, TextError for a
    set that names one twice."""
    lines = [line for one in given for line in (Path(one).read_text(encoding="utf-8").split() if Path(one).is_file() else [one])]
    found = [tuple(line.split("+")) for line in lines]
    for some in found:
        for code in some:
            check_known(code, known)
        if len(set(some)) < len(some):
            raise TextError(f"The set {'+'.join(some)} names a language twice.")
    return found


def check_known(code: str, known: Sequence[str]) -> str:
    """The code, if the corpus has it. Raises LanguageError."""
    if code not in known:
        raise LanguageError(f"The corpus has no language {code!r}. {suggest(code, known)}")
    return code


def selected(
    corpus: Corpus,
    *,
    out: Path | None = None,
    shard: tuple[int, int] = (1, 1),
    mode: Mode = "joint",
    seeds: int = 1,
    languages: Sequence[str] | None = None,
    sets: Sequence[str] = (),
    only: Sequence[str] | None = None,
) -> list[Cell]:
    """The cells that a command is asked for. only: their names, of all seeds that the grid in `out` was asked for, in this order.

    Raises LanguageError for a language that the corpus has not, RecipeError for no such shard or cell.
    """
    chosen = {check_known(code, corpus.languages) for code in (corpus.languages if languages is None else languages)}
    first, every = shard
    if not 1 <= first <= every:
        raise RecipeError(f"--shard {first}/{every}: the first number is from 1 to the second.")
    if only is not None and out is not None:
        seeds = max(seeds, read_plan(out).get("seeds", 1))
    all_cells = cells(corpus.languages, mode, seeds, read_sets(sets, corpus.languages))
    wanted = all_cells if only is None else named(only, all_cells)
    return [one for one in wanted if set(one.languages) <= chosen][first - 1 :: every]


def named(names: Sequence[str], known: Sequence[Cell]) -> list[Cell]:
    """Cells by their names, languages that are joined by + in any order. Raises RecipeError for one that there is not."""
    table = {one.name: one for one in known}
    found: dict[Cell, None] = {}
    for name in names:
        languages, dot, seed = name.rpartition(".")
        chosen = table.get("+".join(sorted(languages.split("+"))) + dot + seed)
        if chosen is None:
            close = difflib.get_close_matches(name, table, n=1)
            raise RecipeError(
                f"The grid has no cell {name!r}. {f'Did you mean {close[0]!r}? ' if close else ''}"
                "A name ends in a seed (see --seeds) and is of one language or two as --mode trains them, or of a set given with --sets."
            )
        found[chosen] = None
    return list(found)


def settings_of(corpus: Corpus, mode: Mode, recipe: str, changes: Sequence[str]) -> dict[str, Any]:
    """Of a Kit: what cells are trained by. Raises RecipeError for an unknown key or value."""
    own, theirs = by_recipe.split(changes) if recipe else (list(changes), [])
    settings = changed(GridSettings, {}, own)
    for code in settings.choose_epochs:
        check_known(code, corpus.languages)
    facts = {"corpus": corpus.fingerprint, "settings": settings.model_dump(mode="json")}
    if recipe:
        chosen, theirs = by_recipe.checked(recipe, theirs, mode, corpus)
        facts["by"] = chosen.model_dump(mode="json", exclude={"tokenizer": {"read"}})
    return {"settings": settings, "recipe": fingerprint(facts), "by": recipe, "changes": tuple(theirs), "mode": mode}


def open_grid(corpus: Corpus, out: Path, seeds: int, sets: Sequence[Sequence[str]], keep_models: bool, made: dict[str, Any]) -> Kit:
    """The grid below `out`, begun or gone on with. made: of `settings_of`. Raises RunError where it is one of another
    corpus, mode or settings."""
    settings: dict[str, Any] = made["settings"].model_dump(mode="json")
    facts = {"corpus": corpus.fingerprint, "mode": made["mode"], "settings": settings, "recipe": made["recipe"]}
    before = read_plan(out) or facts
    if any(before[name] != facts[name] for name in facts):
        other = [f"{key} = {value!r}" for key, value in before["settings"].items() if value != settings.get(key)]
        was = ["on another corpus"] * (before["corpus"] != facts["corpus"]) + [f"in mode {before['mode']}"] * (
            before["mode"] != facts["mode"]
        )
        was += [f"with {', '.join(other)}"] if other else []
        raise RunError(
            f"{out} is a grid that was run {' and '.join(was) or 'by another recipe'}. Ask for the same, or choose another --out."
        )
    facts |= {"languages": list(corpus.languages), "seeds": max(seeds, before.get("seeds", 1)), "by": made["by"]}
    facts["sets"] = [list(some) for some in sorted({*map(tuple, before.get("sets", [])), *map(tuple, sets)})]
    write_json(out / "grid.json", facts)
    wanted = cells(corpus.languages, made["mode"], facts["seeds"], facts["sets"])
    of_sets = [cell(*some, mode=made["mode"], seed=seed) for seed in range(facts["seeds"]) for some in facts["sets"]]
    kept = wanted if keep_models else [*of_sets, *(one for one in map(previous, wanted) if one is not None)]
    return Kit(out, corpus, keeps=frozenset(one.name for one in kept), **made)


def check_record(kit: Kit, one: Cell) -> None:
    """Raises RunError where a cell was run with other settings or on another corpus."""
    if (kit.folder(one) / "record.json").exists() and (record := read_record(kit.folder(one))).recipe != kit.recipe:
        raise RunError(
            f"{kit.folder(one)} was run with other settings or on another corpus (recipe {record.recipe[:8]}, not {kit.recipe[:8]}). "
            "Remove it, and it is run again; or choose another --out."
        )


def run(
    corpus: str | Path,
    *,
    out: str | Path,
    engine: Engine = "local",
    together: int = 8,
    ray: RayOptions | None = None,
    shard: tuple[int, int] = (1, 1),
    mode: Mode = "joint",
    seeds: int = 1,
    languages: Sequence[str] | None = None,
    sets: Sequence[str] = (),
    only: Sequence[str] | None = None,
    recipe: str = "",
    changes: Sequence[str] = (),
    keep_models: bool = False,
    retries: int = 1,
    told: Told = lambda line: None,
) -> Outcome:
    """Run the cells of a grid that are not there yet, and say what became of them.

    engine: local, one by one in this process; batched, `together` of them as one program; ray. shard: (i, n), every n-th cell from the i-th
    on. languages: only cells of these. sets: A+B+C, or a file of such lines. only: cells of these names, in this order. recipe: what trains
    cells instead of the settings. changes: K=V, as --set. Raises LingraftError where something the user gave is wrong, Interrupted after a
    signal; what fails in a cell is noted.
    """
    found = read(corpus)
    mine = selected(found, out=Path(out), shard=shard, mode=mode, seeds=seeds, languages=languages, sets=sets, only=only)
    made = settings_of(found, mode, recipe, changes)
    if engine == "batched" and (recipe or made["settings"].optimizer != "adamw"):
        raise RecipeError("--engine batched trains the grid's own models, with optimizer = 'adamw'. Use --engine local or ray.")
    with locked(Path(out), waits=True):
        kit = open_grid(found, Path(out), seeds, read_sets(sets, found.languages), keep_models, made)
    for one in mine:
        check_record(kit, one)
    missing = [one for one in mine if not kit.is_done(one)]
    outcome = Outcome([one.name for one in mine], len(mine) - len(missing))
    if missing:
        kit.prepare()
        choose_epochs(kit)
    if engine == "ray" and missing:
        run_on_ray(kit, missing, outcome, retries, told, ray or RayOptions())
    else:
        groups = chunks(mine, together) if engine == "batched" else [[one] for one in missing]
        run_here(kit, [group for group in groups if not all(map(kit.is_done, group))], outcome, retries, told)
    return outcome
