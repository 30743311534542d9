"""What --text may be, what becomes of it, and which part is held out."""

import gzip
import io
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from pydantic import ValidationError

from lingraft.errors import LanguageError, TextError
from lingraft.text import bundled
from lingraft.text.corpus import Corpus, Document, TextSettings, resolve, survey

SETTINGS = TextSettings()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def places(*specs: str, language: str = "de") -> tuple[str, ...]:
    return resolve(specs, language, settings=SETTINGS).places


def corpus_of(path: Path, text: str, **settings: object) -> Corpus:
    path.write_bytes(text.encode())
    return Corpus("de", (str(path),), TextSettings.model_validate(settings))


# ---- resolve


def test_files_globs_and_codes(here: Path) -> None:
    for name in ("b.txt", "a.txt", "sub/c.txt", "sw.txt"):
        (here / name).parent.mkdir(exist_ok=True)
        (here / name).write_text("x")
    assert places("b.txt", "a.txt") == ("b.txt", "a.txt")
    assert places("[ab].txt", "b.txt") == ("a.txt", "b.txt")
    assert places("**/*.txt") == ("a.txt", "b.txt", "sub/c.txt", "sw.txt")
    assert places("de=a.txt", "sw=sw.txt", "b.txt") == ("a.txt", "b.txt")
    assert places("deu=sub/*.txt") == ("sub/c.txt",)
    assert places("sw=sw.txt", "de=a.txt", language="swa") == ("sw.txt",)
    assert places("de=bundled", "bundled:en") == ("bundled:de",)
    assert places("de=bundled:en") == ("bundled:en",)
    assert places("bundled", language="eus") == ("bundled:eu",)
    assert resolve(["a.txt"], "DEU", settings=SETTINGS).language == "de"


def test_a_file_with_an_equals_sign_is_a_file(here: Path) -> None:
    for name in ("sw=1.txt", "x=2.txt", "[1].txt"):
        (here / name).write_text("x")
    assert places("sw=1.txt", "x=2.txt", "[1].txt", str(here / "x=2.txt")) == ("sw=1.txt", "x=2.txt", "[1].txt", str(here / "x=2.txt"))
    assert places("sw=*.txt") == ("sw=1.txt",)


def test_folders_hold_one_file_for_a_language(here: Path) -> None:
    (here / "texts").mkdir()
    (here / "texts/de.txt.gz").write_bytes(gzip.compress(b"x"))
    (here / "texts/sw.jsonl").write_text("{}")
    assert places("texts") == (os.path.join("texts", "de.txt.gz"),)
    assert places("texts", language="swa") == (os.path.join("texts", "sw.jsonl"),)
    with pytest.raises(TextError, match=r"texts holds no eu\.txt"):
        places("texts", language="eu")
    (here / "texts/de.txt").write_text("x")
    with pytest.raises(TextError, match=r"more than once: .*de\.txt.*de\.txt\.gz"):
        places("texts")


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        ("gone.txt", TextError, "There is no file 'gone.txt'"),
        ("gone/*.txt", TextError, "No file matches 'gone/\\*.txt'"),
        ("empty.txt", TextError, "empty.txt is empty"),
        ("de=gone.txt", TextError, "There is no file 'gone.txt'"),
        ("C:\\text\\a=b.txt", TextError, "There is no file"),
        ("data=gone.txt", LanguageError, "'data=gone.txt' is no file, so it is read as CODE=PATH. There is no language 'data'"),
        ("sw=gone.txt", TextError, "No text for 'de' is named among 'sw=gone.txt'. Give some with --text de=PATH"),
        ("bundled:xx", LanguageError, "There is no language 'xx'"),
        ("de=bundled:sw", LanguageError, "no bundled text for 'sw'"),
        ("hub:", TextError, "Write hub:owner/name"),
        ("-", TextError, "standard input, cannot be read here"),
    ],
)
def test_mistakes(here: Path, spec: str, error: type[Exception], message: str) -> None:
    (here / "empty.txt").touch()
    with pytest.raises(error, match=message.replace("(", "\\(")):
        places(spec)


def test_no_text_at_all() -> None:
    with pytest.raises(TextError, match=r"No text for 'de' is named\. Give some with --text de=PATH"):
        places()


