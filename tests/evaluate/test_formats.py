"""Classification and regression: official layouts are read, and the user's own; wrong ones are refused with a line."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pyarrow
import pyarrow.parquet
import pytest

from lingraft.errors import LingraftWarning, TextError
from lingraft.evaluate import formats
from lingraft.evaluate.classification import CLASSIFICATION_TASKS
from lingraft.evaluate.measures import MEASURES
from lingraft.evaluate.table import TASKS

Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a file, compressed where its name says so."""

    def to(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
        return path

    return to


def table(*rows: str) -> str:
    """Rows of columns, which blanks and bars separate here and tabs there."""
    return "".join("\t".join(column.strip() for column in row.split("|")) + "\n" for row in rows)


def jsonl(*records: dict[str, Any]) -> str:
    """Records as lines."""
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


MNLI_HEADER = (
    "index | promptID | pairID | genre | sentence1_binary_parse | sentence2_binary_parse | sentence1_parse | sentence2_parse"
    " | sentence1 | sentence2 | label1 | gold_label"
)
STSB_HEADER = "index | genre | filename | year | old_index | source1 | source2 | sentence1 | sentence2 | score"
XNLI_HEADER = "language | gold_label | sentence1_binary_parse | sentence1 | sentence2 | promptID | label1"
WSC = {
    "target": {"span2_index": 5, "span1_index": 0, "span1_text": "小明", "span2_text": "他"},
    "text": "小明说今天他不来。",
    "label": "true",
}
OFFICIAL = {
    "glue/cola": ("dev.tsv", table('gj04 | 1 | | A "good one.', "gj04 | 0 | * | A bad."), [('A "good one.', "", "1"), ("A bad.", "", "0")]),
    "glue/mnli": (
        "dev_matched.tsv",
        table(MNLI_HEADER, "0|1|1e|x|(|(|(|(| One. | Two. | neutral | entailment"),
        [("One.", "Two.", "entailment")],
    ),
    "glue/mrpc": (
        "msr_paraphrase_test.txt",
        "\ufeff" + table("Quality | #1 ID | #2 ID | #1 String | #2 String", "1 | 7 | 8 | One. | Two."),
        [("One.", "Two.", "1")],
    ),
    "glue/qnli": (
        "dev.tsv",
        table("index | question | sentence | label", "0 | Who? | He. | not_entailment"),
        [("Who?", "He.", "not_entailment")],
    ),
    "glue/qqp": (
        "dev.tsv",
        table("id | qid1 | qid2 | question1 | question2 | is_duplicate", "0 | 1 | 2 | Why? | How? | 0"),
        [("Why?", "How?", "0")],
    ),
    "glue/rte": (
        "dev.tsv",
        table("index | sentence1 | sentence2 | label", "0 | One. | Two. | entailment"),
        [("One.", "Two.", "entailment")],
    ),
    "glue/sst2": ("dev.tsv.gz", table("sentence | label", "fine | 1", "poor | 0"), [("fine", "", "1"), ("poor", "", "0")]),
    "glue/stsb": ("dev.tsv", table(STSB_HEADER, "0|a|b|c|1|n|n| One. | Two. | 4.750"), [("One.", "Two.", 4.75)]),
    "xnli": ("xnli.dev.tsv", table(XNLI_HEADER, "sw | contradiction | ( | Moja. | Mbili. | 1 | x"), [("Moja.", "Mbili.", "contradiction")]),
    "pawsx": ("dev_2k.tsv", table("id | sentence1 | sentence2 | label", '1 | One " . | Two . | 0'), [('One " .', "Two .", "0")]),
    "mldoc": ("german.dev", table("CCAT | Ein Text.", "MCAT | Noch einer."), [("Ein Text.", "", "CCAT"), ("Noch einer.", "", "MCAT")]),
    "clue/afqmc": ("dev.json", jsonl({"sentence1": "甲", "sentence2": "乙", "label": "0"}), [("甲", "乙", "0")]),
    "clue/cmnli": ("dev.json", jsonl({"sentence1": "甲", "sentence2": "乙", "label": "neutral"}), [("甲", "乙", "neutral")]),
    "clue/csl": ("dev.json", jsonl({"id": 1, "abst": "本文", "keyword": ["甲", "乙"], "label": "1"}), [("甲 乙", "本文", "1")]),
    "clue/tnews": ("dev.json", jsonl({"label": "102", "label_desc": "news_x", "sentence": "甲", "keywords": "乙,丙"}), [("甲", "", "102")]),
    "clue/iflytek": ("dev.json", jsonl({"label": 110, "label_des": "社区", "sentence": "甲"}), [("甲", "", "110")]),
    "clue/wsc": ("dev.json", jsonl(WSC), [("_小明_说今天[他]不来。", "", "1")]),
}


@pytest.mark.parametrize("name", [*OFFICIAL])
def test_the_official_layout_of_each_benchmark_is_read(name: str, write: Write) -> None:
    file, text, expected = OFFICIAL[name]
    found = CLASSIFICATION_TASKS[name].read(write(file, text))
    assert [(pair.first, pair.second, pair.label) for pair in found] == expected


@pytest.mark.parametrize("name", [*OFFICIAL])
def test_a_folder_stands_for_its_development_file(name: str, write: Write) -> None:
    file, text, expected = OFFICIAL[name]
    folder = write(f"folder/{'dev.tsv' if file.startswith('msr') else file}", text).parent
    write("folder/README.md", "not data")
    assert len(CLASSIFICATION_TASKS[name].read(folder)) == len(expected)


def test_every_official_benchmark_has_a_layout_here() -> None:
    assert set(CLASSIFICATION_TASKS) - set(OFFICIAL) == {"classify", "regress", "glue/mnli-mm"}


def test_the_page_of_tasks_has_every_task_with_its_main_score() -> None:
    lines = (Path(__file__).parents[2] / "docs" / "tasks.md").read_text(encoding="utf-8").splitlines()
    rows = {line.split("`")[1]: line.split("|")[4].split(",")[0].strip() for line in lines if line.startswith("| `")}
    assert rows == {name: task.main for name, task in {**TASKS, **MEASURES}.items()}


def test_mnli_has_two_development_files_and_one_for_training(write: Write) -> None:
    for file, text in (("train", "A."), ("dev_matched", "B."), ("dev_mismatched", "C.")):
        folder = write(f"MNLI/{file}.tsv", table(MNLI_HEADER, f"0|1|1e|x|(|(|(|(| {text} | Two. | neutral | entailment")).parent

    def first(task: str, split: str) -> str:
        return str(CLASSIFICATION_TASKS[task].read(Path(f"{folder}#split={split}"))[0].first)

    assert [first("glue/mnli", "dev"), first("glue/mnli-mm", "validation"), first("glue/mnli", "train")] == ["B.", "C.", "A."]


def test_xnli_takes_one_language_of_many_and_the_translated_training_files(write: Write) -> None:
    read = CLASSIFICATION_TASKS["xnli"].read
    rows = [f"{code} | neutral | ( | {code} one. | {code} two. | 1 | x" for code in ("de", "sw")]
    path = write("XNLI/xnli.test.tsv", table(XNLI_HEADER, *rows))
    write("XNLI/multinli.train.sw.tsv", table("premise | hypo | label", "Moja. | Mbili. | contradictory"))
    assert [pair.first for pair in read(Path(f"{path}#language=sw"))] == ["sw one."]
    assert [pair.first for pair in read(Path(f"{path.parent}#split=test&language=de"))] == ["de one."]
    assert [pair.label for pair in read(Path(f"{path.parent}#split=train&language=sw"))] == ["contradiction"]
    with pytest.raises(TextError, match=r"holds 2 languages: de, sw\. Choose one"):
        read(path)
    with pytest.raises(TextError, match="there is nothing in 'fr'; it holds de, sw"):
        read(Path(f"{path}#language=fr"))


def test_pairs_without_a_majority_are_left_out_and_counted(write: Write) -> None:
    records = [{"sentence1": "甲", "sentence2": "乙", "label": label} for label in ("entailment", "-", "-")]
    with pytest.warns(LingraftWarning, match="2 examples that annotators did not agree on"):
        assert len(CLASSIFICATION_TASKS["clue/cmnli"].read(write("dev.json", jsonl(*records)))) == 1


@pytest.mark.parametrize("kind", ["tsv", "csv", "jsonl", "json", "parquet", "csv.gz"])
def test_own_files_have_any_columns(kind: str, write: Write, tmp_path: Path) -> None:
    records = [{"Body": 'He said, "no"\n\nthen left', "Answer": "No", "topic": "x"}, {"Body": "ok", "Answer": "Yes", "topic": "y"}]
    path = tmp_path / f"own.{kind}"
    if kind == "tsv":
        records[0]["Body"] = 'He said, "no'
        path = write("own.tsv", table("Body | Answer | topic", *(" | ".join(record.values()) for record in records)))
    elif kind.startswith("csv"):
        path = write(f"own.{kind}", 'Body,Answer,topic\n"He said, ""no""\n\nthen left",No,x\n\nok,Yes,y\n')
    elif kind == "parquet":
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(records), path)
    else:
        write(f"own.{kind}", jsonl(*records) if kind == "jsonl" else json.dumps(records, indent=1))
    found = CLASSIFICATION_TASKS["classify"].read(Path(f"{path}#text=Body&second=Answer&label=topic"))
    assert [(pair.first, pair.second, pair.label) for pair in found] == [
        (record["Body"], record["Answer"], record["topic"]) for record in records
    ]


