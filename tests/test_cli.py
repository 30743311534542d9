"""The command line: what it prints, what it refuses and how, and that it is quick to answer."""

import gzip
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import World
from transformers import AutoTokenizer

import lingraft.cli
from lingraft.recipe import shipped

Pico = Callable[[str], Path]
Call = Callable[..., tuple[int, str, str]]
SMALL = ["tokenizer.size=300", "batch=4", "length=32", "evaluation.max_characters=2000", "precision=float32"]


def transfer(model: object, text: object, out: object, *more: object, steps: int = 1) -> list[object]:
    sets = [part for change in (*SMALL, f"steps={steps}") for part in ("--set", change)]
    return ["transfer", model, "--to", "de", "--text", text, "--out", out, *sets, *more]


def test_transfer_ends_with_one_line_of_json(call: Call, pico: Pico, world: World, tmp_path: Path):
    status, out, err = call(*transfer(pico("bert"), world.cipher, tmp_path / "run", "--recipe", "copy", "--seed", 3, "--json", steps=2))
    assert status == 0, err
    found = json.loads(out.splitlines()[-1])
    assert found["run"] == str(tmp_path / "run")
    assert set(found["scores"]) == {"bits_per_byte", "bits_per_word", "bits_per_subword", "loss", "mrr"}
    assert all(isinstance(value, float) for value in found["scores"].values())
    assert set(found["origin"]) == {"copied", "mixed", "direct", "drawn"}
    assert sum(found["origin"].values()) == 300
    assert found["tokens_per_second"] > 0
    status, out, _ = call(*transfer(pico("bert"), world.cipher, tmp_path / "run", "--recipe", "copy", "--seed", 3, "--json", steps=2))
    assert (status, json.loads(out)) == (0, found), "a second run reuses what is complete"


def test_transfer_prints_a_table_and_where_the_model_is(call: Call, pico: Pico, world: World, tmp_path: Path):
    status, out, err = call(*transfer(pico("bert"), world.cipher, tmp_path / "run"))
    assert status == 0, err
    assert re.search(r"bits per byte.*lower.*\d\.\d{4}", out)
    assert str(tmp_path / "run" / "model") in out
    assert (tmp_path / "run" / "report.html").is_file()


def test_report_makes_the_report_again_for_one_run_and_for_several(call: Call, pico: Pico, world: World, tmp_path: Path):
    for name in ("one", "two"):
        assert call(*transfer(pico("bert"), world.cipher, tmp_path / name))[0] == 0
    before = (tmp_path / "one" / "report.html").read_text()
    (tmp_path / "one" / "report.html").unlink()
    status, out, _ = call("report", tmp_path / "one")
    assert (status, out.strip()) == (0, str(tmp_path / "one" / "report.html"))
    assert (tmp_path / "one" / "report.html").read_text() == before
    assert call("report", tmp_path / "one", tmp_path / "two", "--out", tmp_path / "both.html")[0] == 0
    assert (tmp_path / "both.html").read_text().count("<html") == 1


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--recipe", "cpoy"], "'copy'"),
        (["--set", "stepz=3"], "'steps'"),
        (["--set", "tokenizer.sise=3"], "'tokenizer.size'"),
        (["--set", "phases.trian.steps=3"], "'train'"),
        (["--set", "rows.method=rnak"], "'rank'"),
        (["--to", "qqx-notalanguage"], "language"),
        (["--to", "germn"], "germn"),
        (["--restart-from", "phase.trian"], "'phase.train'"),
        (["--track", "tensorbord"], "'tensorboard'"),
        (["--tokenizer", "nowhere"], "nowhere"),
        (["--errors", "repalce"], "'replace'"),
        (["--clean", "scirpt"], "'script'"),
        (["--set", "tokenizer.size=20"], "tokenizer.size"),
        (["--set", "phases.0.train=['layers.7']"], "0 to 1"),
    ],
)
def test_mistakes_are_one_message_and_leave_nothing(more: list[str], said: str, call: Call, pico: Pico, world: World, tmp_path: Path):
    check_refused(call(*transfer(pico("bert"), world.cipher, tmp_path / "deep" / "run", *more)), said)
    assert list(tmp_path.iterdir()) == []


