"""What both sides are given: tokenizers, source matrix, texts, lexicon and vectors."""

import json
import lzma
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True, slots=True)
class Case:
    """A pair of tokenizers and a matrix. source: tokens of the one trained on English, 0 for MiniLM's own with its matrix.

    more_text: files beside the bundled text, en.… of the source, the others of the target. epochs: of the vectors of words; too few
    leave them nearly alike, and a map between such spaces is a matter of rounding. min_count: how often tokens
    must occur to have a vector; of 128,000 few are as frequent as FOCUS wants in a text of this size.
    """

    to: str
    algorithm: str
    source: int
    target: int
    width: int
    more_text: tuple[str, ...] = ()
    epochs: int = 3
    min_count: int = 10


ENGLISH = ("en.eltec", "en.phpdoc")
MANY = ("ru.debdocs", "ru.dracor", "ru.phpdoc", "bn.wiki", "mr.wiki", "ar.commonvoice", "hi.commonvoice", "ta.commonvoice")
CASES = {
    "MiniLM-8000": Case("de", "wordpiece", 0, 8_000, 384, epochs=5),
    "32k x 768": Case("de", "wordpiece", 32_000, 32_000, 768, (*ENGLISH, "de.eltec", "de.phpdoc")),
    "128k x 1024": Case("ru", "bpe", 128_000, 128_000, 1024, (*ENGLISH, "en.wiki", *MANY), min_count=1),
}


def prepare(folder: Path, case: Case, data: Path | None) -> Path:
    """Tokenizers, source matrix, texts, lexicon and vectors; made once.

    Vectors: own.npy of tokens (FOCUS), CODE.npy of words, with CODE.words.json (WECHSEL).
    """
    from lingraft.files import atomic_folder

    if not folder.exists():
        with atomic_folder(folder) as temporary:
            for code in ("en", case.to):
                _write_text(temporary / f"{code}.txt", code, case, data)
            _make_tokenizers(temporary, case)
            _write_lexicon(temporary / "lexicon.tsv", case.to, data)
            for code in ("en", case.to):
                _save_words(temporary, code, case.epochs)
            _save_own(temporary, case.to, case.min_count)
    return folder


def lines_of(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8") as file:
        yield from (line.rstrip("\n") for line in file)


def _write_text(path: Path, code: str, case: Case, data: Path | None) -> None:
    from lingraft.text.corpus import TextSettings, resolve

    corpus = resolve([f"bundled:{code}"], code, settings=TextSettings())
    with path.open("w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for page in corpus.split("train") for line in page.lines)
        for name in case.more_text if data else ():
            if name.startswith("en.") == (code == "en"):
                with lzma.open(data / "text" / f"{name}.txt.xz", "rt", encoding="utf-8") as more:
                    file.writelines(more)


def _make_tokenizers(folder: Path, case: Case) -> None:
    from lingraft.demo import source_model
    from lingraft.model.load import load_source, load_tokenizer
    from lingraft.tokenizer.settings import TokenizerSettings
    from lingraft.tokenizer.train import train

    small = load_tokenizer(source_model())
    if case.source:
        settings = TokenizerSettings(algorithm=case.algorithm, size=case.source)
        source = train(lines_of(folder / "en.txt"), settings, small)
        matrix = np.random.default_rng(0).normal(0, 0.02, size=(len(source), case.width))
    else:
        source, matrix = small, load_source(source_model(), seed=0).model.get_input_embeddings().weight.detach().numpy()
    np.save(folder / "old.npy", matrix.astype(np.float32))
    source.save_pretrained(folder / "source")
    settings = TokenizerSettings(algorithm=case.algorithm, size=case.target)
    train(lines_of(folder / f"{case.to}.txt"), settings, small).save_pretrained(folder / "target")


def _write_lexicon(path: Path, to: str, data: Path | None) -> None:
    """Entries of one word a side, without scores, as the package reads them; without a lexicon what is spelled alike in both texts."""
    from lingraft.text.lexicon import read_lexicon

    found = data / "lexicons" / "wiktionary" / f"en-{to}.tsv.gz" if data else None
    if found and found.exists():
        pairs = [(source, target) for source, target, _ in read_lexicon(found) if not re.search(r"\s", source + target)]
    else:
        words = [set(" ".join(lines_of(path.with_name(f"{code}.txt"))).split()) for code in ("en", to)]
        pairs = [(word, word) for word in sorted(words[0] & words[1])]
    path.write_text("".join(f"{source}\t{target}\n" for source, target in pairs), encoding="utf-8")


def _save_words(folder: Path, code: str, epochs: int) -> None:
    from lingraft.text.words import word_tokens
    from lingraft.vectors.static import VectorSettings, train_vectors

    settings = VectorSettings(dimension=300, epochs=epochs, min_count=2, ngrams=False)
    made = train_vectors(lambda: map(word_tokens, lines_of(folder / f"{code}.txt")), settings, 0)
    np.save(folder / f"{code}.npy", made.matrix)
    (folder / f"{code}.words.json").write_text(json.dumps([made.words, made.counts.tolist()], ensure_ascii=False), encoding="utf-8")  # type: ignore[union-attr]


def _save_own(folder: Path, code: str, min_count: int) -> None:
    from lingraft.tokenizer import vocabulary
    from lingraft.tokenizer.train import read
    from lingraft.vectors.static import VectorSettings, train_vectors

    target = read(str(folder / "target"))
    tokens, settings = vocabulary.tokens(target), VectorSettings(min_count=min_count, ngrams=False)
    made = train_vectors(lambda: map(target.tokenize, lines_of(folder / f"{code}.txt")), settings, 0).lookup(tokens)
    made[list(vocabulary.special_ids(target))] = 0
    np.save(folder / "own.npy", made)
