"""TRILayer and language embeddings: the stock model where they say nothing, re-ordering with known answers, folders, ways out."""

import copy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers
from conftest import World
from small_runs import StoppedError, go, results, stopping

import lingraft
from lingraft.errors import ModelError, RecipeError
from lingraft.evaluate.heads import load_with_head
from lingraft.files import read_json
from lingraft.model.heads import Predictor
from lingraft.model.load import load_model
from lingraft.model.parts import layer_stacks, num_layers, parameters_of, position_tables, set_trainable
from lingraft.model.trelm import language_tables, speak
from lingraft.model.trilayer import folded, has_trilayer, insert_trilayer, rename_target, set_mid_embeddings, without_trilayer
from lingraft.recipe import load_recipe

Pico = Callable[[str], Path]
families = pytest.mark.parametrize("family", ["bert", "roberta", "xlm", "xlm-roberta"])
IDS = torch.arange(20, 52).reshape(2, 16)
ORDER = torch.stack([torch.randperm(16, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2)])
BOTH = {"trilayer": True, "language_embeddings": True}
SURGERY = ["surgery.trilayer=true", "surgery.language_embeddings=true"]


def stock(pico: Pico, family: str):
    return load_model(str(pico(family)), "mlm", seed=0)[0].eval()


def grown(pico: Pico, family: str, **options: bool):
    model = stock(pico, family)
    insert_trilayer(model, ["en", "de"], **options, seed=3)
    return model.eval()


def logits(model, ids: torch.Tensor = IDS, **more: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=ids, **more).logits


def before_upper_half(model, **more: torch.Tensor) -> torch.Tensor:
    """What the first layer after the re-ordering is given."""
    seen = []
    layer = layer_stacks(model)[0][model.config.lingraft_trilayer["at"]]
    hook = layer.register_forward_pre_hook(lambda module, arguments: seen.append(arguments[0].clone()))
    logits(model, **more)
    hook.remove()
    return seen[0]


def padded(model, ids: torch.Tensor, size: int) -> dict[str, torch.Tensor]:
    pads = torch.full((len(ids), size), model.config.pad_token_id)
    return {"ids": torch.cat([ids, pads], 1), "attention_mask": torch.cat([torch.ones_like(ids), torch.zeros_like(pads)], 1)}


@families
def test_where_nothing_is_added_it_is_the_stock_model_bit_for_bit(pico: Pico, family: str):
    plain, model = stock(pico, family), grown(pico, family, trilayer=False, mid_embeddings=False)
    with torch.no_grad():
        language_tables(model)[0].weight.zero_()
    assert type(model) is not type(plain)
    asked = padded(model, IDS, 3)
    identity = torch.arange(19).expand(2, 19)
    for more in (
        {"ids": IDS},
        asked,
        asked | {"alignment": identity},
        asked | {"alignment": identity, "target_mask": asked["attention_mask"]},
    ):
        inputs = {name: value for name, value in more.items() if name in ("ids", "attention_mask")}
        assert torch.equal(logits(model, **more)[:, :16], logits(plain, **inputs)[:, :16])


@families
def test_identity_given_is_none_given(pico: Pico, family: str):
    model = grown(pico, family)
    asked, identity = padded(model, IDS, 3), torch.arange(19).expand(2, 19)
    assert torch.equal(logits(model, **asked, alignment=identity), logits(model, **asked))
    assert not torch.allclose(logits(model, alignment=ORDER), logits(model))


@families
def test_the_upper_half_sees_states_in_the_targets_order(pico: Pico, family: str):
    """With nothing added, the upper half knows no places: the answers are re-ordered as its inputs are."""
    model = grown(pico, family, mid_embeddings=False)
    expected = torch.stack([row[order] for row, order in zip(logits(model), ORDER, strict=True)])
    torch.testing.assert_close(logits(model, alignment=ORDER), expected)
    states = before_upper_half(model)
    assert torch.equal(before_upper_half(model, alignment=ORDER[:, :5])[1], states[1][ORDER[1, :5]])


@families
def test_unaligned_places_get_the_placeholder(pico: Pico, family: str):
    model = grown(pico, family, mid_embeddings=False)
    states = before_upper_half(model, ids=IDS[:1])
    with torch.no_grad():
        model.base_model.placeholder["weight"].copy_(states[0, 4:5])
    holes = torch.tensor([[3, -1, 7, -1, 2]])
    assert torch.equal(logits(model, IDS[:1], alignment=holes), logits(model, IDS[:1], alignment=holes.where(holes >= 0, 4)))


