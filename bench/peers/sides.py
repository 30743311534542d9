"""The two sides: each entry loads what it needs, and gives a function that makes the matrix. Theirs run in the packages' environment."""

import json
import os
import re
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from inputs import lines_of
from memory import peak_megabytes


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


def load(folder: Path) -> tuple[Any, Any, np.ndarray]:
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

    source, target, old = load(folder)
    own = np.load(folder / "own.npy")
    table = {token: own[number] for token, number in target.get_vocab().items() if own[number].any()}
    deepfocus.focus.load_target_token_embedding = lambda **_: table
    run = partial(deepfocus.FOCUS, target, source, torch.from_numpy(old), fasttext_model_path="given", verbosity="silent")
    return lambda: run().numpy()


def deepfocus_trained(folder: Path, task: dict[str, Any]) -> Callable[[], Any]:
    """The package as its manual has it: text in, matrix out."""
    import deepfocus
    import torch

    source, target, old = load(folder)
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

    source, target, old = load(folder)
    models = model("en"), model(task["to"])
    lexicon = str(folder / "lexicon.tsv")
    return lambda: WECHSEL(*models, bilingual_dictionary=lexicon).apply(source, target, old, use_subword_info=False)[0]


def wechsel_trained(folder: Path, task: dict[str, Any]) -> Callable[[], Any]:
    """The package as its manual has it: fastText vectors of both texts, subword information used."""
    from wechsel import WECHSEL, train_embeddings

    source, target, old = load(folder)
    texts, lexicon = [str(folder / f"{code}.txt") for code in ("en", task["to"])], str(folder / "lexicon.tsv")

    def make() -> np.ndarray:
        models = [train_embeddings(text, tokenize_fn=_cut) for text in texts]
        return np.asarray(WECHSEL(*models, bilingual_dictionary=lexicon).apply(source, target, old)[0])

    return make


def _cut(text: str) -> list[str]:
    return re.findall(r"\w+|[^\w\s]", text)


def focus_given(folder: Path, task: dict[str, Any]) -> Callable[[], Any]:
    """Ours; `published`: identical strings are the overlap; "decoded": what the package takes for identical."""
    source, target, old = load(folder)
    aids = _aids("focus", source, target, len(old))
    aids.__dict__["own_vectors"] = np.load(folder / "own.npy")

    def make() -> np.ndarray:
        if task["published"]:
            aids.__dict__["overlap"] = (decoded_strings if task["published"] == "decoded" else same_strings)(source, target)
        return _made(aids, old, task)

    return make


def wechsel_ours(folder: Path, task: dict[str, Any]) -> Callable[[], Any]:
    """Ours from word vectors."""
    source, target, old = load(folder)
    words, aids = (word_vectors(folder, "en"), word_vectors(folder, task["to"])), _aids("wechsel", source, target, len(old))

    def make() -> np.ndarray:
        aids.__dict__["_mapped"] = in_one_space(source, target, words, folder, task["published"])
        return _made(aids, old, task)

    return make


def word_vectors(folder: Path, code: str) -> Any:
    from lingraft.vectors.static import Vectors

    words, counts, matrix = _words(folder, code)
    return Vectors(words, matrix, counts)


