"""`lingraft lexicon`."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

STARTS = ("identical", "unsupervised")
REMEDY = "Start from a lexicon, try another --seed, or give vectors trained on more text, of like content in both languages."

app = typer.Typer(help="Make bilingual lexicons.", no_args_is_help=True)
Vectors = Annotated[Path, typer.Argument(help="Word vectors, the most frequent words first: .vec, .txt or .bin; also .gz, .xz, .zst.")]
Method = Literal["self-learning", "adversarial", "procrustes"]


@app.callback()
def _lexicon() -> None:
    """Make bilingual lexicons."""


@app.command()
def induce(
    source: Vectors,
    target: Vectors,
    out: Annotated[Path, typer.Option("--out", help="Lexicon to write: source TAB target TAB CSLS; also .gz.", metavar="FILE")],
    start: Annotated[str, typer.Option(help="identical (strings), unsupervised, or a lexicon's file.", metavar="START")] = "identical",
    method: Annotated[Method, typer.Option(help="adversarial needs no start; a start that is given only tests it.")] = "self-learning",
    mode: Annotated[
        Literal["orthogonal", "full"] | None,
        typer.Option(help="full weights directions by agreement (default); orthogonal only turns (procrustes' default)."),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="The nearest of every source word, not only mutual ones.")] = False,
    evaluate: Annotated[Path | None, typer.Option(help="Lexicon to measure P@1, P@5 and P@10 against.", metavar="FILE")] = None,
    max_words: Annotated[int, typer.Option(min=1, help="Words to read of each side.")] = 50_000,
    seed: Annotated[int, typer.Option(help="Of whatever is drawn.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object at the end.")] = False,
) -> None:
    """Map two spaces of word vectors into one, and write the pairs of words that are each other's nearest by CSLS.

    Where the map cannot be trusted nothing is written.
    """
    import json
    import time

    from lingraft.errors import TextError
    from lingraft.text.lexicon import read_lexicon, write_lexicon
    from lingraft.vectors.induction import entries, precision, translations
    from lingraft.vectors.mapping import map_spaces
    from lingraft.vectors.static import read_vectors

    began = time.perf_counter()
    _check_place(out, [source, target, Path(start), *([evaluate] if evaluate else [])])
    gold = read_lexicon(evaluate) if evaluate else None
    begin: Any = start if start in STARTS else [(one, other) for one, other, _ in read_lexicon(start)]
    mode = mode or ("orthogonal" if method == "procrustes" else "full")
    sides = read_vectors(source, max_words), read_vectors(target, max_words)
    mapping = map_spaces(*sides, start=begin, method=method, mode=mode, seed=seed)
    if not mapping.trust.reliable:
        raise TextError(f"The two spaces could not be mapped onto one another, and nothing was written: {mapping.trust.reason}. {REMEDY}")
    found = translations(*sides, mapping)
    measured = precision(*sides, found, gold) if gold else {}
    pairs = entries(*sides, found, every=every)
    write_lexicon(out, pairs)
    facts = {"out": str(out), "pairs": len(pairs), "method": method, "start": start, "mode": mode}
    facts |= {"source_words": len(sides[0].words), "target_words": len(sides[1].words)}
    facts |= {**mapping.trust.measures(), **measured, "seconds": round(time.perf_counter() - began, 2)}
    print(json.dumps(facts) if as_json else _told(facts))


def _check_place(out: Path, inputs: list[Path]) -> None:
    """Raise RunError where the lexicon would overwrite something that it is made from."""
    from lingraft.errors import RunError

    if out.is_dir() or out.resolve() in [path.resolve() for path in inputs]:
        raise RunError(f"--out {out} is {'a folder' if out.is_dir() else 'one of the inputs'}. Give another file.")


def _told(facts: dict[str, Any]) -> str:
    """What was found, as a person reads it."""
    said = (
        f"{facts['out']}: {facts['pairs']:,} pairs; mean CSLS {facts['mean_csls']:.3f}, cycle consistency {facts['cycle_consistency']:.1%}"
    )
    if "p_at_1" in facts:
        said += "; " + ", ".join(f"P@{count} {facts[f'p_at_{count}']:.1%}" for count in (1, 5, 10)) + f", coverage {facts['coverage']:.1%}"
    return said
