"""The grid: which cells there are, that each is run once and gives the same bytes however it came about, and that no failure is silent."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import transformers
from safetensors.numpy import load_file
from small_grid import CODES, SMALL, make_corpus, run

from lingraft.donors import grid, running, training
from lingraft.donors.corpus import read
from lingraft.donors.records import cell, read_ranks, read_record, read_records
from lingraft.donors.sampling import propose
from lingraft.errors import Interrupted, LanguageError, RecipeError, RunError, TextError
from lingraft.files import locked, read_json, write_json
from lingraft.train.loop import Options

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def whole(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A grid of the three languages, run at once."""
    out = tmp_path_factory.mktemp("grid")
    assert len(run(corpus, out).ran) == 6
    return out


def results(out: Path, *names: str) -> dict[str, Any]:
    """All that must be the same: records without seconds and engine, bytes of the ranks."""
    found = read_records(out)
    drop = {"seconds", "engine"}
    return {
        name: (found[name].model_dump(exclude=drop), (out / "cells" / name / "ranks.safetensors").read_bytes()) for name in names or found
    }


def test_cells() -> None:
    assert len(grid.cells("abcd")) == 4 + 6
    assert len(grid.cells("abcd", "sequential", seeds=2)) == 2 * (4 + 12)
    names = [one.name for one in grid.cells("ba", sets=[("c", "a", "b")])]
    assert names == ["b.0", "a.0", "a+b.0", "a+b+c.0"]
    assert [one.name for one in grid.cells("ab", "sequential")] == ["a.0", "b.0", "a-then-b.0", "b-then-a.0"]


def test_a_record_says_what_was_done(whole: Path) -> None:
    record, ranks = read_record(whole / "cells" / "de+en.0"), read_ranks(whole / "cells" / "de+en.0")
    assert (record.steps, record.engine, list(record.scores)) == (6, "local", ["de", "en"])
    assert record.epochs == round(6 * 4 / (41 + 61), 4)
    for code, score in record.scores.items():
        total, count = ranks[code]
        assert len(count) == 10
        assert count.sum() == score.positions
        assert score.mrr == pytest.approx(total.sum() / count.sum())


def test_a_language_has_one_masking_for_all_models(whole: Path) -> None:
    counts = [read_ranks(whole / "cells" / name)["de"][1].tolist() for name in ("de.0", "de+en.0", "de+sv.0")]
    assert counts[0] == counts[1] == counts[2]
    assert counts[0] != read_ranks(whole / "cells" / "sv.0")["sv"][1].tolist()


def test_done_cells_are_left_alone(whole: Path, corpus: Path) -> None:
    before = {file: file.stat().st_mtime_ns for file in whole.glob("cells/*/*")}
    outcome = run(corpus, whole)
    assert (outcome.before, outcome.ran, outcome.failed) == (6, [], {})
    assert {file: file.stat().st_mtime_ns for file in whole.glob("cells/*/*")} == before


def test_shards_make_the_same_map(whole: Path, corpus: Path, tmp_path: Path) -> None:
    assert [len(run(corpus, tmp_path, shard=(number, 4)).ran) for number in (4, 1, 3, 2)] == [1, 2, 1, 2]
    assert results(tmp_path) == results(whole)


def test_only_cells_that_are_named_in_that_order(whole: Path, corpus: Path, tmp_path: Path) -> None:
    names = ["en+sv.0", "de.0", "sv+de.0", "de.0"]
    assert run(corpus, tmp_path, only=[]).cells == []
    assert (tmp_path / "grid.json").exists()
    assert run(corpus, tmp_path, only=names, shard=(2, 2)).ran == ["de.0"]
    assert run(corpus, tmp_path, only=names).ran == ["en+sv.0", "de+sv.0"]
    assert results(tmp_path) == results(whole, "de.0", "de+sv.0", "en+sv.0")
    assert grid.selected(read(corpus), only=names, languages=["de", "en"]) == [cell("de")]
    write_json(tmp_path / "grid.json", {**read_json(tmp_path / "grid.json"), "seeds": 2})
    assert grid.selected(read(corpus), out=tmp_path, only=["de.1"]) == [cell("de", seed=1)]