def check_refused(result: tuple[int, str, str], said: str) -> None:
    status, out, err = result
    messages = [line for line in err.splitlines() if line.startswith("lingraft: ") and not line.startswith("lingraft: warning")]
    assert (status, out) == (2, ""), err
    assert len(messages) == 1, err
    assert said in messages[0]
    assert "Traceback" not in err


BAD_TEXTS: dict[str, tuple[bytes | None, str]] = {
    "missing.txt": (None, "There is no file"),
    "none-*.txt": (None, "No file matches"),
    "empty.txt": (b"", "empty"),
    "blank.txt": (b"\n \n\n", "empty"),
    "binary.txt": (b"ein \x00\x01\x02 wort\n" * 20, "binary.txt"),
    "latin.txt": ("zeile eins\nzw\xf6lf\n".encode("latin-1"), "latin.txt, line 2"),
    "short.txt": (b"nur ein satz .\n", "ext"),
    "torn.txt.gz": (gzip.compress(b"ein wort\n" * 500)[:-20], "torn.txt.gz"),
    "column.jsonl": (b'{"number": 1}\n', "column"),
}


@pytest.mark.parametrize("name", BAD_TEXTS)
def test_bad_text_is_one_message_and_leaves_nothing(name: str, call: Call, pico: Pico, tmp_path: Path):
    data, said = BAD_TEXTS[name]
    if data is not None:
        (tmp_path / name).write_bytes(data)
    check_refused(call(*transfer(pico("bert"), tmp_path / name, tmp_path / "run")), said)
    assert not (tmp_path / "run").exists()


def test_invalid_utf_8_can_be_replaced(call: Call, pico: Pico, world: World, tmp_path: Path):
    (tmp_path / "text.txt").write_bytes(world.cipher.read_bytes() + b"\nzw\xf6lf\n")
    assert call(*transfer(pico("bert"), tmp_path / "text.txt", tmp_path / "run", "--errors", "replace"))[0] == 0


def test_unknown_models_and_those_without_embeddings_are_refused(call: Call, pico: Pico, world: World, tmp_path: Path):
    (tmp_path / "vision").mkdir()
    (tmp_path / "vision" / "config.json").write_text('{"model_type": "vit"}')
    for model, said in (
        ("./nowhere", "no model folder"),
        (tmp_path / "vision", "'vit'"),
        ("no-such/model-anywhere", "no-such/model-anywhere"),
    ):
        check_refused(call(*transfer(model, world.cipher, tmp_path / "run")), said)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["vision"]


def test_places_that_hold_something_else_are_left_alone(call: Call, pico: Pico, world: World, tmp_path: Path):
    text = tmp_path / "text.txt"
    text.write_bytes(world.cipher.read_bytes())
    before = text.read_bytes()
    check_refused(call(*transfer(pico("bert"), text, text)), "is a file")
    check_refused(call(*transfer(pico("bert"), text, tmp_path)), "text.txt")
    check_refused(call(*transfer(pico("bert"), text, pico("bert"))), "not a run")
    check_refused(call("report", tmp_path), "is not a run")
    check_refused(call("report", tmp_path / "nowhere"), "is not a run")
    check_refused(call("tokenizer", "train", pico("bert"), "--to", "de", "--text", text, "--out", tmp_path), "there already")
    assert text.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["text.txt"]


def test_a_changed_setting_is_refused_with_the_difference(call: Call, pico: Pico, world: World, tmp_path: Path):
    assert call(*transfer(pico("bert"), world.cipher, tmp_path / "run"))[0] == 0
    check_refused(call(*transfer(pico("bert"), world.cipher, tmp_path / "run", steps=2)), "steps: was 1, now 2")
    assert call(*transfer(pico("bert"), world.cipher, tmp_path / "run", "--restart-from", "phase.train", steps=2))[0] == 0


def test_aids_that_are_not_used_are_accepted_and_named(call: Call, pico: Pico, world: World, tmp_path: Path):
    aids = ["--parallel", "p.tsv", "--lexicon", "l.tsv", "--vectors", "v.bin", "w.bin", "--source-text", world.plain]
    status, _, err = call(*transfer(pico("bert"), world.cipher, tmp_path / "run", "--recipe", "copy", *aids))
    assert status == 0
    for aid in ("--parallel", "--lexicon", "--vectors", "--source-text"):
        assert f"lingraft: warning: The recipe 'copy' does not use {aid}" in err


