"""Rows from static vectors of tokens: CLWE in a cipher world with grammar, in which the right row of each word is known."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import PLAIN, World, make_world
from safetensors.numpy import load_file
from small_runs import tagged
from transformers import AutoModelForMaskedLM, AutoTokenizer

import lingraft
from lingraft.aids import used
from lingraft.embeddings import NewRows
from lingraft.embeddings.settings import RowSettings
from lingraft.errors import LingraftWarning, RecipeError
from lingraft.evaluation import evaluate
from lingraft.model.parts import output_biases, word_matrices
from lingraft.train.loop import Options
from lingraft.vectors.adversarial import AdversarialSettings

Pico = Callable[[str], Path]
SHAPE = ["architecture.layers=2", "architecture.width=32", "architecture.heads=2", "architecture.positions=64"]
SMALL = ["length=32", "batch=4", "evaluation.max_characters=2000", "tokenizer.size=500", "tokenizer.algorithm=wordpiece"]


def grammatical(count: int, seed: int) -> list[str]:
    """Sentences of 120 words and 40 numbers, each of which is followed by one of five others: what follows tells words apart."""
    numbers = np.random.default_rng(seed)
    words = sorted({"".join(numbers.choice(list(PLAIN), size=5)) for _ in range(120)}) + [str(i) for i in range(40)]
    follow = numbers.integers(len(words), size=(len(words), 5))
    made = []
    for _ in range(count):
        at, sentence = int(numbers.integers(len(words))), []
        for _ in range(12):
            sentence.append(words[at])
            at = int(follow[at, int(numbers.choice(5, p=[0.4, 0.3, 0.15, 0.1, 0.05]))])
        made.append(" ".join(sentence) + " .")
    return made


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("grammar"), grammatical(2500, seed=5), 20)


@pytest.fixture(scope="module")
def english(spoken: World, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A model of a family pre-trained for two steps on skip-gram vectors of the plain language, which stay."""
    made: dict[str, Path] = {}

    def get(family: str) -> Path:
        if family not in made:
            out = tmp_path_factory.mktemp("english") / family
            changes = [*SHAPE, f"architecture.family={family}", f"architecture.embedding_width={24 if family == 'electra' else 32}"]
            run = lingraft.pretrain(f"en={spoken.plain}", out=out, recipe="clwe", changes=[*changes, *SMALL, "steps=2"])
            assert run.origin["direct"] > 150
            made[family] = run.path / "model"
        return made[family]

    return get


def mapped(source: Path, world: World, out: Path, *changes: str, **options: Any) -> lingraft.Run:
    options.setdefault("source_text", str(world.plain))
    changes = (*SMALL, *changes)
    return lingraft.transfer(str(source), to="de", text=str(world.cipher), out=out, recipe="clwe-graft", changes=changes, seed=9, **options)


def share_of_right_rows(run: lingraft.Run, source: Path, world: World) -> float:
    """Of the words that are one token in both languages, how many have for nearest old row that of the word that they are a cipher of."""
    (old_model, old), (new_model, new) = (
        (AutoModelForMaskedLM.from_pretrained(place), AutoTokenizer.from_pretrained(place)) for place in (source, run.path / "model")
    )
    words = sorted(set(world.plain.read_text().split()) - {"."})
    ids = [(old.encode(word, add_special_tokens=False), new.encode(World.encipher(word), add_special_tokens=False)) for word in words]
    pairs = np.array([(one[0], other[0]) for one, other in ids if len(one) == len(other) == 1])
    assert len(pairs) > 100
    rows = [model.get_input_embeddings().weight.detach() for model in (old_model, new_model)]
    cosines = torch.nn.functional.normalize(rows[1][pairs[:, 1]]) @ torch.nn.functional.normalize(rows[0]).T
    return float(np.mean(cosines.argmax(dim=1).numpy() == pairs[:, 0]))


@pytest.mark.parametrize(("mapping", "family"), [("identical", "bert"), ("lexicon", "electra")])
def test_mapped_rows_are_those_of_the_same_word(
    mapping: str, family: str, english: Callable[[str], Path], spoken: World, tmp_path: Path
):  # fmt: skip
    aids = {"lexicon": str(spoken.lexicon)} if mapping == "lexicon" else {}
    run = mapped(english(family), spoken, tmp_path / "run", f"rows.mapping={mapping}", **aids)
    assert share_of_right_rows(run, english(family), spoken) > 0.8
    assert run.facts["mapping"]["reliable"] and run.facts["mapping"]["is_start"]
    old, new = (AutoModelForMaskedLM.from_pretrained(place) for place in (english(family), run.path / "model"))
    before, own = dict(old.named_parameters()), {*word_matrices(new), *output_biases(new)}
    assert all(torch.equal(p, before[name]) for name, p in new.named_parameters() if name not in own), "nothing else changes"
    assert {line["model"] for line in run.lines("scores.jsonl")} == {"initial", "final"}
    ids = torch.tensor([[5, 6, 7]])
    assert torch.isfinite(new(input_ids=ids).logits).all()


