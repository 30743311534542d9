"""Seconds and peak memory of word alignment: training, then links of all pairs, counted."""

import argparse
import json
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from common import Results, in_subprocess, names, parser, working_folder
from memory import peak_megabytes

REPLACED = 0.05  # share of the pieces that are others in made pairs, so that new ones go on standing together, as in text


def pairs_of(path: Path) -> Iterator[tuple[list[str], list[str]]]:
    """(source, target) pieces of every line of a file that `write_bundled` or `write_more` wrote."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            source, target = line.rstrip("\n").split("\t")
            yield source.split(), target.split()


def work(task: dict[str, Any]) -> dict[str, Any]:
    """Train on a file of pieces, align it, count the links."""
    import resource

    from lingraft.vectors.alignment import AlignmentSettings, link_counts, train_aligner

    path, sizes = Path(task["pieces"]), task["sizes"]
    settings, before, began = AlignmentSettings(model=task["model"]), peak_megabytes(), time.perf_counter()
    aligner = train_aligner(pairs_of(path), settings)
    trained, peak = time.perf_counter(), peak_megabytes()
    ids = (([int(piece) for piece in source], [int(piece) for piece in target]) for source, target in pairs_of(path))
    counts = link_counts(ids, aligner.align(pairs_of(path)), *sizes)
    return {
        "seconds_training": trained - began,
        "seconds_links": time.perf_counter() - trained,
        "cpu_seconds": sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)),
        "peak_mb_before": before,
        "peak_mb_training": peak,
        "peak_mb": peak_megabytes(),
        "peak_mb_of_processes": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e3,
        "links": int(counts.sum()),
        "linked_pieces": counts.nnz,
        "skipped": aligner.skipped,
    }


def write_bundled(folder: Path) -> tuple[Path, list[int]]:
    """The bundled English and German pairs in pieces of MiniLM's vocabulary and of a German one of 8,000; the sizes of the two."""
    from lingraft.demo import source_model
    from lingraft.model.load import load_tokenizer
    from lingraft.text.parallel import resolve_parallel
    from lingraft.tokenizer.settings import TokenizerSettings
    from lingraft.tokenizer.train import train

    english, pairs = load_tokenizer(source_model()), [*resolve_parallel(["bundled:en-de"]).pairs()]
    german = train((target for _, target in pairs), TokenizerSettings(size=8000), english)
    sides = [
        [" ".join(map(str, ids)) for ids in tokenizer([pair[side] for pair in pairs], add_special_tokens=False)["input_ids"]]
        for side, tokenizer in enumerate((english, german))
    ]
    path = folder / "pieces.tsv"
    path.write_text("".join(f"{source}\t{target}\n" for source, target in zip(*sides, strict=True)), encoding="utf-8")
    return path, [len(english), len(german)]


def write_more(bundled: Path, path: Path, count: int, seed: int = 0) -> None:
    """The pairs again and again until there are `count`: from the second time on shuffled a little, and some pieces are others."""
    generator, pairs = random.Random(seed), [*pairs_of(bundled)]
    others = [[piece for pair in pairs for piece in pair[side]] for side in (0, 1)]
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            pair = [list(side) for side in pairs[number % len(pairs)]]
            for side in (0, 1) if number >= len(pairs) else ():
                pair[side] = [generator.choice(others[side]) if generator.random() < REPLACED else piece for piece in pair[side]]
                places = sorted(range(len(pair[side])), key=lambda place: place + generator.uniform(0, 3))
                pair[side] = [pair[side][place] for place in places]
            file.write("\t".join(map(" ".join, pair)) + "\n")


def main() -> None:
    """Measure every model and number of pairs that is not measured yet."""
    from lingraft.vectors.alignment import Model

    options = parser(__doc__)
    options.add_argument("--pairs", type=lambda text: [int(count) for count in text.split(",")], default="0,1000000", help="0: the bundled")
    options.add_argument("--models", type=names(get_args(Model)), default="fast_align", help="separated by commas")
    options.add_argument("--worker", type=json.loads, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.worker:
        print(json.dumps(work(given.worker)))
        return
    results = Results("alignment", given.results)
    if not given.table:
        with working_folder(given.out) as folder:
            measure_all(results, given, folder)
    print(results.table())


def measure_all(results: Results, given: argparse.Namespace, folder: Path) -> None:
    """Write the pairs, and align them in a process of its own."""
    bundled, sizes = write_bundled(folder)
    for count in given.pairs:
        pieces = bundled
        for model in given.models:
            key = {"pairs": count or sum(1 for _ in pairs_of(bundled)), "model": model}
            if results.here(**key):
                continue
            if count and pieces == bundled:
                pieces = folder / f"pieces-{count}.tsv"
                write_more(bundled, pieces, count)
            results.add(key, in_subprocess(__file__, {"pieces": str(pieces), "sizes": sizes, "model": model}) or {})


if __name__ == "__main__":
    main()
