"""Tables of made result folders: who is best, what stands beside what, and that every format says the same."""

import csv
import json
import tomllib
from importlib import resources

import pytest
from rich.console import Console

from lingraft.compare import beside, compare, published, tables
from lingraft.errors import RunError
from lingraft.results import read_results
from lingraft.typeset import as_csv, as_html, as_latex, cells, escape, notes, show, write


def evaluation(folder, name, task, languages, metric="accuracy", **more):
    """An evaluation folder: languages {code: mean or (mean, sd)}."""
    folder.mkdir(parents=True)
    scored = {code: value if isinstance(value, tuple) else (value, None) for code, value in languages.items()}
    entries = {
        code: {"scores": {metric: {"mean": mean, "sd": sd, "n": 3 if sd else 1}}, "baseline": {metric: 0.25}}
        for code, (mean, sd) in scored.items()
    }
    value = {"task": task, "name": name, "model": "m", "kind": "tagging", "languages": entries, "seeds": [1], **more}
    (folder / "evaluation.json").write_text(json.dumps(value))
    return folder


@pytest.fixture
def folders(tmp_path):
    """Two systems on XNLI in three languages."""
    one = evaluation(tmp_path / "a", "Ours_1 & co", "xnli", {"en": (0.80, 0.01), "fr": (0.60, 0.02), "de": 0.70})
    two = evaluation(tmp_path / "b", "second", "xnli", {"en": 0.75, "fr": 0.65, "de": 0.70})
    return [one, two]


def bold(table, system):
    """Which cells of a system are bold."""
    row = next(row for row in table.rows if row.system == system)
    return [cell.is_best for cell in cells(table, row)]


def test_languages_across_systems_down_best_in_bold(folders):
    (table,) = compare(folders)
    assert (table.title, table.across, table.columns) == ("xnli", "languages", ["en", "fr", "de"])
    assert [row.system for row in table.rows] == ["Ours_1 & co", "second", "baseline"]
    assert bold(table, "Ours_1 & co") == [True, False, True, True]  # de and the average are equal
    assert bold(table, "second") == [False, True, True, True]
    assert bold(table, "baseline") == [False] * 4
    assert [cell.text for cell in cells(table, table.rows[0])] == ["80.00", "60.00", "70.00", "70.00"]


def test_csv_is_exact(folders):
    (table,) = compare(folders)
    assert as_csv(table) == (
        "system,source,en,en sd,en n,fr,fr sd,fr n,de,de sd,de n,average,average sd,average n\n"
        "Ours_1 & co,measured,80,1,3,60,2,3,70,,1,70,,1\n"
        "second,measured,75,,1,65,,1,70,,1,70,,1\n"
        "baseline,no model,25,,,25,,,25,,,25,,\n"
    )


def test_latex_is_escaped_and_bold(folders):
    (table,) = beside(compare(folders), ["artetxe:1"])
    text = as_latex(table)
    assert r"Ours\_1 \& co & \textbf{80.00} {\footnotesize $\pm$ 1.00} & 60.00 {\footnotesize $\pm$ 2.00}" in text
    assert r"\textit{MonoTrans token emb}\textsuperscript{\dag} & \textit{83.1}" in text
    assert r"\textbf{\textit{83.8}}" in text
    assert text.count(r"\midrule") == 3
    assert escape("50 % {a}_~^\\ #$") == r"50 \% \{a\}\_\textasciitilde{}\textasciicircum{}\textbackslash{} \#\$"


def test_published_rows_are_marked_and_have_averages_over_the_same_languages_only(folders):
    (table,) = beside(compare(folders), ["artetxe"])
    theirs = [row for row in table.rows if row.kind == "published"]
    assert len(theirs) == 16
    assert all(row.source == "Artetxe et al. 2020, table 1" and row.average is None for row in theirs)
    assert bold(table, "XLM (MLM)") == [False, True, False, False]
    assert bold(table, "second") == [False, True, True, True]  # not in one race with the published
    assert any("published, not measured" in note for note in notes(table))
    page = as_html([table])
    assert 'class="published"' in page
    assert "Ours_1 &amp; co" in page
    assert "http:" not in page
    assert "https:" not in page


def test_published_alone_is_as_printed():
    table = next(table for table, entry in published("gogoulou") if entry["number"] == "2")
    row = next(row for row in table.rows if row.system == "sv→en")
    assert " ".join(cell.text for cell in cells(table, row)) == "43.65 80.72 81.77 88.93 89.11 86.32 55.08 90.22 84.91 77.85"
    assert cells(table, row)[0].sd == "1.21"
    assert bold(table, "sv→en")[-1]
    (bits,) = [table for table, _ in published("trelm:5")]
    assert [cell.text for cell in cells(bits, bits.rows[-1])] == ["5.9330", "5.2679"]
    assert bold(bits, "fastText PT + Adv Align") == [True, True]  # fewer bits are better


