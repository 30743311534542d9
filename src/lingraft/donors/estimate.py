"""What a grid would cost, measured with a few steps on its longest cell, thrown away."""

import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lingraft.donors.corpus import read
from lingraft.donors.grid import selected, settings_of
from lingraft.donors.records import Cell
from lingraft.donors.training import Kit, learned, planned_steps
from lingraft.errors import RecipeError
from lingraft.speed import pace
from lingraft.train.data import Data


def estimate(corpus: str | Path, *, out: str | Path, recipe: str = "", **asked: Any) -> str:
    """The plan of `grid.run` with the same arguments, as text. Writes nothing; raises what it raises."""
    if recipe:
        raise RecipeError("--dry-run knows the grid's own models only. For a recipe see lingraft transfer --dry-run.")
    found, changes = read(corpus), asked.pop("changes", ())
    wanted = selected(found, out=Path(out), **asked)
    made = settings_of(found, asked["mode"], "", changes)
    with tempfile.TemporaryDirectory() as folder:
        missing = [one for one in wanted if not Kit(Path(out), found, **made).is_done(one)]
        kit = Kit(Path(folder), found, **made)
        kit.prepare()
        steps = {one: planned_steps(kit.settings, kit.text(learned(one))) for one in missing}
        kinds = Counter("monolingual" if len(one.languages) == 1 else "pair" if len(one.languages) == 2 else "set" for one in wanted)
        lines = [f"cells   {len(wanted):,}: " + ", ".join(f"{count:,} {kind}" for kind, count in kinds.items())]
        lines.append(f"        {len(wanted) - len(missing):,} are there")
        if missing:
            lines += _measured(kit, steps)
    return "\n".join(lines)


def _measured(kit: Kit, steps: Mapping[Cell, int]) -> list[str]:
    longest, settings = max(steps, key=lambda one: steps[one]), kit.settings
    model = kit.new_model(0)
    measured = pace(model, settings.phase(), Data(kit.text(learned(longest)), kit.vocabulary))
    size, total = sum(parameter.numel() for parameter in model.parameters()), sum(steps.values())
    most = " (at most: the number of epochs is yet to be chosen)" if settings.choose_epochs else ""
    hours, held = total * measured.seconds / 3600, 16 * size / 1e6
    return [
        f"model   {size:,} parameters, {kit.vocabulary.size:,} tokens in the vocabulary",
        f"steps   {total:,} in all, {steps[longest]:,} in the longest cell{most}",
        f"time    {hours:,.2f} hours of this machine, one by one, at {measured.seconds:.3g} s a step, measured",
        f"memory  {measured.memory / 1e6:,.0f} MB for a process, measured; with --engine batched {held:,.0f} MB more for each model",
        f"disk    {4 * size * len(steps) / 1e9:,.1f} GB, where all models are kept",
    ]