def test_standard_input_is_copied_and_can_be_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"a\n\nb\n"), isatty=lambda: False))
    corpus = resolve(["-"], "de", settings=SETTINGS, spool=tmp_path / "stdin.txt")
    assert corpus.places == (str(tmp_path / "stdin.txt"),)
    assert [list(corpus.documents()) for _ in range(2)] == [[Document(["a"], 0), Document(["b"], 1)]] * 2
    assert os.listdir(tmp_path) == ["stdin.txt"]
    for nothing in (SimpleNamespace(isatty=lambda: True), SimpleNamespace(buffer=io.BytesIO(b""), isatty=lambda: False)):
        monkeypatch.setattr(sys, "stdin", nothing)  # the same command again, to go on: what was copied stays
        assert list(resolve(["-"], "de", settings=SETTINGS, spool=tmp_path / "stdin.txt").documents()) == list(corpus.documents())
    assert os.listdir(tmp_path) == ["stdin.txt"]
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
    with pytest.raises(TextError, match="nothing is piped"):
        resolve(["-"], "de", settings=SETTINGS, spool=tmp_path / "other.txt")


def test_the_hub_is_streamed_and_never_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[object, ...]] = []

    def load_dataset(*names: object, **options: object) -> Iterator[dict[str, object]]:
        asked.append((*names, options))
        if names[0] == "me/offline":
            raise ConnectionError("no network")
        return iter([{"page": "a\nb", "n": 1}, {"page": None, "n": 2}, {"page": "c", "n": 3}])

    monkeypatch.setattr("datasets.load_dataset", load_dataset)
    corpus = resolve(["hub:me/data@20231101.de#validation:page"], "de", settings=SETTINGS)
    assert [document.lines for document in corpus.documents()] == [["a", "b"], ["c"]]
    assert asked[0] == ("me/data", "20231101.de", {"split": "validation", "streaming": True})
    assert survey(resolve(["hub:me/data"], "de", settings=SETTINGS)).fingerprint == corpus.survey.fingerprint
    assert asked[-1] == ("me/data", None, {"split": "train", "streaming": True})
    with pytest.raises(TextError, match=r"hub:me/data:body has no column 'body'\. Known: n, page"):
        survey(resolve(["hub:me/data:body"], "de", settings=SETTINGS))
    with pytest.raises(TextError, match=r"hub:me/offline cannot be read: no network\. Is the name right"):
        survey(resolve(["hub:me/offline"], "de", settings=SETTINGS))


# ---- documents


def test_blank_lines_end_documents_and_lines_are_normalised(tmp_path: Path) -> None:
    corpus = corpus_of(tmp_path / "x.txt", "\n\n  u\u0308ber ﬁn \n\t\nzwei\u00a0\n\u3000\n\n\ndrei")
    assert list(corpus.documents()) == [Document(["über ﬁn"], 0), Document(["zwei"], 1), Document(["drei"], 2)]
    assert next(corpus_of(tmp_path / "x.txt", "u\u0308 ﬁn\n", normalisation="NFKC").documents()).lines == ["ü fin"]
    assert next(corpus_of(tmp_path / "x.txt", "u\u0308 ﬁn\n", normalisation="none").documents()).lines == ["u\u0308 ﬁn"]


def test_numbers_run_on_over_files_and_a_file_ends_its_document(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).write_text(f"{name}1\n\n{name}2")
    corpus = Corpus("de", (str(tmp_path / "a"), str(tmp_path / "b")), SETTINGS)
    assert [(*document.lines, document.number) for document in corpus.documents()] == [("a1", 0), ("a2", 1), ("b1", 2), ("b2", 3)]


