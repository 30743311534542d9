"""`lingraft probe`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer


def probe(
    model: Annotated[str, typer.Argument(help="A folder, a run or a hub id.")],
    name: Annotated[str, typer.Option("--probe", help="structural, wic, scws or syntactic.", metavar="NAME")],
    evaluation: Annotated[Path, typer.Option("--eval", help="What to score on; .gz too.", metavar="PATH")],
    out: Annotated[Path, typer.Option("--out", help="Folder for probe.json, predictions and pictures.", metavar="DIR")],
    train: Annotated[Path | None, typer.Option("--train", help="What structural and wic learn from.", metavar="PATH")] = None,
    development: Annotated[
        Path | None, typer.Option("--dev", help="Choose layers on this; without it on the last tenth of --train.", metavar="PATH")
    ] = None,
    language: Annotated[str, typer.Option(help="Language of the data, for the record.", metavar="CODE")] = "und",
    seeds: Annotated[int, typer.Option(min=1, help="Train the probe so many times, from seed 0 on.")] = 1,
    changes: Annotated[list[str] | None, typer.Option("--set", help="Change a setting, as in --set layers=[4].", metavar="K=V")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Ask a frozen model what it knows: syntax trees, word senses, similarity of words in context, grammaticality."""
    import json

    from lingraft.probing import probe as run_probe

    files: dict[str, Any] = {"train": train, "development": development, "evaluation": evaluation}
    result = run_probe(model, probe=name, **files, out=out, language=language, seeds=seeds, changes=changes)
    print(json.dumps(result, ensure_ascii=False)) if as_json else _table(result)


def _table(result: Mapping[str, Any]) -> None:
    """Print the scores, x 100, beside the baseline's."""
    from rich.console import Console
    from rich.table import Table

    table = Table(result["probe"], "x 100", "baseline")
    for name, score in result["scores"].items():
        deviation = "" if score["sd"] is None else f" ± {100 * score['sd']:.1f}"
        baseline = result["baseline"].get(name)
        table.add_row(name, f"{100 * score['mean']:.1f}{deviation}", "" if baseline is None else f"{100 * baseline:.1f}")
    Console().print(table)
    if "layer" in result:
        print(f"layer {result['layer']}")
