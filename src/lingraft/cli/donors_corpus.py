"""`lingraft donors corpus`."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer


def corpus(
    languages: Annotated[str, typer.Option("--languages", help="Codes, with commas between.", metavar="A,B,…")],
    text: Annotated[
        list[str],
        typer.Option(
            "--text",
            help="Folder of CODE.txt, CODE.tsv (id, tab, text) or Wikipedia dumps CODEwiki-*.xml.bz2; bundled; or a path or hub: data set "
            "with {} for the code. Repeats.",
            metavar="DIR_OR_NAME",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder to write.", metavar="DIR")],
    characters: Annotated[int | None, typer.Option("--characters", min=1, help="Of each language, to train on.")] = None,
    num_bytes: Annotated[int | None, typer.Option("--bytes", min=1, help="Instead: bytes of UTF-8.")] = None,
    segments: Annotated[int | None, typer.Option("--segments", min=1, help="Instead: parallel segments, the same in each.")] = None,
    held_out: Annotated[float, typer.Option(min=0.001, max=1, help="Share of that amount held out beside it, to score.")] = 0.05,
    vocabulary: Annotated[int, typer.Option(min=16, help="Tokens of the one tokenizer over all languages.")] = 32000,
    algorithm: Annotated[Literal["wordpiece", "unigram", "bpe"], typer.Option(help="How the tokenizer is trained.")] = "wordpiece",
    seed: Annotated[int, typer.Option(help="Of whatever is drawn.")] = 0,
    full_text: Annotated[float, typer.Option(min=1, help="Compare with a text at most so many times what is needed.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Take an equal amount of each language, train one tokenizer over all, and check how alike they are."""
    from lingraft.donors.corpus import build

    built = build(
        languages.split(","),
        text,
        out=out,
        characters=characters,
        bytes=num_bytes,
        segments=segments,
        held_out=held_out,
        vocabulary=vocabulary,
        algorithm=algorithm,
        seed=seed,
        full_text=full_text,
        tell=lambda what: print(what, file=sys.stderr, flush=True),
    )
    if as_json:
        print(json.dumps({"corpus": str(built.path)} | built.facts, ensure_ascii=False))
    else:
        _print(built.facts)
        print(built.path)


def _print(facts: dict[str, Any]) -> None:
    """The counts, the checks, and the sentences that are clearest in another language."""
    from rich.console import Console
    from rich.table import Table

    counts = Table("to train on", *(_column(name) for name in next(iter(facts["counts"].values()))))
    checks = Table(
        "earth mover's distance", *map(_column, next(iter(facts["distances"].values()))), _column("other script"), _column("other language")
    )
    for code, row in facts["counts"].items():
        counts.add_row(code, *(f"{value:,}" for value in row.values()))
        mixed = facts["contamination"][code]
        moved = (f"{each['distance']:.3f} ({each['normalised']:.5f})" for each in facts["distances"][code].values())
        checks.add_row(code, *moved, _percent(mixed["other_script"]), _percent(mixed["share"]))
    for table in (counts, checks):
        Console().print(table)
    print(_correlation(facts["correlation"]))
    for code, mixed in facts["contamination"].items():
        if mixed["as"]:
            print(f"{code} looks like " + ", ".join(f"{other} {count:,}×" for other, count in mixed["as"].items()), end="")
            print(f" in {mixed['sentences']:,} sentences; clearest: {mixed['examples'][0][1][:100]}")


def _column(name: str) -> Any:
    from rich.table import Column

    return Column(name.replace("_", " "), justify="right")


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.2%}"


def _correlation(found: dict[str, Any]) -> str:
    if found["r"] is None:
        return f"tokens against distinct tokens: no correlation of {found['n']} languages"
    low, high = found["low"], found["high"]
    return f"tokens against distinct tokens: r = {found['r']:.2f} (95 % {low:.2f} to {high:.2f}) over {found['n']} languages"
