"""The race of `auto`: fair, halving, and won by the best."""

from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import World

import lingraft
from lingraft.aids import Given
from lingraft.race import candidates

Pico = Callable[[str], Path]
SMALL = ["tokenizer.size=600", "length=32", "batch=8", "evaluation.max_characters=2000"]


def raced(source: Path, world: World, out: Path, steps: int = 40, **options: object) -> lingraft.Run:
    changes = [*SMALL, f"steps={steps}"]
    return lingraft.transfer(str(source), to="de", text=str(world.cipher), out=out, recipe="auto", changes=changes, **options)


def test_candidates_follow_what_is_given():
    assert set(candidates(Given())) >= {"copy", "pieces"}
    assert any("ramen" in name for name in candidates(Given(parallel=["x"])))
    assert "wechsel" in candidates(Given(vectors=["x", "y"]))
    assert any("lexicon" in name for name in candidates(Given(lexicon=["x"])))


@pytest.mark.parametrize("family", ["bert", "llama"])
def test_each_lap_halves_the_field_and_the_best_of_the_last_wins(family: str, pico: Pico, world: World, tmp_path: Path):
    run = raced(pico(family), world, tmp_path / "run", parallel=str(world.parallel))
    table = [entry for entry in run.facts["race"] if not entry["failed"]]
    assert len(table) >= 4
    laps = max(len(entry["losses"]) for entry in table) - 1
    for lap in range(1, laps):
        left = [entry["losses"][lap] for entry in table if len(entry["losses"]) > lap]
        kept = [entry["losses"][lap] for entry in table if len(entry["losses"]) > lap + 1]
        assert sorted(left)[: len(kept)] == sorted(kept) and len(kept) == -(-len(left) // 2)
    best = [entry for entry in table if len(entry["losses"]) == laps + 1]
    assert table[0]["losses"][-1] == min(entry["losses"][-1] for entry in best)


def test_the_winner_is_what_its_method_alone_gives(pico: Pico, world: World, tmp_path: Path):
    run = raced(pico("bert"), world, tmp_path / "run", parallel=str(world.parallel), seed=3)
    changes = [*SMALL, "steps=40", f"rows.method={run.facts['race'][0]['method']}"]
    alone = lingraft.transfer(
        str(pico("bert")), to="de", text=str(world.cipher), out=tmp_path / "alone", changes=changes, parallel=str(world.parallel), seed=3
    )
    assert (run.path / "model" / "model.safetensors").read_bytes() == (alone.path / "model" / "model.safetensors").read_bytes()


def test_what_cannot_be_made_is_out_and_says_why(pico: Pico, world: World, tmp_path: Path):
    run = raced(pico("bert"), world, tmp_path / "run", steps=0, lexicon=str(world.lexicon))
    assert run.facts["race"], "no steps: judged by the loss before training"
