"""TreLM and its variants on pico models: phases as a graph, interrupted and resumed; what trains where; a cipher that can be learned."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from conftest import WIDTH, World
from safetensors.torch import load_file
from small_runs import Pico, StoppedError, aids_of, go, results, stopping
from small_shards import CLS, PAD, SEP, shards
from small_training import run as train_on

from lingraft.embeddings import ORIGINS
from lingraft.errors import RecipeError, RunError
from lingraft.model.parts import parameters_of
from lingraft.model.trilayer import insert_trilayer
from lingraft.recipe import load_recipe, shipped
from lingraft.run import Run
from lingraft.stages import read_rows
from lingraft.text import bundled
from lingraft.text.shards import Shards
from lingraft.train import loop
from lingraft.train.batches import Blocks, Spoken
from lingraft.train.crossing import Crossing
from lingraft.train.data import Data
from lingraft.train.links import Linked
from lingraft.train.objectives import Vocabulary
from lingraft.train.pairs import Frame, Translations
from lingraft.train.settings import PhaseSettings
from lingraft.translation import translate

pytestmark = pytest.mark.usefixtures("short_report")
QUICK = ["rows.method=copy"]  # an adversary takes half a minute, and has tests of its own
RECIPES = [name for name in shipped() if name.startswith("trelm") and load_recipe(name).verb == "transfer"]


def trelm(model: Path, world: World, out: Path, *changes: str, recipe: str = "trelm", **options: Any) -> Run:
    return go(model, world, out, *QUICK, *changes, recipe=recipe, **aids_of(world), **options)


@pytest.fixture(scope="module")
def finished(pico: Pico, world: World, tmp_path_factory: pytest.TempPathFactory, short_report: None) -> Run:
    return trelm(pico("bert"), world, tmp_path_factory.mktemp("trelm") / "run", steps=6)


def weights(run: Run, phase: str) -> dict[str, Any]:
    return load_file(run.path / "phases" / phase / f"checkpoint-{0 if phase == 'combine' else 6:08d}" / "model.safetensors")


def test_a_multilingual_source_keeps_its_vocabulary_and_rows(pico: Pico, world: World, tmp_path: Path):
    run = trelm(pico("xlm-roberta"), world, tmp_path / "run", "tokenizer.vocabulary=source", "rows.method=keep", steps=2)
    vocabularies = [transformers.AutoTokenizer.from_pretrained(place).get_vocab() for place in (pico("xlm-roberta"), run.path / "model")]
    assert vocabularies[0] == vocabularies[1]
    assert run.origin["copied"] >= len(vocabularies[0]) and run.origin["drawn"] == run.origin["mixed"] == 0
    assert run.facts["graft"]["meeting"]["languages"] == ["en", "de"]
    assert np.isfinite(list(run.scores.values())).all()


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_variant_interrupted_and_resumed_gives_the_same_bytes(recipe: str, pico: Pico, world: World, finished: Run, tmp_path: Path):
    whole = finished if recipe == "trelm" else trelm(pico("bert"), world, tmp_path / "whole", recipe=recipe, steps=6)
    with pytest.raises(StoppedError):
        trelm(pico("bert"), world, tmp_path / "cut", recipe=recipe, steps=6, options=stopping("to-source", 5))
    again = trelm(pico("bert"), world, tmp_path / "cut", recipe=recipe, steps=6)
    assert results(whole.path) == results(again.path)
    assert np.isfinite(list(whole.scores.values())).all()
    assert whole.scores["bits_per_subword"] == pytest.approx(whole.scores["loss"] / np.log(2))


def test_what_the_variants_change():
    told = {}
    for name in RECIPES:
        recipe = load_recipe(name)
        to_target, surgery = recipe.phases["to-target"], recipe.surgery
        told[name] = to_target.objective, surgery.trilayer, surgery.mid_embeddings, recipe.tokenizer.vocabulary
    assert told == {
        "trelm": ("cdlm+mlm", True, True, "joint"),
        "trelm-tlm": ("tlm+mlm", True, True, "joint"),
        "trelm-no-trilayer": ("tlm+mlm", False, False, "joint"),
        "trelm-no-cdlm": ("mlm", True, True, "joint"),
        "trelm-brlm": ("brlm+mlm", True, True, "joint"),
        "trelm-separate-vocabulary": ("cdlm+mlm", True, True, "disjoint"),
    }
    assert all(load_recipe(name).phases["commonality"].alpha == 0 for name in RECIPES)


def test_a_source_that_was_grown_before_meets_as_it_did(pico: Pico, world: World, tmp_path: Path):
    model = transformers.AutoModelForMaskedLM.from_pretrained(pico("bert"))
    insert_trilayer(model, ["en", "nl"], mid_embeddings=False)
    model.save_pretrained(tmp_path / "grown")
    transformers.AutoTokenizer.from_pretrained(pico("bert")).save_pretrained(tmp_path / "grown")
    run = go(tmp_path / "grown", world, tmp_path / "run", recipe="copy", steps=1)
    config = run.load()[0].config
    assert not config.lingraft_trilayer["mid_embeddings"] and config.lingraft_languages == ["en", "de"]


def test_the_race_is_run_before_the_model_grows(pico: Pico, world: World, tmp_path: Path):
    assert go(pico("bert"), world, tmp_path / "run", "rows.method=auto", recipe="trelm", steps=1, **aids_of(world)).facts["race"]


def test_the_halves_are_joined(finished: Run):
    one, other, joined = (weights(finished, name) for name in ("to-target", "to-source", "combine"))
    model = finished.load()[0]
    lower, upper = (set(parameters_of(model, f"layers.{half}-half")) for half in ("lower", "upper"))
    assert lower
    assert len(lower) == len(upper)
    for name, tensor in joined.items():
        expected = other[name] if name in lower else one[name] if name in upper else (one[name].double() + other[name].double()).div(2)
        assert torch.equal(tensor, expected.to(tensor.dtype)), name
    assert any(not torch.equal(one[name], other[name]) for name in set(joined) - lower - upper), "the rest is of both"


def test_each_phase_trains_its_parts_only(finished: Run):
    start, one, other = (weights(finished, name) for name in ("commonality", "to-target", "to-source"))
    model = finished.load()[0]
    lower, upper = (parameters_of(model, f"layers.{half}-half") for half in ("lower", "upper"))
    assert all(torch.equal(start[name], one[name]) for name in lower)
    assert all(torch.equal(start[name], other[name]) for name in upper)
    assert not any(torch.equal(start[name], one[name]) for name in upper if name.endswith("dense.weight"))
    assert not any(torch.equal(start[name], other[name]) for name in lower if name.endswith("dense.weight"))
    for name in (*parameters_of(model, "trilayer"), *parameters_of(model, "language")):
        assert not torch.equal(one[name], other[name]), name
    source = transformers.BertForMaskedLM.from_pretrained(finished.facts["source"]["name"])
    assert all(torch.equal(start[name], tensor) for name, tensor in source.named_parameters() if ".layer.0." in name)


def test_what_is_kept_of_the_links(finished: Run):
    told, found = finished.facts["alignments"], Linked.open(finished.path / "alignments")
    assert told["kept"] == len(found.lines) == told["pairs"] - told["dropped_by_length"] - told["dropped_by_links"]
    assert told["kept"] > 1000, "a cipher's lines are as long, and its words the same ones"
    assert told["linked_to_target"] > 0.9
    lines = finished.lines("metrics.jsonl")
    assert list(dict.fromkeys(line["phase"] for line in lines)) == list(load_recipe("trelm").phases)


def test_the_rows_of_one_vocabulary_are_of_both_texts(pico: Pico, world: World, tmp_path: Path):
    run = trelm(pico("bert"), world, tmp_path / "run", "rows.method=mapped", "rows.mapping=identical", steps=0)
    plain, cipher = (set(run.load()[1](text.read_text())["input_ids"]) for text in (world.plain, world.cipher))
    origin = read_rows(run)[0].origin[sorted(plain - cipher)]
    assert len(origin) > 20
    assert np.mean(origin == list(ORIGINS).index("direct")) > 0.8


def test_a_recipe_s_graph_is_checked():
    def refused(why: str, *changes: str, recipe: str = "trelm") -> None:
        with pytest.raises(RecipeError, match=why):
            load_recipe(recipe, changes)

    refused("starts from 'language', which is no phase before it", "phases.combine.merge={'layers.0' = 'language', rest = 'mean'}")
    refused("names the phase of one part", "phases.combine.merge={'layers.0' = 'to-target'}")
    refused("There is no part 'layer'", "phases.combine.merge={'layer' = 'to-target', rest = 'mean'}")
    refused("neither start_from nor restarts", "phases.combine.start_from='commonality'")
    refused("re-ordered between", "surgery.trilayer=false", "surgery.language_embeddings=false")
    assert [phase.steps for phase in load_recipe("trelm", ["steps=7"]).phases.values()] == [7, 7, 7, 0, 7]
    assert not load_recipe("trelm").phases["combine"].trains


def test_parts_that_overlap_cannot_be_merged(pico: Pico, world: World, tmp_path: Path):
    merge = "phases.combine.merge={'layers.0' = 'to-source', 'layers.lower-half' = 'to-target', rest = 'mean'}"
    with pytest.raises(RecipeError, match="another part that it names holds too"):
        trelm(pico("bert"), world, tmp_path / "run", merge)
    assert not (tmp_path / "run").exists()


SIZE, LENGTH = 70, 12
FRAME = Frame((CLS,), (SEP,), (SEP,), PAD, 0, None, None, True)


@pytest.fixture(scope="module")
def backwards(tmp_path_factory: pytest.TempPathFactory) -> Translations:
    """Lines of tokens 10 to 39 that nothing foretells; their translations are backwards, each token 30 higher. All links are known."""
    generator, folder = np.random.default_rng(1), tmp_path_factory.mktemp("backwards")
    lines = [generator.integers(10, 40, size=generator.integers(4, 10)) for _ in range(300)]
    sides = []
    for name, texts in (("one", lines), ("other", [line[::-1] + 30 for line in lines])):
        side = shards(folder / name, [[len(text)] for text in texts], end=False)
        np.concatenate(texts).astype(np.uint16).tofile(folder / name / "tokens.bin")
        sides.append(Shards.open(side.folder))
    links = np.concatenate([np.arange(len(line))[::-1] for line in lines]).astype(np.int16)
    return Translations(*sides, LENGTH, FRAME, links=Linked(links, links, np.arange(300)))


def test_a_cipher_is_learned_through_the_trilayer_and_not_from_its_text(backwards: Translations, tmp_path: Path):
    torch.manual_seed(0)
    config = transformers.BertConfig(vocab_size=SIZE, initializer_range=0.1, max_position_embeddings=LENGTH, **WIDTH)
    model = transformers.BertForMaskedLM(config)
    rows = model.get_input_embeddings().weight
    with torch.no_grad():
        rows[40:70] = rows[10:40]
    insert_trilayer(model, ["en", "de"], seed=0)
    blocks = Spoken(Blocks(backwards.target.tokens, LENGTH, (CLS,), (SEP,)), 1)
    data = Data(blocks, Vocabulary(SIZE, 5, np.arange(10), np.ones(SIZE, dtype=bool)), None, Crossing(backwards, "both"))
    settings = PhaseSettings(batch=16, length=LENGTH, learning_rate=5e-3, dropout=0.0, precision="float32", schedule="constant")
    for objective in ("cdlm", "mlm"):
        asked = settings.model_copy(update={"objective": objective})
        _, lines = train_on(tmp_path / objective, asked, model=model, data=data, total=120)
        loss = np.mean([line["loss"] for line in lines if "loss" in line][-10:])
        assert loss < 0.3 if objective == "cdlm" else loss > 3, "30 tokens that are as likely: ln 30 = 3.4"


def test_translations_are_read_with_a_vocabulary_for_each_language(pico: Pico, world: World, tmp_path: Path):
    changes = ["batch=32", "phases.to-target.steps=120", "learning_rate=0.01", "evaluation.max_characters=500"]
    run = trelm(pico("bert"), world, tmp_path / "run", *changes, recipe="trelm-separate-vocabulary", steps=0)
    plain = world.plain.read_text().splitlines()[:20]
    (tmp_path / "plain.txt").write_text("\n".join(plain))
    (tmp_path / "cipher.txt").write_text("\n".join(map(World.encipher, plain)))
    found = translate(run.path, text=tmp_path / "plain.txt", reference=tmp_path / "cipher.txt")
    assert found["phase"] == "to-target"
    assert found["scores"]["bleu_4"] > 30 > found["baseline"]["bleu_4"] + 20
    back = translate(run.path, text=tmp_path / "cipher.txt", to_source=True)
    assert back["phase"] == "to-source"
    (run.path / "recipe.toml").write_text((run.path / "recipe.toml").read_text().replace("cdlm+mlm", "mlm"))
    with pytest.raises(RunError, match="--phase NAME"):
        translate(run.path, text=tmp_path / "plain.txt")


@pytest.fixture
def paired(pico: Pico, tmp_path: Path) -> Path:
    """A source with a head for next sentences, and weights so large that it learns soon."""
    torch.manual_seed(0)
    config = transformers.AutoConfig.from_pretrained(pico("bert"), initializer_range=0.4)
    transformers.BertForPreTraining(config).save_pretrained(tmp_path / "paired")
    transformers.AutoTokenizer.from_pretrained(pico("bert")).save_pretrained(tmp_path / "paired")
    return tmp_path / "paired"


def test_a_half_trains_no_head_for_next_sentences_which_gets_no_gradient(
    paired: Path, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Several processes would wait for one."""
    enter, seen = loop._enter_segment, {}

    def looking(phase: Any, step: int) -> None:
        enter(phase, step)
        seen[phase.name] = {name for name, parameter in phase.model.named_parameters() if parameter.requires_grad}

    monkeypatch.setattr(loop, "_enter_segment", looking)
    trelm(paired, world, tmp_path / "run", steps=1)
    heads = {"cls.seq_relationship.weight", "bert.pooler.dense.weight"}
    assert not heads & (seen["to-target"] | seen["to-source"]) and heads < seen["language"]
    assert "cls.predictions.transform.dense.weight" in seen["to-target"]


