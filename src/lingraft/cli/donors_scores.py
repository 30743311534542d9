"""`lingraft donors scores`."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

WIDEST = 25
"""Languages of which F is printed as a table; a wider one would not fit a screen."""


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
    from rich.table import Table

    codes = sorted(told["D"], key=lambda code: -told["D"][code]["mean"])
    margins = Table("language", "type", *(_right(name) for name in ("D", "R", "alone (MRR)")))
    for code in codes:
        alone = told["languages"][code].get("monolingual")
        kind = told["types"].get(code, "") + ("" if told["sure"].get(code) else "?")
        numbers = [_percent(told["D"][code]), _percent(told["R"].get(code)), f"{alone['mean']:.3f}" if alone else ""]
        margins.add_row(f"{code} {told['languages'][code]['name']}", kind, *numbers)
    Console().print(margins)
    print("D, R: sums over the other languages of F, in percent, with 95 % intervals. ?: an interval holds 0.\n")
    if len(codes) <= WIDEST:
        table = Table("F, %", *map(_right, codes))
        for source in codes:
            row = told["F"].get(source, {})
            table.add_row(source, *(f"{100 * row[target]['mean']:+.1f}" if target in row else "" for target in codes))
        Console().print(table)
        print("Row: the language that helps. Column: the language that is helped.\n")
    for line in [*told["notes"], *(finding["says"] for finding in told["findings"].values())]:
        print(f"- {line}")
    if told["missing"]:
        print(f"- Missing: {', '.join(told['missing'][:10])}{' …' if len(told['missing']) > 10 else ''}.")
    print(grid / "scores")


def _right(name: str) -> Any:
    from rich.table import Column

    return Column(name, justify="right")


def _percent(number: dict[str, Any] | None) -> str:
    if number is None:
        return ""
    return f"{100 * number['mean']:+.1f} ({100 * number['low']:+.1f} to {100 * number['high']:+.1f})" + ("*" if number["scaled"] else "")
