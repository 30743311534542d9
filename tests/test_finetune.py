"""Fine-tuning with parts that stay, and with noise: what trains, what does not, what is kept, what is refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import World
from safetensors.numpy import load_file, save_file

import lingraft
from lingraft.errors import LingraftError, RecipeError
from lingraft.evaluate.heads import Headed, load_with_head
from lingraft.evaluation import evaluate
from lingraft.files import digest
from lingraft.model.load import load_tokenizer
from lingraft.model.noise import Noise
from lingraft.model.parts import body_fingerprint, embedding_tables, set_trainable
from lingraft.tokenizer.vocabulary import special_ids
from lingraft.train.loop import Options

Pico = Callable[[str], Path]
Call = Callable[..., tuple[int, str, str]]
QUICK = ["steps=6", "batch=8", "learning_rate=5e-3", "precision=float32", "weight_decay=0.1"]


@pytest.fixture(scope="module")
def treebank(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CoNLL-U of the world's plain sentences; a word's tag is its length's."""
    file = tmp_path_factory.mktemp("treebank") / "train.conllu"
    sentences = [line.split() for line in world.plain.read_text().splitlines() if line][:60]
    rows = [
        [f"{i}\t{w}\t_\tT{len(w) % 3}\t_\t_\t{i - 1}\t{'dep' if i > 1 else 'root'}\t_\t_" for i, w in enumerate(s, 1)] for s in sentences
    ]
    file.write_text("".join("\n".join(row) + "\n\n" for row in rows))
    return file


def run(model: Path, treebank: Path, out: Path, **more: Any) -> dict[str, Any]:
    asked: dict[str, Any] = {"task": "pos", "train": str(treebank), "changes": QUICK, "freeze": ["embeddings"]}
    return lingraft.finetune(str(model), out=out, **{**asked, **more})


def weights(folder: Path, ending: str) -> np.ndarray[Any, Any]:
    return next(array for name, array in load_file(folder / "model.safetensors").items() if name.endswith(ending))


@pytest.mark.parametrize(("family", "task"), [("bert", "pos"), ("roberta", "pos"), ("bert", "parsing")])
def test_word_rows_stay_to_the_last_bit_and_specials_train(pico: Pico, treebank: Path, tmp_path: Path, family: str, task: str) -> None:
    told = run(pico(family), treebank, tmp_path / "out", task=task, freeze=["embeddings", "positions"])
    words = "word_embeddings.weight"
    before, after = weights(pico(family), words), weights(tmp_path / "out/model", words)
    tokenizer = load_tokenizer(str(pico(family)))
    used = {tokenizer.cls_token_id, tokenizer.sep_token_id}
    assert set(np.flatnonzero((before != after).any(axis=1))) >= used
    assert set(np.flatnonzero((before != after).any(axis=1))) <= special_ids(tokenizer)
    assert np.array_equal(
        weights(pico(family), "position_embeddings.weight"), weights(tmp_path / "out/model", "position_embeddings.weight")
    )
    assert not np.array_equal(weights(pico(family), "LayerNorm.weight"), weights(tmp_path / "out/model", "LayerNorm.weight"))
    assert told["frozen"] == ["words", "positions"] and told["settings"]["freeze"] == ["words", "positions"]
    assert (tmp_path / "out/model/head.safetensors").exists() == (task == "parsing")


def test_body_fingerprint_is_of_the_model_it_began_with(pico: Pico, treebank: Path, tmp_path: Path) -> None:
    told = run(pico("bert"), treebank, tmp_path / "out")
    for head in ("none", "token", "sequence", "question"):
        assert body_fingerprint(load_with_head(str(pico("bert")), head, [])) == told["body"]
    assert body_fingerprint(load_with_head(str(tmp_path / "out/model"), "token", [])) != told["body"]
    frozen = run(pico("bert"), treebank, tmp_path / "head", changes=[*QUICK, 'train=["head"]'], freeze=[])
    assert frozen["frozen"] == ["words", "positions", "body"] and frozen["body"] == told["body"]