@families
def test_positions_and_the_targets_language_are_added_again(pico: Pico, family: str):
    model = grown(pico, family)
    with_them = before_upper_half(model, alignment=ORDER, languages=torch.zeros_like(IDS), target_language=torch.ones_like(IDS))
    set_mid_embeddings(model, added=False)
    without = before_upper_half(model, alignment=ORDER, languages=torch.zeros_like(IDS))
    table = position_tables(model)[0]
    first = 0 if table.padding_idx is None else table.padding_idx + 1
    expected = table.weight[first : first + 16] + language_tables(model)[0].weight[1]
    torch.testing.assert_close(with_them - without, expected.expand(2, 16, 32), atol=1e-5, rtol=0)


@families
def test_padding_on_either_side_changes_nothing(pico: Pico, family: str):
    model, ids, order = grown(pico, family), IDS[:1, :7], torch.tensor([[3, -1, 0, 6, 6, 2]])
    alone = logits(model, ids, alignment=order)
    asked = padded(model, ids, 5)
    real = torch.tensor([[1] * 6 + [0] * 6])
    for filling in (-1, 0, 11):
        longer = torch.cat([order, torch.full((1, 6), filling)], 1)
        torch.testing.assert_close(logits(model, **asked, alignment=longer, target_mask=real)[:, :6], alone, atol=1e-5, rtol=1e-5)


@families
def test_left_out_languages_are_the_targets(pico: Pico, family: str):
    model, source, target = grown(pico, family), torch.zeros_like(IDS), torch.ones_like(IDS)
    assert torch.equal(logits(model), logits(model, languages=target, target_language=target))
    assert torch.equal(logits(model, languages=source), logits(model, languages=source, target_language=source))
    assert not torch.allclose(logits(model, languages=source), logits(model))


@families
def test_how_they_start(pico: Pico, family: str):
    model, plain = grown(pico, family), stock(pico, family)
    assert num_layers(model) == num_layers(plain) + 1
    assert has_trilayer(model)
    for stack, old in zip(layer_stacks(model), layer_stacks(plain), strict=True):
        for layer, before in zip(stack, [old[0], old[0], old[1]], strict=True):
            assert all(torch.equal(tensor, before.state_dict()[name]) for name, tensor in layer.state_dict().items())
    rows = language_tables(model)[0].weight.detach()
    torch.testing.assert_close(rows @ rows.T, torch.eye(2), atol=1e-5, rtol=0)
    assert torch.equal(rows, language_tables(grown(pico, family))[0].weight)
    named = {part: set(parameters_of(model, part)) for part in ("layers.lower-half", "layers.upper-half", "trilayer", "language")}
    assert not named["layers.lower-half"] & named["layers.upper-half"]
    placeholder = {name for name in parameters_of(model, "all") if "placeholder" in name}
    assert named["trilayer"] == set(parameters_of(model, "layers.1")) | placeholder
    assert named["language"] < set(parameters_of(model, "embeddings"))
    assert set(parameters_of(model, "body")) >= named["layers.lower-half"] | named["layers.upper-half"] | named["trilayer"]
    set_trainable(model, ["embeddings", "trilayer"])
    assert {n for n, p in model.named_parameters() if p.requires_grad} == set(parameters_of(model, "embeddings")) | named["trilayer"]


@families
def test_folders_come_back_through_the_auto_classes(pico: Pico, family: str, tmp_path: Path):
    model = grown(pico, family)
    tokenizer = transformers.AutoTokenizer.from_pretrained(pico(family))
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    loaded, reading = lingraft.load(tmp_path)
    assert torch.equal(logits(loaded, alignment=ORDER), logits(model, alignment=ORDER))
    assert torch.equal(logits(transformers.AutoModelForMaskedLM.from_pretrained(tmp_path)), logits(model))
    assert reading("a word")["input_ids"] == tokenizer("a word")["input_ids"]
    base = transformers.AutoModel.from_pretrained(tmp_path)
    assert base.placeholder["weight"].equal(model.base_model.placeholder["weight"])
    assert base(input_ids=IDS, alignment=ORDER[:, :5], output_hidden_states=True).last_hidden_state.shape == (2, 5, 32)
    config = read_json(tmp_path / "config.json")
    assert config["lingraft_trilayer"] == {"at": 1, "layer": True, "mid_embeddings": True}
    assert config["lingraft_languages"] == ["en", "de"]
    for head in ("token", "sequence", "question", "choice"):
        found = load_with_head(str(tmp_path), head, ["A", "B"] if head in ("token", "sequence") else [])
        assert language_tables(found)[0].weight.equal(language_tables(model)[0].weight)
        assert not any("encoder" in name or "language" in name for name in found.missing)
        ids = IDS.unsqueeze(0) if head == "choice" else IDS
        assert torch.isfinite(found(input_ids=ids, attention_mask=torch.ones_like(ids))[0]).all()