def test_a_number_may_stand_in_an_object(write: Write) -> None:
    path = write("sts.jsonl", jsonl({"sentence1": "a", "sentence2": "b", "labels": {"label": 3.5, "other": 1}}))
    assert CLASSIFICATION_TASKS["regress"].read(path)[0].label == 3.5
    assert CLASSIFICATION_TASKS["regress"].read(Path(f"{path}#label=labels.other"))[0].label == 1.0


def test_the_hub_gives_labels_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["bad", "good"])})
    asked: dict[str, Any] = {}

    def load(*names: str | None, **options: Any) -> datasets.Dataset:
        asked.update(options, names=names)
        return datasets.Dataset.from_list([{"text": "fine", "label": 1}], features=features)

    monkeypatch.setattr(datasets, "load_dataset", load)
    found = CLASSIFICATION_TASKS["classify"].read(Path("hub:owner/name@small#train"))
    assert [(pair.first, pair.label) for pair in found] == [("fine", "good")]
    assert asked == {"names": ("owner/name", "small"), "split": "train", "streaming": True}

    def fail(*names: str | None, **options: Any) -> None:
        raise ConnectionError("no route")

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(TextError, match=r"hub:owner/name cannot be read: no route\. Are the name and the split 'validation' right"):
        CLASSIFICATION_TASKS["classify"].read(Path("hub:owner/name"))


