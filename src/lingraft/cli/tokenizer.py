"""`lingraft tokenizer`."""

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

app = typer.Typer(help="Train and measure tokenizers.", no_args_is_help=True)
Text = Annotated[list[str], typer.Option("--text", help="What `lingraft transfer --text` takes.", metavar="PATH")]
Code = Annotated[str, typer.Option("--to", help="Language of the text.", metavar="CODE")]


@app.command()
def train(
    source: Annotated[str, typer.Argument(help="Model or tokenizer whose special tokens it shares: a folder or a hub id.")],
    to: Code,
    text: Text,
    out: Annotated[Path, typer.Option("--out", help="Folder to write.", metavar="DIR")],
    size: Annotated[int, typer.Option(min=16, help="Tokens, specials included.")] = 32000,
    algorithm: Annotated[Literal["same", "wordpiece", "unigram", "bpe"], typer.Option(help="same: as the source's.")] = "same",
    lowercase: Annotated[bool, typer.Option("--lowercase", help="Fold case.")] = False,
    extend: Annotated[bool, typer.Option("--extend", help="Train the source's further: so many tokens behind its own.")] = False,
) -> None:
    """Train a tokenizer on text."""
    from lingraft.errors import RunError
    from lingraft.files import atomic_folder
    from lingraft.model.load import load_tokenizer
    from lingraft.text.corpus import TextSettings, resolve
    from lingraft.tokenizer.prepare import prepare
    from lingraft.tokenizer.settings import TokenizerSettings

    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise RunError(f"--out {out} is there already. Give a folder that does not exist.")
    corpus = resolve(text, to, settings=TextSettings(), spool=None)
    settings = TokenizerSettings(vocabulary="extend" if extend else "replace", algorithm=algorithm, size=size, lowercase=lowercase)
    lines = (line for document in corpus.documents() for line in document.lines)
    with atomic_folder(out) as temporary:
        tokenizer = prepare(lines, settings, load_tokenizer(source))
        tokenizer.save_pretrained(temporary)
    print(f"{out}: {len(tokenizer)} tokens")


@app.command()
def measure(
    tokenizer: Annotated[str, typer.Argument(help="Tokenizer: a folder or a hub id.")],
    to: Code,
    text: Text,
    source: Annotated[str | None, typer.Option("--source", help="Also measure the overlap with this one.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Fertility, bytes per token, unknown rate, overlap."""
    from lingraft.model.load import load_tokenizer
    from lingraft.text.corpus import TextSettings, resolve
    from lingraft.tokenizer.measure import measure as measure_tokenizer

    corpus = resolve(text, to, settings=TextSettings(), spool=None)
    found = measure_tokenizer(load_tokenizer(tokenizer), corpus.documents(), load_tokenizer(source) if source else None)
    print(json.dumps(found) if as_json else "\n".join(f"{name:20} {value}" for name, value in found.items()))