def in_one_space(source: Any, target: Any, words: Any, folder: Path, published: bool) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of the new tokens and of the old ones. published: words are mapped as they are, where a transfer centres them first."""
    from lingraft.tokenizer.pieces import subword_vectors
    from lingraft.vectors.mapping import map_spaces

    english, other = words
    pairs = [tuple(line.split("\t")) for line in lines_of(folder / "lexicon.tsv")]
    if published:
        spaces = english.matrix @ raw_procrustes(english, other, pairs), other.matrix
    else:
        mapping = map_spaces(english, other, start=pairs, method="procrustes")  # type: ignore[arg-type]
        spaces = mapping.source(english.matrix), mapping.target(other.matrix)
    return subword_vectors(target, other, spaces[1], len(target)), subword_vectors(source, english, spaces[0], len(source))


def trained_ours(method: str, folder: Path, task: dict[str, Any]) -> Callable[[], Any]:
    """Ours from the text (WECHSEL: both texts and the lexicon), as a transfer does it."""
    from lingraft.aids import Aids, Given
    from lingraft.embeddings.settings import RowSettings
    from lingraft.text.corpus import TextSettings, resolve
    from lingraft.text.shards import Shards, encode_to_shards

    source, target, old = load(folder)
    text, english = (resolve([str(folder / f"{code}.txt")], code, settings=TextSettings()) for code in (task["to"], "en"))
    given = Given(source_text=[str(folder / "en.txt")], lexicon=[str(folder / "lexicon.tsv")])

    def make() -> np.ndarray:
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            shards = Path(temporary) / "shards"
            encode_to_shards(text.documents(), target, shards, end_id=None)
            settings = RowSettings(method=method)
            aids = Aids(settings, source, target, len(old), Shards.open(shards), text, english, None, given, 0, None)
            return _made(aids, old, task)

    return make


def _made(aids: Any, old: np.ndarray, task: dict[str, Any]) -> np.ndarray:
    """The matrix; which rows of it are drawn lies beside it."""
    from lingraft.embeddings import ROWS

    rows = aids.answer(ROWS[{"deepfocus": "focus"}.get(task["method"], task["method"])])
    np.save(Path(task["matrix"]).with_suffix(".drawn.npy"), rows.group >= 0)
    return np.asarray(rows.apply(old, np.random.default_rng(0)))


def _aids(method: str, source: Any, target: Any, num_old: int) -> Any:
    """What a transfer makes rows from, without texts: only what comes from the vocabularies."""
    from lingraft.aids import Aids, Given
    from lingraft.embeddings.settings import RowSettings

    return Aids(RowSettings(method=method), source, target, num_old, *([None] * 4), Given(), 0, None)  # type: ignore[arg-type]


def same_strings(source: Any, target: Any) -> np.ndarray:
    """(num_new,) old id of the same spelling, -1 for none: specials too, capitals as they are, no second look at punctuation."""
    from lingraft.tokenizer import vocabulary

    numbers: dict[str, int] = {}
    for number, token in enumerate(vocabulary.spelling(source)):
        numbers.setdefault(token, number)
    return np.array([numbers.get(token, -1) for token in vocabulary.spelling(target)], dtype=np.int64)


def decoded_strings(source: Any, target: Any) -> np.ndarray:
    """As `same_strings`, but as the package has it: tokens are decoded, so that all bytes that are no character are U+FFFD, and of several
    old tokens alike the last counts."""

    def decoded(tokenizer: Any) -> list[str]:
        texts = [tokenizer.decode(number).lstrip() for number in range(len(tokenizer))]
        return ["▁" + text if token.startswith("Ġ") else text for token, text in zip(_tokens(tokenizer), texts, strict=True)]

    if not any(token.startswith("Ġ") for token in _tokens(source)):
        return same_strings(source, target)
    numbers = {token: number for number, token in enumerate(decoded(source))}
    return np.array([numbers.get(token, -1) for token in decoded(target)], dtype=np.int64)


def _tokens(tokenizer: Any) -> list[str]:
    return list(tokenizer.convert_ids_to_tokens(range(len(tokenizer))))


def raw_procrustes(source: Any, target: Any, pairs: Any) -> np.ndarray:
    """(d, d) orthogonal map of vectors as they are (Minixhofer et al. 2022), each pair counted once for every case that has vectors."""
    from scipy.linalg import orthogonal_procrustes

    def known(word: str, index: dict[str, int]) -> list[int]:
        return [index[cased] for cased in (word, word.lower(), word.title()) if cased in index]

    found = [(s, t) for one, other in pairs for s in known(one, source.index) for t in known(other, target.index)]
    rows = np.array(found).T
    return np.asarray(orthogonal_procrustes(source.matrix[rows[0]].astype(float), target.matrix[rows[1]].astype(float))[0], np.float32)


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
