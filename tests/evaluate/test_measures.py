"""Measures of a model as it is: numbers beside those of a guess, each text read in its language."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lingraft.errors import LingraftError
from lingraft.evaluation import evaluate
from lingraft.model.load import load_source
from lingraft.model.trelm import speak
from lingraft.model.trilayer import insert_trilayer


def test_a_model_is_measured_as_it_is(pico: Callable[[str], Path], world: Any, tmp_path: Path) -> None:
    told = evaluate(
        str(pico("bert")), task="language-modelling", evaluation=[f"en={world.plain}"], out=tmp_path / "lm", changes=["max_characters=500"]
    )
    assert told["scores"]["loss"]["n"] == 1 and told["scores"]["bits_per_byte"]["mean"] > 0
    assert told["baseline"]["loss"] == pytest.approx(np.log(400), rel=0.1)
    told = evaluate(str(pico("bert")), task="retrieval", evaluation=[f"de={world.parallel}"], out=tmp_path / "pairs", changes=["layer=0"])
    assert 0 <= told["languages"]["de"]["scores"]["accuracy"]["mean"] <= 1
    with pytest.raises(LingraftError, match="as it is"):
        evaluate(str(pico("bert")), task="retrieval", evaluation=[f"de={world.parallel}"], train=["x"], out=tmp_path / "no")


def test_a_model_that_is_told_languages_reads_each_text_in_its_own(pico: Callable[[str], Path], world: Any, tmp_path: Path) -> None:
    source = load_source(str(pico("bert")), seed=0)
    insert_trilayer(source.model, ["en", "de"], seed=0)
    texts = [f"{code}={world.plain}" for code in ("de", "en", "fr")]
    losses = {}
    for spoken in ("de", "en"):  # what is read where nothing is said
        speak(source.model, spoken)
        source.model.save_pretrained(tmp_path / spoken)
        source.tokenizer.save_pretrained(tmp_path / spoken)
        told = evaluate(
            str(tmp_path / spoken),
            task="language-modelling",
            evaluation=texts,
            out=tmp_path / "out" / spoken,
            changes=["max_characters=500"],
        )
        losses[spoken] = [told["languages"][code]["scores"]["loss"]["mean"] for code in ("de", "en", "fr")]
    german, english = losses["de"][:2]
    assert german != english
    assert losses == {"de": [german, english, german], "en": [german, english, english]}
