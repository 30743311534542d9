"""Corpora of equal size in several languages, with one tokenizer over all of them (Malkin et al. 2022, section 3.1)."""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lingraft.donors.gather import common_units, segments, sentence_units
from lingraft.donors.sample import Measure, Part, sample
from lingraft.errors import LanguageError, RunError, TextError
from lingraft.files import atomic_folder, digest, fingerprint, read_json, write_json
from lingraft.languages import parse


@dataclass(frozen=True)
class Corpus:
    """A corpus that was built.

    languages    codes, in the order they were named
    fingerprint  of the text and the tokenizer: equal for equal ones
    facts        what corpus.json says: counts, checks, settings
    """

    path: Path
    languages: tuple[str, ...]
    fingerprint: str
    facts: dict[str, Any]

    @property
    def tokenizer(self) -> Path:
        """A transformers folder."""
        return self.path / "tokenizer"

    def text(self, code: str) -> Path:
        """Sentences to train on, one a line, a blank line between documents."""
        return self.path / "text" / f"{code}.txt"

    def held_out(self, code: str) -> Path:
        """Sentences to score, in the same form."""
        return self.path / "held-out" / f"{code}.txt"


def read(path: str | Path) -> Corpus:
    """The corpus in a folder. Raises RunError where there is none, or a file of it is missing."""
    path = Path(path)
    if not (path / "corpus.json").is_file():
        raise RunError(f"{path} is no corpus: it has no corpus.json. Make one with `lingraft donors corpus`.")
    facts = read_json(path / "corpus.json")
    corpus = Corpus(path, tuple(facts["languages"]), facts["fingerprint"], facts)
    files = [corpus.tokenizer, *(file for code in corpus.languages for file in (corpus.text(code), corpus.held_out(code)))]
    if missing := [str(file) for file in files if not file.exists()]:
        raise RunError(f"{path} is damaged: there is no {missing[0]}. Make it again with `lingraft donors corpus`.")
    return corpus


def build(
    languages: Sequence[str],
    text: str | Sequence[str],
    *,
    out: str | Path,
    characters: int | None = None,
    bytes: int | None = None,
    segments: int | None = None,
    held_out: float = 0.05,
    vocabulary: int = 32000,
    algorithm: str = "wordpiece",
    seed: int = 0,
) -> Corpus:
    out = Path(out)
    codes = [parse(code).code for code in languages]
    given: dict[Measure, int] = {k: v for k, v in (("characters", characters), ("bytes", bytes), ("segments", segments)) if v is not None}
    ((measure, amount),) = given.items()
    specs = [text] if isinstance(text, str) else list(text)
    held = max(1, round(amount * held_out))
    samples = {}
    if measure == "segments":
        from lingraft.donors import gather

        texts = {code: gather.segments(specs, code) for code in codes}
        parts = sample(common_units(texts, max(1, amount // 20)), amount, held, measure)
        for place, code in enumerate(codes):
            samples[code] = [[[row[place] for row in unit] for unit in part.units] for part in parts]
    else:
        for code in codes:
            units = ([(s,) for s in unit] for unit in sentence_units(specs, code, max(200, amount // 20)))
            parts = sample(units, amount, held, measure)
            samples[code] = [[[row[0] for row in unit] for unit in part.units] for part in parts]
    with atomic_folder(out) as folder:
        for name in ("text", "held-out"):
            (folder / name).mkdir()
        for code, (train, kept) in samples.items():
            (folder / "text" / f"{code}.txt").write_text("\n\n".join("\n".join(u) for u in train) + "\n", encoding="utf-8")
            (folder / "held-out" / f"{code}.txt").write_text("\n\n".join("\n".join(u) for u in kept) + "\n", encoding="utf-8")
        from lingraft.tokenizer.blank import blank
        from lingraft.tokenizer.settings import TokenizerSettings
        from lingraft.tokenizer.train import save, train as train_tokenizer

        lines = (line for train, _ in samples.values() for unit in train for line in unit)
        tokenizer = train_tokenizer(lines, TokenizerSettings(algorithm=algorithm, size=vocabulary), blank("mlm", "bert", 512))
        save(tokenizer, folder / "tokenizer")
        mark = fingerprint({name: digest(folder / name) for name in ("text", "held-out", "tokenizer")})
        write_json(folder / "corpus.json", {"languages": codes, "measure": measure, "amount": amount, "fingerprint": mark})
    return read(out)
