"""The command line. Verbs import what they need when they are called, so that --help is quick."""

import os
import sys
import warnings
from typing import Annotated

import typer

from lingraft.cli import (
    align,
    compare,
    demo,
    doctor,
    donors,
    evaluate,
    export,
    finetune,
    grafts,
    lexicon,
    pretrain,
    probe,
    recipes,
    report,
    swap,
    tokenizer,
    transfer,
    translate,
    xquad,
)
from lingraft.errors import Interrupted, LingraftError, LingraftWarning

app = typer.Typer(
    name="lingraft",
    help="Graft a pretrained language model onto another language.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("demo")(demo.demo)
app.command("transfer")(transfer.transfer)
app.command("pretrain")(pretrain.pretrain)
app.command("finetune")(finetune.finetune)
app.command("swap")(swap.swap)
app.command("grafts")(grafts.grafts)
app.command("translate")(translate.translate)
app.command("evaluate")(evaluate.evaluate)
app.command("probe")(probe.probe)
app.command("align")(align.align)
app.command("export")(export.export)
app.command("report")(report.report)
app.command("compare")(compare.compare)
app.command("doctor")(doctor.doctor)
app.add_typer(tokenizer.app, name="tokenizer")
app.add_typer(lexicon.app, name="lexicon")
app.add_typer(xquad.app, name="xquad")
app.add_typer(recipes.app, name="recipes")
app.add_typer(donors.app, name="donors")


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"lingraft {version('lingraft')}")
        raise typer.Exit()


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Graft a pretrained language model onto another language."""


QUIET = {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1", "TRANSFORMERS_VERBOSITY": "error"}
"""Bars and log lines of the libraries below: read when they are imported, so that nothing need be imported to say so."""
THREADS = {"GOMP_SPINCOUNT": "1000"}
"""How often an idle thread looks for work before it sleeps. By default 300 times as often, by which processes side by side keep each other
from their cores. Read when libgomp is loaded, with torch."""


def _show_warning(message: Warning | str, category: type[Warning], *place: object) -> None:
    if issubclass(category, LingraftWarning):
        print(f"lingraft: warning: {message}", file=sys.stderr)


def main() -> None:
    """Entry point. Exit status: 0, 2 for the user's mistake, 130 after an interruption, 1 for ours."""
    warnings.showwarning = _show_warning  # type: ignore[assignment]
    for name, value in (QUIET | THREADS).items():
        os.environ.setdefault(name, value)
    debug = "--debug" in sys.argv
    if debug:
        sys.argv.remove("--debug")
    try:
        app()
    except LingraftError as error:
        if debug:
            raise
        print(f"lingraft: {error}", file=sys.stderr)
        raise SystemExit(130 if isinstance(error, Interrupted) else 2) from None
    except BrokenPipeError:
        raise SystemExit(1) from None