def test_tasks_across_where_there_is_one_language(tmp_path):
    folders = [
        evaluation(tmp_path / "1", "a", "pos", {"en": 0.9}),
        evaluation(tmp_path / "2", "a", "glue/cola", {"en": 0.3}, "matthews"),
        evaluation(tmp_path / "3", "b", "pos", {"en": 0.8}),
    ]
    (table,) = compare(folders)
    assert (table.across, table.columns) == ("tasks", ["pos", "glue/cola"])
    assert [row.system for row in table.rows] == ["a", "b", "baseline"]
    assert [row.average.mean if row.average else None for row in table.rows] == [pytest.approx(60), None, 25]
    (joined,) = beside([table], ["gogoulou"])
    assert [cell.text for cell in cells(joined, joined.rows[-1])] == ["–", "39.82", "–"]


def test_metrics_across_where_there_is_one_task_and_language(tmp_path):
    entry = {"scores": {"uas": 0.9, "las": {"mean": 0.8, "sd": None, "n": 1}}}
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "evaluation.json").write_text(json.dumps({"task": "parsing", "languages": {"zh": entry}, "main": "las"}))
    (table,) = compare([tmp_path / "a", tmp_path / "b"], ["trelm:9"])
    assert (table.title, table.columns, table.has_average) == ("parsing (zh)", ["las", "uas"], False)
    assert [row.system for row in table.rows[:3]] == ["a", "b", "m-BERT-base"]
    (one,) = compare([tmp_path / "a"], metric="uas")
    assert one.columns == ["uas"]
    with pytest.raises(RunError, match="Did you mean 'uas'"):
        compare([tmp_path / "a"], metric="uass")


def test_several_tasks_with_languages_are_a_table_each(folders, tmp_path):
    found = compare([*folders, evaluation(tmp_path / "c", "second", "pos", {"en": 0.9, "fr": 0.8})])
    assert [table.title for table in found] == ["xnli", "pos"]


def test_one_name_twice_is_two_rows_unless_they_complete_each_other(tmp_path):
    folders = [
        evaluation(tmp_path / "1", "a", "ner", {"en": 0.9}),
        evaluation(tmp_path / "2", "a", "ner", {"de": 0.8}),
        evaluation(tmp_path / "3", "a", "ner", {"de": 0.7}),
    ]
    (table,) = compare(folders)
    assert [(row.system, sorted(row.cells)) for row in table.rows[:-1]] == [("a", ["de", "en"]), ("a (2)", ["de"])]


def test_average_has_the_deviation_that_the_evaluation_measured(tmp_path):
    scores = {"accuracy": {"mean": 0.7, "sd": 0.005, "n": 3}}
    (table,) = compare([evaluation(tmp_path / "a", "a", "xnli", {"en": (0.8, 0.01), "fr": (0.6, 0.01)}, scores=scores)])
    assert cells(table, table.rows[0])[-1].sd == "0.50"


