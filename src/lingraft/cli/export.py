"""`lingraft export`."""

from pathlib import Path
from typing import Annotated

import typer


def export(
    run: Annotated[str, typer.Argument(help="A run with TRILayer or language embeddings, or a folder of its model.", metavar="RUN")],
    stock: Annotated[
        str,
        typer.Option(
            help="folded: the same function, where the last phase had mid_embeddings = false; without-trilayer: the layer dropped."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the stock model.", metavar="DIR")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Turn a model with TRILayer and language embeddings into one that stock transformers reads without lingraft."""
    import json

    from lingraft.export import export as run_export

    told = run_export(run, stock=stock, out=out)
    if as_json:
        print(json.dumps(told, ensure_ascii=False))
        return
    print(f"model   {out}: {told['family']}, {told['layers']} layers, for {told['language']}")
