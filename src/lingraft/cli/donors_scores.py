"""`lingraft donors scores`."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

WIDEST = 25
"""Languages of which F is printed as a table; a wider one would not fit a screen."""

LINE = 200
"""Characters: rich would break cells to fit 80 where the output is a file."""

MOST_CELLS = 10
SHADES = ((-0.1, "bold red"), (0.0, "red"), (0.1, "default"), (0.55, "blue"), (float("inf"), "bold blue"))
"""How an F below a bound is shown in a terminal: the bounds of the categories of transfer, and 0."""


def scores(
    grid: Annotated[Path, typer.Argument(help="Folder of `lingraft donors run`.", metavar="DIR")],
    mode: Annotated[Literal["joint", "sequential"] | None, typer.Option(help="Whose pairs, where the grid has both.")] = None,
    draws: Annotated[int, typer.Option(min=100, help="Of the bootstrap.")] = 1000,
    seed: Annotated[int, typer.Option(help="Of the draws.")] = 0,
    plots: Annotated[bool, typer.Option(help="Draw pictures.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """How much every language helps every other: F, donation, recipience, blood types, with intervals."""
    import json

    from lingraft.donors.scores import scores as score

    told = score(grid, mode=mode, draws=draws, seed=seed, plots=plots)
    if as_json:
        print(json.dumps(told, ensure_ascii=False))
    else:
        _print(told, grid)


def _print(told: dict[str, Any], grid: Path) -> None:
    """Donation and recipience, F in percent, what follows from them, and where the files lie."""
    from rich.console import Console

    console = Console(width=LINE)
    console.print(_margins(told))
    print("D, R: sums over the other languages of F, in percent, with 95 % intervals. ?: an interval holds 0.")
    if any(number["scaled"] for side in (told["D"], told["R"]) for number in side.values()):
        print("*: pairs are missing; the mean of those there, times the full number.")
    print()
    if len(told["languages"]) <= WIDEST:
        console.print(_heat_map(told))
        print("Row: the language that helps. Column: the language that is helped. ·: not run.\n")
    for line in [*told["notes"], *(finding["says"] for finding in told["findings"].values())]:
        print(f"- {line}")
    for name in ("missing", "failed"):
        if cells := told[name]:
            print(f"- {name.capitalize()}: {', '.join(cells[:MOST_CELLS])}{' …' if len(cells) > MOST_CELLS else ''}.")
    print(grid / "scores")


def _margins(told: dict[str, Any]) -> Any:
    """D, R and type, the most donating language first."""
    from rich.table import Table

    table = Table("language", "type", *(_right(name) for name in ("D", "95 %", "R", "95 %", "alone (MRR)")))
    for code in _order(told, "D"):
        alone = told["languages"][code].get("monolingual")
        kind = f"{told['types'][code]}{'' if told['sure'][code] else '?'}" if code in told["types"] else ""
        numbers = [*_percent(told["D"].get(code)), *_percent(told["R"].get(code))]
        table.add_row(f"{code} {told['languages'][code]['name']}", kind, *numbers, f"{alone['mean']:.3f}" if alone else "not run")
    return table


def _heat_map(told: dict[str, Any]) -> Any:
    """F: a row a source, the most donating first; a column a target, the most recipient first."""
    from rich.table import Table
    from rich.text import Text

    columns = _order(told, "R")
    table = Table("F, %", *map(_right, columns), box=None, padding=(0, 1))
    for source in _order(told, "D"):
        row = [told["F"].get(source, {}).get(target, {}).get("mean") for target in columns]
        table.add_row(source, *(Text("·", "dim") if F is None else Text(f"{100 * F:+.0f}", _shade(F)) for F in row))
    return table


def _order(told: dict[str, Any], side: str) -> list[str]:
    """Languages by D or R, the highest first, those without it last."""
    return sorted(told["languages"], key=lambda code: -told[side][code]["mean"] if code in told[side] else float("inf"))


def _shade(F: float) -> str:
    return next(style for bound, style in SHADES if bound > F)


def _right(name: str) -> Any:
    from rich.table import Column

    return Column(name, justify="right", no_wrap=True)


def _percent(number: dict[str, Any] | None) -> tuple[str, str]:
    """A number and its interval."""
    if number is None:
        return "not run", ""
    return f"{100 * number['mean']:+.1f}{'*' if number['scaled'] else ''}", f"{100 * number['low']:+.1f} to {100 * number['high']:+.1f}"
