"""`lingraft xquad`."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(help="Make and measure question answering data in more languages, as XQuAD was made.", no_args_is_help=True)


@app.command()
def build(
    source: Annotated[Path, typer.Argument(help="Questions in SQuAD's layout: .json, also compressed.", metavar="SQUAD")],
    out: Annotated[Path, typer.Option("--out", help="Folder to write.", metavar="DIR")],
    seed: Annotated[int, typer.Option(min=0, help="Of the sample.")] = 0,
    paragraphs: Annotated[int, typer.Option(min=1, help="Paragraphs of each document; documents with fewer are left out.")] = 5,
    batches: Annotated[int, typer.Option(min=1, help="Translators' files; a document is in one of them only.")] = 10,
    documents: Annotated[int, typer.Option(min=1, help="Documents, at most.")] = 48,
) -> None:
    """Sample paragraphs and write files for translators, with answers between marks."""
    from lingraft.errors import RunError
    from lingraft.evaluate.xquad import build as build_batches

    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise RunError(f"--out {out} is there already. Give a folder that does not exist.")
    counts = build_batches(source, out, seed, paragraphs, batches, documents)
    print(f"{out}: " + ", ".join(f"{count} {name}" for name, count in counts.items()))


@app.command()
def check(
    translated: Annotated[list[Path], typer.Argument(help="Translators' files, or the folder of all.", metavar="TRANSLATED…")],
    source: Annotated[Path, typer.Option("--source", help="The folder that `lingraft xquad build` wrote.", metavar="DIR")],
    out: Annotated[Path, typer.Option("--out", help="SQuAD JSON to write.", metavar="FILE")],
) -> None:
    """Check translators' files, and write SQuAD JSON where all is well; else list what is wrong (exit status 2)."""
    from lingraft.errors import RunError, TextError
    from lingraft.evaluate.xquad import as_squad
    from lingraft.evaluate.xquad import check as check_files
    from lingraft.files import write_json

    if out.is_dir() or out.resolve() in [path.resolve() for path in translated]:
        raise RunError(f"--out {out} is {'a folder' if out.is_dir() else 'one of the inputs'}. Give another file.")
    found, problems = check_files(translated, source)
    if problems:
        faults = "1 fault" if len(problems) == 1 else f"{len(problems)} faults"
        raise TextError("\n".join([f"{faults} to correct; nothing was written.", *problems]))
    squad = as_squad(found)
    write_json(out, squad)
    num_paragraphs = sum(len(document["paragraphs"]) for document in squad["data"])
    print(f"{out}: {len(squad['data'])} documents, {num_paragraphs} paragraphs, no faults")


@app.command()
def stats(
    files: Annotated[list[Path], typer.Argument(help="Questions in SQuAD's layout, named as xquad.de.json.", metavar="FILE…")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Average numbers of tokens of paragraphs, questions and answers (Artetxe et al. 2020, table 5)."""
    from lingraft.evaluate.xquad_stats import measure

    found = [measure(path) for path in files]
    print(json.dumps({"files": found}) if as_json else _told(found))


def _told(found: list[dict[str, Any]]) -> str:
    """The paper's table: a column for each language."""
    rows = [["", *(each["language"] or Path(each["file"]).name for each in found)]]
    rows += [[name.capitalize(), *(f"{each[name]:.1f}" for each in found)] for name in ("paragraph", "question", "answer")]
    wide = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.rjust(size) if place else cell.ljust(size) for place, (cell, size) in enumerate(zip(row, wide, strict=True)))
        for row in rows
    ]
    return "\n".join([*lines, "Tokens: " + "; ".join(dict.fromkeys(each["tokens"] for each in found)) + "."])
