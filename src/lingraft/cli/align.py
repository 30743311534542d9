"""`lingraft align`."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from lingraft.text.parallel import Parallel
    from lingraft.vectors.alignment import Aligner, Links

Model = Literal["fast_align", "eflomal", "hmm", "ibm1", "ibm2"]
Symmetrisation = Literal["forward", "reverse", "intersection", "union", "grow", "grow-diag", "grow-diag-final", "grow-diag-final-and"]


def align(
    files: Annotated[
        list[str], typer.Argument(help="Parallel text: source TAB target, also .gz, .xz, .zst; bundled:en-de.", metavar="TSV")
    ],
    out: Annotated[Path, typer.Option("--out", help="Links to write, a line for each line of text: 0-0 1-2 …", metavar="FILE")],
    model: Annotated[Model | None, typer.Option("--model", help="What learns from the text (default: fast_align).")] = None,
    symmetrise: Annotated[Symmetrisation | None, typer.Option(help="How to join directions (default: grow-diag-final-and).")] = None,
    iterations: Annotated[int | None, typer.Option(min=1, help="Of training (default: 5); eflomal finds its own number.")] = None,
    save: Annotated[Path | None, typer.Option("--save", help="Keep the trained aligner in this folder.", metavar="DIR")] = None,
    load: Annotated[Path | None, typer.Option("--load", help="Train nothing: use a kept aligner.", metavar="DIR")] = None,
    encoder: Annotated[str | None, typer.Option(help="Train nothing: use a multilingual encoder's states.", metavar="MODEL")] = None,
    layer: Annotated[int | None, typer.Option(min=0, help="Of the encoder (default: two thirds up).")] = None,
    errors: Annotated[Literal["strict", "replace"], typer.Option(help="Invalid UTF-8: strict stops, replace goes on.")] = "strict",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object at the end.")] = False,
) -> None:
    """Link the words of parallel text to those of its translation, and write the links in Pharaoh format.

    Words stand between white space; in scripts without spaces every character is one. A line that cannot be aligned, because a side is
    empty or too long, gets an empty line.
    """
    import json
    import time

    from lingraft.files import atomic_write
    from lingraft.text.parallel import resolve_parallel
    from lingraft.vectors.alignment import pharaoh

    _check(model, symmetrise, iterations, save, load, encoder, layer)
    began, parallel = time.perf_counter(), resolve_parallel(files, errors=errors)
    _check_places(parallel, out, save)
    facts: dict[str, Any] = {"out": str(out), "pairs": parallel.survey.pairs, "links": 0, "empty_lines": 0}
    if encoder:
        facts["encoder"] = encoder
        found = _by_encoder(parallel, encoder, layer)
    else:
        aligner = _aligner(parallel, model, symmetrise, iterations, load)
        facts |= {"model": aligner.settings.model, "symmetrisation": aligner.settings.symmetrisation}
        found = aligner.align(_words(parallel))
    with atomic_write(out) as temporary, temporary.open("w", encoding="utf-8") as file:
        for links in found:
            file.write(pharaoh(links) + "\n")
            facts["links"] += len(links)
            facts["empty_lines"] += not links
    if save:
        aligner.save(save)
    facts["seconds"] = round(time.perf_counter() - began, 2)
    print(
        json.dumps(facts) if as_json else f"{out}: {facts['pairs']:,} pairs, {facts['links']:,} links, {facts['empty_lines']:,} empty lines"
    )


def _check(
    model: str | None,
    symmetrise: str | None,
    iterations: int | None,
    save: Path | None,
    load: Path | None,
    encoder: str | None,
    layer: int | None,
) -> None:
    """Raise RunError for options that contradict each other."""
    from lingraft.errors import RunError

    training = {"--model": model, "--iterations": iterations, "--save": save}
    apart = [("--load", load, training), ("--encoder", encoder, training | {"--load": load, "--symmetrise": symmetrise})]
    for name, given, others in apart:
        if given is not None and (wrong := [other for other, value in others.items() if value is not None]):
            raise RunError(f"With {name} nothing is trained, so {' and '.join(wrong)} cannot be used. Leave one of them out.")
    if layer is not None and encoder is None:
        raise RunError("--layer is a layer of the --encoder, and none is given.")


def _check_places(parallel: "Parallel", out: Path, save: Path | None) -> None:
    """Raise RunError where something would be overwritten that should not be."""
    from lingraft.errors import RunError

    if out.is_dir() or out.resolve() in [Path(place).resolve() for place in parallel.places]:
        raise RunError(f"--out {out} is {'a folder' if out.is_dir() else 'the text itself'}. Give another file.")
    if save and (save.is_file() or (save.is_dir() and any(save.iterdir()))):
        raise RunError(f"--save {save} is there already. Give a folder that does not exist.")


def _words(parallel: "Parallel") -> Iterator[tuple[list[str], list[str]]]:
    """The words of every row."""
    from lingraft.text.words import word_spans

    for source, target in parallel.rows():
        yield [source[start:end] for start, end in word_spans(source)], [target[start:end] for start, end in word_spans(target)]


def _aligner(parallel: "Parallel", model: Model | None, how: Symmetrisation | None, iterations: int | None, load: Path | None) -> "Aligner":
    """A kept aligner, or one trained on the text."""
    from lingraft.vectors.alignment import Aligner, AlignmentSettings, train_aligner

    if load:
        return Aligner.load(load, how)
    given = {"model": model, "symmetrisation": how, "iterations": iterations}
    return train_aligner(_words(parallel), AlignmentSettings(**{name: value for name, value in given.items() if value is not None}))


def _by_encoder(parallel: "Parallel", name: str, layer: int | None) -> "Iterator[Links]":
    """Links by an encoder's states. Raises ModelError where the model is none, or has no such layer."""
    from lingraft.errors import ModelError
    from lingraft.model.load import kind_of, load_config, load_model, load_tokenizer
    from lingraft.model.parts import longest_input
    from lingraft.vectors.contextual import contextual_links

    config = load_config(name)
    if kind_of(config) != "mlm":
        raise ModelError(f"{name!r} is not an encoder: a decoder's states know nothing of what follows. Name one such as xlm-roberta-base.")
    if layer is not None and layer > config.num_hidden_layers:
        raise ModelError(f"{name!r} has layers 0 to {config.num_hidden_layers}, not {layer}.")
    model = load_model(name, "mlm", seed=0)[0]
    return contextual_links(model.base_model, load_tokenizer(name), parallel.rows(), layer, longest_input(model))
