"""The race of `auto`: fair, halving, and won by the best."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import World

import lingraft
from lingraft.aids import Given
from lingraft.race import Entry, _first_of_the_best, candidates

Pico = Callable[[str], Path]
SMALL = ["tokenizer.size=600", "length=32", "batch=8", "evaluation.max_characters=2000"]


def raced(source: Path, world: World, out: Path, steps: int = 40, **options: object) -> lingraft.Run:
    changes = [*SMALL, f"steps={steps}"]
    return lingraft.transfer(str(source), to="de", text=str(world.cipher), out=out, recipe="auto", changes=changes, **options)


def test_candidates_follow_what_is_given():
    assert set(candidates(Given())) >= {"copy", "pieces"}
    assert any("ramen" in name for name in candidates(Given(parallel=["x"])))
    assert any("wechsel" in name for name in candidates(Given(vectors=["x", "y"])))
    assert any("lexicon" in name for name in candidates(Given(lexicon=["x"])))


@pytest.mark.parametrize("family", ["bert", "llama"])
def test_each_lap_halves_the_field_and_the_best_of_the_last_wins(family: str, pico: Pico, world: World, tmp_path: Path):
    run = raced(pico(family), world, tmp_path / "run", parallel=str(world.parallel))
    races = [[entry for entry in run.facts["race"] if not entry["failed"] and bool(entry["output"]) == output] for output in (False, True)]
    assert bool(races[1]) == (family == "llama"), "where the output matrix is not tied, it has a race of its own"
    for table in filter(None, races):
        check_halving(table)
    assert run.facts["race"][0]["output"] == "" or run.facts["race"][0]["method"] == races[0][0]["method"]


def check_halving(table: list[dict[str, Any]]) -> None:
    assert len(table) >= 4
    laps = max(len(entry["losses"]) for entry in table) - 1
    for lap in range(1, laps):
        left = [entry["losses"][lap] for entry in table if len(entry["losses"]) > lap]
        kept = [entry["losses"][lap] for entry in table if len(entry["losses"]) > lap + 1]
        assert sorted(left)[: len(kept)] == sorted(kept) and len(kept) == -(-len(left) // 2)
    best = [entry for entry in table if len(entry["losses"]) == laps + 1]
    order = candidates(Given(parallel=["x"]))
    assert table[0]["behind"] is None
    for entry in best[1:]:
        assert entry["behind"][0] == pytest.approx(entry["losses"][-1] - table[0]["losses"][-1]) and entry["behind"][1] > 0
        assert entry["behind"][0] > -entry["behind"][1], "none is clearly better than the winner"
        equal = entry["behind"][0] <= entry["behind"][1] and not table[0]["output"]
        assert not equal or order.index(table[0]["method"]) < order.index(entry["method"])


def test_of_equals_the_first_wins_and_a_clear_lead_counts():
    generator = np.random.default_rng(0)
    blocks = generator.normal(7, 1, size=40)

    def entry(name: str, lead: float, noise: float) -> Entry:
        losses = blocks - lead + noise * generator.normal(size=40)
        return Entry(name, losses=[float(losses.mean())], judged=np.stack([losses, np.ones(40)], axis=1))

    first, second, third = entry("first", 0.0, 0.3), entry("second", 0.02, 0.3), entry("third", 0.5, 0.3)
    assert _first_of_the_best([first, second]) is first
    assert _first_of_the_best([second, first]) is second
    assert _first_of_the_best([first, second, third]) is third


@pytest.mark.parametrize("family", ["bert", "llama"])
def test_the_winner_is_what_its_method_alone_gives(family: str, pico: Pico, world: World, tmp_path: Path):
    run = raced(pico(family), world, tmp_path / "run", parallel=str(world.parallel), seed=3)
    best = run.facts["race"][0]
    changes = [
        *SMALL,
        "steps=40",
        "rows.restore_length=true",
        f"rows.method={best['method']}",
        *([f"rows.output={best['output']}"] if best["output"] else []),
    ]
    alone = lingraft.transfer(
        str(pico(family)),
        to="de",
        text=str(world.cipher),
        out=tmp_path / "alone",
        recipe="copy",
        changes=changes,
        parallel=str(world.parallel),
        seed=3,
    )
    assert (run.path / "model" / "model.safetensors").read_bytes() == (alone.path / "model" / "model.safetensors").read_bytes()


def test_what_cannot_be_made_is_out_and_says_why(pico: Pico, world: World, tmp_path: Path):
    run = raced(pico("bert"), world, tmp_path / "run", steps=0, lexicon=str(world.lexicon))
    assert run.facts["race"], "no steps: judged by the loss before training"
