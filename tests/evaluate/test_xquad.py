"""XQuAD's tooling: what goes to translators comes back as it was, and what they spoil is found and named."""

import gzip
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from lingraft.cli.xquad import app
from lingraft.errors import LingraftError, LingraftWarning
from lingraft.evaluate import xquad, xquad_stats
from lingraft.evaluate.xquad import Found, Section, mark, unmark


def document(title: str, *paragraphs: tuple[str, list[tuple[str, ...]]]) -> dict[str, Any]:
    """A document of SQuAD's layout: of each paragraph a context and, for each question, its answers."""

    def asked(context: str, number: int, answers: tuple[str, ...]) -> dict[str, Any]:
        texts = [{"text": answer, "answer_start": context.find(answer)} for answer in answers]
        return {"id": f"{title}-{context[:3]}-{number}", "question": f"Question {number}, of {title}?", "answers": texts}

    return {
        "title": title,
        "paragraphs": [
            {"context": context, "qas": [asked(context, number, answers) for number, answers in enumerate(questions)]}
            for context, questions in paragraphs
        ],
    }


FOX = ("The red fox ate nine hens.", [("red fox",), ("fox ate nine",), ("nine hens", "hens", "hens")])
HAN = ("  在封闭空间（别称有燃烧室）中。\n第二行 ", [("燃烧室",), ("燃烧室",), ("烧",)])
PLAIN = ("Rates rose 3,07* in #1 towns.", [("Rates",), ("3,07*",)])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What translators get: two documents, the first with two paragraphs of which both are taken."""
    squad = tmp_path / "squad.json"
    squad.write_text(json.dumps({"version": "1.1", "data": [document("A", FOX, HAN), document("B", PLAIN, FOX)]}))
    xquad.build(squad, tmp_path / "out", paragraphs=2, batches=2, most=2)
    return tmp_path / "out"


def answers(found: dict[str, Any]) -> list[str]:
    """Answers as the contexts have them at their starts."""
    return [
        paragraph["context"][answer["answer_start"] :][: len(answer["text"])]
        for each in found["data"]
        for paragraph in each["paragraphs"]
        for asked in paragraph["qas"]
        for answer in asked["answers"]
    ]


def test_marks_nest_cross_and_touch() -> None:
    assert mark("abcdef", [(1, 4)]) == "a*0* bcd #0#ef"
    assert mark("abcdef", [(2, 3), (1, 4)]) == "a*1* b*0* c #0#d #1#ef"  # nested
    assert mark("abcdef", [(0, 3), (2, 6)]) == "*0* ab*1* c #0#def #1#"  # crossed
    assert mark("abcdef", [(0, 3), (3, 6)]) == "*0* abc #0#*1* def #1#"  # touching
    assert mark("ab", [(0, 2), (0, 2)]) == "*0* *1* ab #1# #0#"  # the same


def test_whatever_is_marked_comes_back(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    for _ in range(300):
        context = "".join(generator.choice(list("ab \n在。*#"), size=12))
        bounds = np.sort([generator.choice(13, 2, replace=False) for _ in range(3)], axis=1)
        spans = [(int(a), int(b)) for a, b in bounds if context[a:b] and context[a:b] == context[a:b].strip()]
        plain, back = unmark(Section(tmp_path, 1, mark(context, spans)), len(spans), "", Found())
        assert (plain, back) == (context, spans)


def test_the_round_trip(folder: Path, tmp_path: Path) -> None:
    found, problems = xquad.check([folder], folder)
    assert not problems
    squad = xquad.as_squad(found)
    assert [p["context"] for d in squad["data"] for p in d["paragraphs"]] == [FOX[0], HAN[0], PLAIN[0], FOX[0]]
    assert answers(squad) == [
        "red fox",
        "fox ate nine",
        "hens",
        "燃烧室",
        "燃烧室",
        "烧",
        "Rates",
        "3,07*",
        "red fox",
        "fox ate nine",
        "hens",
    ]
    assert [a["qas"][0]["id"] for a in squad["data"][1]["paragraphs"]] == ["B-Rat-0", "B-The-0"]
    assert "batch" not in squad["data"][0] and squad["data"][0]["title"] == "A"


def test_the_translators_file(folder: Path) -> None:
    text = (folder / "batch-01.txt").read_text()
    assert text.startswith(
        "[1.1 context]\nThe *0* red *1* fox #0# ate nine #1# *2* hens #2#.\n\n[1.1 question 0]\nQuestion 0, of A?\n\n[1.1 q"
    )
    assert "[2.1 context]" not in text and "*0* span" not in text
    assert "Wikipedia" in (folder / "instructions.txt").read_text()
    assert sorted(path.name for path in folder.iterdir()) == ["batch-01.txt", "batch-02.txt", "instructions.txt", "manifest.json"]


def test_a_translation_of_one_batch(folder: Path) -> None:
    file = folder / "batch-01.txt"
    text = file.read_text().replace(
        "The *0* red *1* fox #0# ate nine #1# *2* hens #2#.", "*2*Neun Hühner#2# fraß *1*  der *0* rote Fuchs #0# auf #1#."
    )
    file.write_bytes(text.replace("\n", "\r\n").encode("utf-8-sig"))
    found, problems = xquad.check([file], folder)
    assert not problems
    first, second = xquad.as_squad(found)["data"][0]["paragraphs"]
    assert first["context"] == "Neun Hühner fraß  der rote Fuchs auf." and second["context"] == HAN[0]
    assert answers(xquad.as_squad(found))[:3] == ["rote Fuchs", "der rote Fuchs auf", "Neun Hühner"]
    assert len(xquad.as_squad(found)["data"]) == 1


GOOD = "The *0* red *1* fox #0# ate nine #1# *2* hens #2#."


@pytest.mark.parametrize(
    ("bad", "said", "place"),
    [
        ("The *0* red *1* fox #0# ate nine #1# *2* hens.", "missing: there is no mark #2#", 38),
        ("The *0* red *1* fox #0# ate nine #1# hens.", "missing: there is no mark *2*", 1),
        (GOOD + " *0* again", "doubled: the mark *0* is there 2 times", 52),
        ("The *0* red *1* fox #0# ate nine #1# *2* #2# hens.", "empty: nothing stands between *2* and #2#", 38),
        ("The *0* red *1* fox #0# ate nine #1# #2# hens *2*.", "crossed: #2# comes before *2*", 38),
        ("The *0* red *1* fox #0# ate nine #1# *2* hens #2.", "altered: 's #2.' looks like a mark", 47),
        ("The *0* red *1* fox #0# ate nine #1# *2* hens # 2 #.", "altered: 's # 2 #.' looks like a mark", 47),
        ("The *0* red *1* fox #0# ate nine #1# *٢* hens #2#.", "looks like a mark", 38),
        ("The **0** red *1* fox #0# ate nine #1# *2* hens #2#.", "looks like a mark", 5),
        (GOOD + " *7* and", "altered: there is a mark *7*, but no question with that number", 52),
        ("", "empty: nothing stands below [1.1 context]", 1),
    ],
    ids=["missing-end", "missing-both", "doubled", "empty", "crossed", "cut", "spaces", "digits", "bold", "number", "no-text"],
)
def test_a_spoilt_mark_is_named_with_its_place(folder: Path, bad: str, said: str, place: int) -> None:
    file = folder / "batch-01.txt"
    file.write_text(file.read_text().replace(GOOD, bad))
    problems = xquad.check([file], folder)[1]
    assert any(said in each and each.startswith(f"{file}, line 2, character {place}: paragraph 1.1: ") for each in problems), problems


def test_marks_in_a_second_line_and_several_faults_at_once(folder: Path) -> None:
    file = folder / "batch-01.txt"
    file.write_text(file.read_text().replace("第二行", "第*0* 二 #0#行").replace("#2#.", "."))
    problems = xquad.check([file], folder)[1]
    assert any(", line 15, character 2: paragraph 1.2: doubled: the mark *0*" in each for each in problems)
    assert any("paragraph 1.1: missing: there is no mark #2#" in each for each in problems)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[1.2 context]", "[1.2 Kontext]", "line 18, character 1: paragraph 1.2: missing: there is no heading [1.2 context]"),
        ("[1.1 question 1]\nQuestion 1, of A?\n", "", "paragraph 1.1: missing: there is no heading [1.1 question 1]"),
        ("[1.1 question 1]", "[1.1 question 0]", "paragraph 1.1: doubled: the heading [1.1 question 0] is there twice"),
        ("Question 1, of A?", "  ", "empty: nothing stands below [1.1 question 1]"),
        ("Question 1, of A?", "Frage *1* eins #1#?", "altered: [1.1 question 1] has a mark"),
        ("[1.1 question 1]", "[1.9 question 1]", "altered: the source has no [1.9 question 1]"),
    ],
    ids=["heading", "question", "twice", "empty", "mark", "unknown"],
)
def test_a_spoilt_file_is_named(folder: Path, old: str, new: str, said: str) -> None:
    file = folder / "batch-01.txt"
    file.write_text(file.read_text().replace(old, new, 1))
    assert any(said in each for each in xquad.check([file], folder)[1])


def test_a_paragraph_that_is_gone_is_one_fault(folder: Path) -> None:
    file = folder / "batch-01.txt"
    file.write_text(file.read_text().partition("[1.2 context]")[0])
    assert xquad.check([file], folder)[1] == ["paragraph 1.2: missing: none of its headings is there, such as [1.2 context]"]


def test_files_of_another_sample(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "other.txt").write_text("[77.1 context]\nHm.\n")
    (tmp_path / "none.txt").write_text("Hm.\n")
    (tmp_path / "latin.txt").write_bytes(b"[1.1 context]\n\xe9")
    for path, source, said in (
        ("other.txt", folder, "no heading such as"),
        ("none.txt", folder, "no heading such as"),
        ("latin.txt", folder, "line 2: byte 0xe9"),
        ("other.txt", tmp_path, "has no manifest"),
    ):
        with pytest.raises(LingraftError, match=said):
            xquad.check([tmp_path / path], source)


def test_the_same_batch_twice(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "copy.txt").write_text((folder / "batch-01.txt").read_text())
    assert any("it is in" in each for each in xquad.check([folder, tmp_path / "copy.txt"], folder)[1])


@pytest.mark.parametrize("text", ["a *0* b", "one\n[1.1 context]\ntwo", "\nnew line first", "#3# a", "*", "a *1"], ids=range(6))
def test_a_text_that_looks_like_marks_is_left_out(tmp_path: Path, text: str) -> None:
    odd = (text + "word", [("word",), ("word",)])
    (tmp_path / "s.json").write_text(json.dumps({"data": [document("A", odd, FOX, ("x", [("absent",)]))]}))
    with pytest.warns(LingraftWarning, match="2 of 3 paragraphs are left out"):
        counts = xquad.build(tmp_path / "s.json", tmp_path / "out", paragraphs=1, most=1)
    assert counts["questions"] == 3
    with pytest.raises(LingraftError, match="No document has 2 usable"), warnings.catch_warnings(action="ignore"):
        xquad.build(tmp_path / "s.json", tmp_path / "out", paragraphs=2)


def test_the_sample(tmp_path: Path) -> None:
    data = [document(f"D{n}", *((f"{p} is word {n}.", [("word",)]) for p in range(n))) for n in range(1, 9)]
    (tmp_path / "s.json.gz").write_bytes(gzip.compress(json.dumps({"data": data}).encode()))
    with pytest.warns(LingraftWarning) as warned:
        counts = xquad.build(tmp_path / "s.json.gz", tmp_path / "a", seed=1, paragraphs=3, batches=4)
    assert "2 of 8 documents are left out" in str(warned[0].message) and "usable paragraphs with questions: D1, D2" in str(
        warned[0].message
    )
    assert "48 documents were asked for, and 6 are there" in str(warned[1].message)
    assert counts == {"documents": 6, "paragraphs": 18, "questions": 18, "batches": 4}
    with warnings.catch_warnings(action="ignore"):
        for name, seed in (("same", 1), ("other", 2)):
            xquad.build(tmp_path / "s.json.gz", tmp_path / name, seed=seed, paragraphs=3, batches=4)
    texts = [(tmp_path / name / "manifest.json").read_text() for name in ("a", "same", "other")]
    assert texts[0] == texts[1] != texts[2]
    found = json.loads(texts[0])["data"]
    order = [[int(paragraph["context"].split()[0]) for paragraph in each["paragraphs"]] for each in found]
    assert order == [sorted(set(each)) for each in order] and all(len(each) == 3 for each in order)
    assert [each["batch"] for each in found] == [1, 1, 2, 2, 3, 4]


def test_the_most_frequent_answer_first_among_equals(tmp_path: Path) -> None:
    questions = [("one", "two", "two"), ("two", "one"), ("three ", "three", "three ")]
    (tmp_path / "s.json").write_text(json.dumps({"data": [document("A", ("one two three four", questions))]}))
    with warnings.catch_warnings(action="ignore"):
        xquad.build(tmp_path / "s.json", tmp_path / "out", paragraphs=1)
    assert "*0* *1* two #1# #0# *2* three #2# four" in (tmp_path / "out/batch-01.txt").read_text()


def test_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "x.en.json").write_text(json.dumps({"data": [document("A", FOX)]}))
    run = CliRunner().invoke
    options = ["--out", str(tmp_path / "out"), "--paragraphs", "1", "--documents", "1"]
    built = run(app, ["build", str(tmp_path / "x.en.json"), *options])
    assert built.exit_code == 0 and "1 documents, 1 paragraphs, 3 questions, 1 batches" in built.stdout
    assert isinstance(run(app, ["build", str(tmp_path / "x.en.json"), *options]).exception, LingraftError)
    file = tmp_path / "out/batch-01.txt"
    check = ["check", str(file), "--source", str(tmp_path / "out"), "--out", str(tmp_path / "de.json")]
    assert "no faults" in run(app, check).stdout and answers(json.loads((tmp_path / "de.json").read_text()))[2] == "hens"
    file.write_text(file.read_text().replace("#0#", "").replace("*2*", ""))
    said = str(run(app, check).exception)
    assert said.startswith("2 faults to correct") and "#0#" in said and "*2*" in said
    found = json.loads(run(app, ["stats", str(tmp_path / "x.en.json"), "--json"]).stdout)["files"][0]
    assert (found["language"], found["paragraphs"], found["questions"]) == ("en", 1, 3)
    assert (found["paragraph"], found["answer"]) == (7, pytest.approx(7 / 3))
    assert "Paragraph  7.0" in run(app, ["stats", str(tmp_path / "x.en.json")]).stdout


@pytest.mark.parametrize(
    ("name", "code"), [("xquad.de.json.gz", "de"), ("zh.cmrc2018.dev.json.gz", "zh"), ("dev-v1.1.json", ""), ("a.json", "")]
)
def test_the_language_of_a_file_s_name(name: str, code: str) -> None:
    assert xquad_stats.language_of(Path(name)) == code
