"""Models from scratch: one language, several with one vocabulary, several with a vocabulary each; what becomes of them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from conftest import World
from safetensors.numpy import load_file

import lingraft
from lingraft import pretraining, stages
from lingraft.errors import LanguageError, ModelError, RecipeError, RunError, TextError
from lingraft.files import digest, write_text
from lingraft.model.load import AUTO
from lingraft.model.parts import body_fingerprint
from lingraft.recipe import load_recipe
from lingraft.run import Run
from lingraft.train.loop import Options

Call = Callable[..., tuple[int, str, str]]
SHAPE = ["architecture.layers=2", "architecture.width=32", "architecture.heads=2", "architecture.positions=64"]
SMALL = [*SHAPE, "tokenizer.size=60", "batch=4", "length=32", "evaluation.max_characters=1000", "precision=float32"]


class StoppedError(Exception):
    """Stands for whatever may end a process."""


@pytest.fixture(scope="module", autouse=True)
def _short_report() -> Any:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("lingraft.stages.write_report", lambda runs: write_text(runs[0] / "report.html", "short"))
        yield


@pytest.fixture(scope="module")
def texts(world: World, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """English, a third as much German (its cipher), and a ninth as much Basque."""
    folder, pages = tmp_path_factory.mktemp("texts"), world.cipher.read_text().split("\n\n")
    (folder / "de.txt").write_text("\n\n".join(pages[:20]))
    (folder / "eu.txt").write_text("\n\n".join(page.upper() for page in pages[20:27]))
    return {"en": f"en={world.plain}", "de": f"de={folder / 'de.txt'}", "eu": f"eu={folder / 'eu.txt'}"}


def go(texts: dict[str, str], codes: str, out: Path, *changes: str, steps: int = 2, recipe: str = "joint-multi", **options: Any) -> Run:
    text = [texts[code] for code in codes.split()]
    return lingraft.pretrain(text, out=out, recipe=recipe, changes=[*SMALL, f"steps={steps}", *changes], **options)


def results(run: Run) -> dict[str, str]:
    """Digests of what must be the same bytes."""
    files = [file for place in ("model*", "tokenizer", "tokens", "held-out") for file in run.path.glob(f"{place}/**/*") if file.is_file()]
    return {str(file.relative_to(run.path)): digest(file) for file in [*files, run.path / "scores.jsonl"] if file.name != "README.md"}


@pytest.mark.parametrize("recipe", ["pretrain", "joint-multi", "joint-pair-joint", "joint-pair-disjoint"])
def test_every_recipe_interrupted_and_resumed_gives_the_same_bytes(recipe: str, texts: dict[str, str], tmp_path: Path):
    def progress(name: str, done: int, total: int, loss: float) -> None:
        if done == 6:
            raise StoppedError

    codes = "en" if recipe == "pretrain" else "en de"
    whole = go(texts, codes, tmp_path / "whole", recipe=recipe, steps=8)
    with pytest.raises(StoppedError):
        go(texts, codes, tmp_path / "cut", recipe=recipe, steps=8, options=Options(checkpoint_steps=4, log_steps=1, progress=progress))
    again = go(texts, codes, tmp_path / "cut", recipe=recipe, steps=8)
    assert results(again) == results(whole)
    assert list(whole.languages) == codes.split()
    assert len(whole.lines("scores.jsonl")) == 10 * len(whole.languages)
    assert whole.scores["loss"] == pytest.approx(sum(scores["loss"] for scores in whole.languages.values()) / len(whole.languages))
    model, tokenizer = whole.load()
    assert type(model).__name__ == "BertForMaskedLM"
    assert model.config.vocab_size == len(tokenizer) == 60
    assert tokenizer("a b").input_ids[0] == tokenizer.cls_token_id == model.config.to_dict().get("cls_token_id", tokenizer.cls_token_id)


def test_restarting_goes_back_to_a_stage_and_a_change_is_named(texts: dict[str, str], tmp_path: Path):
    run = go(texts, "en de", tmp_path / "run")
    with pytest.raises(RunError, match=r"alpha: was 0\.7, now 0\.3.*--restart-from phase\.train"):
        go(texts, "en de", tmp_path / "run", "phases.train.alpha=0.3")
    with pytest.raises(RunError, match="'source': width: was 32, now 64"):
        go(texts, "en de", tmp_path / "run", "architecture.width=64")
    with pytest.raises(RunError, match=r"no stage 'rows'"):
        go(texts, "en de", tmp_path / "run", restart_from="rows")
    again = go(texts, "en de", tmp_path / "run", "phases.train.alpha=0.3", restart_from="phase.train")
    fresh = go(texts, "en de", tmp_path / "fresh", "phases.train.alpha=0.3")
    assert run.path == again.path
    assert results(again) == results(fresh)
    assert again.facts["shares"] == fresh.facts["shares"]


def test_the_shares_that_are_shown_are_those_of_the_batches(texts: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Of pairs of texts, which short documents give few of."""
    build, seen = pretraining.build, []

    def looking(*arguments: Any) -> Any:
        seen.append(build(*arguments))
        return seen[0]

    monkeypatch.setattr(pretraining, "build", looking)
    run = go(texts, "en de", tmp_path / "run", steps=0, recipe="joint-pair-disjoint")
    data, own = seen[0][1].data(load_recipe("joint-pair-disjoint", ["length=32"]).phases["train"]), seen[0][1].targets["de"].ids
    batches = [data.blocks.batch(step, 32, 0) for step in range(40)]
    german = np.isin(np.concatenate([getattr(batch, "ids", batch) for batch in batches]), own[own > 60]).any(axis=1).mean()
    assert run.facts["shares"][1]["phase.train"] == pytest.approx(german, abs=0.03)


