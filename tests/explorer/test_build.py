"""The page as a file: what goes into it, what it refuses, and what its policy allows."""

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from lingraft.cli import app
from lingraft.donors.typology import Typology
from lingraft.errors import RunError
from lingraft.explorer.build import Scores, clustered, data, embedded, explore
from lingraft.files import write_json

SCORES: dict[str, Any] = {
    "languages": {"sv": {"name": "Swedish", "script": "Latn"}, "fi": {"name": "Finnish"}, "zz": {}},
    "F": {"sv": {"fi": 0.25, "sv": 9, "zz": {"mean": 0.1, "low": 0.05, "high": 0.15, "n": 2}}, "fi": {"sv": -0.5}},
    "D": {"sv": 0.35, "fi": -0.5},
    "R": {"sv": -0.5, "fi": 0.25},
}


def test_numbers_go_in_as_they_are_and_gaps_are_filled_from_wals(tmp_path: Path) -> None:
    shown = data(Scores.model_validate(SCORES), {})
    assert [language["code"] for language in shown["languages"]] == ["fi", "sv", "zz"]
    assert shown["F"] == [[1, 0, 0.25, None, None, None], [1, 2, 0.1, 0.05, 0.15, 2], [0, 1, -0.5, None, None, None]]
    finnish, swedish, unknown = shown["languages"]
    assert (finnish["family"], finnish["features"]["81A"], swedish["script"]) == ("Uralic", "SVO", "Latn")
    assert (unknown["name"], unknown["family"], unknown["D"], unknown["features"]) == ("zz", "unknown", None, {})
    assert set(shown["features"]) == set(finnish["features"]) | set(swedish["features"])


def test_a_language_that_wals_does_not_have_and_a_file_that_knows_it(tmp_path: Path) -> None:
    languages = {**SCORES["languages"], "zz": {"name": "Zz", "script": "Latn", "family": None, "genus": None}}
    write_json(tmp_path / "scores" / "scores.json", {**SCORES, "languages": languages})
    assert '"family":"unknown"' in explore(tmp_path, tmp_path / "site").read_text()
    own = {"zz": Typology("zz", "Zett", "Isolate", "Z", "", 1.0, 2.0, {"81A": "VSO", "tone": "yes"}, "Cyrl")}
    shown = data(Scores.model_validate({**SCORES, "languages": languages}), own)
    *_, told = shown["languages"]
    assert [told[name] for name in ("name", "script", "family", "genus", "features")] == [
        "Zett",
        "Cyrl",
        "Isolate",
        "Z",
        own["zz"].features,
    ]
    assert (shown["features"]["81A"], shown["features"]["tone"]) == ("Order of Subject, Object and Verb", "(own)")
    (tmp_path / "own.tsv").write_text("language\ttone\nfi\tno\n")
    done = CliRunner().invoke(
        app, ["donors", "explore", str(tmp_path), "--out", str(tmp_path / "two"), "--features", str(tmp_path / "own.tsv")]
    )
    assert done.exit_code == 0 and '"tone":"(own)"' in (tmp_path / "two" / "index.html").read_text()


def test_what_is_alike_stands_side_by_side() -> None:
    high, low = {"mean": 0.5}, {"mean": -0.5}
    pairs = {a: {b: high if {a, b} <= {"a", "c"} or {a, b} <= {"b", "d"} else low for b in "abcd" if a != b} for a in "abcd"}
    order = "".join(clustered(list("abcd"), Scores.model_validate({**SCORES, "F": pairs}).F))
    assert set(order[:2]) in ({"a", "c"}, {"b", "d"})
    assert len(set(order)) == 4


def test_a_map_without_scores_names_the_command_that_makes_them(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["donors", "explore", str(tmp_path), "--out", str(tmp_path / "site")])
    assert isinstance(done.exception, RunError)
    assert f"lingraft donors scores {tmp_path}" in str(done.exception)
    assert not (tmp_path / "site").exists()


@pytest.mark.parametrize(("change", "place"), [({"D": {"sv": "much"}}, "D.sv"), ({"languages": {}}, "languages"), ({"F": [1]}, "F")])
def test_damaged_scores_are_refused_with_the_place(tmp_path: Path, change: dict[str, Any], place: str) -> None:
    write_json(tmp_path / "scores" / "scores.json", {**SCORES, **change})
    with pytest.raises(RunError, match=re.escape(f"damaged at {place}")):
        explore(tmp_path, tmp_path / "site")
    assert not (tmp_path / "site").exists()


def test_data_cannot_end_its_element() -> None:
    value = {"name": "</script><script>alert(1)</script>\u2028<!--"}
    assert json.loads(embedded(value)) == value
    assert not {"<", "\u2028"} & set(embedded(value))


def test_the_policy_lets_in_exactly_the_scripts_and_styles_that_are_there(tmp_path: Path) -> None:
    write_json(tmp_path / "scores" / "scores.json", SCORES)
    page = explore(tmp_path, tmp_path / "site").read_text(encoding="utf-8")
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)
    assert policy
    told = policy[1].replace("&#39;", "'")
    inside = re.findall(r"<script>(.*?)</script>", page, flags=re.DOTALL) + re.findall(r"<style>(.*?)</style>", page, flags=re.DOTALL)
    hashes = {f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in inside}
    assert len(hashes) == 3
    assert set(re.findall(r"'sha256-[^']+'", told)) == hashes
    assert told.startswith("default-src 'none'")
    assert "unsafe" not in told
    assert not re.search(r"(src|href)=", page.split("<script>")[0])


def test_the_same_scores_give_the_same_bytes(tmp_path: Path) -> None:
    write_json(tmp_path / "scores" / "scores.json", SCORES)
    assert explore(tmp_path, tmp_path / "one").read_bytes() == explore(tmp_path, tmp_path / "two").read_bytes()
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["index.html"]
