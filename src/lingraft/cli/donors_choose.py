"""`lingraft donors choose`."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer


def choose(
    grid: Annotated[Path, typer.Argument(help="What `lingraft donors run` wrote.", metavar="DIR")],
    code: Annotated[str | None, typer.Option("--for", help="Propose donors for this language, in the map or not.", metavar="CODE")] = None,
    size: Annotated[int, typer.Option(min=1, help="How many donors.", metavar="K")] = 4,
    number: Annotated[int | None, typer.Option("--next", min=1, help="Print the names of the cells to run next.", metavar="N")] = None,
    simulate: Annotated[
        bool,
        typer.Option(
            "--simulate", help="How soon the order of D and R is right if cells are run as --next says; draws DIR/scores/sampling.png."
        ),
    ] = False,
    text: Annotated[
        Path | None, typer.Option(help="Text in a language that is not in the map, one that --for names.", metavar="FILE")
    ] = None,
    corpus: Annotated[Path | None, typer.Option(help="With --text: the corpus that the map was made of.", metavar="CORPUS")] = None,
    features: Annotated[
        Path | None, typer.Option(help="What is known of languages that WALS does not have: .tsv or .csv.", metavar="FILE")
    ] = None,
    mode: Annotated[Literal["joint", "sequential"] | None, typer.Option(help="Whose pairs, where DIR has both kinds.")] = None,
    seed: Annotated[int, typer.Option(help="Of the random set, and of the orders that are simulated.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Propose donors for a language, or the cells to run next."""
    if sum([code is not None, number is not None, simulate]) != 1:
        raise typer.BadParameter("Give exactly one of --for, --next and --simulate.")
    if code is not None:
        from lingraft.donors.choose import choose as advise

        told = advise(grid, code, size, mode=mode, text=text, corpus=corpus, features=features, seed=seed)
        print(json.dumps(told, ensure_ascii=False)) if as_json else _print_donors(told)
        return
    from lingraft.donors import sampling

    if number is not None:
        names = [one.name for one in sampling.propose(grid, number, mode)]
        print(json.dumps({"cells": names}, ensure_ascii=False) if as_json else ",".join(names))
        return
    found = sampling.rehearse(grid, mode, seed)
    print(json.dumps(found, ensure_ascii=False)) if as_json else _print_table(found)


def _print_donors(told: dict[str, Any]) -> None:
    """The donors, the sets, and how far to trust them."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    compared = told["compared"]
    donors = Table(
        f"donors for {told['for']}", "", *map(_right, ("gain", "95 % interval", "features compared" if compared else "measured"))
    )
    for donor in told["donors"]:
        basis = (
            f"{compared['donors'][donor['code']]} of {compared['of']}" if compared else _percent(donor["F"]) if donor["measured"] else "no"
        )
        donors.add_row(donor["code"], donor["name"], *_gain(donor), basis)
    sets = Table("set", "languages", *map(_right, ("gain", "95 % interval")))
    for name, some in told["sets"].items():
        sets.add_row(name, " ".join(some["languages"]), *_gain(some))
    console.print(donors, sets)
    if not told["known"]:
        naive = {f"naive: {name}": quality for name, quality in told["error"]["naive"].items()}
        errors = Table("left out in turn", *map(_right, ("mean absolute error", "rank correlation of donors")))
        for name, quality in ({"model": told["error"]["model"]} | naive).items():
            errors.add_row(name, _percent(quality["mae"], ""), "" if quality["rank"] is None else f"{quality['rank']:.2f}")
        console.print(errors)
    print("\n".join([told["error"]["says"], *told["notes"]]))


def _print_table(found: dict[str, Any]) -> None:
    """Rank correlations by the fraction of pairs that were run."""
    from rich.console import Console
    from rich.table import Table

    columns = ("D, active order", "D, random order", "R, active order", "R, random order")
    table = Table(_right("fraction"), _right("pairs"), *map(_right, columns))
    for row in found["table"]:
        values = (f"{row[f'{order}_{name}']:.3f}" for name in "DR" for order in ("active", "random"))
        table.add_row(f"{row['fraction']:.2f}", str(row["pairs"]), *values)
    Console().print(table)
    print(f"Spearman's correlation with D and R of the whole map of {found['languages']} languages, mean of {found['orders']} orders.")


def _right(name: str) -> Any:
    from rich.table import Column

    return Column(name, justify="right")


def _percent(share: float, sign: str = "+") -> str:
    return f"{share:{sign}.1%}"


def _gain(numbers: dict[str, Any]) -> tuple[str, str]:
    return _percent(numbers["gain"]), f"{_percent(numbers['low'])} to {_percent(numbers['high'])}"
