"""Recipes: those in the package, one level of extends, --set, and what a mistake says."""

from pathlib import Path

import pytest

from lingraft.embeddings.settings import RowSettings
from lingraft.errors import RecipeError
from lingraft.recipe import EVERY_PHASE, load_recipe, shipped
from lingraft.text.corpus import TextSettings
from lingraft.tokenizer.settings import TokenizerSettings

TWO_PHASES = """
title = "two"
[phases.first]
steps = 5
[phases.second]
steps = 6
start_from = "first"
"""


def write(folder: Path, text: str, name: str = "mine") -> str:
    path = folder / f"{name}.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_the_package_has_the_recipes_of_the_first_release():
    assert {"scratch", "random", "rank", "rank-source-vocabulary", "copy", "frozen"} <= set(shipped())


@pytest.mark.parametrize("name", shipped())
def test_every_recipe_says_what_it_is_and_goes_round(name: str, tmp_path: Path):
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.title
    assert recipe.phases
    assert load_recipe(write(tmp_path, recipe.to_toml(), name)) == recipe


def test_rank_is_exactly_the_papers_settings():
    recipe = load_recipe("rank")
    assert recipe.text == TextSettings(normalisation="none")
    assert recipe.tokenizer == TokenizerSettings(algorithm="wordpiece", size=32000, lowercase=False)
    assert recipe.rows == RowSettings(method="rank", order="frequency")
    (phase,) = recipe.phases.values()
    assert (phase.train, phase.objective, phase.mask_rate) == (["all"], "auto", 0.15)
    assert (phase.optimizer, phase.learning_rate, phase.betas, phase.epsilon) == ("adamw", 5e-5, (0.9, 0.999), 1e-8)
    assert (phase.weight_decay, phase.schedule, phase.warmup, phase.clip) == (0.0, "linear", 0.0, 1.0)
    assert (phase.epochs, phase.steps, phase.batch, phase.length, phase.dropout) == (1.0, None, 128, 128, None)
    kept = load_recipe("rank-source-vocabulary")
    assert kept.tokenizer.vocabulary == "source"
    assert kept.rows.method == "keep"
    assert kept.phases == recipe.phases
    assert kept.text == recipe.text


def test_extends_changes_what_it_names_and_keeps_the_rest(tmp_path: Path):
    recipe = load_recipe(write(tmp_path, 'extends = "copy"\n[phases.train]\nbatch = 7\n[phases.more]\nsteps = 3\n'))
    parent = load_recipe("copy")
    assert list(recipe.phases) == ["train", "more"]
    assert recipe.phases["train"] == parent.phases["train"].model_copy(update={"batch": 7})
    assert recipe.rows == parent.rows


def test_extends_finds_a_file_beside_it(tmp_path: Path):
    write(tmp_path, TWO_PHASES, "base")
    recipe = load_recipe(write(tmp_path, 'extends = "base.toml"\n[phases.second]\nsteps = 9\n'))
    assert [phase.steps for phase in recipe.phases.values()] == [5, 9]


def test_a_name_in_the_file_stays_and_is_not_inherited(tmp_path: Path):
    (tmp_path / "recipe.toml").write_text(load_recipe("rank").to_toml())
    (tmp_path / "child.toml").write_text('extends = "recipe.toml"')
    assert [load_recipe(str(tmp_path / name)).name for name in ("recipe.toml", "child.toml")] == ["rank", "child"]


def test_extends_goes_one_level(tmp_path: Path):
    with pytest.raises(RecipeError, match="one level"):
        load_recipe(write(tmp_path, 'extends = "frozen"\n'))


@pytest.mark.parametrize(
    ("change", "value"),
    [
        ("steps=20", 20),
        ("batch=4", 4),
        ("length=32", 32),
        ("learning_rate=0.1", 0.1),
        ("precision=bfloat16", "bfloat16"),
        ("epochs=2.5", 2.5),
    ],
)
def test_short_keys_go_to_every_phase(change: str, value: object, tmp_path: Path):
    recipe = load_recipe(write(tmp_path, TWO_PHASES), [change])
    assert [getattr(phase, change.split("=")[0]) for phase in recipe.phases.values()] == [value, value]
    assert change.split("=")[0] in EVERY_PHASE


