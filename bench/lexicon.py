"""Translations found by mapping English onto German word vectors: P@1, and seconds, of every start, method and mode."""

import argparse
import gzip
import json
import lzma
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from common import Results, in_subprocess, names, parser, working_folder

VECTORS = {"architecture": "skipgram", "dimension": 300, "epochs": 10, "min_count": 5, "ngrams": False}
SEEDS = {"en": 0, "de": 1}
CELLS = {
    "procrustes identical": {"method": "procrustes", "start": "identical"},
    "self-learning identical": {"method": "self-learning", "start": "identical"},
    "self-learning unsupervised": {"method": "self-learning", "start": "unsupervised"},
    "adversarial": {"method": "adversarial", "start": "unsupervised"},
    "self-learning identical (German shuffled)": {"method": "self-learning", "start": "identical", "control": "shuffled"},
    "self-learning identical (noise for German)": {"method": "self-learning", "start": "identical", "control": "noise"},
    "self-learning unsupervised (noise for German)": {"method": "self-learning", "start": "unsupervised", "control": "noise"},
    "adversarial (noise for German)": {"method": "adversarial", "start": "unsupervised", "control": "noise"},
}
MODES = ("orthogonal", "full")


def lines(data: Path, code: str) -> Iterator[str]:
    """Office help, Bible and PHP's manual in a language."""
    for folder in ("lohelp", "bible"):
        with gzip.open(data / "parallel" / folder / f"{code}.tsv.gz", "rt", encoding="utf-8") as file:
            yield from (line.rstrip("\n").partition("\t")[2] for line in file)
    with lzma.open(data / "text" / f"{code}.phpdoc.txt.xz", "rt", encoding="utf-8") as file:
        yield from file


def train(task: dict[str, Any]) -> dict[str, Any]:
    """Vectors of the lower-cased words of a language, saved."""
    from lingraft.text.words import word_tokens
    from lingraft.vectors.static import VectorSettings, train_vectors

    began, data = time.perf_counter(), Path(task["data"])
    sentences = [word_tokens(line.lower()) for line in lines(data, task["code"])]
    vectors = train_vectors(sentences, VectorSettings(**VECTORS), task["seed"])
    vectors.save(Path(task["vectors"]))
    return {"words": len(vectors.words), "tokens": sum(map(len, sentences)), "seconds": time.perf_counter() - began}


def map_and_measure(task: dict[str, Any]) -> dict[str, Any]:
    """Map, find the translations of all words, and measure them, whether the map is to be trusted or not; controls without seconds."""
    from lingraft.text.lexicon import read_lexicon
    from lingraft.vectors.induction import precision, translations
    from lingraft.vectors.mapping import map_spaces
    from lingraft.vectors.static import read_vectors

    source, target = (read_vectors(place) for place in task["vectors"])
    control = task.get("control")
    if control:
        target = disturbed(target, control)
    began = time.perf_counter()
    mapping = map_spaces(source, target, start=task["start"], method=task["method"], mode=task["mode"])
    mapped = time.perf_counter()
    found = translations(source, target, mapping)
    seconds = {"seconds_mapping": mapped - began, "seconds_retrieval": time.perf_counter() - mapped}
    lexicon = read_lexicon(Path(task["data"]) / "lexicons" / "wiktionary" / "en-de.tsv.gz")
    return {**precision(source, target, found, lexicon), **({} if control else seconds), **mapping.trust.measures()}


def disturbed(vectors: Any, control: str) -> Any:
    """The same words with others' vectors, or with random ones."""
    import numpy as np

    from lingraft.vectors.static import Vectors

    numbers = np.random.default_rng(0)
    matrix = numbers.permutation(vectors.matrix) if control == "shuffled" else numbers.normal(size=vectors.matrix.shape).astype(np.float32)
    return Vectors(vectors.words, matrix)


def work(task: dict[str, Any]) -> dict[str, Any]:
    """One task, in a process of its own."""
    return train(task) if "code" in task else map_and_measure(task)


def main() -> None:
    """Train the vectors where they are not there yet, then measure every cell that is not measured yet."""
    options = parser(__doc__)
    options.add_argument("--data", type=Path, metavar="DIR", help="folder with parallel/, text/ and lexicons/")
    options.add_argument("--cells", type=names(CELLS), default=list(CELLS), help="separated by commas")
    options.add_argument("--modes", type=names(MODES), default=list(MODES), help="separated by commas")
    options.add_argument("--worker", type=json.loads, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.worker:
        print(json.dumps(work(given.worker)))
        return
    results = Results("lexicon", given.results)
    if not given.table:
        if not given.data:
            options.error("--data is needed: the folder with parallel/, text/ and lexicons/")
        with working_folder(given.out) as folder:
            measure_all(results, given, folder)
    print(results.table())


def measure_all(results: Results, given: argparse.Namespace, folder: Path) -> None:
    """Each cell in a process of its own."""
    places = {code: folder / f"{code}.vec" for code in SEEDS}
    for code, place in places.items():
        if not place.exists():
            task = {"data": str(given.data), "code": code, "seed": SEEDS[code], "vectors": str(place)}
            results.add({"cell": f"training of {code}", "mode": ""}, in_subprocess(__file__, task) or {})
    for cell in given.cells:
        for mode in given.modes:
            if not results.here(cell=cell, mode=mode):
                task = {**CELLS[cell], "mode": mode, "data": str(given.data), "vectors": [str(place) for place in places.values()]}
                results.add({"cell": cell, "mode": mode}, in_subprocess(__file__, task) or {})


if __name__ == "__main__":
    main()