def test_the_last_phase_learns_which_texts_follow_each_other(paired: Path, world: World, tmp_path: Path):
    """On the sentences of a few pages of the bundled corpus, whose words tell which page they are of."""
    pages = [document.lines for document in itertools.islice(bundled.documents("de"), 3)]
    (tmp_path / "de.txt").write_text("\n\n".join("\n".join(lines) for lines in pages))
    changes = ["phases.language.steps=120", "phases.language.dropout=0.0", "batch=32", "learning_rate=3e-3", "length=64"]
    run = trelm(paired, world, tmp_path / "run", *changes, steps=2, text=str(tmp_path / "de.txt"))
    told = {line["step"]: line["next_sentence_accuracy"] for line in run.lines("metrics.jsonl") if "next_sentence_accuracy" in line}
    assert {line["phase"] for line in run.lines("metrics.jsonl") if "next_sentence_accuracy" in line} == {"language"}
    files = [run.path / "phases" / place / "model.safetensors" for place in ("combine/checkpoint-00000000", "language/checkpoint-00000120")]
    before, joined, after = load_file(paired / "model.safetensors"), *map(load_file, files)
    head = "cls.seq_relationship.weight"
    assert torch.equal(joined[head], before[head])
    assert not torch.equal(after[head], before[head])
    assert np.mean([told[step] for step in sorted(told)[-3:]]) > 0.65, "of 960 pairs"
    assert torch.equal(transformers.AutoModelForPreTraining.from_pretrained(run.path / "model").cls.seq_relationship.weight, after[head])


def test_tlm_leaves_out_the_pairs_that_cdlm_leaves_out(pico: Pico, world: World, finished: Run, tmp_path: Path):
    uneven = "".join(f"{World.encipher('abc')}\t{'def ' * 9}\n" for _ in range(7))
    (tmp_path / "more.tsv").write_text(uneven + world.parallel.read_text())
    aids = aids_of(world) | {"parallel": str(tmp_path / "more.tsv")}
    run = go(pico("bert"), world, tmp_path / "run", *QUICK, recipe="trelm-tlm", steps=1, **aids)
    told, before = run.facts["alignments"], finished.facts["alignments"]
    assert told["pairs"] == before["pairs"] + 7
    assert told["dropped_by_length"] == before["dropped_by_length"] + 7
    assert Linked.open(run.path / "alignments").lines.min() >= 7, "what is trained on"
