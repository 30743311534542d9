"""What a run is asked for, and what its stages are made from."""

from pathlib import Path

import pytest

from lingraft.aids import Given, used
from lingraft.embeddings.settings import RowSettings
from lingraft.request import fingerprints
from lingraft.text.parallel import resolve_parallel


@pytest.mark.parametrize(("method", "depends"), [("mapped", False), ("ramen", True), ("copy+ramen+pieces", True), ("random", False)])
def test_rows_depend_on_parallel_text_only_where_they_are_made_of_it(method: str, depends: bool, tmp_path: Path):
    (tmp_path / "pairs.tsv").write_text("a house\tein Haus\n", encoding="utf-8")
    parallel = resolve_parallel([str(tmp_path / "pairs.tsv")], "en", "de")
    found = fingerprints(Given(parallel=[str(tmp_path / "pairs.tsv")]), used(RowSettings(method=method)), parallel)
    assert found == ({"parallel": parallel.survey.fingerprint} if depends else {})
