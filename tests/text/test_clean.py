"""What cleaning drops, and what it must not."""

from pathlib import Path

import pytest

from lingraft.errors import LanguageError
from lingraft.text.clean import Cleaner, foreign
from lingraft.text.corpus import Corpus, TextSettings, survey


def test_duplicates_are_dropped_across_batches_and_counted() -> None:
    cleaner = Cleaner(["duplicates"], "de")
    assert cleaner.keep(["a", "b", "", "a", ""]) == ["a", "b", "", ""]
    assert cleaner.keep(["b", "c"]) == ["c"]
    assert cleaner.dropped == {"duplicates": 2}


def test_no_line_is_taken_for_another_among_many() -> None:
    lines = [f"line {number}" for number in range(50_000)]
    cleaner = Cleaner(["duplicates"], "de")
    assert cleaner.keep(lines) == lines
    assert cleaner.keep(lines) == []


@pytest.mark.parametrize(
    ("language", "own", "other"),
    [
        ("de", ["Grüße, Ελ!", "2024 – 100 %", "Ⅻ", "…"], ["Привет, Welt мой", "漢字"]),
        ("ru", ["Привет", "Файл Word открыт"], ["Microsoft Office и", "العربية"]),
        ("ja", ["漢字かなカナー", "Word の使い方です"], ["This is English です", "한국어"]),
        ("ko", ["한국어", "漢字"], ["かな"]),
        ("zh", ["漢字"], ["かな", "English"]),
        ("hi", ["यह हिन्दी है"], ["English"]),
        ("ur", ["اردو"], ["English"]),
    ],
)
def test_lines_in_another_script(language: str, own: list[str], other: list[str]) -> None:
    is_foreign = foreign(language)
    assert [line for line in own if is_foreign(line)] == []
    assert [line for line in other if not is_foreign(line)] == []


def test_an_unknown_script_is_an_error_with_the_way_out() -> None:
    with pytest.raises(LanguageError, match=r"script of 'aaa' is not known.*'aaa-Latn'"):
        Cleaner(["script"], "aaa")


def test_the_survey_counts_what_was_dropped_in_every_pass_anew(tmp_path: Path) -> None:
    file = tmp_path / "x.txt"
    file.write_text("eins\nзвук\neins\n\nдва\n\nzwei\n", encoding="utf-8")
    corpus = Corpus("de", (str(file),), TextSettings(clean=["duplicates", "script"]))
    found = survey(corpus)
    assert (found.documents, found.lines, found.dropped) == (2, 2, {"script": 2, "duplicates": 1})
    for _ in range(2):
        assert [document.lines for document in corpus.documents()] == [["eins"], ["zwei"]]
