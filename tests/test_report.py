import json
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from synthetic_run import HOSTILE, RECIPE, write_run

from lingraft import plots
from lingraft.errors import RunError
from lingraft.report import duration, examples, number, origins, placed, read_runs, score_tables, settings, write_report


class Page(HTMLParser):
    """Collects the tags of a page, and fails on one that is closed in the wrong order."""

    VOID = frozenset({"meta", "br", "path", "use", "rect"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "copy")


def test_report_is_one_page_that_loads_nothing(run: Path) -> None:
    path = write_report([run])
    assert path == run / "report.html"
    html = path.read_text(encoding="utf-8")
    tags = Page(html).tags
    assert not {"script", "link", "img", "iframe"} & {tag for tag, _ in tags}
    assert all(value.startswith("#") for _, attributes in tags for name, value in attributes.items() if name in ("src", "href") and value)
    assert not re.search(r"@import|url\(http|https?://(?!www\.w3\.org)", html)
    assert len(html) < 200_000


def test_report_says_what_the_run_holds(run: Path) -> None:
    html = write_report([run]).read_text(encoding="utf-8")
    heading = re.search("<h1>(.*?)</h1>", html)
    assert heading
    assert re.sub("<.*?>", "", heading[1]) == "German from all-MiniLM-L6-v2"
    for text in (
        "By the recipe",
        "bits per byte",
        "1.800",
        "41.7 %",
        "3,072,000",
        "2,346",
        "5 min 25 s",
        "Apache-2.0",
        "spoils its sentence",
    ):
        assert text in html, text
    assert RECIPE.split("\n")[0].replace('"', "&#34;") in html
    assert html.count("<svg") == 1


def test_user_text_is_escaped_and_isolated(run: Path) -> None:
    html = write_report([run]).read_text(encoding="utf-8")
    assert HOSTILE not in html
    assert "&lt;script&gt;" in html
    assert re.search('<bdi dir="auto" class="token">▁?كتاب</bdi>', html)


def test_report_is_the_same_each_time_and_leaves_the_run_alone(run: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    first = write_report([run], tmp_path / "a.html").read_bytes()
    assert first == write_report([run], tmp_path / "b.html").read_bytes()
    assert before == {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}


def test_several_runs_stand_side_by_side(run: Path, tmp_path: Path) -> None:
    scratch = write_run(tmp_path / "scratch", recipe="scratch", shift=0.9)
    html = write_report([run, scratch], tmp_path / "both.html").read_text(encoding="utf-8")
    Page(html)
    assert "2 runs compared" in html
    assert {"var(--series-1)", "var(--series-2)"} <= set(re.findall(r"var\(--series-\d\)", html))
    assert re.search('best">1.800<', html)  # the lower of the two, after training
    assert 'best">5.100' not in html  # losses of different tokenizers are not ranked


def test_examples_name_the_source_rows_by_weight(run: Path) -> None:
    found = {example["token"].lstrip("▁"): example for example in examples(read_runs([run])[0])}
    weights = {text.lstrip("▁"): weight for text, weight in found["haus"]["sources"]}
    assert weights == {"house": 0.75, "s": 0.25}
    assert list(weights) == ["house", "s"]
    assert found["haus"]["origin"] == "mixed"
    assert found["the"]["origin"] == "copied"
    assert found["stift"]["sources"] == []
    assert not any("[" in token for token in found)


def test_no_examples_keeps_tokens_out(tmp_path: Path) -> None:
    html = write_report([write_run(tmp_path / "run", examples=False)]).read_text(encoding="utf-8")
    assert "Example tokens" not in html
    assert "كتاب" not in html


def test_origins_are_counts_and_shares(run: Path) -> None:
    assert {part["name"]: (part["count"], part["share"]) for part in origins(read_runs([run])[0])} == {
        "copied": (3, 0.25),
        "mixed": (4, 4 / 12),
        "direct": (0, 0.0),
        "drawn": (5, 5 / 12),
    }


@pytest.mark.parametrize("missing", ["recipe.toml", "metrics.jsonl", "scores.jsonl", "rows.safetensors", "tokenizer/source/tokenizer.json"])
def test_every_file_may_be_missing(run: Path, missing: str) -> None:
    (run / missing).unlink()
    Page(write_report([run]).read_text(encoding="utf-8"))


def test_run_that_has_only_begun(tmp_path: Path) -> None:
    (tmp_path / ".stages").mkdir()
    html = write_report([tmp_path]).read_text(encoding="utf-8")
    assert "No scores yet" in html
    assert "No losses yet" in html


def test_null_where_a_number_should_be(run: Path) -> None:
    about = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(dict.fromkeys(about)))
    Page(write_report([run]).read_text(encoding="utf-8"))


def test_torn_and_repeated_lines_of_an_interrupted_run(run: Path) -> None:
    path = run / "metrics.jsonl"
    before = len(read_runs([run])[0].metrics)
    again = json.dumps({"phase": "main", "step": 199, "tokens": 398000, "loss": 1.0})
    path.write_text(path.read_text() + '{"phase": "ma\n' + again + "\n" + '{"pha')
    metrics = read_runs([run])[0].metrics
    assert len(metrics) == before
    assert [r["loss"] for r in metrics if r["step"] == 199 and "loss" in r] == [1.0]


def test_folders_that_are_not_runs(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is not a run"):
        write_report([tmp_path])
    with pytest.raises(RunError, match="nowhere is not a run"):
        write_report([tmp_path / "nowhere"])
    with pytest.raises(RunError, match="at least one"):
        write_report([])
    assert not list(tmp_path.iterdir())


def test_runs_of_one_name_are_told_apart(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / parent / "run") for parent in ("a", "b")]
    assert [record.label for record in read_runs([*runs, runs[0]])] == [str(run) for run in runs]


@pytest.mark.parametrize("starts", [(0, 30), (0, 0)])
def test_tokens_run_on_over_phases_however_a_phase_counts(starts: tuple[int, int]) -> None:
    metrics = [{"phase": phase, "step": i, "tokens": start + 10 * i} for phase, start in zip("ab", starts, strict=True) for i in range(4)]
    assert [record["tokens"] for record in placed(metrics)] == [0, 10, 20, 30, 30, 40, 50, 60]


def test_score_table_keeps_unknown_measures_and_says_what_a_word_is(run: Path) -> None:
    with (run / "scores.jsonl").open("a") as file:
        file.write(json.dumps({"suite": "ner", "model": "final", "name": "micro_f1", "value": 0.5, "n": 10, "seed": 0}) + "\n")
    language_model, ner = score_tables(read_runs([run]))
    assert [name for name, _ in language_model["columns"]] == ["bits_per_byte", "bits_per_word", "loss", "mrr"]
    assert language_model["words"] == ["what stands between two spaces"]
    assert [measure.label for _, measure in ner["columns"]] == ["micro f1"]
    assert ner["rows"][0]["values"] == [0.5]


def test_numbers_are_written_for_people() -> None:
    assert [number(v) for v in (1234567, 0.12345, None, float("nan"), "x")] == ["1,234,567", "0.123", "–", "–", "x"]
    assert [duration(v) for v in (None, 5.4, 200, 7500)] == ["–", "5 s", "3 min 20 s", "2 h 5 min"]
    assert settings({"bytes_per_token": 4.1, "none": None, "cpu": "x"}) == "bytes per token 4.100, cpu x"


def test_plot_is_thinned_smooth_and_without_broken_numbers() -> None:
    records = [{"tokens": i, "loss": float("nan") if i == 7 else 5.0} for i in range(50_000)]
    svg = plots.loss_plot([records])
    assert len(svg) < 60_000
    assert "#0a0" not in svg
    assert plots.loss_plot([[]]) == ""
    points = np.column_stack([np.arange(100), np.arange(100)]).astype(float)
    assert np.allclose(plots._smoothed(points), points)  # a straight line stays where it is, at its ends too


def test_report_needs_no_torch() -> None:
    import subprocess

    code = "import sys, lingraft.report, lingraft.card; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