def test_what_is_to_be_run_next_can_be_run_until_nothing_is_left(corpus: Path, tmp_path: Path) -> None:
    run(corpus, tmp_path, only=[])
    batches = []
    while names := [one.name for one in propose(tmp_path, 3)]:
        batches.append(run(corpus, tmp_path, engine="batched", only=names).ran)
    assert [sorted(names) for names in batches] == [["de.0", "en.0", "sv.0"], ["de+en.0", "de+sv.0", "en+sv.0"]]


def test_interrupted_at_a_step_and_gone_on_with(whole: Path, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class StoppedError(BaseException):
        pass

    def stopping() -> bool:
        raise StoppedError

    with monkeypatch.context() as patched:
        patched.setattr(training, "Options", lambda **given: Options(**given, checkpoint_steps=1, enough=stopping))
        for _ in range(3):
            with pytest.raises(StoppedError):
                run(corpus, tmp_path, languages=["de"])
    assert list((tmp_path / "work" / "de.0" / "training").glob("checkpoint-00000003"))
    run(corpus, tmp_path, languages=["de"])
    assert results(tmp_path, "de.0") == results(whole, "de.0")
    assert not (tmp_path / "work" / "de.0" / "training").exists()


def test_killed_and_gone_on_with(whole: Path, corpus: Path, tmp_path: Path) -> None:
    code = (
        "import os, sys, small_grid; from pathlib import Path\n"
        "small_grid.run(Path(sys.argv[1]), Path(sys.argv[2]), told=lambda line: os.kill(os.getpid(), 9) if 'de+en' in line else None)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, corpus, tmp_path], check=False, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    )
    assert done.returncode == -9
    outcome = run(corpus, tmp_path)
    assert (outcome.before, outcome.ran) == (4, ["de+sv.0", "en+sv.0"])
    assert results(tmp_path) == results(whole)


def test_a_cell_that_another_process_has_comes_later(whole: Path, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = locked(tmp_path / "work" / "de.0")
    other.__enter__()
    told: list[str] = []
    monkeypatch.setattr(running.time, "sleep", lambda seconds: other.__exit__(None, None, None))
    outcome = run(corpus, tmp_path, told=told.append)
    assert outcome.ran[-1] == "de.0"
    assert "waiting for other processes, which have 1 cells" in told
    assert results(tmp_path) == results(whole)


def test_a_failed_cell_is_tried_again_noted_and_counted(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[str] = []

    def failing(kit: Any, one: Any, engine: str) -> Any:
        tries.append(one.name)
        if one.name == "de.0" or tries.count(one.name) == 1:
            raise ValueError("no luck")
        return training.train_cell(kit, one, engine)

    monkeypatch.setattr(running, "train_cell", failing)
    outcome = run(corpus, tmp_path, languages=["de", "en"])
    assert tries == ["de.0", "de.0", "en.0", "en.0", "de+en.0", "de+en.0"]
    assert outcome.failed == {"de.0": "ValueError: no luck"}
    assert outcome.ran == ["en.0", "de+en.0"]
    lines = [json.loads(line) for line in (tmp_path / "failures.jsonl").read_text().splitlines()]
    assert [(line["cell"], line["attempt"]) for line in lines] == [("de.0", 1), ("de.0", 2), ("en.0", 1), ("de+en.0", 1)]
    assert lines[0]["error"][-1] == "ValueError: no luck"


def test_a_signal_is_no_failure(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def signalled(*arguments: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(running, "train_cell", signalled)
    with pytest.raises(Interrupted, match=r"de\.0"):
        run(corpus, tmp_path)
    assert not (tmp_path / "failures.jsonl").exists()


def test_sequential_cells_go_on_from_the_finished_source(corpus: Path, whole: Path, tmp_path: Path) -> None:
    changes = [change for change in SMALL if not change.startswith("steps")]
    assert grid.run(corpus, out=tmp_path, mode="sequential", changes=[*changes, "steps=6"], languages=["de", "en"]).ran[2:] == [
        "de-then-en.0",
        "en-then-de.0",
    ]
    models = tmp_path / "cells"
    record = read_record(models / "de-then-en.0")
    assert list(record.scores) == ["de", "en"]
    assert record.epochs == round(6 * 4 / 61, 4)  # of the target alone
    assert (models / "de.0" / "model" / "config.json").exists()
    assert not (models / "de-then-en.0" / "model").exists()
    alone, before = read_record(models / "en.0"), read_record(models / "de.0")
    assert alone.scores["en"] == read_record(whole / "cells" / "en.0").scores["en"]
    assert record.scores["en"].loss != alone.scores["en"].loss
    assert record.scores["de"].loss != before.scores["de"].loss


def test_the_source_of_a_shard_is_run_where_it_is_missing(corpus: Path, tmp_path: Path) -> None:
    outcome = run(corpus, tmp_path, mode="sequential", languages=["de", "en"], shard=(4, 4))
    assert outcome.ran == ["en-then-de.0"]
    assert set(read_records(tmp_path)) == {"en.0", "en-then-de.0"}


def test_models_are_kept_as_stock_folders(corpus: Path, whole: Path, tmp_path: Path) -> None:
    run(corpus, tmp_path, languages=["sv"], keep_models=True)
    folder = tmp_path / "cells" / "sv.0" / "model"
    model = transformers.AutoModelForMaskedLM.from_pretrained(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    assert model.config.vocab_size == len(tokenizer)
    kit = replace(_kit(corpus, tmp_path), keeps=frozenset())
    assert training.score(model, kit.asked(["sv"]))[0] == read_record(whole / "cells" / "sv.0").scores


def _kit(corpus: Path, out: Path, *changes: str) -> training.Kit:
    found = grid.read(corpus)
    return grid.open_grid(found, out, 1, (), True, grid.settings_of(found, "joint", "", [*SMALL, *changes]))


def test_a_model_that_is_wanted_later_is_made_later(corpus: Path, tmp_path: Path) -> None:
    assert run(corpus, tmp_path, languages=["sv"]).ran == ["sv.0"] and not (tmp_path / "cells/sv.0/model").exists()
    before = results(tmp_path)
    assert run(corpus, tmp_path, languages=["sv"], keep_models=True).ran == ["sv.0"]
    assert results(tmp_path) == before
    run(corpus, tmp_path, languages=["de", "en"])
    assert run(corpus, tmp_path, languages=["de", "en"], sets=["de+en"]).ran == ["de+en.0"]  # a set of two


def test_sets_and_seeds(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "sets.txt").write_text("sv+de+en\n")
    outcome = run(corpus, tmp_path / "grid", "steps=1", languages=CODES, sets=[str(tmp_path / "sets.txt")], seeds=2, shard=(7, 7))
    assert outcome.cells == ["de+en+sv.0", "de+en+sv.1"]
    assert all((tmp_path / "grid/cells" / name / "model/config.json").exists() for name in outcome.cells)  # though not asked for
    one, other = (read_record(tmp_path / "grid" / "cells" / name) for name in outcome.cells)
    assert one.scores["de"].positions == other.scores["de"].positions
    assert one.scores["de"].loss != other.scores["de"].loss
    facts = json.loads((tmp_path / "grid" / "grid.json").read_text())
    assert (facts["seeds"], facts["sets"], facts["languages"]) == (2, [["sv", "de", "en"]], list(CODES))


def test_epochs_are_chosen_on_some_languages(corpus: Path, tmp_path: Path) -> None:
    changes = [change for change in SMALL if not change.startswith("steps")]
    grid.run(corpus, out=tmp_path, languages=["de"], changes=[*changes, "epochs=3", 'choose_epochs=["de", "sv"]'])
    choice = json.loads((tmp_path / "epochs.json").read_text())
    assert [len(losses) for losses in choice["held_out_loss"].values()] == [3, 3]
    means = [sum(losses) for losses in zip(*choice["held_out_loss"].values(), strict=True)]
    assert choice["epochs"] == 1 + means.index(min(means))
    assert read_record(tmp_path / "cells" / "de.0").steps == -(-choice["epochs"] * 41 // 4)


def test_another_grid_is_refused(corpus: Path, whole: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"learning_rate = 0\.01"):
        run(corpus, whole, "learning_rate=1e-3")
    with pytest.raises(RunError, match="in mode joint"):
        run(corpus, whole, mode="sequential")
    run(corpus, tmp_path, "steps=1", languages=["de"])
    (tmp_path / "grid.json").unlink()
    with pytest.raises(RunError, match=r"de\.0 was run with other settings"):
        run(corpus, tmp_path, "steps=2", languages=["de"])


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"languages": ["de", "xx"]}, LanguageError, "no language 'xx'"),
        ({"sets": ["de+xx"]}, LanguageError, "no language 'xx'"),
        ({"only": ["de+en.0", "de+sw.0"]}, RecipeError, "no cell 'de\\+sw.0'. Did you mean 'de\\+sv.0'"),
        ({"only": ["de.1"]}, RecipeError, "no cell 'de.1'"),
        ({"only": ["de-then-en.0"]}, RecipeError, "as --mode trains them"),
        ({"sets": ["de+en+de"]}, TextError, "names a language twice"),
        ({"shard": (3, 2)}, RecipeError, "--shard 3/2"),
        ({"changes": ["layer=2"]}, RecipeError, "Did you mean 'layers'"),
        ({"changes": ["width=30"]}, RecipeError, "30 cannot be split between 4 heads"),
        ({"changes": ["choose_epochs=['xx']"]}, LanguageError, "no language 'xx'"),
        ({"recipe": "copy"}, RecipeError, "is for `lingraft transfer`"),
        ({"recipe": "joint-pair-disjoint"}, RecipeError, "tokens of its own"),
        ({"engine": "batched", "changes": ["optimizer=lamb"]}, RecipeError, "--engine batched"),
    ],
)
def test_mistakes_are_named_and_leave_nothing(
    options: dict[str, Any], error: type[Exception], says: str, corpus: Path, tmp_path: Path
) -> None:
    with pytest.raises(error, match=says):
        grid.run(corpus, out=tmp_path / "grid", **options)
    assert not (tmp_path / "grid").exists()


def test_a_recipe_trains_the_cells(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lingraft.stages.write_report", lambda runs: (runs[0] / "report.html").write_text("short"))
    shape = ["architecture.layers=2", "architecture.width=32", "architecture.heads=2", "evaluation.max_characters=500"]
    changes = [*shape, "steps=3", "batch=2", "length=24", "precision=float32"]
    assert grid.run(corpus, out=tmp_path, languages=["de", "sv"], recipe="joint-multi", changes=changes, retries=0).failed == {}
    record = read_record(tmp_path / "cells" / "de+sv.0")
    assert (record.steps, record.tokens, list(record.scores)) == (3, 3 * 2 * 24, ["de", "sv"])


def test_a_transfer_trains_sequential_cells(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lingraft.stages.write_report", lambda runs: (runs[0] / "report.html").write_text("short"))
    changes = [*SMALL, "evaluation.max_characters=500"]
    outcome = grid.run(corpus, out=tmp_path, mode="sequential", shard=(4, 9), recipe="copy", changes=changes, retries=0)
    assert (outcome.ran, outcome.failed) == (["de-then-en.0"], {})
    assert set(load_file(tmp_path / "cells" / "de-then-en.0" / "ranks.safetensors")) == {"de.count", "de.sum", "en.count", "en.sum"}


def test_the_command(call: Call, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changes = [part for change in [*SMALL, "steps=1"] for part in ("--set", change)]
    code, out, err = call("donors", "run", corpus, "--out", tmp_path / "grid", "--dry-run", *changes)
    assert (code, err) == (0, "")
    assert out.startswith("cells   6: 3 monolingual, 3 pair\n")
    assert "steps   6 in all, 1 in the longest cell" in out
    assert not (tmp_path / "grid").exists()
    code, out, err = call("donors", "run", corpus, "--out", tmp_path / "grid", "--cells", "de,sv", "--json", *changes)
    assert (code, json.loads(out)["ran"]) == (0, ["de.0", "sv.0", "de+sv.0"])
    assert "1 of 3  de.0  de 0." in err
    monkeypatch.setattr(running, "train_cell", lambda *arguments: 1 / 0)
    code, out, err = call("donors", "run", corpus, "--out", tmp_path / "grid", *changes)
    assert code == 1
    assert "6 cells: 3 were there, 0 ran, 3 failed" in out
    assert "failed  en.0: ZeroDivisionError: division by zero" in out
    assert call("donors", "run", corpus, "--out", tmp_path / "grid", "--shard", "0/2")[0] == 2
    assert call("donors", "run", corpus, "--out", tmp_path / "grid", "--mode", "both")[0] == 2


def test_previous() -> None:
    assert training.previous(cell("a", "b", mode="sequential", seed=2)) == cell("a", seed=2)
    assert training.previous(cell("a", "b", "c", mode="sequential")) == cell("a", "b", mode="sequential")
    assert training.previous(cell("a", "b")) is None
    assert training.previous(cell("a")) is None