def test_invalid_bytes_stop_or_are_replaced(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_bytes(b"gut\nStra\xdfe\n")
    with pytest.raises(TextError, match=r"x\.txt, line 2"):
        survey(Corpus("de", (str(tmp_path / "x.txt"),), SETTINGS))
    assert survey(Corpus("de", (str(tmp_path / "x.txt"),), TextSettings(errors="replace"))).lines == 2


def test_long_documents_are_cut_at_line_borders(tmp_path: Path) -> None:
    lines = [f"{number:03} " + "x" * 46 for number in range(400)]  # 50 characters each, 20,000 in all
    corpus = corpus_of(tmp_path / "x.txt", "short\n\n" + "\n".join(lines) + "\n\n" + "y" * 1500 + "\nend\n")
    assert corpus.section == (20_000 + 5 + 1503) // 20 == 1075
    units = list(corpus.documents())
    assert [document.number for document in units] == list(range(len(units)))
    assert units[0].lines == ["short"]
    assert [line for unit in units[1:-2] for line in unit.lines] == lines
    assert {len(unit.lines) for unit in units[1:-3]} == {21}
    assert [unit.lines for unit in units[-2:]] == [["y" * 1500], ["end"]]


# ---- the split


def test_every_twentieth_unit_is_held_out(tmp_path: Path) -> None:
    corpus = corpus_of(tmp_path / "x.txt", "".join(f"text {number}\n\n" for number in range(100)))
    assert corpus.held_out_every == 20
    assert [document.number for document in corpus.split("held-out")] == [10, 30, 50, 70, 90]
    both = sorted([*corpus.split("train"), *corpus.split("held-out")], key=lambda document: document.number)
    assert both == list(corpus.documents())


def test_one_document_of_many_lines_has_a_held_out_part(tmp_path: Path) -> None:
    corpus = corpus_of(tmp_path / "x.txt", "".join(f"this is line number {number} of the text\n" for number in range(2000)))
    held_out = sum(len(document.lines) for document in corpus.split("held-out"))
    assert 0.03 < held_out / 2000 < 0.07


def test_large_texts_hold_out_about_two_megabytes() -> None:
    corpus = Corpus("de", ("nowhere",), SETTINGS)
    corpus.__dict__["survey"] = SimpleNamespace(bytes=10**9, characters=10**9)
    assert (corpus.held_out_every, corpus.section) == (500, 20_000)
    assert corpus.is_held_out(Document(["x"], 250))
    assert not corpus.is_held_out(Document(["x"], 10))


def test_bundled_pages_are_whole_and_held_out_alike_in_every_language() -> None:
    held_out = {}
    for code in ("de", "ja"):
        corpus = resolve(["bundled"], code, settings=SETTINGS)
        assert list(corpus.documents()) == list(bundled.documents(code))
        held_out[code] = {document.number for document in corpus.split("held-out")}
        assert {number % 20 for number in held_out[code]} == {10}
    assert len(held_out["de"] & held_out["ja"]) > 80


# ---- the survey


def test_the_survey_counts(tmp_path: Path) -> None:
    found = survey(corpus_of(tmp_path / "x.txt", "äb\n c \n\n\nd"))
    assert (found.documents, found.lines, found.characters, found.bytes, found.dropped) == (2, 3, 4, 5, {})


def test_the_fingerprint_is_the_texts_and_not_the_formats(tmp_path: Path) -> None:
    first = survey(corpus_of(tmp_path / "x.txt", "a\nb\n\nc\n")).fingerprint
    records = "".join(json.dumps({"text": text}) + "\n" for text in ("a\nb", "", " c "))
    assert survey(corpus_of(tmp_path / "x.jsonl", records)).fingerprint == first
    for other in ("a\nb\nc\n", "a\n\nb\n\nc\n", "a\nb\n\nd\n", "ab\n\nc\n"):
        assert survey(corpus_of(tmp_path / "x.txt", other)).fingerprint != first


@pytest.mark.parametrize(("text", "why"), [(" \n\n\t\n", "it is empty"), ("звук\n", "cleaning dropped all of it \\(1 lines by 'script'")])
def test_nothing_left_is_an_error(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(TextError, match=rf"no text for 'de' in .*x\.txt: {why}"):
        survey(corpus_of(tmp_path / "x.txt", text, clean=["script"]))


def test_settings_are_checked_and_described() -> None:
    with pytest.raises(ValidationError):
        TextSettings.model_validate({"normalization": "NFC"})
    with pytest.raises(ValidationError):
        TextSettings.model_validate({"clean": ["duplicate"]})
    assert all(field.description for field in TextSettings.model_fields.values())