def test_a_task_learnt_on_mapped_rows_serves_the_other_language(english: Callable[[str], Path], spoken: World, tmp_path: Path):
    """CLWE to its end, on rows narrower than the body: the tag drawn for a word is that of its cipher too."""
    places, majority = tagged(spoken, tmp_path)
    changes = ["steps=140", "batch=16", "learning_rate=1e-2", "precision=float32"]
    source, task = english("electra"), tmp_path / "task"
    lingraft.finetune(str(source), task="pos", train=str(places["train"]), freeze=["embeddings"], changes=changes, out=task)
    lingraft.swap(task, graft=mapped(source, spoken, tmp_path / "graft").path, out=tmp_path / "swapped")
    reached = {
        code: evaluate(str(model), task="pos", evaluation=[f"{code}={places[code]}"], out=tmp_path / code)["scores"]["accuracy"]["mean"]
        for code, model in (("en", task), ("de", tmp_path / "swapped"))
    }
    assert reached["en"] > majority + 0.15 and reached["de"] > reached["en"] - 0.1


def test_rows_drawn_at_random_cannot_be_mapped_and_a_study_may_have_them_all_the_same(
    english: Callable[[str], Path], spoken: World, tmp_path: Path
):
    changes = ["rows.vectors=random", "rows.mapping=unsupervised"]
    with pytest.raises(RecipeError, match=r"could not be mapped .* --set rows.trust=false"):
        mapped(english("bert"), spoken, tmp_path / "run", *changes)
    with pytest.warns(LingraftWarning, match="noise"):
        run = mapped(english("bert"), spoken, tmp_path / "run", *changes, "rows.trust=false", restart_from="rows")
    assert share_of_right_rows(run, english("bert"), spoken) < 0.1
    assert not run.facts["mapping"]["reliable"]


def test_an_adversary_and_what_it_needs(pico: Pico, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    asked: list[int] = []

    def quick(steps: int) -> AdversarialSettings:
        asked.append(steps)
        return AdversarialSettings(hidden=16, epochs=1, steps=steps)

    monkeypatch.setattr("lingraft.vectors.tokens.AdversarialSettings", quick)
    with pytest.warns(LingraftWarning, match="noise"):
        run = mapped(pico("bert"), world, tmp_path / "run", "rows.mapping=adversarial", "rows.adversary_steps=10", "rows.trust=false")
    assert asked == [10]
    assert run.origin["direct"] > 100
    with pytest.raises(RecipeError, match="'mapped' needs --lexicon"):
        mapped(pico("bert"), world, tmp_path / "lexicon", "rows.mapping=lexicon")
    assert not (tmp_path / "lexicon").exists()


def test_vectors_are_as_wide_as_the_rows_where_the_body_is_wider(pico: Pico, world: World, tmp_path: Path):
    with pytest.warns(LingraftWarning, match="noise"):
        run = mapped(pico("electra"), world, tmp_path / "run", "rows.mapping=identical", "rows.trust=false")
    model = AutoModelForMaskedLM.from_pretrained(run.path / "model")
    assert run.origin["direct"] > 100
    assert model.get_input_embeddings().weight.shape[1] < model.config.hidden_size


def test_only_the_lexicon_of_a_mapping_from_one_is_used():
    assert used(RowSettings(method="mapped")) == {"source_text"}
    assert used(RowSettings(method="mapped", mapping="lexicon")) == {"source_text", "lexicon"}
    assert used(RowSettings(method="static")) == set()


def test_a_body_learns_on_static_rows_which_stay_and_come_back_the_same_after_an_interruption(spoken: World, tmp_path: Path):
    def stop(name: str, done: int, total: int, loss: float) -> None:
        if done == 4:
            raise InterruptedError

    def go(name: str, **options: Any) -> lingraft.Run:
        changes = [*SHAPE, *SMALL, "architecture.embedding_width=24", "steps=6"]
        return lingraft.pretrain(f"en={spoken.plain}", out=tmp_path / name, recipe="clwe", changes=changes, **options)

    whole = go("whole")
    with pytest.raises(InterruptedError):
        go("cut", options=Options(checkpoint_steps=2, log_steps=1, progress=stop))
    weights = [(run.path / "model" / "model.safetensors").read_bytes() for run in (whole, go("cut"))]
    assert weights[0] == weights[1]
    assert "next_sentence_accuracy" in whole.lines("metrics.jsonl")[-2]  # as the paper, though ELECTRA keeps no head for it
    rows = NewRows.from_arrays(load_file(whole.path / "rows.safetensors"))
    words = AutoModelForMaskedLM.from_pretrained(whole.path / "model").get_input_embeddings().weight.detach().numpy()
    assert np.array_equal(words[rows.direct_ids], rows.direct)
    with pytest.raises(RecipeError, match="one language"):
        lingraft.pretrain([f"en={spoken.plain}", f"de={spoken.cipher}"], out=tmp_path / "two", recipe="clwe")
    assert not (tmp_path / "two").exists()
