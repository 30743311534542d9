"""Rows of FOCUS and WECHSEL beside those of the published packages (deepfocus, wechsel): the same rows? In how much time and memory?"""

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
from common import Results, in_subprocess, names, parser, working_folder

HERE = Path(__file__).parent
sys.path.append(str(HERE / "peers"))

from inputs import CASES, Case, prepare  # noqa: E402
from sides import SIDES, in_one_space, load, word_vectors, work  # noqa: E402

THEIRS = HERE.parent / "build" / "peers" / "bin" / "python"  # see peers/README.md
ALIKE = 0.999
METHODS = ("deepfocus", "wechsel")
VECTORS = ("given", "trained")
AS = {True: "", False: "-transfer", "decoded": "-decoded"}  # ours as published, as in a transfer, with what the package takes for shared


def run(side: str, method: str, vectors: str, folder: Path, case: Case, published: bool | str = True) -> dict[str, Any]:
    """Make a matrix in a process of its own: its time and memory; the matrix lies at `matrix_of(...)`.

    published: from given vectors, ours does what the package does (its overlap, its mapping) rather than what a transfer does.
    """
    matrix = str(matrix_of(side, method, vectors, folder, published))
    task = {"side": side, "method": method, "vectors": vectors, "folder": str(folder), "to": case.to, "published": published}
    python = {"python": str(THEIRS)} if side == "theirs" else {}
    return in_subprocess(__file__, task | {"matrix": matrix}, **python) or {}


def matrix_of(side: str, method: str, vectors: str, folder: Path, published: bool | str = True) -> Path:
    """Where a matrix lies."""
    return folder / f"{method}-{vectors}-{side}{AS[published]}.npy"


def compare(method: str, folder: Path, case: Case, published: bool | str) -> dict[str, Any]:
    """Cosines of corresponding rows, drawn ones (either side) left out: those are random."""
    places = [matrix_of("ours", method, "given", folder, published), matrix_of("theirs", method, "given", folder)]
    for side, place, kind in zip(("ours", "theirs"), places, (published, True), strict=True):
        if not place.exists():
            run(side, method, "given", folder, case, kind)
    ours, theirs = (np.load(place).astype(np.float64) for place in places)
    drawn = np.load(places[0].with_suffix(".drawn.npy"))
    cosines = (ours * theirs).sum(axis=1) / np.linalg.norm(ours, axis=1) / np.linalg.norm(theirs, axis=1)
    compared, others = cosines[~drawn], np.flatnonzero(~drawn & (cosines < ALIKE))
    return {
        "rows": len(cosines),
        "compared": len(compared),
        "alike": int((compared >= ALIKE).sum()),
        "ties": tied(folder, case.to, others) if method == "wechsel" and published else 0,
        "lowest": float(compared.min()),
        "median": float(np.median(compared)),
    }


def tied(folder: Path, to: str, ids: np.ndarray) -> int:
    """How many of these new tokens have a tenth and an eleventh nearest old token equally near, so that rounding chooses between them.

    Old tokens that are pieces of the same words only have equal vectors.
    """
    source, target, _ = load(folder)
    new, old = in_one_space(source, target, (word_vectors(folder, "en"), word_vectors(folder, to)), folder, published=True)
    lengths = [np.maximum(np.linalg.norm(matrix, axis=1, keepdims=True), 1e-9) for matrix in (new[ids], old)]
    near = -np.partition(-(new[ids] / lengths[0]) @ (old / lengths[1]).T.astype(np.float64), (9, 10), axis=1)
    return int((near[:, 9] - near[:, 10] < 1e-5).sum())


def main() -> None:
    """Measure every cell that is not measured yet."""
    options = parser(__doc__)
    options.add_argument("--cases", type=names(CASES), default=",".join(CASES), help="separated by commas")
    options.add_argument("--methods", type=names(METHODS), default=",".join(METHODS), help="separated by commas")
    options.add_argument("--vectors", type=names(VECTORS), default=",".join(VECTORS), help="given: rows alone; trained: from text")
    options.add_argument("--data", type=Path, help="folder with text/CODE.NAME.txt.xz and lexicons/wiktionary/en-CODE.tsv.gz")
    options.add_argument("--matrices", type=Path, metavar="DIR", help="write deepfocus.npy and wechsel.npy for quality.py, and stop")
    options.add_argument("--worker", type=json.loads, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.worker:
        print(json.dumps(work(given.worker)))
        return
    results = Results("peers", given.results)
    if not given.table:
        with working_folder(given.out) as folder:
            measure_all(results, given, folder)
    print(results.table())


def measure_all(results: Results, given: argparse.Namespace, out: Path) -> None:
    """Parity first, then time and memory."""
    if given.matrices:
        write_matrices(given.matrices, out, given.data)
        return
    for name in given.cases:
        case = CASES[name]
        folder = prepare(out / name.replace(" ", ""), case, given.data)
        for method in given.methods:
            for vectors in given.vectors:
                for side in SIDES:
                    key = {"case": name, "method": method, "vectors": vectors, "side": side}
                    if not results.here(**key):
                        results.add(key, run(side, method, vectors, folder, case))
            for published in AS if method == "deepfocus" else (True, False):
                key = {"case": name, "method": method, "as published": published}
                if not results.here(**key):
                    results.add(key, compare(method, folder, case, published))


def write_matrices(to: Path, out: Path, data: Path | None) -> None:
    """The packages' matrices for quality.py, whose tokenizer and training pages are those of the case MiniLM-8000."""
    case = CASES["MiniLM-8000"]
    folder = prepare(out / "MiniLM-8000", case, data)
    to.mkdir(parents=True, exist_ok=True)
    for method in METHODS:
        run("theirs", method, "trained", folder, case)
        shutil.copy(matrix_of("theirs", method, "trained", folder), to / f"{method}.npy")


if __name__ == "__main__":
    main()
