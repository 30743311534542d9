"""The bundled corpus: complete, parallel, and without leaks between its two parts."""

from importlib.resources import files

import pytest

from lingraft.errors import LanguageError
from lingraft.text import bundled

HELD_OUT = 10  # number % 20


@pytest.mark.parametrize("code", bundled.LANGUAGES)
def test_every_language_is_there_and_nothing_stands_on_both_sides(code: str) -> None:
    pages = list(bundled.documents(code))
    lines = [line for page in pages for line in page.lines]
    assert len(pages) > 1800
    assert len(lines) > 18_000
    assert len(set(lines)) == len(lines)
    assert all(line and line == line.strip() for line in lines)
    numbers = [page.number for page in pages]
    assert numbers == sorted(set(numbers))
    assert 0.03 < sum(number % 20 == HELD_OUT for number in numbers) / len(numbers) < 0.07


def test_german_is_parallel_to_english() -> None:
    pairs = list(bundled.parallel("en", "deu"))
    assert 35_000 < len(pairs) == len(set(pairs)) < 36_500
    assert 3_300_000 < sum(len(german) for _, _, german in pairs) < 3_500_000
    assert all(english and german and english != german for _, english, german in pairs)
    texts = {english: german for _, english, german in pairs}
    assert (
        texts["Inserting Graphics From the Gallery With Drag-and-Drop"]
        == "Einfügen von Grafiken aus der Gallery mittels Ziehen-und-Ablegen"
    )


@pytest.mark.parametrize(("source", "target"), [("en", "de"), ("ru", "eu")])
def test_training_pairs_tell_nothing_about_held_out_documents(source: str, target: str) -> None:
    pairs = list(bundled.parallel(source, target))
    for side, code in enumerate((source, target), 1):
        held_out = {line for page in bundled.documents(code) if page.number % 20 == HELD_OUT for line in page.lines}
        assert held_out.isdisjoint(pair[side] for pair in pairs if pair[0] % 20 != HELD_OUT)
        assert held_out.issuperset(pair[side] for pair in pairs if pair[0] % 20 == HELD_OUT)


def test_pages_have_the_same_number_in_every_language() -> None:
    pairs = {(number, english) for number, english, _ in bundled.parallel("en", "fr")}
    pages = {page.number: set(page.lines) for page in bundled.documents("en")}
    assert sum(english in pages.get(number, ()) for number, english in pairs) > 0.95 * len(pairs)


def test_unknown_languages_name_the_bundled_ones() -> None:
    with pytest.raises(LanguageError, match=r"no bundled text for 'sw'.*Known: de, en, es, eu, fr, ja, ru"):
        next(bundled.documents("sw"))
    with pytest.raises(LanguageError, match="There is no language 'xx'"):
        next(bundled.parallel("en", "xx"))


def test_licence_and_origin_lie_beside_the_data_within_the_limit() -> None:
    folder = files("lingraft") / "data" / "libreoffice_help"
    assert "Mozilla Public License Version 2.0" in (folder / "LICENSE").read_text()
    assert "build_bundled_corpus.py" in (folder / "README.md").read_text()
    assert sum(len(file.read_bytes()) for file in folder.iterdir()) <= 8_000_000
