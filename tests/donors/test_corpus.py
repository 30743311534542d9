"""Corpora: the same amount of every language, nothing held out that is trained on, whole or not there."""

import gzip
import itertools
import json
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from lingraft.donors import corpus
from lingraft.donors.corpus import Corpus, build
from lingraft.donors.sample import sample
from lingraft.errors import LanguageError, LingraftError, RunError, TextError
from lingraft.files import digest
from lingraft.text import bundled

Call = Callable[..., tuple[int, str, str]]


def sentences(path: Path) -> list[str]:
    """Of a text file of a corpus, without the blank lines."""
    return [line for line in path.read_text(encoding="utf-8").split("\n") if line]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CODE.txt with some of the bundled text, plain and compressed."""
    folder = tmp_path_factory.mktemp("texts")
    for code, write in (("de", Path.write_bytes), ("ja", lambda path, data: path.with_suffix(".txt.xz").write_bytes(lzma.compress(data)))):
        pages = itertools.islice(bundled.documents(code), 300)
        write(folder / f"{code}.txt", "\n\n".join("\n".join(page.lines) for page in pages).encode())
    return folder


@pytest.fixture(scope="module")
def built(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return build(["de", "jpn"], str(folder), out=tmp_path_factory.mktemp("out") / "corpus", characters=20_000, vocabulary=2000)


def test_every_language_has_the_same_number_of_characters(built: Corpus) -> None:
    assert built.languages == ("de", "ja")
    for code in built.languages:
        train, held = sentences(built.text(code)), sentences(built.held_out(code))
        assert sum(map(len, train)) == 20_000
        assert sum(map(len, held)) == 1_000
        assert not set(train) & set(held)
        assert len(set(held)) == len(held)


def test_sentences_follow_each_other_as_in_the_text_and_held_out_ones_stand_among_them(built: Corpus, folder: Path) -> None:
    text = (folder / "de.txt").read_text(encoding="utf-8")
    train, held = sentences(built.text("de"))[:-1], sentences(built.held_out("de"))[:-1]
    for part in (train, held):
        places = [0]
        for sentence in part:
            places.append(text.index(sentence, places[-1]))
    first, last = text.index(held[0]), text.index(held[-1])
    assert first < 2_000 < 10_000 < last, "not in one place"


def test_counts_are_those_of_the_files(built: Corpus) -> None:
    tokenizer = AutoTokenizer.from_pretrained(built.tokenizer)
    train = sentences(built.text("ja"))
    tokens = [tokenizer(sentence, add_special_tokens=False)["input_ids"] for sentence in train]
    assert built.facts["counts"]["ja"] == {
        "sentences": len(train),
        "characters": 20_000,
        "bytes": len("".join(train).encode()),
        "words": built.facts["counts"]["ja"]["words"],
        "tokens": sum(map(len, tokens)),
        "distinct_tokens": len(set(itertools.chain(*tokens))),
    }
    assert built.facts["counts"]["ja"]["words"] > 12_000 > 5_000 > built.facts["counts"]["de"]["words"] > 2_000
    assert built.facts["tokens"] == len(tokenizer) == 2000
    names = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    assert tokenizer.convert_ids_to_tokens(range(5)) == list(names)
    assert tokenizer.tokenize("Ein Wort")[0].startswith("E"), "case stays"


def test_the_same_command_gives_the_same_bytes_and_another_text_another_fingerprint(built: Corpus, folder: Path, tmp_path: Path) -> None:
    again = build(["de", "ja"], str(folder), out=tmp_path / "again", characters=20_000, vocabulary=2000)
    assert digest(again.path) == digest(built.path)
    assert corpus.read(again.path) == again
    less = build(["de", "ja"], str(folder), out=tmp_path / "less", characters=19_999, vocabulary=2000)
    assert less.fingerprint != built.fingerprint == again.fingerprint


def test_bytes_are_balanced_to_a_character(folder: Path, tmp_path: Path) -> None:
    found = build(["de", "ja"], f"{folder}/{{}}.txt*", out=tmp_path / "out", bytes=10_000, held_out=0.1, vocabulary=1000)
    for code in found.languages:
        assert 10_000 - 4 < len("".join(sentences(found.text(code))).encode()) <= 10_000
        assert 1_000 - 4 < len("".join(sentences(found.held_out(code))).encode()) <= 1_000


TABLE = {
    "en": ["g.html#a\tOne house", "g.html#b\tTwo houses", "g.html#c\tOK", "h.html#a\tThree houses", "h.html#b\tOnly here", "h.html#c\tA b"],
    "de": ["h.html#c\tA b c", "g.html#a\tEin Haus", "g.html#b\tZwei Häuser", "g.html#c\tOK", "h.html#a\tDrei Häuser"],
    "sv": ["g.html#a\tEtt hus", "g.html#b\tTvå hus", "g.html#c\tOkej", "h.html#a\tTre hus\x85 till", "", "h.html#c\tC"],
}


def tables(folder: Path) -> Path:
    for code, rows in TABLE.items():
        (folder / f"{code}.tsv.gz").write_bytes(gzip.compress("\n".join(rows).encode()))
    return folder


def test_segments_are_the_same_everywhere_and_none_reads_the_same_in_two_languages(tmp_path: Path) -> None:
    found = build(["en", "de", "sv"], str(tables(tmp_path)), out=tmp_path / "out", segments=3, held_out=1 / 3, vocabulary=100)
    assert found.held_out("en").read_text(encoding="utf-8") == "Three houses\n"
    assert found.held_out("sv").read_text(encoding="utf-8") == "Tre hus  till\n"
    assert found.text("de").read_text(encoding="utf-8") == "Ein Haus\nZwei Häuser\n\nA b c\n"
    assert found.text("sv").read_text(encoding="utf-8") == "Ett hus\nTvå hus\n\nC\n"


def test_plain_files_of_equal_lines_and_the_bundled_text_are_parallel_too(tmp_path: Path) -> None:
    (tmp_path / "en.txt").write_text("One house\n\nTwo houses\nThree houses\nFour\n", encoding="utf-8")
    (tmp_path / "de.txt").write_text("Ein Haus\n\n\nDrei Häuser\nVier\n", encoding="utf-8")
    found = build(["de", "en"], str(tmp_path), out=tmp_path / "out", segments=2, vocabulary=100)
    assert sentences(found.text("de")) + sentences(found.held_out("de")) == ["Ein Haus", "Vier", "Drei Häuser"]
    assert sentences(found.text("en")) + sentences(found.held_out("en")) == ["One house", "Four", "Three houses"]

    found = build(["de", "eu", "ja"], "bundled", out=tmp_path / "bundled", segments=200, vocabulary=2000)
    of = {code: dict(enumerate(text for _, text in bundled.rows(code))) for code in found.languages}
    rows = set(zip(*(of[code].values() for code in found.languages), strict=True))
    for part, count in ((Corpus.text, 200), (Corpus.held_out, 10)):
        lines = [part(found, code).read_text(encoding="utf-8").split("\n") for code in found.languages]
        assert len({len(each) for each in lines}) == 1
        texts = [row for row in zip(*lines, strict=True) if any(row)]
        assert len(texts) == count
        assert set(texts) <= rows


def test_rows_of_one_part_never_come_in_the_other_and_what_is_cut_fits() -> None:
    units = [
        [(sentence,) for sentence in unit] for unit in (["aaaa", "bb"], ["bb", "cccc"], ["dddd", "aaaa", "eeee"], ["ffff", "bb", "gggg"])
    ]
    train, held = sample(units, 12, 4, "characters")
    assert (train.units, held.units) == ([[("aaaa",), ("bb",)], [("dddd",), ("aa",)]], [[("cccc",)]])
    train, held = sample([[("ßß",), ("日本",)]], 5, 3, "bytes")
    assert (train.units, held.units) == ([[("ßß",)]], [])


def test_too_little_text_names_every_language_and_writes_nothing(call: Call, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(TextError, match=r"1,050,000 characters .*de has \d\d\d?,\d{3}, ja has .*about --characters \d+"):
        build(["de", "ja"], str(folder), out=tmp_path / "out", characters=1_000_000)
    with pytest.raises(TextError, match=r"11 segments .*4 are there in all languages.*de has 5, en has 6"):
        build(["de", "en"], str(tables(tmp_path)), out=tmp_path / "out", segments=10)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["de.tsv.gz", "en.tsv.gz", "sv.tsv.gz"]


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"languages": ["de"]}, LanguageError, "two languages"),
        ({"languages": ["de", "deu"]}, LanguageError, "'de' is named twice"),
        ({"languages": ["de", "xx"]}, LanguageError, "xx"),
        ({"languages": ["de", "sv"]}, TextError, "holds no sv.txt"),
        ({"characters": None}, RunError, "exactly one"),
        ({"bytes": 10}, RunError, "exactly one"),
        ({"characters": 0}, RunError, "amount"),
        ({"held_out": 1.5}, RunError, "held_out"),
    ],
)
def test_mistakes_are_told_and_nothing_is_written(
    change: dict[str, Any], error: type[LingraftError], says: str, folder: Path, tmp_path: Path
) -> None:
    given = {"languages": ["de", "ja"], "text": str(folder), "out": tmp_path / "out", "characters": 1000} | change
    with pytest.raises(error, match=says):
        build(**given)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_is_left_alone_and_a_failure_leaves_none(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(RunError, match="is there already"):
        build(["de", "ja"], str(folder), out=tmp_path / "mine", characters=1000)
    monkeypatch.setattr("lingraft.donors.facts.correlation", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        build(["de", "ja"], str(folder), out=tmp_path / "out", characters=1000, vocabulary=1000)
    assert [str(path.relative_to(tmp_path)) for path in sorted(tmp_path.rglob("*"))] == ["mine", "mine/thesis.txt"]


def test_what_is_no_corpus_is_told(built: Corpus, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no corpus\.json"):
        corpus.read(tmp_path)
    (tmp_path / "corpus.json").write_text((built.path / "corpus.json").read_text(encoding="utf-8"), encoding="utf-8")
    with pytest.raises(RunError, match="damaged"):
        corpus.read(tmp_path)


def test_the_command_prints_tables_or_json(call: Call, folder: Path, tmp_path: Path) -> None:
    command = ["donors", "corpus", "--languages", "de,ja", "--text", folder, "--characters", 5000, "--vocabulary", 1000, "--out"]
    status, out, err = call(*command, tmp_path / "one")
    assert status == 0, err
    assert "tokens against distinct tokens: no correlation of 2 languages" in out
    assert "reading ja" in err
    status, out, _ = call(*command, tmp_path / "two", "--json")
    assert status == 0
    found = json.loads(out)
    assert found.pop("corpus") == str(tmp_path / "two")
    assert found == json.loads((tmp_path / "one" / "corpus.json").read_text(encoding="utf-8"))