@pytest.mark.parametrize("more", [[], ["--minutes", "0.05"]])
def test_a_dry_run_prints_the_plan_and_leaves_nothing(
    more: list[str], call: Call, pico: Pico, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    switch = ["--set", "phases.0.switch=[{at=0.5, train=['body']}]", "--set", "phases.0.train=['embeddings','head']"]
    status, out, err = call(*transfer(pico("bert"), world.cipher, tmp_path / "run", "--dry-run", *switch, *more, steps=8))
    assert status == 0, err
    for said in (r"race +between .*copy.*at most 20%", r"rows +300: \d+ copied, \d+ mixed, 0 direct, \d+ drawn",
                 r"parameters +[\d,]+: embeddings [\d,]+, body [\d,]+, head [\d,]+",
                 r"trains +embeddings, head: [\d,]+ parameters", r"trains +body: [\d,]+ parameters, from step [\d,]+ on",
                 r"steps +[\d,]+ of 4 blocks of 32 tokens; [\d,]+ blocks", r"memory +\d+ MB", r"time +.*s a step"):  # fmt: skip
        assert re.search(said, out), f"{said}\n{out}"
    assert more or re.search(r"tokens +1,024: the text ", out)
    assert [path for path in tmp_path.iterdir() if not path.name.startswith("torchinductor")] == []


def test_a_dry_run_refuses_what_the_run_would(call: Call, pico: Pico, tmp_path: Path):
    check_refused(call(*transfer(pico("bert"), tmp_path / "none.txt", tmp_path / "run", "--dry-run")), "There is no file")


def test_version_and_help(call: Call):
    from importlib.metadata import version

    assert call("--version") == (0, f"lingraft {version('lingraft')}\n", "")
    status, out, _ = call("--help")
    assert status == 0
    for verb in ("demo", "transfer", "report", "doctor", "tokenizer", "recipes"):
        assert verb in out
        assert call(verb, "--help")[0] == 0


def test_help_imports_nothing_that_is_slow():
    code = "import sys; sys.argv = ['lingraft', '--help']\nimport lingraft.cli\ntry:\n lingraft.cli.main()\nexcept SystemExit: pass\n"
    code += "print('loaded', *({'torch', 'transformers', 'datasets', 'numpy', 'pydantic', 'matplotlib'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1].strip() == "loaded"


@pytest.mark.skipif(sys.platform != "linux", reason="torch has libgomp on Linux")
@pytest.mark.parametrize(("given", "read"), [({}, "1000"), ({"GOMP_SPINCOUNT": "77"}, "77")])
def test_threads_that_wait_leave_their_cores_to_others(given: dict[str, str], read: str, tmp_path: Path):
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("GOMP_", "OMP_"))} | given
    command = [
        sys.executable,
        "-m",
        "lingraft",
        "transfer",
        str(tmp_path),
        "--to",
        "de",
        "--text",
        "none.txt",
        "--out",
        str(tmp_path / "a"),
    ]
    result = subprocess.run(command, env=environment | {"OMP_DISPLAY_ENV": "verbose"}, capture_output=True, text=True, check=False)
    assert f"GOMP_SPINCOUNT = '{read}'" in result.stderr, result.stderr


def test_recipes_are_listed_shown_and_checked(call: Call, tmp_path: Path):
    status, out, _ = call("recipes", "list")
    assert status == 0
    assert [line.split()[0] for line in out.splitlines()] == list(shipped())
    for name in shipped():
        assert call("recipes", "check", name)[0] == 0
    status, out, _ = call("recipes", "show", "rank")
    (tmp_path / "mine.toml").write_text(out)
    assert call("recipes", "check", tmp_path / "mine.toml")[0] == 0
    (tmp_path / "mine.toml").write_text(out.replace("batch = ", "bacth = "))
    check_refused(call("recipes", "check", tmp_path / "mine.toml"), "'batch'")
    check_refused(call("recipes", "show", "rnak"), "'rank'")