WRONG = {
    "no column": ("classify", "a.tsv", "one\tlabel\nx\ty\n", "", r"line 2: no column holds the text \(there are 'one', 'label'\)"),
    "no such column": ("classify", "a.csv", "text,label\nx,y\n", "#label=lable", r"line 2 has no column 'lable'. Did you mean 'label'"),
    "a column twice": ("xnli", "a.tsv", "premise\tpremise\tlabel\nx\ty\tz\n", "", r"line 1: there are two columns 'premise'"),
    "too few columns": ("xnli", "a.tsv", "premise\thypothesis\tlabel\nx\ty\n", "", r"line 2 has 2 columns, but there should be 3"),
    "a strange label": ("xnli", "a.tsv", "premise\thypothesis\tlabel\nx\ty\tmaybe\n", "", r"line 2: 'maybe' is not a label of this task"),
    "an empty label": ("classify", "a.tsv", "text\tlabel\nx\ty\nx\t\n", "", r"line 3, column 'label' holds no label"),
    "no number": ("regress", "a.tsv", "text\tscore\nx\ty\n", "", r"line 2: 'y' is not a number"),
    "not a number": ("regress", "a.tsv", "text\tscore\nx\tnan\n", "", r"line 2: 'nan' is not a number"),
    "no JSON": ("clue/afqmc", "a.json", '{"sentence1": "a", "sentence2": "b", "label": "0"}\n{"a": \n', "", r"line 2: not JSON"),
    "no object": ("classify", "a.jsonl", "3\n", "", r"line 1: a record must be an object"),
    "no text": ("classify", "a.jsonl", '{"text": 3, "label": "x"}', "", r"line 1, column 'text' holds int, not text"),
    "a quotation mark": ("classify", "a.csv", 'text,label\n"x,y\n', "", r"line 2: unexpected end of data"),
    "nothing": ("classify", "a.tsv", "text\tlabel\n", "", r"holds no examples"),
    "a file's split": ("classify", "a.tsv", "text\tlabel\nx\ty\n", "#split=test", r"a file has no splits"),
    "no choice": ("classify", "a.tsv", "text\tlabel\nx\ty\n", "#lable=x", r"no choice 'lable'. Did you mean 'label'"),
    "a span elsewhere": ("clue/wsc", "a.json", jsonl(WSC | {"text": "小明。"}), "", r"line 1: span 2, '他', cannot stand at character 5"),
}


@pytest.mark.parametrize("case", [*WRONG])
def test_what_is_wrong_is_said_with_its_line(case: str, write: Write) -> None:
    task, name, text, choices, message = WRONG[case]
    path = write(name, text)
    with pytest.raises(TextError, match=message):
        CLASSIFICATION_TASKS[task].read(Path(f"{path}{choices}"))


def test_files_that_are_no_text_and_folders_without_the_file_are_refused(tmp_path: Path, write: Write) -> None:
    (tmp_path / "latin.tsv").write_bytes(b"text\tlabel\nf\xfcr\tx\n")
    folder = write("folder/train.tsv", "x").parent
    write("folder/other-train.tsv", "x")
    for place, message in (
        (tmp_path / "latin.tsv", "line 2: not UTF-8"),
        (tmp_path / "none.tsv", "There is no file"),
        (folder, r"holds no file of the split 'dev' \(it holds other-train.tsv, train.tsv\)"),
        (Path(f"{folder}#split=rain"), "holds several files for 'rain'"),
        (Path(f"{folder}#split=../x"), "is no name of a split"),
    ):
        with pytest.raises(TextError, match=message):
            formats.read_pairs(place)


def test_lines_that_official_files_have_broken_are_left_out_and_counted(write: Write) -> None:
    path = write("dev.tsv", OFFICIAL["glue/qqp"][1] + "1\t2\tbroken\n")
    with pytest.warns(LingraftWarning, match="1 lines with too many or too few columns"):
        assert len(CLASSIFICATION_TASKS["glue/qqp"].read(path)) == 1
