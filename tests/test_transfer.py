"""The whole job on pico models: every recipe and family, rows whose answers are known, phases, other processes."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from conftest import FAMILIES, World
from safetensors.numpy import load_file
from small_runs import SMALL, Pico, StoppedError, aids_of, go, results, stopping, times

import lingraft
from lingraft.errors import LanguageError, LingraftWarning
from lingraft.model.load import AUTO
from lingraft.plan import plan
from lingraft.recipe import load_recipe, shipped
from lingraft.run import Run
from lingraft.text.corpus import TextSettings, resolve
from lingraft.tokenizer import vocabulary
from lingraft.train.loop import Options

pytestmark = pytest.mark.usefixtures("short_report")
DECODERS = ("gpt2", "opt", "llama", "qwen2", "gemma2")


TRANSFERS = {name: load_recipe(name) for name in shipped()}
"""Those with rows of a mapping have tests of their own: test_static_rows.py, test_trelm.py."""
HERE = [name for name, recipe in TRANSFERS.items() if recipe.verb == "transfer" and recipe.rows.method != "mapped"]


@pytest.mark.parametrize("recipe", HERE)
def test_every_recipe_interrupted_and_resumed_gives_the_same_bytes(recipe: str, pico: Pico, world: World, tmp_path: Path):
    asked = {"steps": 20, "recipe": recipe, **aids_of(world)}
    quick = "rows.mapping=identical"  # an adversary takes half a minute
    whole = go(pico("bert"), world, tmp_path / "whole", quick, **asked)
    phase = next(iter(load_recipe(recipe).phases))
    with pytest.raises(StoppedError):
        go(pico("bert"), world, tmp_path / "cut", quick, options=stopping(phase, 13), **asked)
    assert not (tmp_path / "cut" / "model").exists()
    again = go(pico("bert"), world, tmp_path / "cut", quick, **asked)
    assert results(whole.path) == results(again.path)
    assert set(whole.scores) == {"bits_per_byte", "bits_per_word", "bits_per_subword", "loss", "mrr"}
    assert np.isfinite(list(whole.scores.values())).all()
    assert sum(whole.origin.values()) == whole.load()[0].config.vocab_size
    steps = [line["step"] for line in again.lines("metrics.jsonl") if "loss" in line]
    assert steps == sorted(set(steps)), "what was redone is not recorded twice"
    assert steps[-1] == 20


def test_no_steps_leave_the_initialised_model(pico: Pico, world: World, tmp_path: Path):
    run = go(pico("bert"), world, tmp_path / "run", steps=0)
    scores = {
        model: {line["name"]: line["value"] for line in run.lines("scores.jsonl") if line["model"] == model}
        for model in ("initial", "final")
    }
    assert scores["initial"] == scores["final"] == run.scores
    source = AUTO["mlm"].from_pretrained(pico("bert"))
    model, _ = run.load()
    assert all(torch.equal(p, q) for p, q in zip(model.bert.encoder.parameters(), source.bert.encoder.parameters(), strict=True))
    before = times(run.path)
    go(pico("bert"), world, tmp_path / "run", steps=0)
    assert times(run.path) == before


def rows_of(run: Run) -> tuple[Any, Any, np.ndarray, np.ndarray]:
    """Source and target tokenizers, and the mix as (new id, old id) of the copies."""
    source, target = (transformers.AutoTokenizer.from_pretrained(run.path / "tokenizer" / name) for name in ("source", "de"))
    rows = load_file(run.path / "rows.safetensors")
    new = np.repeat(np.arange(len(rows["origin"])), np.diff(rows["mix.indptr"]))
    assert (rows["mix.values"] == 1).all()
    return source, target, new, rows["mix.indices"]


def frequencies(tokenizer: Any, text: str) -> dict[str, int]:
    ids = [i for line in text.splitlines() if line for i in tokenizer(line, add_special_tokens=False)["input_ids"]]
    return {tokenizer.convert_ids_to_tokens(int(i)): int(n) for i, n in zip(*np.unique(ids, return_counts=True), strict=True)}


def test_rank_rows_of_a_cipher_are_its_plain_tokens(pico: Pico, world: World, tmp_path: Path):
    """One vocabulary in two alphabets, frequencies over the same text: every cipher token gets the row of its plain one."""
    target = transformers.AutoTokenizer.from_pretrained(pico("bert"))
    definition = json.loads(target._tokenizer.to_str())
    moved = {World.encipher(token) if token.islower() else token: number for token, number in definition["model"]["vocab"].items()}
    definition["model"]["vocab"] = moved
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=type(target._tokenizer).from_str(json.dumps(definition)),
        **{k: v for k, v in target.special_tokens_map.items() if isinstance(v, str)},
    )
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    changes = [f"tokenizer.read={str(tmp_path / 'tokenizer')!r}", "rows.method=rank"]
    trained_on = [line for part in resolve([str(world.plain)], "en", settings=TextSettings()).split("train") for line in part.lines]
    (tmp_path / "plain.txt").write_text("\n".join(trained_on))
    run = go(pico("bert"), world, tmp_path / "run", *changes, steps=0, source_text=str(tmp_path / "plain.txt"))
    source, target, new, old = rows_of(run)
    counts = frequencies(source, "\n".join(trained_on))
    pairs = {source.convert_ids_to_tokens(int(o)): target.convert_ids_to_tokens(int(n)) for n, o in zip(new, old, strict=True)}
    alone = [token for token in counts if list(counts.values()).count(counts[token]) == 1]
    assert len(alone) > 50
    assert all(pairs[token] == World.encipher(token) for token in alone), "ties aside"


def test_copied_rows_are_of_the_same_strings(pico: Pico, world: World, tmp_path: Path):
    run = go(pico("bert"), world, tmp_path / "run", steps=0)
    source, target, new, old = rows_of(run)
    spelled, own = vocabulary.spelling(source), vocabulary.spelling(target)
    assert len(new) > 20
    assert all(spelled[o] == own[n] for n, o in zip(new, old, strict=True))
    model = AUTO["mlm"].from_pretrained(pico("bert"))
    assert run.origin["copied"] == len(new)
    assert model.get_input_embeddings().weight.shape[0] > old.max()


def test_a_language_has_one_code(pico: Pico, world: World, tmp_path: Path):
    run = go(pico("bert"), world, tmp_path / "run", steps=0, to="deu")
    before = results(run.path)
    assert run.facts["language"] == "de"
    assert results(go(pico("bert"), world, tmp_path / "run", steps=0, to="de").path) == before
    with pytest.raises(LanguageError, match="Did you mean 'de'"):
        go(pico("bert"), world, tmp_path / "other", to="German")
    assert not (tmp_path / "other").exists()


def test_a_transfer_beats_scratch(pico: Pico, world: World, tmp_path: Path):
    """A source that knows the plain text: with rank rows its body is worth something for the cipher."""
    plain = lingraft.transfer(
        str(pico("bert")), to="en", text=str(world.plain), out=tmp_path / "source", recipe="rank-source-vocabulary",
        changes=[*SMALL, "batch=32", "steps=60", "learning_rate=5e-3"],
    )  # fmt: skip
    asked = {"steps": 15, "source_text": str(world.plain)}
    found = {
        recipe: go(
            plain.path / "model", world, tmp_path / recipe, "batch=8", "learning_rate=1e-3", "tokenizer.size=400", recipe=recipe, **asked
        )
        for recipe in ("rank", "scratch")
    }
    assert found["rank"].scores["loss"] < found["scratch"].scores["loss"] - 0.2
    assert found["rank"].scores["bits_per_byte"] < found["scratch"].scores["bits_per_byte"]


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_every_family_ends_as_a_plain_folder(family: str, pico: Pico, world: World, tmp_path: Path):
    held: dict[str, torch.Tensor] = {}
    size = 300 if FAMILIES[family][0] != "bpe" else 320

    def watch(model: Any) -> float:
        held["logits"] = model(input_ids=torch.arange(20)[None]).logits.detach()
        return 0.0

    run = go(pico(family), world, tmp_path / "run", f"tokenizer.size={size}", steps=2)
    kind = "clm" if family in DECODERS else "mlm"
    assert run.facts["kind"] == kind
    model, tokenizer = run.load()
    assert len(tokenizer) <= size == model.config.vocab_size or len(tokenizer) == model.config.vocab_size
    read = transformers.AutoTokenizer.from_pretrained(run.path / "tokenizer" / "de")
    line = world.cipher.read_text().splitlines()[0]
    assert tokenizer(line)["input_ids"] == read(line)["input_ids"]
    stock = AUTO[kind].from_pretrained(run.path / "model")
    last = load_file(max((run.path / "phases" / "train").glob("checkpoint-*")) / "model.safetensors")
    state = dict(stock.named_parameters())
    assert all(np.array_equal(state[name].detach().numpy(), value) for name, value in last.items() if name in state), (
        "what was trained is what was saved"
    )
    ids = torch.tensor([tokenizer(line)["input_ids"][:30]])
    with torch.no_grad():
        logits = stock.eval()(input_ids=ids).logits
        assert torch.equal(model.eval()(input_ids=ids).logits, logits)
    assert logits.shape[-1] == model.config.vocab_size
    assert {"Loading", "Writing"}.isdisjoint(run.facts.get("warnings", []))


@pytest.mark.parametrize("family", ["bert", "llama"])
def test_logits_after_reload_are_those_before(family: str, pico: Pico, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from lingraft import stages

    ids, before = torch.arange(20)[None], []
    export = stages.export

    def looking(request: Any, run: Any, source: Any, made: Any) -> None:
        with torch.no_grad():
            before.append(source.model.eval()(input_ids=ids).logits)
        export(request, run, source, made)

    monkeypatch.setattr(stages, "export", looking)
    model, _ = go(pico(family), world, tmp_path / "run").load()
    with torch.no_grad():
        assert torch.equal(model(input_ids=ids).logits, before[0])


@pytest.mark.parametrize("family", ["bert", "llama"])
def test_factorised_rows_resume_to_the_same_bytes_and_end_in_a_stock_folder(family: str, pico: Pico, world: World, tmp_path: Path):
    logits: list[torch.Tensor] = []

    def looking(request: Any, run: Any, source: Any, *rest: Any) -> None:
        with torch.no_grad():
            logits.append(source.model.eval()(input_ids=torch.arange(20)[None]).logits)
        evaluate(request, run, source, *rest)

    evaluate, changes = lingraft.stages.evaluate, ("rows.rank=8",)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("lingraft.stages.evaluate", looking)
        whole = go(pico(family), world, tmp_path / "whole", *changes, steps=10)
    with pytest.raises(StoppedError):
        go(pico(family), world, tmp_path / "cut", *changes, steps=10, options=stopping("train", 7))
    assert results(go(pico(family), world, tmp_path / "cut", *changes, steps=10).path) == results(whole.path)
    trained = load_file(max((whole.path / "phases" / "train").glob("checkpoint-*")) / "model.safetensors")
    model, _ = whole.load()
    size = model.config.vocab_size
    factors = {name: values.shape for name, values in trained.items() if values.shape in ((size, 8), (8, 32))}
    assert len(factors) == (2 if family == "bert" else 4) and (size, 32) not in [values.shape for values in trained.values()]
    with torch.no_grad():
        torch.testing.assert_close(model(input_ids=torch.arange(20)[None]).logits, logits[0], atol=1e-5, rtol=1e-4)
    plain = go(pico(family), world, tmp_path / "plain", steps=0)
    saved = (size * 32 - size * 8 - 8 * 32) * len(factors) // 2
    for part in ("all", "embeddings"):
        assert plain.facts["parameters"][part] - whole.facts["parameters"][part] == saved
    planned = plan(str(pico(family)), to="de", text=str(world.cipher), changes=[*SMALL, "steps=1", *changes])
    assert f"embeddings {whole.facts['parameters']['embeddings']:,}" in planned


@pytest.mark.parametrize("size", [150, 600])
@pytest.mark.parametrize("family", ["bert", "llama", "gpt2"])
def test_narrower_and_wider_vocabularies(family: str, size: int, pico: Pico, world: World, tmp_path: Path):
    size = max(size, 270) if family == "gpt2" else size
    run = go(pico(family), world, tmp_path / "run", f"tokenizer.size={size}", steps=1)
    model, tokenizer = run.load()
    assert model.config.vocab_size == len(tokenizer) == model.get_output_embeddings().weight.shape[0]
    tied = model.get_output_embeddings().weight is model.get_input_embeddings().weight
    assert tied == (family != "llama")


def test_phases_follow_each_other_and_start_where_they_are_told(pico: Pico, world: World, tmp_path: Path):
    (tmp_path / "phases.toml").write_text("""