def test_importing_lingraft_is_enough(pico: Pico, tmp_path: Path):
    grown(pico, "bert").save_pretrained(tmp_path)
    code = (
        "import lingraft, sys; assert 'torch' not in sys.modules; from transformers import AutoConfig; "
        f"assert AutoConfig.from_pretrained({str(tmp_path)!r}).lingraft_languages; from transformers import AutoModelForMaskedLM; "
        f"print(AutoModelForMaskedLM.from_pretrained({str(tmp_path)!r}).base_model.placeholder['weight'].shape)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "torch.Size([1, 32])" in done.stdout, done.stderr


@pytest.mark.filterwarnings("ignore::FutureWarning")  # checkpointing has a new name since transformers 5.0
@families
def test_every_parameter_has_a_gradient_and_checkpointing_changes_none(pico: Pico, family: str):
    """Several processes wait for all gradients, also where nothing is unaligned."""
    model = grown(pico, family)
    found = []
    for checkpointing in (False, family != "xlm"):  # which transformers has none for
        if checkpointing:
            model.gradient_checkpointing_enable()
        model.train()
        torch.manual_seed(0)
        model.zero_grad()
        model(input_ids=IDS, alignment=ORDER[:, :9]).logits.float().logsumexp(-1).sum().backward()
        found.append({name: parameter.grad for name, parameter in model.named_parameters()})
        assert all(gradient is not None for name, gradient in found[-1].items() if "pooler" not in name)
    assert all(torch.allclose(gradient, found[1][name]) for name, gradient in found[0].items() if gradient is not None)


@families
def test_the_states_of_all_layers_are_given(pico: Pico, family: str):
    model = grown(pico, family)
    with torch.no_grad():
        states = model.base_model(input_ids=IDS, alignment=ORDER[:, :5], output_hidden_states=True).hidden_states
    assert [len(state[0]) for state in states] == [IDS.shape[1], IDS.shape[1], 5, 5]


@families
def test_predictions_at_chosen_places_of_the_target(pico: Pico, family: str):
    model, order, chosen = grown(pico, family), ORDER[:, :5], torch.tensor([1, 4, 5, 9])
    expected = logits(model, alignment=order).flatten(0, 1)[chosen]
    predictor = Predictor(model)
    with torch.no_grad():
        torch.testing.assert_close(predictor(IDS, chosen, {"alignment": order}), expected, atol=1e-5, rtol=1e-5)
    predictor.remove()


@families
def test_the_ways_out_are_stock_models(pico: Pico, family: str, tmp_path: Path):
    model, plain = grown(pico, family, mid_embeddings=False), stock(pico, family)
    made = folded(model)
    assert (type(made), type(made.base_model), type(made.config)) == (type(plain), type(plain.base_model), type(plain.config))
    assert num_layers(made) == 3
    torch.testing.assert_close(logits(made), logits(model), atol=1e-5, rtol=1e-5)
    made.save_pretrained(tmp_path)
    assert read_json(tmp_path / "config.json")["model_type"] == family
    torch.testing.assert_close(logits(transformers.AutoModelForMaskedLM.from_pretrained(tmp_path)), logits(model), atol=1e-5, rtol=1e-5)
    shorter = without_trilayer(model)
    assert set(shorter.state_dict()) == set(plain.state_dict())
    torch.testing.assert_close(logits(shorter), logits(grown(pico, family, trilayer=False, mid_embeddings=False)), atol=1e-5, rtol=1e-5)
    set_mid_embeddings(model, added=True)
    with pytest.raises(ModelError, match="mid_embeddings = false"):
        folded(model)


def test_languages_keep_their_embeddings_and_a_new_one_gets_its_own(pico: Pico):
    model = grown(pico, "bert")
    with torch.no_grad():
        language_tables(model)[0].weight.mul_(3)
    english, german = language_tables(model)[0].weight.detach()
    for codes, kept in ((["en", "de"], [english, german]), (["de", "nl"], [german, None]), (["nl", "de"], [None, german])):
        again = copy.deepcopy(model)
        insert_trilayer(again, codes, seed=5)
        assert again.config.lingraft_languages == codes
        for row, before in zip(language_tables(again)[0].weight.detach(), kept, strict=True):
            assert row.norm() == pytest.approx(3 if before is not None else 1, abs=1e-5)
            assert before is None or torch.equal(row, before)


def test_one_code_for_both_languages_swaps_nothing(pico: Pico):
    model = stock(pico, "bert")
    insert_trilayer(model, ["en", "en"], seed=3)
    before = logits(model)
    speak(model, "en")
    assert torch.equal(logits(model), before)


def test_another_target_has_its_own_embedding_or_the_ones_before(pico: Pico):
    model = grown(pico, "bert")
    english, german = language_tables(model)[0].weight.detach().clone()
    rename_target(model, "nl")
    assert model.config.lingraft_languages == ["en", "nl"] and torch.equal(language_tables(model)[0].weight[1], german)
    rename_target(model, "en")
    assert model.config.lingraft_languages == ["nl", "en"] and torch.equal(language_tables(model)[0].weight[1], english)


def test_a_copy_stands_alone(pico: Pico):
    model = grown(pico, "bert")
    made, before = copy.deepcopy(model), logits(model)
    with torch.no_grad():
        language_tables(made)[0].weight.zero_()
    assert torch.equal(logits(model), before)
    assert not torch.equal(logits(made), before)


def test_what_does_not_fit_is_told(pico: Pico):
    for family in ("electra", "distilbert"):
        with pytest.raises(ModelError, match="BERT, RoBERTa, XLM and XLM-RoBERTa"):
            insert_trilayer(stock(pico, family), ["en", "de"])
    model = grown(pico, "bert", language_embeddings=False)
    assert not language_tables(model)
    with pytest.raises(ModelError, match="language_embeddings = false already"):
        insert_trilayer(model, ["en", "de"])
    single = transformers.BertForMaskedLM(transformers.BertConfig(vocab_size=30, hidden_size=4, num_hidden_layers=1, num_attention_heads=1))
    with pytest.raises(ModelError, match="one layer only"):
        insert_trilayer(single, ["en", "de"])
    with pytest.raises(RecipeError, match="neither trilayer nor language_embeddings"):
        load_recipe("copy", ["phases.0.mid_embeddings=false"])
    with pytest.raises(RecipeError, match="no source's language"):
        load_recipe("pretrain", SURGERY)


def test_a_transfer_with_them(pico: Pico, world: World, tmp_path: Path, call: Callable[..., tuple[int, str, str]], short_report: None):
    changes = [*SURGERY, "phases.0.mid_embeddings=false", 'phases.0.train=["embeddings", "trilayer"]']
    name = next(iter(load_recipe("copy").phases))
    whole = go(pico("bert"), world, tmp_path / "whole", *changes, steps=8)
    with pytest.raises(StoppedError):
        go(pico("bert"), world, tmp_path / "again", *changes, steps=8, options=stopping(name, 7))
    again = go(pico("bert"), world, tmp_path / "again", *changes, steps=8, options=stopping(name, 99))
    assert results(again.path) == results(whole.path)
    model, _ = whole.load()
    assert model.config.lingraft_languages == ["en", "de"]
    assert whole.facts["graft"]["meeting"] == {"languages": ["en", "de"], "at": 1, "layer": True, "mid_embeddings": False}
    status, shown, _ = call("export", whole.path, "--stock", "folded", "--out", tmp_path / "stock")
    assert (status, shown.split(": ")[1]) == (0, "bert, 3 layers, for de\n")
    torch.testing.assert_close(logits(lingraft.load(tmp_path / "stock")[0]), logits(model), atol=1e-5, rtol=1e-5)
    for arguments, told in (
        ((whole.path, "--stock", "folded", "--out", tmp_path / "stock"), "exists"),
        ((tmp_path / "stock", "--stock", "folded", "--out", tmp_path / "x"), "stock already"),
        ((whole.path, "--stock", "fold", "--out", tmp_path / "x"), "folded"),
    ):
        status, _, error = call("export", *arguments)
        assert status == 2
        assert told in error
    assert not (tmp_path / "x").exists()