def test_tokenizers_are_trained_and_measured(call: Call, pico: Pico, world: World, tmp_path: Path):
    out_folder = tmp_path / "tokenizer"
    command = ["tokenizer", "train", pico("bert"), "--to", "de", "--text", world.cipher, "--out", out_folder, "--size", 200]
    status, out, err = call(*command, "--algorithm", "unigram")
    assert status == 0, err
    assert re.fullmatch(re.escape(str(out_folder)) + r": \d+ tokens\n", out)
    status, out, err = call("tokenizer", "measure", out_folder, "--to", "de", "--text", world.cipher, "--source", pico("bert"), "--json")
    assert status == 0, err
    assert {"fertility", "bytes_per_token", "unknown_rate", "overlap"} <= set(json.loads(out))
    assert "fertility" in call("tokenizer", "measure", out_folder, "--to", "de", "--text", world.cipher)[1]
    check_refused(call("tokenizer", "measure", tmp_path, "--to", "de", "--text", world.cipher), "tokenizer")
    command[-3:] = [tmp_path / "extended", "--size", 60]
    before = len(AutoTokenizer.from_pretrained(pico("bert")))
    assert call(*command, "--extend")[1] == f"{tmp_path / 'extended'}: {before + 60} tokens\n"


def test_doctor_says_what_is_here_and_how_fast(call: Call, monkeypatch: pytest.MonkeyPatch):
    from lingraft import doctor

    monkeypatch.setattr(doctor, "TRIAL", {**doctor.TRIAL, "num_hidden_layers": 1, "hidden_size": 32, "vocab_size": 500})
    monkeypatch.setattr(doctor, "BATCH", 4)
    monkeypatch.setattr(doctor.matmul_gflops, "__kwdefaults__", {"size": 128, "seconds": 0.05})
    status, out, err = call("doctor", "--json")
    assert status == 0, err
    found: dict[str, Any] = json.loads(out)
    assert {"python", "lingraft", "torch", "transformers", "tokenizers", "accelerate", "datasets", "cpu", "cores", "threads", "gpu"} <= set(
        found
    )
    assert found["matmul_gflops"] > 0
    assert found["tokens_per_second"] > 0
    assert found["memory_gb"] > 0
    assert found["free_disk_gb"] > 0
    assert found["extra tracking"] in ("installed", "not installed")
    assert isinstance(found["bfloat16_pays"], bool)
    assert isinstance(found["malloc_tuned"], bool)
    assert "tokens_per_second" in call("doctor")[1]


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "argv", ["lingraft", "recipes", "show", "rnak", "--debug"])
    with pytest.raises(lingraft.LingraftError):
        lingraft.cli.main()


def test_interruptions_end_with_130(call: Call, pico: Pico, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def interrupt(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("lingraft.stages.encode_to_shards", interrupt)
        status, out, err = call(*transfer(pico("bert"), world.cipher, tmp_path / "run"))
    assert (status, out) == (130, "")
    assert "same command goes on" in err
    assert call(*transfer(pico("bert"), world.cipher, tmp_path / "run"))[0] == 0


def test_sigterm_ends_with_130_and_bars_of_other_libraries_do_not_show(pico: Pico, world: World, tmp_path: Path):
    """In a process of its own, with text on standard input."""
    arguments = [str(part) for part in transfer(pico("bert"), "-", tmp_path / "run", steps=100_000)]
    environment = {name: value for name, value in os.environ.items() if name != "TRANSFORMERS_VERBOSITY"} | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "lingraft", *arguments]
    with (tmp_path / "err").open("w") as err, world.cipher.open() as text:
        process = subprocess.Popen(command, env=environment, stdin=text, stdout=subprocess.PIPE, stderr=err)
        metrics = tmp_path / "run" / "metrics.jsonl"
        while process.poll() is None and not (metrics.exists() and '"loss"' in metrics.read_text()):
            time.sleep(0.02)
        process.terminate()
        assert process.wait(60) == 130, (tmp_path / "err").read_text()[-2000:]
    assert list((tmp_path / "run" / "phases" / "train").glob("checkpoint-*"))
    said = (tmp_path / "err").read_text()
    assert "Interrupted after step" in said
    assert "Loading weights" not in said
    assert "shards" not in said
