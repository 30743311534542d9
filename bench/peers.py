"""Rows of FOCUS and WECHSEL beside those of the published packages (deepfocus, wechsel): the same rows? In how much time and memory?

The packages stand in an environment of their own (see peers/README.md). This script runs in both: what is measured is `--worker`.
"""

import argparse
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from common import Results, in_subprocess, names, parser, working_folder
from memory import peak_megabytes

THEIRS = Path(__file__).parent.parent / "build" / "peers" / "bin" / "python"
ALIKE = 0.999


@dataclass(frozen=True, slots=True)
class Case:
    """A pair of tokenizers and a matrix. source: tokens of the one trained on English, 0 for MiniLM's own with its matrix."""

    to: str
    algorithm: str
    source: int
    target: int
    width: int
    more_text: tuple[str, ...] = ()


CASES = {
    "MiniLM-8000": Case("de", "wordpiece", 0, 8_000, 384),
    "32k x 768": Case("de", "wordpiece", 32_000, 32_000, 768, ("en.eltec", "en.phpdoc", "de.eltec", "de.phpdoc")),
    "128k x 1024": Case(
        "ru", "bpe", 128_000, 128_000, 1024, ("en.eltec", "en.phpdoc", "en.wiki", "ru.debdocs", "ru.dracor", "ru.phpdoc")
    ),
}
METHODS = ("deepfocus", "wechsel")
VECTORS = ("given", "trained")


# What both sides are given


def prepare(folder: Path, case: Case, data: Path | None) -> Path:
    """Tokenizers, source matrix, texts, lexicon and vectors; made once. Vectors: own.npy (FOCUS), CODE.npy with words and counts (WECHSEL)."""
    from lingraft.files import atomic_folder

    if not folder.exists():
        with atomic_folder(folder) as temporary:
            for code in ("en", case.to):
                _write_text(temporary / f"{code}.txt", code, case, data)
            _make_tokenizers(temporary, case)
            _write_lexicon(temporary / "lexicon.tsv", case.to, data)
            for code in ("en", case.to):
                _save_words(temporary, code)
            _save_own(temporary, case.to)
    return folder


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8") as file:
        yield from (line.rstrip("\n") for line in file)