[tokenizer]
size = 300
[phases.rows]
train = ["embeddings"]
[phases.side]
train = ["head"]
[phases.all]
start_from = "rows"
switch = [{at = 0.5, train = ["body"]}]
""")  # fmt: skip
    asked = {"recipe": str(tmp_path / "phases.toml"), "steps": 4}
    run = go(pico("bert"), world, tmp_path / "run", **asked)
    weights = {}
    for name in ("rows", "side", "all"):
        (folder,) = sorted((run.path / "phases" / name).glob("checkpoint-*"))[-1:]
        weights[name] = load_file(folder / "model.safetensors")
    source = dict(AUTO["mlm"].from_pretrained(pico("bert")).named_parameters())
    body, head = "bert.encoder.layer.0.attention.self.query.weight", "cls.predictions.transform.dense.weight"
    assert np.array_equal(weights["rows"][body], source[body].detach())
    assert np.array_equal(weights["rows"][head], source[head].detach())
    assert np.array_equal(weights["side"][body], weights["rows"][body])
    assert not np.array_equal(weights["side"][head], weights["rows"][head])
    assert not np.array_equal(weights["all"][body], weights["rows"][body])
    with pytest.raises(StoppedError):
        go(pico("bert"), world, tmp_path / "cut", options=stopping("all", 2), **asked)
    assert results(go(pico("bert"), world, tmp_path / "cut", **asked).path) == results(run.path)
    shutil.rmtree(tmp_path / "cut" / "phases" / "rows")
    (tmp_path / "cut" / "model" / "config.json").unlink()
    run = go(pico("bert"), world, tmp_path / "cut", restart_from="phase.side", **asked)
    assert run.is_complete("model")


def test_aids_that_are_not_used_are_accepted_and_named(pico: Pico, world: World, tmp_path: Path):
    aids = {"parallel": "x.tsv", "lexicon": ["x.tsv"], "vectors": ["x.bin", "y.bin"], "source_text": str(world.plain)}
    with pytest.warns(LingraftWarning) as caught:
        run = go(pico("bert"), world, tmp_path / "run", steps=0, **aids)
    said = [str(warning.message) for warning in caught]
    for option in ("--parallel", "--lexicon", "--vectors", "--source-text"):
        assert any(f"'copy' does not use {option}" in message for message in said)
        assert any(option in message for message in run.facts["warnings"])


def test_a_short_vocabulary_is_a_warning_that_the_run_keeps(pico: Pico, world: World, tmp_path: Path):
    with pytest.warns(LingraftWarning, match="fewer than the 9,000"):
        run = go(pico("bert"), world, tmp_path / "run", "tokenizer.size=9000", steps=0)
    assert any("9,000" in message for message in run.facts["warnings"])


def test_examples_can_be_kept_out(pico: Pico, world: World, tmp_path: Path):
    run = go(pico("bert"), world, tmp_path / "run", steps=0, examples=False)
    lingraft.write_report([run.path])
    word = max(world.cipher.read_text().split(), key=len)
    assert not run.facts["examples"]
    assert all(word not in (run.path / name).read_text() for name in ("report.html", "model/README.md"))


def test_a_headless_encoder_gets_a_head_and_the_card_says_so(pico: Pico, world: World, tmp_path: Path):
    AUTO["mlm"].from_pretrained(pico("bert")).bert.save_pretrained(tmp_path / "source")
    transformers.AutoTokenizer.from_pretrained(pico("bert")).save_pretrained(tmp_path / "source")
    (tmp_path / "source" / "modules.json").write_text("[]")
    run = go(tmp_path / "source", world, tmp_path / "run")
    card = (run.path / "model" / "README.md").read_text()
    assert "head" in card
    assert "sentence encoder" in card
    assert type(run.load()[0]).__name__ == "BertForMaskedLM"


COMMAND = ["--to", "de", "--recipe", "copy", "--checkpoint-steps", "5", *(part for change in SMALL for part in ("--set", change)), "--json"]


def command(model: Path, world: World, out: Path, steps: int) -> list[str]:
    return ["transfer", str(model), "--text", str(world.cipher), "--out", str(out), "--set", f"steps={steps}", *COMMAND]


ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


def test_kill_9_and_the_same_command_give_the_same_bytes(pico: Pico, world: World, tmp_path: Path):
    torch.set_num_threads(1)
    arguments = command(pico("bert"), world, tmp_path / "run", 40)
    process = subprocess.Popen(
        [sys.executable, "-m", "lingraft", *arguments], env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 100
    while not list((tmp_path / "run" / "phases").glob("train/checkpoint-*")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, process.stderr.read()[-2000:]
    assert not (tmp_path / "run" / "model").exists()
    again = go(pico("bert"), world, tmp_path / "run", steps=40)
    whole = go(pico("bert"), world, tmp_path / "whole", steps=40)
    assert results(again.path) == results(whole.path)


def test_two_processes_with_the_same_global_batch_are_one(pico: Pico, world: World, tmp_path: Path):
    """With --cpu, accelerate starts one process (several need mpirun); with --multi_gpu two, and the variable says where they compute."""
    (tmp_path / "recipe.toml").write_text("""
extends = "copy"
[rows]
method = "auto"
[phases.train]
train = ["embeddings", "head"]
switch = [{at = 0.5, train = ["all"]}]
accumulation = 2
dropout = 0.0
""")  # fmt: skip
    launch = ["accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1", "--mixed_precision", "no"]
    arguments = command(pico("bert"), world, tmp_path / "two", 4)
    arguments[arguments.index("copy")] = str(tmp_path / "recipe.toml")
    environment = {**ENVIRONMENT, "ACCELERATE_USE_CPU": "true"}
    process = subprocess.run(
        [sys.executable, "-m", *launch, "--dynamo_backend", "no", "--main_process_port", "0", "-m", "lingraft", *arguments],
        env=environment, capture_output=True, text=True, check=False, timeout=150,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr[-3000:]
    one = go(pico("bert"), world, tmp_path / "one", steps=4, recipe=str(tmp_path / "recipe.toml"), options=Options(checkpoint_steps=5))
    losses = [[line["loss"] for line in run.lines("metrics.jsonl") if "loss" in line] for run in (one, Run(tmp_path / "two"))]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)
    (line,) = process.stdout.splitlines()
    assert json.loads(line)["scores"] == pytest.approx(one.scores, rel=1e-4)