def test_other_weights_in_the_same_folder_are_another_model(pico: Pico, treebank: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(pico("bert"), model)
    run(model, treebank, tmp_path / "out")
    tensors = load_file(model / "model.safetensors")
    name = next(name for name in tensors if name.endswith("word_embeddings.weight"))
    save_file({**tensors, name: tensors[name] + 1}, model / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(LingraftError, match="weights: was"):
        run(model, treebank, tmp_path / "out")


def test_interrupted_goes_on_to_the_same_bytes(pico: Pico, treebank: Path, tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    def stop(phase: str, step: int, total: int, loss: float) -> None:
        if step == 4:
            raise Stop

    more = {"noise": 0.5, "development": str(treebank), "changes": [*QUICK, "dropout=0.1"]}
    with pytest.raises(Stop):
        run(pico("bert"), treebank, tmp_path / "a", **more, options=Options(checkpoint_steps=3, log_steps=1, progress=stop))
    told = run(pico("bert"), treebank, tmp_path / "a", **more, options=Options(log_steps=1))
    whole = run(pico("bert"), treebank, tmp_path / "b", **more, options=Options(log_steps=1))
    assert digest(tmp_path / "a/model") == digest(tmp_path / "b/model")
    assert told["attempts"][0]["development"] == whole["attempts"][0]["development"]
    steps = [json.loads(line)["step"] for line in (tmp_path / "a/metrics.jsonl").read_text().splitlines() if '"loss"' in line]
    assert steps == [1, 2, 3, 4, 5, 6]
    assert sorted(path.name for path in (tmp_path / "a").iterdir() if path.name[0] != ".") == ["finetune.json", "metrics.jsonl", "model"]
    again = run(pico("bert"), treebank, tmp_path / "a", **more)
    assert again == told
    with pytest.raises(LingraftError, match=r"noise: was 0.5, now 0.0"):
        run(pico("bert"), treebank, tmp_path / "a", **{**more, "noise": 0.0})


def test_noise_is_of_the_asked_deviation_in_training_only(pico: Pico) -> None:
    model = load_with_head(str(pico("bert")), "token", [])
    tables = {name: found[0] for name, found in embedding_tables(model).items()}
    ids = torch.zeros((40, 60), dtype=torch.long)
    for relative in (False, True):
        noise = Noise(0.3, relative)
        noise.attach(model)
        for table in tables.values():
            model.train()
            torch.manual_seed(0)
            added = (table(ids) - table.weight[0]).detach()
            scale = 0.3 * (float(table.weight.square().mean().sqrt()) if relative else 1)
            assert float(added.std()) == pytest.approx(scale, rel=0.02) and abs(float(added.mean())) < scale / 50
            model.eval()
            assert torch.equal(table(ids), table.weight[ids])
        noise.remove()
        assert torch.equal(model.train() and tables["words"](ids), tables["words"].weight[ids])
    model.config.lingraft_bare_begin = True
    noise.attach(model.train())
    assert torch.equal(tables["positions"](ids[:1])[0, 0], tables["positions"].weight[0])
    assert not torch.equal(tables["words"](ids[:1])[0, 0], tables["words"].weight[0])
    noise.remove()


@pytest.mark.parametrize("family", ["bert", "roberta", "xlm", "distilbert", "electra", "modernbert", "gpt2", "opt"])
def test_noise_reaches_every_family(pico: Pico, family: str) -> None:
    model = load_with_head(str(pico(family)), "none", []).train()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    ids, noise = torch.arange(20, 30).unsqueeze(0), Noise(1.0)
    noise.attach(model)
    assert len(noise._hooks) >= (1 if family == "modernbert" else 2)
    first, second = model.eval()(input_ids=ids)[0], model(input_ids=ids)[0]
    assert torch.equal(first, second)
    assert not torch.allclose(first, model.train()(input_ids=ids)[0], atol=1e-2)
    noise.remove()


def test_what_is_frozen_stays_whatever_trains(pico: Pico) -> None:
    model = load_with_head(str(pico("bert")), "token", [])

    def trained(*parts: str, freeze: list[str]) -> set[str]:
        set_trainable(model, parts, freeze)
        return {name.removeprefix("bert.") for name, parameter in model.named_parameters() if parameter.requires_grad}

    words = "embeddings.word_embeddings.weight"
    assert set_trainable(model, ["all"], ["words"]) == {f"bert.{words}": ["specials"]}
    assert set_trainable(model, ["all"], ["specials"]) == {f"bert.{words}": ["words"]}
    assert words not in trained("all", freeze=["words", "specials"])
    assert not [name for name in trained("all", freeze=["embeddings"]) if name.startswith("embeddings")]
    assert not [name for name in trained("all", freeze=["layers.0"]) if name.startswith("encoder.layer.0")]
    assert trained("words", "head", freeze=["head"]) == {words}
    with pytest.raises(RecipeError, match="Nothing is left to train"):
        set_trainable(model, ["words"], ["words"])
    with pytest.raises(RecipeError, match="'new' cannot be frozen"):
        set_trainable(model, ["all"], ["new"])
    with pytest.raises(RecipeError, match="no 'positions' to freeze"):
        set_trainable(load_with_head(str(pico("modernbert")), "token", []), ["all"], ["positions"])
    headed = Headed(load_with_head(str(pico("bert")), "none", []), torch.nn.Linear(32, 3))
    assert set_trainable(headed, ["all"], ["words"]) == {f"encoder.{words}": ["specials"]}
    assert headed.head.weight.requires_grad and not set_trainable(headed, ["all"], ["head"]) and not headed.head.weight.requires_grad


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task": "poss"}, "Did you mean 'pos'"),
        ({"freeze": ["embedings"]}, "Did you mean 'embeddings'"),
        ({"freeze": ["layers.7"]}, "layers are 0 to 1"),
        ({"noise": -1.0}, "noise = -1.0"),
        ({"train": "nowhere.conllu"}, "nowhere.conllu"),
        ({"train": []}, "needs --train"),
        ({"changes": ["epoch=3"]}, "Did you mean 'epochs'"),
        ({"changes": ['train=["new","head"]']}, "'new' is of a transfer"),
        ({"changes": ['switch=[{at=0.5,train=["new"]}]']}, "'new' is of a transfer"),
    ],
)
def test_mistakes_are_named_and_leave_nothing(pico: Pico, treebank: Path, tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(LingraftError, match=message):
        run(pico("bert"), treebank, tmp_path / "out", **change)
    assert not (tmp_path / "out").exists()


def test_evaluate_scores_the_folder_and_the_command_tells(pico: Pico, treebank: Path, tmp_path: Path, call: Call) -> None:
    sets = [part for change in QUICK for part in ("--set", change)]
    asked = ["finetune", pico("bert"), "--task", "pos", "--train", treebank, "--freeze-embeddings", "--noise", "0.1", "--noise-relative"]
    status, out, _ = call(*asked, *sets, "--out", tmp_path / "out", "--json")
    assert status == 0 and json.loads(out)["noise_relative"] and json.loads(out)["noise"] == 0.1
    assert json.loads(out)["frozen"] == ["words"] and json.loads(out)["labels"] == ["T0", "T1", "T2"]
    status, out, _ = call(*asked, *sets, "--out", tmp_path / "out")
    assert status == 0 and "frozen  words; noise 0.1 of the tables" in out
    found = [
        evaluate(str(tmp_path / folder), task="pos", evaluation=[str(treebank)], out=tmp_path / f"e{i}")
        for i, folder in enumerate(("out", "out/model"))
    ]
    assert found[0]["scores"] == found[1]["scores"] and found[0]["name"] == "out"
    status, _, told = call(*asked, *sets, "--seed", "1", "--out", tmp_path / "out")
    assert status == 2 and "seed: was 0, now 1" in told and "--restart-from" not in told  # which this verb does not have
    assert call("finetune", pico("bert"), "--task", "pos", "--out", tmp_path / "no")[0] == 2
