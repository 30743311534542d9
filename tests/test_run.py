"""The run folder: stages, what is refused, facts, metrics, scores."""

import json
import time
from pathlib import Path

import pytest

from lingraft.errors import RunError
from lingraft.run import FACTS, METRICS, SCORES, Run, differences

ORDER = ["text", "tokens", "rows", "initial", "phase.train", "evaluation", "model"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.create(tmp_path / "deep" / "run")


def complete(run: Run, stage: str, inputs: dict[str, object]) -> None:
    assert not run.begin(stage, inputs)
    for output in run.outputs(stage):
        output.mkdir(parents=True) if "." not in output.name else output.write_text("")
    run.finish(stage)


def test_a_stage_is_done_once(run: Run):
    assert not run.begin("rows", {"seed": 1})
    assert not run.is_complete("rows")
    assert not run.begin("rows", {"seed": 1}), "begun is not done"
    complete(run, "rows", {"seed": 1})
    assert run.begin("rows", {"seed": 1})
    assert run.is_complete("rows")


def test_a_stage_whose_output_is_gone_is_done_again(run: Run):
    complete(run, "tokens", {})
    (run.path / "tokens").rmdir()
    assert not run.begin("tokens", {})


def test_other_inputs_stop_with_the_difference(run: Run):
    complete(run, "rows", {"seed": 1, "settings": {"method": "copy", "list": [1, 2]}})
    with pytest.raises(RunError) as caught:
        run.begin("rows", {"seed": 2, "settings": {"method": "rank", "list": [1, 2]}})
    assert "'rows': seed: was 1, now 2; settings.method: was 'copy', now 'rank'." in str(caught.value)
    assert "--restart-from rows" in str(caught.value)
    with pytest.raises(RunError, match=r"or go back to the old setting\.$"):
        Run.create(run.path, can_restart=False).begin("rows", {"seed": 2})
    with pytest.raises(RunError, match="method: was 'copy', now 'rank'"):
        run.agree("rows", {"method": "rank", "list": [1, 2]})
    run.agree("rows", {"method": "copy", "list": (1, 2)})
    run.agree("initial", {"never": "begun"})


def test_differences_name_keys_that_come_and_go():
    assert differences({"a": {"b": 1}, "c": 2}, {"a": {"b": 1, "d": 3}}) == ["c: was 2, now None", "a.d: was None, now 3"]
    assert differences({"a": [1]}, {"a": [1]}) == []


def test_restarting_forgets_a_stage_and_all_after_it(run: Run):
    for stage in ORDER:
        complete(run, stage, {})
    for phase, step in (("train", 10), ("other", 10)):
        run.record({"phase": phase, "step": step})
    run.spend("train", 3.0)
    run.spend("train", 2.0)
    assert run.facts["seconds"] == 5.0
    run.restart_from("initial", ORDER)
    assert run.facts["seconds"] == 0
    assert [stage for stage in ORDER if run.is_complete(stage)] == ["text", "tokens", "rows"]
    assert not (run.path / "model").exists()
    assert not (run.path / SCORES).exists()
    assert run.lines(METRICS) == [{"phase": "other", "step": 10}]


def test_restarting_from_the_evaluation_keeps_the_first_scores(run: Run):
    for stage in ORDER[:-2]:
        complete(run, stage, {})
    run.write_scores([{"model": "initial", "name": "loss", "value": 1.0}])
    for stage in ORDER[-2:]:
        complete(run, stage, {})
    run.restart_from("evaluation", ORDER)
    assert [line["model"] for line in run.lines(SCORES)] == ["initial"]


def test_a_stage_that_does_not_exist_is_named(run: Run):
    with pytest.raises(RunError, match=r"'phase.trian'.*'phase.train'"):
        run.restart_from("phase.trian", ORDER)


@pytest.mark.parametrize("make", [lambda path: path.write_text("x"), lambda path: (path / "thesis").mkdir(parents=True)])
def test_what_is_not_a_run_is_neither_opened_nor_taken_over(make, tmp_path: Path):
    make(tmp_path / "mine")
    with pytest.raises(RunError, match="not a run"):
        Run(tmp_path / "mine")
    with pytest.raises(RunError, match=r"is a file|thesis"):
        Run.create(tmp_path / "mine")


def test_an_empty_folder_and_a_run_are_taken(tmp_path: Path, run: Run):
    (tmp_path / "empty").mkdir()
    assert Run.create(tmp_path / "empty").path == tmp_path / "empty"
    assert Run.create(run.path).path == run.path
    with pytest.raises(RunError, match="is not a run"):
        Run(tmp_path / "nowhere")


def test_facts_add_up_and_what_is_the_same_is_not_written_again(run: Run):
    run.note(seed=1, text={"de": 1})
    run.note(kind="mlm")
    assert run.facts == {"seed": 1, "text": {"de": 1}, "kind": "mlm"}
    before = (run.path / FACTS).stat().st_mtime_ns
    time.sleep(0.01)
    run.note(kind="mlm")
    assert (run.path / FACTS).stat().st_mtime_ns == before


def test_a_torn_line_is_left_out(run: Run):
    run.record({"phase": "train", "step": 1})
    with (run.path / METRICS).open("a") as file:
        file.write('{"phase": "tr')
    assert run.lines(METRICS) == [{"phase": "train", "step": 1}]


def test_metrics_beyond_a_step_are_forgotten_for_their_phase_only(run: Run):
    for phase, step in (("a", 10), ("a", 20), ("b", 20)):
        run.record({"phase": phase, "step": step})
    run.forget_metrics("a", 10)
    assert run.lines(METRICS) == [{"phase": "a", "step": 10}, {"phase": "b", "step": 20}]


def test_scores_are_the_final_models(run: Run):
    run.write_scores({"model": model, "name": "loss", "value": value} for model, value in (("initial", 9.0), ("final", 3.0)))
    assert run.scores == {"loss": 3.0}
    assert run.origin == {}


def test_a_damaged_record_is_named(run: Run):
    complete(run, "rows", {})
    (run.path / ".stages" / "rows.json").write_text(json.dumps({})[:1])
    with pytest.raises(RunError, match=r"rows\.json is damaged"):
        run.begin("rows", {})


def test_an_unfinished_run_has_no_model_to_load_or_push(run: Run):
    with pytest.raises(RunError, match="not finished"):
        run.load()
    with pytest.raises(RunError, match="not finished"):
        run.push("me/mine")


def test_push_uploads_the_model_folder(run: Run, monkeypatch: pytest.MonkeyPatch):
    calls = []

    class Api:
        def create_repo(self, repo_id: str, **options: object) -> None:
            calls.append(("create", repo_id, options))

        def upload_folder(self, **options: object) -> str:
            calls.append(("upload", options["repo_id"], options["folder_path"]))
            return "https://somewhere"

    monkeypatch.setattr("huggingface_hub.HfApi", Api)
    complete(run, "model", {})
    assert run.push("me/mine") == "https://somewhere"
    assert calls == [("create", "me/mine", {"exist_ok": True}), ("upload", "me/mine", run.path / "model")]


def test_what_the_hub_refuses_is_said(run: Run, monkeypatch: pytest.MonkeyPatch):
    complete(run, "model", {})
    with pytest.raises(RunError, match=r"Cannot upload .* to '!!'.*hf auth login"):
        run.push("!!")
