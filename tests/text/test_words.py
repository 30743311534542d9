"""Words and sentences, with spaces and without."""

import pytest

from lingraft.text import bundled
from lingraft.text.words import begins_word, count_words, sentences, word_kind, word_spans


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        ("  zwei\tWörter, ", ["zwei", "Wörter,"]),
        ("col·lecció don't", ["col·lecció", "don't"]),
        ("한국어 문장", ["한국어", "문장"]),
        ("日本語のテスト。", list("日本語のテスト。")),
        ("iPhoneを買う", ["iPhone", "を", "買", "う"]),
        ("a\u3000漢", ["a", "漢"]),
        ("เที่ยว", ["เ", "ที่", "ย", "ว"]),
        ("ខ្មែរ\u200bok", ["ខ្", "មែ", "រ", "ok"]),
        ("か\u3099", ["か\u3099"]),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    spans = word_spans(text)
    assert [text[start:end] for start, end in spans] == words
    assert count_words(text) == len(words)


@pytest.mark.parametrize(("text", "begins"), [("本語", True), ("ใช้", True), ("ึ้", False), ("ing", False), ("", False), ("한", False)])
def test_what_begins_a_word_without_a_space(text: str, begins: bool) -> None:
    assert begins_word(text) is begins


@pytest.mark.parametrize(
    ("code", "kind"),
    [("de", "whitespace"), ("ko", "whitespace"), ("vi", "whitespace"), ("ja", "character"), ("zh", "character"), ("th", "character")],
)
def test_word_kind(code: str, kind: str) -> None:
    assert word_kind(code) == kind


@pytest.mark.parametrize(
    ("line", "pieces"),
    [
        ("", [""]),
        ("One.", ["One."]),
        ("One. Two! Three? Four", ["One.", " Two!", " Three?", " Four"]),
        ("He said “No.” Then (he left.) So", ["He said “No.”", " Then (he left.)", " So"]),
        ("Two spaces.  Stay. ", ["Two spaces.  Stay. "]),
        ("See e.g. this, 3.5 mm.", ["See e.g. this, 3.5 mm."]),
        ("今日は。「元気？」はい！！そう", ["今日は。", "「元気？」", "はい！！", "そう"]),
        ("यह है। वह है।", ["यह है।", " वह है।"]),
        ("کیا؟ ہاں۔ نہیں", ["کیا؟", " ہاں۔", " نہیں"]),
    ],
)
def test_sentences(line: str, pieces: list[str]) -> None:
    assert sentences(line) == pieces
    assert "".join(pieces) == line


@pytest.mark.parametrize("code", ["de", "ja"])
def test_nothing_is_lost_on_real_text(code: str) -> None:
    for document, _ in zip(bundled.documents(code), range(300), strict=False):
        for line in document.lines:
            assert "".join(sentences(line)) == line
            words = [line[start:end] for start, end in word_spans(line)]
            assert "".join(words) == "".join(line.split())
            assert count_words(line) == len(words)