def test_upsampling_is_what_the_formula_says_and_is_shown(texts: dict[str, str], tmp_path: Path):
    table = go(texts, "en de eu", tmp_path / "run", steps=0).facts["shares"]
    lines = [line["lines"] for line in table]
    assert lines == [1200, 400, 140]
    powers = [(size / 1740) ** 0.5 for size in lines]
    assert [line["vocabulary_share"] for line in table] == pytest.approx([power / sum(powers) for power in powers])
    powers = [line["token_share"] ** 0.7 for line in table]
    assert [line["phase.train"] for line in table] == pytest.approx([power / sum(powers) for power in powers], rel=0.05)
    plain = go(texts, "en de eu", tmp_path / "plain", "tokenizer.alpha=1", "phases.train.alpha=1", steps=0).facts["shares"]
    assert all(line["vocabulary_share"] == line["line_share"] for line in plain)
    assert [line["phase.train"] for line in plain] == pytest.approx([line["token_share"] for line in plain], abs=0.01)


@pytest.mark.parametrize("family", ["bert", "roberta", "llama"])
def test_disjoint_vocabularies_end_in_a_folder_for_each_language_with_one_body(
    family: str, texts: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    ids, joint = torch.arange(20)[None], {}
    export = stages.export

    def looking(request: Any, run: Any, source: Any, spoken: Any) -> None:
        for code, tongue in spoken.targets.items():
            table = torch.from_numpy(tongue.ids)
            with torch.no_grad():
                joint[code] = source.model.eval()(input_ids=table[ids])[0][..., table]
        export(request, run, source, spoken)

    monkeypatch.setattr(stages, "export", looking)
    run = go(texts, "en de eu", tmp_path / "run", f"architecture.family={family}", recipe="joint-pair-disjoint")
    specials = len(run.load()[1].all_special_ids)
    states, bodies = {}, set()
    for code, logits in joint.items():
        model = AUTO[run.facts["kind"]].from_pretrained(run.path / f"model-{code}").eval()
        tokenizer = transformers.AutoTokenizer.from_pretrained(run.path / f"model-{code}")
        assert model.config.vocab_size == len(tokenizer) == 60
        assert tokenizer.get_vocab() == transformers.AutoTokenizer.from_pretrained(run.path / "tokenizer" / code).get_vocab()
        with torch.no_grad():
            torch.testing.assert_close(model(input_ids=ids).logits, logits, rtol=1e-5, atol=1e-6)
        bodies.add(body_fingerprint(model))
        states[code] = dict(model.base_model.named_parameters())
    for name, value in states["en"].items():
        if "embed" not in name.split(".")[0] or "word" not in name:
            assert value.shape[0] == 60 or all(torch.equal(value, states[code][name]) for code in states), name
    assert len(bodies) == 1, "one body"
    words = {code: AUTO[run.facts["kind"]].from_pretrained(run.path / f"model-{code}").get_input_embeddings().weight for code in states}
    assert torch.equal(words["en"][:specials], words["eu"][:specials]), "specials are shared"
    assert not torch.equal(words["en"][specials:], words["eu"][specials:])
    assert results(run)["model/model.safetensors"] == results(run)["model-en/model.safetensors"]
    with pytest.raises(RunError, match=r"for each of its languages\. Give one of them: .*model-de.*model-eu"):
        lingraft.swap(run.path / "model-en", graft=run.path, out=tmp_path / "swapped")


@pytest.mark.parametrize(
    ("family", "changes", "shown"),
    [
        ("roberta", [], {"max_position_embeddings": 66, "pad_token_id": 1, "bos_token_id": 0}),
        ("electra", ["architecture.embedding_width=16"], {"embedding_size": 16, "hidden_size": 32, "intermediate_size": 128}),
        ("gpt2", ["architecture.dropout=0"], {"n_positions": 64, "n_embd": 32, "n_inner": 128, "attn_pdrop": 0.0, "bos_token_id": 1}),
        ("modernbert", ["architecture.intermediate=48"], {"intermediate_size": 48, "cls_token_id": 2, "pad_token_id": 0}),
    ],
)
def test_other_families_have_the_shape_that_is_asked_for(
    family: str, changes: list[str], shown: dict[str, Any], texts: dict[str, str], tmp_path: Path
):
    run = go(texts, "de", tmp_path / "run", f"architecture.family={family}", *changes, recipe="pretrain", steps=1)
    config = json.loads((run.path / "model" / "config.json").read_text())
    assert {key: config[key] for key in shown} == shown
    assert run.load()[0].config.vocab_size == 60
    assert run.facts["architecture"] == {"family": family, "layers": 2, "width": 32}


def test_a_shape_can_be_read_from_a_folder(pico: Callable[[str], Path], texts: dict[str, str], tmp_path: Path):
    run = go(texts, "de", tmp_path / "run", f"architecture.read={str(pico('roberta'))!r}", recipe="pretrain", steps=0)
    model, tokenizer = run.load()
    old = AUTO["mlm"].from_pretrained(pico("roberta"))
    assert type(model) is type(old)
    assert model.config.intermediate_size == old.config.intermediate_size == 48
    assert tokenizer.mask_token == "<mask>"
    body = "roberta.encoder.layer.0.attention.self.query.weight"
    assert not torch.equal(model.get_parameter(body), old.get_parameter(body))


def test_a_model_from_scratch_is_a_source_for_a_transfer(world: World, texts: dict[str, str], tmp_path: Path):
    source = go(texts, "en", tmp_path / "source", recipe="pretrain", steps=2).path / "model"
    changes = ["tokenizer.size=50", "batch=4", "length=32", "evaluation.max_characters=1000", "steps=2", 'phases.train.train=["words"]']
    run = lingraft.transfer(str(source.parent), to="de", text=str(world.cipher), out=tmp_path / "run", recipe="copy", changes=changes)
    assert run.facts["source"]["name"] == str(source)  # the run's model
    before, after = (load_file(folder / "model.safetensors") for folder in (source, run.path / "model"))
    body = "bert.encoder.layer.1.output.dense.weight"
    assert (before[body] == after[body]).all()
    assert len(after["bert.embeddings.word_embeddings.weight"]) == len(run.load()[1]) == 50


@pytest.mark.parametrize(
    ("text", "options", "changes", "error", "said"),
    [
        (["en", "!plain"], {}, [], TextError, "Which language is .*--language CODE"),
        (["en", "!plain"], {"language": "xq"}, [], LanguageError, "no language 'xq'"),
        ([], {}, [], TextError, "No text is named"),
        (["en"], {"recipe": "copy"}, [], RecipeError, "'copy' is for `lingraft transfer`, not for `lingraft pretrain`"),
        (["en"], {}, ["tokenizer.vocabulary=replace"], RecipeError, "'joint' or 'disjoint'"),
        (["en"], {}, ["architecture.family=bret"], RecipeError, "no model family 'bret'.*'bert'"),
        (["en"], {}, ["architecture.family=t5"], ModelError, "neither a masked nor a causal"),
        (["en"], {}, ["architecture.heads=3"], RecipeError, "no bert of this architecture.*multiple"),
        (["en"], {}, ["architecture.embedding_width=16"], RecipeError, "Leave embedding_width out"),
        (["en"], {}, ["length=80"], ModelError, "positions for 64 only.*--set length=64"),
        (["en"], {}, ['phases.train.train=["layers.7"]'], RecipeError, "layers are 0 to 1"),
        (["en"], {}, ['phases.train.train=["new"]'], RecipeError, "no new tokens beside old ones"),
        (["en"], {"recipe": "joint-multi"}, ["phases.train.objective=mlm+tlm"], RecipeError, "trains on parallel text.*--parallel"),
        (["en"], {"parallel": "en-fr=x.tsv"}, ["phases.train.objective=mlm+tlm"], TextError, "must name two of the languages en"),
    ],
)
def test_mistakes_are_named_and_leave_nothing(
    text: list[str], options: dict[str, Any], changes: list[str], error: type[Exception], said: str, texts: dict[str, str], tmp_path: Path
):
    asked = [texts.get(spec, texts["de"].removeprefix("de=")) for spec in text]
    with pytest.raises(error, match=said):
        lingraft.pretrain(asked, out=tmp_path / "run", **{"changes": [*SMALL, *changes], **options})
    assert list(tmp_path.iterdir()) == []


def test_a_recipe_for_pretraining_is_no_transfer(pico: Callable[[str], Path], world: World, tmp_path: Path):
    with pytest.raises(RecipeError, match="'joint-multi' is for `lingraft pretrain`, not for `lingraft transfer`"):
        lingraft.transfer(str(pico("bert")), to="de", text=str(world.cipher), out=tmp_path / "run", recipe="joint-multi")
    assert list(tmp_path.iterdir()) == []


def test_the_command_shows_languages_and_upsampling(call: Call, texts: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("lingraft.stages.write_report", lingraft.write_report)
    sets = [part for change in (*SMALL, "steps=1") for part in ("--set", change)]
    command = ["pretrain", "--text", texts["en"], "--text", texts["de"], "--recipe", "joint-pair-joint", "--out", tmp_path / "run", *sets]
    status, out, err = call(*command)
    assert status == 0, err
    assert "batches of train" in out
    assert "vocabulary %" in out
    assert str(tmp_path / "run" / "model") in out
    status, out, _ = call(*command, "--json")
    found = json.loads(out.splitlines()[-1])
    assert set(found["languages"]) == {"en", "de"}
    assert set(found["languages"]["de"]) == set(found["scores"]) == {"bits_per_byte", "bits_per_word", "bits_per_subword", "loss", "mrr"}
    assert [line["language"] for line in found["shares"]] == ["en", "de"]
    report, card = ((tmp_path / "run" / name).read_text() for name in ("report.html", "model/README.md"))
    assert "before and after up-sampling" in report
    assert "<th>language</th>" in report
    assert "new rows come from" not in report
    assert "| after training | de |" in card
    assert "random weights" in card


def test_restarts_and_the_bare_beginning_work_from_scratch_too(texts: dict[str, str], tmp_path: Path):
    changes = ["phases.train.restarts=1", "surgery.bare_begin=true"]
    run = go(texts, "de", tmp_path / "run", *changes, recipe="pretrain")
    assert len(run.facts["restarts"]["train"]["attempts"]) == 2
    table = run.load()[0].bert.embeddings
    assert torch.equal(table.position_embeddings.weight[0], -table.token_type_embeddings.weight[0])
    assert json.loads((run.path / "model" / "config.json").read_text())["lingraft_bare_begin"]
    assert results(go(texts, "de", tmp_path / "again", *changes, recipe="pretrain")) == results(run)


@pytest.mark.parametrize("recipe", ["joint-multi", "joint-pair-disjoint"])
def test_parallel_text_of_two_of_the_languages_is_trained_on(recipe: str, texts: dict[str, str], world: World, tmp_path: Path):
    changes, options = ["phases.train.objective=mlm+tlm"], {"recipe": recipe, "parallel": f"en-de={world.parallel}"}
    run = go(texts, "en de", tmp_path / "run", *changes, steps=4, **options)
    assert results(run) == results(go(texts, "en de", tmp_path / "again", *changes, steps=4, **options))
    assert results(run) != results(go(texts, "en de", tmp_path / "other", steps=4, recipe=recipe))
    assert (run.path / "tokens" / "en-de" / "source").is_dir()
