"""What verbs print: results on stdout, progress on stderr."""

import contextlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lingraft.files import is_main_process
from lingraft.recipe import load_recipe
from lingraft.run import METRICS, RECIPE, Run


@contextlib.contextmanager
def progress() -> Iterator[Any]:
    """Yield a callback (phase, step, total, loss) that draws a bar with the time left on stderr, or prints lines in a log."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("loss {task.fields[loss]:.3f}"),
        TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
    )  # fmt: skip
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _lines
        return
    with Progress(*columns, console=console, disable=not is_main_process()) as bar:
        tasks: dict[tuple[str, int], Any] = {}

        def advance(phase: str, step: int, total: int, loss: float) -> None:
            key = (phase, total)
            if key not in tasks or bar.tasks[tasks[key]].finished:
                tasks[key] = bar.add_task(phase, total=total, loss=loss)
            bar.update(tasks[key], completed=step, loss=loss)

        yield advance


def _lines(phase: str, step: int, total: int, loss: float) -> None:
    """For a log: about ten lines over a phase."""
    every = max(1, total // 10)
    if is_main_process() and (step % every < min(10, every) or step == total):
        print(f"{phase}  step {step} of {total}  loss {loss:.3f}", file=sys.stderr, flush=True)


def as_json(run: Run, **more: Any) -> str:
    """The one line that --json prints."""
    facts = run.facts
    found = {"run": str(run.path), "scores": run.scores, "origin": run.origin, "tokens_per_second": facts.get("tokens_per_second", 0.0)}
    return json.dumps(found | more)


def distance_line(run: Run) -> str:
    """Where states of linked pieces are all that was trained on, how near they came to each other; else empty."""
    if load_recipe(str(run.path / RECIPE)).predicts_tokens:
        return ""
    found = [line["held_out_loss"] for line in run.lines(METRICS) if "held_out_loss" in line]
    return f"states  distance of linked ones on held-out lines {found[0]:.3f} -> {found[-1]:.3f}\n" if found else ""


def race_line(run: Run) -> str:
    """What a race chose; empty where none was run."""
    race = run.facts.get("race") or []
    others = len({entry["output"] or entry["method"] for entry in race if entry["losses"]}) - 1
    output = f", {race[0]['output']} for the output matrix" if race and race[0]["output"] else ""
    return f"rows    {race[0]['method']}{output}: the best of a race with {others} others\n" if race else ""


def score_table(runs: Sequence[tuple[str, Run]]) -> None:
    """Print the scores of runs side by side."""
    from rich.console import Console
    from rich.table import Table

    better = {"bits_per_byte": "lower", "bits_per_word": "lower", "bits_per_subword": "lower", "loss": "lower", "mrr": "higher"}
    table = Table("held-out text", "better", *(name for name, _ in runs))
    for name, direction in better.items():
        values = [run.scores.get(name) for _, run in runs]
        table.add_row(name.replace("_", " "), direction, *("" if value is None else f"{value:.4f}" for value in values))
    seconds = [run.facts.get("seconds") for _, run in runs]
    table.add_row("training seconds", "", *("" if value is None else f"{value:.0f}" for value in seconds))
    Console().print(table)


def language_table(run: Run) -> None:
    """Print the scores of a run, a row for each language."""
    from rich.console import Console
    from rich.table import Table

    names = ("bits_per_byte", "bits_per_word", "bits_per_subword", "loss", "mrr")
    table = Table("held-out text", *(name.replace("_", " ") for name in names))
    for code, scores in run.languages.items():
        table.add_row(code, *(f"{scores[name]:.4f}" for name in names))
    Console().print(table)


def share_table(run: Run) -> None:
    """Print how much text each language has, and what up-sampling makes of it; nothing for one language."""
    from rich.console import Console
    from rich.table import Table

    lines = run.facts.get("shares") or []
    if not lines:
        return
    table = Table(*(name.replace("_share", " %").replace("phase.", "batches of ") for name in lines[0]))
    for line in lines:
        table.add_row(
            *(f"{value:.1%}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else value for value in line.values())
        )
    Console().print(table)


def evaluation_table(result: Mapping[str, Any]) -> None:
    """Print scores of an evaluation, in percent: a row for each language and score, with what the baseline reaches."""
    from rich.console import Console
    from rich.table import Table

    table = Table("language", "score", "value", "95 % interval", "baseline", "examples")
    for code, found in result["languages"].items():
        for name, score in found["scores"].items():
            deviation = "" if score["sd"] is None else f" ± {_shown(name, score['sd'])}"
            interval = "" if score["low"] is None else f"{_shown(name, score['low'])} to {_shown(name, score['high'])}"
            guess = _shown(name, found["baseline"][name]) if name in found["baseline"] else ""
            table.add_row(code, name, _shown(name, score["mean"]) + deviation, interval, guess, f"{found['n']:,}")
    Console().print(table)
    for seed, told in zip(result["seeds"], result["training"], strict=True):
        print(f"seed {seed}: {_told(told)}")


def _shown(name: str, value: float) -> str:
    """A score as tables have it: fractions and correlations times 100."""
    from lingraft.results import scale

    return f"{100 * value:.1f}" if scale(name) == 100 else f"{value:.3f}"


def _told(told: Mapping[str, Any]) -> str:
    """How training went, with every restart and early stop."""
    if not told["attempts"]:
        return "the model's own head"
    kept = told["attempts"][told.get("kept", -1)]
    best = f", best on development at step {kept['best_step']}" if kept["development"] else ""
    early = ", stopped early" if kept["stopped_early"] else ""
    again = f", after {told['restarts']} restarts" if told["restarts"] else ""
    return f"{kept['steps']} steps in {kept['seconds']:.0f} s{best}{early}{again}"
