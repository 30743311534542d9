"""Corpora of an equal amount in several languages, with one tokenizer over all of them (Malkin et al. 2022, section 3.1)."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lingraft.donors import gather
from lingraft.donors.sample import Measure, Part, Unit, sample, size
from lingraft.errors import LanguageError, RunError, TextError
from lingraft.files import atomic_folder, digest, fingerprint, read_json, write_json
from lingraft.languages import parse

Lines = list[list[str]]
"""Sentences by document."""
Tell = Callable[[str], None]


class Plan(BaseModel):
    """What a corpus is to be: `amount` to train on in every language, and a share of that beside it to score."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    languages: tuple[str, ...]
    text: tuple[str, ...]
    measure: Measure
    amount: int = Field(ge=1)
    held_out: float = Field(gt=0, le=1)
    vocabulary: int = Field(ge=16)
    algorithm: Literal["wordpiece", "unigram", "bpe"]
    seed: int
    full_text: float = Field(ge=1, description="read at most so many times what is needed, to compare the sample with")

    @property
    def held_out_amount(self) -> int:
        return max(1, round(self.amount * self.held_out))

    @property
    def section(self) -> int:
        """Size above which a document is cut into units: small enough for several of them to be held out."""
        return min(max(self.amount // 100, 5), 500) if self.measure == "segments" else min(max(self.amount // 100, 200), 20_000)


@dataclass(frozen=True)
class Corpus:
    """A corpus that was built.

    languages    codes, in the order in which they were named
    fingerprint  of the text and the tokenizer: equal for equal ones
    facts        what corpus.json says: plan, counts, checks
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
    corpus = Corpus(path, tuple(facts["plan"]["languages"]), facts["fingerprint"], facts)
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
    algorithm: Literal["wordpiece", "unigram", "bpe"] = "wordpiece",
    seed: int = 0,
    full_text: float = 20,
    tell: Tell = lambda _: None,
) -> Corpus:
    """Write a corpus of an equal amount of each language to the folder `out`, whole, and return it.

    text: a folder of CODE.txt, CODE.tsv or Wikipedia dumps, 'bundled', or whatever else --text takes, with {} for the code.
    Exactly one amount is given: characters, bytes of UTF-8, or segments that all languages have in common. held_out: share of it that is
    kept to score, beside it. vocabulary, algorithm: of the tokenizer, trained on the training text of all languages, with BERT's specials.
    seed: of the interval of the correlation. full_text: the sample is compared with the text that it is the start of, of which at most so
    many times what is needed is read. tell: is told what is being done.

    Raises LingraftError, before anything is written, where something given is wrong or a language has too little text.
    """
    given: list[tuple[Measure, int | None]] = [("characters", characters), ("bytes", bytes), ("segments", segments)]
    amounts = [(measure, amount) for measure, amount in given if amount is not None]
    if len(amounts) != 1:
        raise RunError("How much of each language? Give exactly one of characters, bytes and segments.")
    try:
        plan = Plan(
            languages=_codes(languages),
            text=(text,) if isinstance(text, str) else tuple(text),
            measure=amounts[0][0],
            amount=amounts[0][1],
            held_out=held_out,
            vocabulary=vocabulary,
            algorithm=algorithm,
            seed=seed,
            full_text=full_text,
        )
    except ValidationError as error:
        wrong = error.errors()[0]
        raise RunError(f"{wrong['loc'][0]} = {wrong['input']!r}: {wrong['msg']}.") from error
    out = Path(out)
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise RunError(f"--out {out} is there already. Give a folder that does not exist.")
    with tempfile.TemporaryDirectory() as spool:
        parts = _segments(plan, Path(spool), tell) if plan.measure == "segments" else _sentences(plan, Path(spool), tell)
        with atomic_folder(out) as folder:
            _write(plan, folder, Path(spool), parts, tell)
    return read(out)


def _codes(languages: Sequence[str]) -> tuple[str, ...]:
    """Raises LanguageError unless they are two different languages or more."""
    codes = tuple(parse(code).code for code in languages)
    if twice := {code for code in codes if codes.count(code) > 1}:
        raise LanguageError(f"{min(twice)!r} is named twice among the languages. Name each of them once.")
    if len(codes) < 2:
        raise LanguageError("A donor map needs two languages or more: --languages de,sv,…")
    return codes


def _sentences(plan: Plan, spool: Path, tell: Tell) -> dict[str, tuple[Lines, Lines]]:
    """Language -> its sentences to train on and those held out; the full text of each goes to the folder `spool`. Raises TextError."""
    found: dict[str, tuple[Part, Part]] = {}
    for code in plan.languages:
        tell(f"reading {code}")
        _spool(gather.sentence_units(plan.text, code, plan.section), spool / code, plan)
        units: Iterator[Unit] = ([(sentence,) for sentence in unit] for unit in _units(spool / code))
        found[code] = sample(units, plan.amount, plan.held_out_amount, plan.measure)
    has = {code: sum(part.taken for part in parts) for code, parts in found.items() if not all(part.full for part in parts)}
    if has:
        listed = ", ".join(f"{code} has {amount:,}" for code, amount in has.items())
        raise _too_little(plan, min(has.values()), f"of each language are needed, but {listed}")
    return {code: (_texts(train, 0), _texts(held, 0)) for code, (train, held) in found.items()}


def _segments(plan: Plan, spool: Path, tell: Tell) -> dict[str, tuple[Lines, Lines]]:
    """The same for segments: the i-th line has the same content in every language. Raises TextError."""
    texts: dict[str, gather.Segments] = {}
    for code in plan.languages:
        tell(f"reading {code}")
        texts[code] = gather.segments(plan.text, code)
        _spool(([text] for _, text in texts[code].values()), spool / code, plan)
    parts = sample(gather.common_units(texts, plan.section), plan.amount, plan.held_out_amount, plan.measure)
    if not all(part.full for part in parts):
        common = sum(part.taken for part in parts)
        listed = ", ".join(f"{code} has {len(texts[code]):,}" for code in plan.languages)
        raise _too_little(plan, common, f"are needed, but {common:,} are there in all languages, in each another text; {listed}")
    return {code: (_texts(parts[0], place), _texts(parts[1], place)) for place, code in enumerate(plan.languages)}


def _too_little(plan: Plan, least: int, what: str) -> TextError:
    needed, about = plan.amount + plan.held_out_amount, int(least / (1 + plan.held_out))
    return TextError(
        f"Too little text: {needed:,} {plan.measure} (of them {plan.held_out_amount:,} to be held out) {what}. "
        f"Give more text, leave languages out, or ask for less: about --{plan.measure} {about}."
    )


def _texts(part: Part, place: int) -> Lines:
    """The texts of one language."""
    return [[row[place] for row in unit] for unit in part.units]


def _spool(units: Iterator[list[str]], path: Path, plan: Plan) -> None:
    """Write sentences by document to a file, as much as is compared."""
    left = plan.full_text * (plan.amount + plan.held_out_amount)
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for unit in units:
            file.write(_written([unit]) + "\n")
            left -= sum(size(sentence, plan.measure) for sentence in unit)
            if left <= 0:
                return


def _units(path: Path) -> Iterator[list[str]]:
    """What `_spool` wrote, document by document."""
    unit: list[str] = []
    with path.open(encoding="utf-8", newline="\n") as file:
        for line in chain(file, ["\n"]):
            if sentence := line.removesuffix("\n"):
                unit.append(sentence)
            elif unit:
                yield unit
                unit = []


def _written(lines: Lines) -> str:
    """A sentence a line, a blank line between documents."""
    return "\n".join("".join(sentence + "\n" for sentence in unit) for unit in lines)


def _write(plan: Plan, folder: Path, spool: Path, parts: dict[str, tuple[Lines, Lines]], tell: Tell) -> None:
    """Write all files of a corpus."""
    from lingraft.donors.facts import facts
    from lingraft.text.shards import plain
    from lingraft.tokenizer.blank import blank
    from lingraft.tokenizer.settings import TokenizerSettings
    from lingraft.tokenizer.train import save, train

    for number, name in enumerate(("text", "held-out")):
        (folder / name).mkdir()
        for code, both in parts.items():
            (folder / name / f"{code}.txt").write_text(_written(both[number]), encoding="utf-8", newline="\n")
    tell("training the tokenizer")
    lines = (sentence for train_part, _ in parts.values() for unit in train_part for sentence in unit)
    tokenizer = train(lines, TokenizerSettings(algorithm=plan.algorithm, size=plan.vocabulary), blank("mlm", "bert", 512))
    save(tokenizer, folder / "tokenizer")
    mark = fingerprint({name: digest(folder / name) for name in ("text", "held-out", "tokenizer")})
    found = facts(parts, {code: spool / code for code in parts}, plain(tokenizer), plan.seed, tell)
    write_json(folder / "corpus.json", {"fingerprint": mark, "plan": plan.model_dump(), "tokens": len(tokenizer)} | found)
