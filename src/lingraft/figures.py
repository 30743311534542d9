"""Parts of the report that are TreLM's: pictures of rows (figures 3, 4), bits against parallel text (figure 2), cost by phase (table 4)."""

import tomllib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from lingraft.files import read_json
from lingraft.plots import NATS, cosine_plot, neighbour_plot
from lingraft.run import PICTURES
from lingraft.train.settings import ALIGNING

if TYPE_CHECKING:
    from lingraft.report import Record

SPACES = {"static": "vectors of the text, before mapping", "begin": "rows before training", "trained": "rows after training"}


def pictures(run: "Record") -> dict[str, Any]:
    """What pictures.json holds, with plots of it; nothing where the run has none. Words are left out where it asks for no examples."""
    path = run.run.path / f"{PICTURES}.json"
    if not path.exists():
        return {}
    told = read_json(path)
    found = {**told, "pairs_plot": Markup(cosine_plot(told["spaces"], [SPACES[space["space"]] for space in told["spaces"]]))}
    word = None if run.about.get("examples") is False else told.get("word")
    if word:
        sides = [{"counts": word[f"{side}_counts"]} for side in ("source", "target")]
        found["word_plot"] = Markup(cosine_plot(sides, [panel["space"] for panel in word["panels"][:2]]))
        found["neighbour_plot"] = Markup(neighbour_plot(word["panels"]))
    return found | {"word": word}


def sizes(runs: Sequence["Record"]) -> list[tuple[float, float]]:
    """Pairs of parallel text, those good enough where a phase asks for links, and bits per subword of the finished model, of each run;
    nothing where one lacks either, or has another recipe or vocabulary: then it is not the text alone that differs."""
    found = [(_pairs(run), run.run.scores.get("bits_per_subword")) for run in runs]
    alike = len({(run.about.get("recipe"), str(_recipe(run).get("tokenizer"))) for run in runs}) == 1
    return found if alike and not any(None in point for point in found) else []  # type: ignore[return-value]


def _pairs(run: "Record") -> int | None:
    told = run.about.get("alignments") or {}
    return told.get("kept", (run.about.get("parallel") or {}).get("pairs"))  # type: ignore[no-any-return]


def _recipe(run: "Record") -> dict[str, Any]:
    """recipe.toml; nothing where it cannot be read."""
    try:
        return tomllib.loads(run.recipe)
    except tomllib.TOMLDecodeError:
        return {}


def unit_of_losses(runs: Sequence["Record"]) -> str:
    """What the losses of runs are measured in."""
    kinds = {
        name in ALIGNING
        for run in runs
        for phase in _recipe(run).get("phases", {}).values()
        for name in str(phase.get("objective")).split("+")
    }
    return {frozenset({True}): "squared distance of linked states", frozenset({True, False}): "loss of its phase"}.get(
        frozenset(kinds), NATS
    )


def keeps_rows(run: "Record") -> bool:
    """Whether it has no new rows, since it keeps the source's vocabulary."""
    return bool(_recipe(run).get("rows", {}).get("method") == "keep")


def phases(run: "Record") -> list[dict[str, Any]]:
    """What was made before training, and each phase, has cost, in order (TreLM, table 4); settings as recipe.toml has them."""
    named, before = _recipe(run).get("phases", {}), run.about.get("preparation_seconds") or {}
    rows: list[dict[str, Any]] = [{"name": name, "seconds": spent} for name, spent in before.items()]
    seconds, trained, done = run.about.get("phase_seconds") or {}, {}, 0
    for name in dict.fromkeys(record.get("phase") for record in run.metrics):  # as they were trained: halves may change places
        own = [record for record in run.metrics if record.get("phase") == name]
        trained[name] = {"tokens": max(record["tokens"] for record in own) - done, "steps": max(record["step"] for record in own)}
        done += trained[name]["tokens"]
    for name in dict.fromkeys([*named, *seconds]):
        settings, spent, found = named.get(name) or {}, seconds.get(name), trained.get(name, {"tokens": 0, "steps": 0})
        of_it = {"name": name, "batch": settings.get("batch"), "length": settings.get("length"), "seconds": spent}
        rows.append({**of_it, **found, "speed": found["tokens"] / spent if spent else None})
    return rows
