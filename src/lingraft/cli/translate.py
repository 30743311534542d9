"""`lingraft translate`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer


def translate(
    run: Annotated[str, typer.Argument(help="A run (of trelm), or a masked language model that knows both languages.")],
    text: Annotated[Path, typer.Option("--text", help="What to translate, line by line; .gz, .xz and .zst too.", metavar="FILE")],
    to_source: Annotated[bool, typer.Option("--to-source", help="From the target's language into the source's.")] = False,
    evaluation: Annotated[
        Path | None, typer.Option("--eval", help="Reference translations, line by line: score with BLEU.", metavar="FILE")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Write the translations there; .gz too.", metavar="FILE")] = None,
    phase: Annotated[
        str, typer.Option("--phase", help="The phase to read (default: the last of cdlm in this direction).", metavar="NAME")
    ] = "",
    language: Annotated[str, typer.Option(help="Of what comes out, where the folder does not say.", metavar="CODE")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Read translations off a model, word for word: a probe of what it knows of two languages, not a translator."""
    import json
    import sys

    from lingraft.translation import NOTE
    from lingraft.translation import translate as run_translation

    print(f"lingraft: {NOTE}", file=sys.stderr)
    answer = run_translation(
        run, text=text, reference=evaluation, out=out, to_source=to_source, phase=phase, language=language
    )  # fmt: skip
    if as_json:
        print(json.dumps(answer, ensure_ascii=False))
        return
    for line in answer.get("translations", ()):
        print(line)
    if answer.get("scores"):
        _table(answer, sys.stdout if out else sys.stderr)
    if out:
        print(f"{answer['lines']:,} lines in {out}")


def _table(answer: Mapping[str, Any], file: Any) -> None:
    """Print BLEU beside that of the input itself."""
    from rich.console import Console
    from rich.table import Table

    table = Table("n", "BLEU-n", "the input's", "n-gram precision", "the input's")
    scores, copied = answer["scores"], answer["baseline"]
    for n in range(1, 5):
        table.add_row(str(n), *(f"{values[f'{name}_{n}']:.1f}" for name in ("bleu", "precision") for values in (scores, copied)))
    console = Console(file=file)
    console.print(table)
    console.print(answer["signature"], markup=False, highlight=False)
