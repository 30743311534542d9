import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from synthetic_run import HOSTILE, RECIPE, write_run

from lingraft.card import model_card, plain
from lingraft.errors import RunError


def front_matter(card: str) -> Any:
    return yaml.safe_load(card.split("---\n")[1])


def change(run: Path, **changes: Any) -> None:
    path = run / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_card_has_front_matter_recipe_scores_and_limits(tmp_path: Path) -> None:
    card = model_card(write_run(tmp_path / "run"))
    assert card.startswith("---\nlanguage: de\n")
    assert front_matter(card) == {
        "language": "de",
        "license": "apache-2.0",
        "library_name": "transformers",
        "base_model": "sentence-transformers/all-MiniLM-L6-v2",
        "pipeline_tag": "fill-mask",
        "tags": ["lingraft"],
    }
    assert "# German from all-MiniLM-L6-v2\n" in card
    assert f"````toml\n{RECIPE}````\n" in card  # the fence is longer than the one inside the recipe
    assert "| after training | 1.800 | 11.400 | 5.100 | 0.310 | 12,345 |" in card
    assert "spoils its sentence vectors" in card
    assert "AutoModelForMaskedLM.from_pretrained" in card


def test_user_text_cannot_act_as_markup_and_local_folders_stay_private(tmp_path: Path) -> None:
    card = model_card(write_run(tmp_path / "run"))
    assert HOSTILE not in card
    assert "\\<script\\>" in card
    assert "/home/me" not in card
    assert plain("a\n# b | `c`") == "a \\# b \\| \\`c\\`"


def test_front_matter_is_read_back_as_it_was_meant(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", language="no")  # YAML reads a bare `no` as false
    change(run, source={"name": "/home/me/model: a", "licence": 'other: "x"\n---'}, kind="clm")
    matter = front_matter(model_card(run))
    assert matter["language"] == "no"
    assert matter["license"].startswith("other: ")
    assert "base_model" not in matter
    assert matter["pipeline_tag"] == "text-generation"


def test_licence_of_bundled_text_is_named_and_of_other_text_not_invented(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    assert "Licence: not recorded" in model_card(run)
    change(run, text={"de": {"places": ["bundled:de"]}})
    assert "Licence: MPL-2.0" in model_card(run)


def test_a_source_that_is_a_folder_stays_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = write_run(tmp_path / "run")
    change(run, source={"name": "/home/me/bodies/pico/model"})
    assert "\npico, carried over" in model_card(run)
    assert "/home/me" not in model_card(run)
    change(run, source={"name": "bodies/pico"})
    assert front_matter(model_card(run))["base_model"] == "bodies/pico"
    (tmp_path / "bodies" / "pico").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert "base_model" not in front_matter(model_card(run))
    assert "\npico, carried over" in model_card(run)


def test_parallel_text_is_data_too(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    change(run, parallel={"pairs": 12, "places": ["/home/me/en-de.tsv"]})
    assert "- parallel text: en-de.tsv; 12 pairs. Licence: not recorded" in model_card(run)


@pytest.mark.parametrize("kind", [None, "lora", "linear", "vectors", "bottleneck"])
def test_card_says_how_to_load_adapters(tmp_path: Path, kind: str | None) -> None:
    run = write_run(tmp_path / "run")
    change(run, graft={"adapters": kind})
    assert ("lingraft.load" in model_card(run)) == (kind not in (None, "lora"))


def test_card_of_a_kept_vocabulary_speaks_of_no_new_rows(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    assert "a new tokenizer, new embedding rows" in model_card(run)
    (run / "recipe.toml").write_text('[rows]\nmethod = "keep"\n')
    card = model_card(run)
    assert "the source's tokenizer and embedding rows" in card and "new embedding rows" not in card and "new rows" not in card


def test_unfinished_run_has_a_card(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    card = model_card(tmp_path)
    assert "None were measured." in card
    assert front_matter(card)["library_name"] == "transformers"


def test_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is not a run"):
        model_card(tmp_path)