def _write_text(path: Path, code: str, case: Case, data: Path | None) -> None:
    from lingraft.text.corpus import TextSettings, resolve

    more = [str(data / "text" / f"{name}.txt.xz") for name in case.more_text if name.startswith(code)] if data else []
    corpus = resolve([f"bundled:{code}", *more], code, settings=TextSettings())
    with path.open("w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for page in corpus.split("train") for line in page.lines)


def _make_tokenizers(folder: Path, case: Case) -> None:
    from lingraft.demo import source_model
    from lingraft.model.load import load_source, load_tokenizer
    from lingraft.tokenizer.settings import TokenizerSettings
    from lingraft.tokenizer.train import train

    small = load_tokenizer(source_model())
    if case.source:
        settings = TokenizerSettings(algorithm=case.algorithm, size=case.source)
        source = train(_lines(folder / "en.txt"), settings, small)
        matrix = np.random.default_rng(0).normal(0, 0.02, size=(len(source), case.width))
    else:
        source, matrix = small, load_source(source_model(), seed=0).model.get_input_embeddings().weight.detach().numpy()
    np.save(folder / "old.npy", matrix.astype(np.float32))
    source.save_pretrained(folder / "source")
    settings = TokenizerSettings(algorithm=case.algorithm, size=case.target)
    train(_lines(folder / f"{case.to}.txt"), settings, small).save_pretrained(folder / "target")


def _write_lexicon(path: Path, to: str, data: Path | None) -> None:
    """Entries of one word a side, without scores, as the package reads them; without a lexicon what is spelled alike in both texts."""
    from lingraft.text.lexicon import read_lexicon

    found = data / "lexicons" / "wiktionary" / f"en-{to}.tsv.gz" if data else None
    if found and found.exists():
        pairs = [(source, target) for source, target, _ in read_lexicon(found) if not re.search(r"\s", source + target)]
    else:
        words = [set(" ".join(_lines(path.with_name(f"{code}.txt"))).split()) for code in ("en", to)]
        pairs = [(word, word) for word in sorted(words[0] & words[1])]
    path.write_text("".join(f"{source}\t{target}\n" for source, target in pairs), encoding="utf-8")


def _save_words(folder: Path, code: str) -> None:
    from lingraft.text.words import word_tokens
    from lingraft.vectors.static import VectorSettings, train_vectors

    settings = VectorSettings(dimension=300, min_count=2, ngrams=False)
    made = train_vectors(lambda: map(word_tokens, _lines(folder / f"{code}.txt")), settings, 0)
    np.save(folder / f"{code}.npy", made.matrix)
    (folder / f"{code}.words.json").write_text(json.dumps([made.words, made.counts.tolist()], ensure_ascii=False), encoding="utf-8")  # type: ignore[union-attr]


def _save_own(folder: Path, code: str) -> None:
    from lingraft.tokenizer import vocabulary
    from lingraft.tokenizer.train import read
    from lingraft.vectors.static import VectorSettings, train_vectors

    target = read(str(folder / "target"))
    tokens = vocabulary.tokens(target)
    made = train_vectors(lambda: map(target.tokenize, _lines(folder / f"{code}.txt")), VectorSettings(ngrams=False), 0).lookup(tokens)
    made[list(vocabulary.special_ids(target))] = 0
    np.save(folder / "own.npy", made)


# Work: (what is loaded) -> a function that makes the matrix


def work(task: dict[str, Any]) -> dict[str, Any]:
    """Load, then time the making of the new matrix, and save it."""
    folder = Path(task["folder"])
    with tempfile.TemporaryDirectory(dir=folder) as cache:
        os.environ |= {"XDG_CACHE_HOME": cache, "HF_HOME": cache}  # what an earlier run left there must not help
        make = SIDES[task["side"]][task["method"], task["vectors"]](folder, task)
        before, began = peak_megabytes(), time.perf_counter()
        matrix = make()
        seconds, peak = time.perf_counter() - began, peak_megabytes()
    np.save(task["matrix"], matrix)
    return {"seconds": seconds, "peak_mb": peak, "loaded_mb": before, "rows": len(matrix)}


def _loaded(folder: Path) -> tuple[Any, Any, np.ndarray]:
    from transformers import AutoTokenizer

    source, target = (AutoTokenizer.from_pretrained(str(folder / name)) for name in ("source", "target"))
    return source, target, np.load(folder / "old.npy")


def _words(folder: Path, code: str) -> tuple[list[str], np.ndarray, np.ndarray]:
    words, counts = json.loads((folder / f"{code}.words.json").read_text(encoding="utf-8"))
    return words, np.array(counts), np.load(folder / f"{code}.npy")


def deepfocus_given(folder: Path, task: dict[str, Any]) -> Callable[[], Any]:
    """The package with vectors in a table of tokens: what it makes of pretrained vectors itself."""
    import deepfocus.focus
    import torch

    source, target, old = _loaded(folder)
    own = np.load(folder / "own.npy")
    table = {token: own[number] for token, number in target.get_vocab().items() if own[number].any()}
    deepfocus.focus.load_target_token_embedding = lambda **_: table
    run = partial(deepfocus.FOCUS, target, source, torch.from_numpy(old), fasttext_model_path="given", verbosity="silent")
    return lambda: run().numpy()


def deepfocus_trained(folder: Path, task: dict[str, Any]) -> Callable[[], Any]:
    """The package as its manual has it: text in, matrix out."""
    import deepfocus
    import torch

    source, target, old = _loaded(folder)
    text = str(folder / f"{task['to']}.txt")
    run = partial(deepfocus.FOCUS, target, source, torch.from_numpy(old), target_training_data_path=text, verbosity="silent")
    return lambda: run().numpy()


def wechsel_given(folder: Path, task: dict[str, Any]) -> Callable[[], Any]:
    """The package with word vectors as gensim holds them, so that tokens get means over words."""
    from gensim.models import KeyedVectors, Word2Vec
    from wechsel import WECHSEL

    def model(code: str) -> Word2Vec:
        words, counts, matrix = _words(folder, code)
        made = Word2Vec(vector_size=matrix.shape[1])
        made.wv = KeyedVectors(matrix.shape[1])
        made.wv.add_vectors(words, matrix)
        made.wv.expandos["count"] = counts
        return made

    source, target, old = _loaded(folder)
    models = model("en"), model(task["to"])
    lexicon = str(folder / "lexicon.tsv")
    return lambda: WECHSEL(*models, bilingual_dictionary=lexicon).apply(source, target, old, use_subword_info=False)[0]


def wechsel_trained(folder: Path, task: dict[str, Any]) -> Callable[[], Any]:
    """The package as its manual has it: fastText vectors of both texts, subword information used."""
    from wechsel import WECHSEL, train_embeddings

    source, target, old = _loaded(folder)
    texts, lexicon = [str(folder / f"{code}.txt") for code in ("en", task["to"])], str(folder / "lexicon.tsv")

    def make() -> np.ndarray:
        models = [train_embeddings(text, tokenize_fn=_cut) for text in texts]
        return np.asarray(WECHSEL(*models, bilingual_dictionary=lexicon).apply(source, target, old)[0])

    return make


def _cut(text: str) -> list[str]:
    return re.findall(r"\w+|[^\w\s]", text)


def focus_given(folder: Path, task: dict[str, Any]) -> Callable[[], Any]:
    """Ours; `published`: the overlap that the package finds."""
    import lingraft.aids  # noqa: F401  # imported before the clock starts, as the packages are

    source, target, old = _loaded(folder)
    own = np.load(folder / "own.npy")

    def make() -> np.ndarray:
        aids = _aids("focus", source, target, len(old))
        aids.__dict__["own_vectors"] = own
        if task["published"]:
            aids.__dict__["overlap"] = same_strings(source, target)
        return _made(aids, old, task)

    return make


def wechsel_ours(folder: Path, task: dict[str, Any]) -> Callable[[], Any]:
    """Ours from word vectors; `published`: mapped as they are, where a transfer centres them first."""
    from lingraft.aids import subword_vectors
    from lingraft.vectors.mapping import map_spaces
    from lingraft.vectors.static import Vectors

    source, target, old = _loaded(folder)
    english, other = (Vectors(words, matrix, counts) for words, counts, matrix in (_words(folder, code) for code in ("en", task["to"])))

    def make() -> np.ndarray:
        pairs = [tuple(line.split("\t")) for line in _lines(folder / "lexicon.tsv")]
        if task["published"]:
            spaces = (english.matrix @ raw_procrustes(english, other, pairs)).astype(np.float32), other.matrix
        else:
            mapping = map_spaces(english, other, start=pairs, method="procrustes")  # type: ignore[arg-type]
            spaces = mapping.source(english.matrix), mapping.target(other.matrix)
        aids = _aids("wechsel", source, target, len(old))
        new_vectors = subword_vectors(target, other, spaces[1], aids.vocabularies.num_new)
        aids.__dict__["_mapped"] = new_vectors, subword_vectors(source, english, spaces[0], len(old))
        return _made(aids, old, task)

    return make


def trained_ours(method: str, folder: Path, task: dict[str, Any]) -> Callable[[], Any]:
    """Ours from the text (WECHSEL: both texts and the lexicon), as a transfer does it."""
    from lingraft.aids import Aids, Given
    from lingraft.embeddings.settings import RowSettings
    from lingraft.text.corpus import TextSettings, resolve
    from lingraft.text.shards import Shards, encode_to_shards

    source, target, old = _loaded(folder)
    text, english = (resolve([str(folder / f"{code}.txt")], code, settings=TextSettings()) for code in (task["to"], "en"))
    given = Given(source_text=[str(folder / "en.txt")], lexicon=[str(folder / "lexicon.tsv")])

    def make() -> np.ndarray:
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            shards = Path(temporary) / "shards"
            encode_to_shards(text.documents(), target, shards, end_id=None)
            settings = RowSettings(method=method)
            aids = Aids(settings, source, target, len(old), Shards.open(shards), text, english, None, given, 0)
            return _made(aids, old, task)

    return make


def _made(aids: Any, old: np.ndarray, task: dict[str, Any]) -> np.ndarray:
    """The matrix; which rows of it are drawn lies beside it."""
    rows = aids.rows()
    np.save(Path(task["matrix"]).with_suffix(".drawn.npy"), rows.group >= 0)
    return np.asarray(rows.apply(old, np.random.default_rng(0)))


def _aids(method: str, source: Any, target: Any, num_old: int) -> Any:
    """What a transfer makes rows from, without texts: only what comes from the vocabularies."""
    from lingraft.aids import Aids, Given
    from lingraft.embeddings.settings import RowSettings

    return Aids(RowSettings(method=method), source, target, num_old, *([None] * 4), Given(), 0)  # type: ignore[arg-type]


def same_strings(source: Any, target: Any) -> np.ndarray:
    """(num_new,) old id of the same spelling, -1 for none: specials too, capitals as they are, no second look at punctuation."""
    from lingraft.tokenizer import vocabulary

    numbers: dict[str, int] = {}
    for number, token in enumerate(vocabulary.spelling(source)):
        numbers.setdefault(token, number)
    return np.array([numbers.get(token, -1) for token in vocabulary.spelling(target)], dtype=np.int64)


def raw_procrustes(source: Any, target: Any, pairs: Any) -> np.ndarray:
    """(d, d) orthogonal map of vectors as they are (Minixhofer et al. 2022), each pair counted once for every case that has vectors."""
    from scipy.linalg import orthogonal_procrustes

    def known(word: str, index: dict[str, int]) -> list[int]:
        return [index[cased] for cased in (word, word.lower(), word.title()) if cased in index]

    found = [(s, t) for one, other in pairs for s in known(one, source.index) for t in known(other, target.index)]
    rows = np.array(found).T
    return np.asarray(orthogonal_procrustes(source.matrix[rows[0]].astype(float), target.matrix[rows[1]].astype(float))[0])


SIDES: dict[str, dict[tuple[str, str], Callable[[Path, dict[str, Any]], Callable[[], Any]]]] = {
    "theirs": {
        ("deepfocus", "given"): deepfocus_given,
        ("deepfocus", "trained"): deepfocus_trained,
        ("wechsel", "given"): wechsel_given,
        ("wechsel", "trained"): wechsel_trained,
    },
    "ours": {
        ("deepfocus", "given"): focus_given,
        ("deepfocus", "trained"): partial(trained_ours, "focus"),
        ("wechsel", "given"): wechsel_ours,
        ("wechsel", "trained"): partial(trained_ours, "wechsel"),
    },
}


# Measuring


def run(side: str, method: str, vectors: str, folder: Path, case: Case, published: bool = False) -> dict[str, Any]:
    """Make a matrix in a process of its own: its time and memory; the matrix lies at `matrix_of(...)`."""
    matrix = str(matrix_of(side, method, vectors, folder, published))
    task = {"side": side, "method": method, "vectors": vectors, "folder": str(folder), "to": case.to, "published": published}
    python = {"python": str(THEIRS)} if side == "theirs" else {}
    return in_subprocess(__file__, task | {"matrix": matrix}, **python) or {}


def matrix_of(side: str, method: str, vectors: str, folder: Path, published: bool = False) -> Path:
    """Where a matrix lies."""
    return folder / f"{method}-{vectors}-{side}{'-published' if published else ''}.npy"


def compare(method: str, folder: Path, case: Case, published: bool) -> dict[str, Any]:
    """Cosines of corresponding rows, drawn ones (either side) left out: those are random."""
    ours_at = matrix_of("ours", method, "given", folder, published)
    if published or not ours_at.exists():
        run("ours", method, "given", folder, case, published)
    theirs_at = matrix_of("theirs", method, "given", folder)
    if not theirs_at.exists():
        run("theirs", method, "given", folder, case)
    ours, theirs = np.load(ours_at).astype(np.float64), np.load(theirs_at).astype(np.float64)
    drawn = np.load(ours_at.with_suffix(".drawn.npy"))
    cosines = (ours * theirs).sum(axis=1) / np.linalg.norm(ours, axis=1) / np.linalg.norm(theirs, axis=1)
    compared = cosines[~drawn]
    return {
        "rows": len(cosines),
        "compared": len(compared),
        "at_least_0.999": int((compared >= ALIKE).sum()),
        "lowest": float(compared.min()),
        "median": float(np.median(compared)),
    }


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
            for published in (True, False):
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