def test_probes_and_runs_are_read(tmp_path):
    probe, run = tmp_path / "probe", tmp_path / "run"
    probe.mkdir()
    (probe / "probe.json").write_text(json.dumps({"probe": "structural", "language": "en", "scores": {"uuas": 0.6, "dspr": 0.7}}))
    (run / ".stages").mkdir(parents=True)
    (run / "run.json").write_text("{}")
    lines = [
        {"suite": "language_model", "model": model, "language": "de", "name": name, "value": value, "n": 10, "seed": 1}
        for model, factor in (("initial", 2), ("final", 1))
        for name, value in (("bits_per_byte", 2.5 * factor), ("mrr", 0.5))
    ]
    (run / "scores.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    first, second = read_results([probe, run])
    assert (first.task, first.languages["en"].scores["uuas"].mean) == ("structural", 60)
    assert (second.task, second.name) == ("language-modelling", "run")
    assert {name: score.mean for name, score in second.languages["de"].scores.items()} == {"bits_per_byte": 2.5, "mrr": 50}
    (table,) = tables([second])
    assert [cell.text for cell in cells(table, table.rows[0])] == ["2.500", "50.00"]


def test_bits_per_byte_are_better_lower_and_losses_in_no_race(tmp_path):
    for name, bits, loss in (("a", 2.0, 5.0), ("b", 3.0, 4.0)):
        (tmp_path / name).mkdir()
        entry = {"scores": {"bits_per_byte": bits, "loss": loss}}
        (tmp_path / name / "evaluation.json").write_text(json.dumps({"task": "language-modelling", "languages": {"de": entry}}))
    (table,) = compare([tmp_path / "a", tmp_path / "b"])
    assert bold(table, "a") == [True, False]
    assert bold(table, "b") == [False, False]
    assert any("same tokenizer" in note for note in notes(table))


def test_counts_have_no_best_and_join_nothing(tmp_path):
    (coverage,) = [table for table, _ in published("artetxe:10")]
    assert not any(cell.is_best for row in coverage.rows for cell in cells(coverage, row))
    assert "best" not in as_html([coverage]).partition("<body>")[2]
    for name, right, asked in (("a", 0.9, 0.5), ("b", 0.8, 0.6)):
        (tmp_path / name).mkdir()
        scores = {"accuracy": right, "coverage": asked, "subject-verb agreement: simple": right}
        (tmp_path / name / "probe.json").write_text(json.dumps({"probe": "syntactic", "language": "en", "scores": scores}))
    (table,) = compare([tmp_path / "a", tmp_path / "b"], ["artetxe"])
    assert bold(table, "a") == [True, False, True]
    assert bold(table, "b") == [False, False, False]
    assert {row.source.rpartition(", ")[2] for row in table.rows} == {"measured", "table 11"}


def test_other_test_data_is_told(tmp_path):
    folders = [
        evaluation(tmp_path / name, name, "pos", {"en": 0.9}, data={"evaluation en": [{"path": "x", "sha256": digest}], "train": []})
        for name, digest in (("a", "1"), ("b", "1"), ("c", "2"))
    ]
    assert not any("same data" in note for note in notes(compare(folders[:2])[0]))
    assert "Not all rows were scored on the same data: pos en." in notes(compare(folders)[0])


def test_a_score_that_is_no_number_is_a_dash(tmp_path):
    folder = evaluation(tmp_path / "a", "a", "stsb", {"en": float("nan")}, "spearman")
    (table,) = compare([folder])
    assert cells(table, table.rows[0])[0].text == "–"


def test_mistakes_are_named(tmp_path, folders):
    with pytest.raises(RunError, match="nothing to compare in"):
        compare([tmp_path])
    with pytest.raises(RunError, match="Name folders"):
        compare([])
    with pytest.raises(RunError, match="Did you mean 'gogoulou'"):
        compare(folders, ["gogolou"])
    with pytest.raises(RunError, match="no table '99' of artetxe"):
        compare(folders, ["artetxe:99"])
    (folders[0] / "evaluation.json").write_text('{"task": "xnli", "languages": {"en": {"scores": {"accuracy": "good"}}}}')
    with pytest.raises(RunError, match=r"evaluation\.json is not what lingraft writes: languages\.en\.scores\.accuracy\.mean"):
        compare(folders)


def test_command_prints_and_writes(call, folders, tmp_path):
    status, out, _ = call("compare", *folders, "--published", "artetxe", "--published", "trelm:6", "--out", tmp_path / "out")
    assert status == 0
    assert "80.00 ± 1.00" in out
    assert "MonoTrans token emb †" in out
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["compare.html", "compare.tex", "translation.csv", "xnli.csv"]
    rows = list(csv.DictReader((tmp_path / "out" / "xnli.csv").open(encoding="utf-8")))
    assert rows[-1]["source"] == "Artetxe et al. 2020, table 1"
    status, _, error = call("compare", tmp_path)
    assert status == 2
    assert "nothing to compare" in error


def test_narrow_terminals_lose_no_number(capsys):
    show(compare([], ["artetxe:1"]), Console(width=40))
    out = capsys.readouterr().out
    assert "…" not in out
    (line,) = [line for line in out.splitlines() if "MonoTrans + adapters" in line]
    assert all(number in line for number in ("81.7", "74.7", "51.7", "69.5"))


def test_every_published_table_is_well_formed(tmp_path):
    data = tomllib.loads((resources.files("lingraft") / "data" / "published.toml").read_text(encoding="utf-8"))
    for entry in data["table"]:
        assert entry["paper"] in data["papers"]
        assert entry["across"] in ("languages", "tasks", "metrics")
        size = len(entry["columns"]) + ("average" in entry)
        assert all(len(row["values"]) == size for row in entry["rows"])
        assert len({row["system"] for row in entry["rows"]}) == len(entry["rows"])
    assert {entry["number"] for entry in data["table"] if entry["paper"] == "gogoulou"} == {"2", "3", "4", "5", "8"}
    everything = [table for paper in data["papers"] for table, _ in published(paper)]
    assert len(write(everything, tmp_path)) == len(everything) + 2


def test_averages_of_the_papers_are_means_of_their_columns():
    for table, _ in published("artetxe"):
        for row in table.rows:
            values = [cell.mean for cell in row.cells.values()]
            if row.average and row.average.mean == row.average.mean and row.system != "mBERT":
                assert row.average.mean == pytest.approx(sum(values) / len(values), abs=0.07)