def test_phases_are_set_by_number_and_by_name(tmp_path: Path):
    changes = [
        "phases.0.steps=1",
        "phases.second.steps=2",
        "phases.1.train=['embeddings', 'head']",
        "tokenizer.size=500",
        "text.clean=['script']",
    ]
    recipe = load_recipe(write(tmp_path, TWO_PHASES), changes)
    assert [phase.steps for phase in recipe.phases.values()] == [1, 2]
    assert recipe.phases["second"].train == ["embeddings", "head"]
    assert recipe.tokenizer.size == 500
    assert recipe.text.clean == ["script"]


def test_the_last_of_two_changes_counts():
    assert load_recipe("copy", ["steps=1", "phases.train.steps=2"]).phases["train"].steps == 2


def test_norwegian_is_not_false():
    """YAML reads `no` as false."""
    assert load_recipe("copy", ["tokenizer.read=no"]).tokenizer.read == "no"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (["stepz=3"], "'steps'"),
        (["tokenizer.sise=3"], "'tokenizer.size'"),
        (["tokeniser.size=3"], "tokenizer"),
        (["phases.train.step=3"], "'steps'"),
        (["phases.trian.steps=3"], "'train'"),
        (["phases.7.steps=3"], "train"),
        (["rows.method=copi"], "'copy'"),
        (["rows.method.more=1"], "rows.method"),
        (["phases.train.train=['boddy']"], "'body'"),
        (["phases.train.switch=[{at=0.5, train=['boddy']}]"], "'body'"),
        (["phases.train.objective=mln"], "'mlm'"),
        (["phases.train.objective=mlm+tlm"], "Use 'joint' or 'disjoint'"),
        (["phases.train.start_from=later"], "later"),
        (["surgery.mid_embeddings=false"], "set trilayer or language_embeddings"),
        (["precision=float16"], "'bfloat16'"),
        (["steps=-1"], "greater than or equal to 0"),
        (["steps=many"], "steps = 'many'"),
        (["steps"], "KEY=VALUE"),
        (["name.x=1"], "name"),
        (["phases=1"], "phases"),
        (["phases.train.steps.more=1"], "phases"),
        (["text.normalization=NFC"], "'text.normalisation'"),
    ],
)  # fmt: skip
def test_a_mistake_names_what_was_meant(changes: list[str], said: str):
    with pytest.raises(RecipeError) as caught:
        load_recipe("copy", changes)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("recipe", ["aligned", "align-finetune", "mim"])
def test_lines_that_are_aligned_have_no_language_embeddings(recipe: str):
    with pytest.raises(RecipeError, match=r"Set surgery.language_embeddings=false"):
        load_recipe(recipe, ["surgery.language_embeddings=true"])
    assert load_recipe(recipe, ["surgery.trilayer=true"]).surgery.meets


@pytest.mark.parametrize(("name", "said"), [("cpoy", "'copy'"), ("nowhere.toml", "no recipe file"), ("./zzzz", "Known: align-finetune")])
def test_unknown_recipes_are_named(name: str, said: str):
    with pytest.raises(RecipeError, match=said):
        load_recipe(name)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("steps = ", "not TOML"),
        ('[phases."A B"]\nsteps = 1', "lower-case"),
        ('extends = "cpoy"', "'copy'"),
        ("[phasez.train]\nsteps = 1", "'phases'"),
        ("[tokenizer]\nsize = 3", "tokenizer.size = 3"),
        ("[phases.a]\nstart_from = 'b'\n[phases.b]\n", "no phase before it"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(text: str, said: str, tmp_path: Path):
    with pytest.raises(RecipeError, match=said):
        load_recipe(write(tmp_path, text))


def test_a_file_that_is_no_text_is_said(tmp_path: Path):
    (tmp_path / "bad.toml").write_bytes(b"title = '\xff\xfe'")
    with pytest.raises(RecipeError, match="UTF-8"):
        load_recipe(str(tmp_path / "bad.toml"))
