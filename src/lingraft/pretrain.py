"""The story of a model from scratch: from text of one language or several to a model of them, as a folder that goes on where it stopped."""

from collections.abc import Sequence
from pathlib import Path

from lingraft import pretraining, stages
from lingraft.aids import Given
from lingraft.recipe import load_recipe
from lingraft.request import Request, listed, opened
from lingraft.run import Run
from lingraft.text.corpus import by_language
from lingraft.train.loop import Options


def pretrain(
    text: str | Sequence[str],
    *,
    out: str | Path,
    language: str | None = None,
    recipe: str = "pretrain",
    changes: Sequence[str] = (),
    parallel: str | Sequence[str] = (),
    seed: int = 0,
    minutes: float | None = None,
    examples: bool = True,
    restart_from: str | None = None,
    options: Options | None = None,
) -> Run:
    """Train a model from random weights on text of one language or several, and return the finished run.

    text: what --text takes; CODE=PATH names the language, `language` that of texts without a code. recipe: a name or a TOML file with
    verb = "pretrain"; changes: K=V, as --set. parallel: CODE-CODE=PATH of two of the languages, for the objective tlm.
    minutes: train about so long, at this machine's speed.
    Raises LingraftError where something the user gave is wrong; Interrupted after a signal: the same call goes on.
    """
    places = by_language(listed(text), language)
    chosen = load_recipe(recipe, changes).for_verb("pretrain")
    request = Request("", next(iter(places)), listed(text), Given(parallel=listed(parallel)), chosen, Path(out), seed, minutes, examples)
    options = options or Options()
    with opened(request, restart_from) as run:
        lines = pretraining.parallel_texts(request, list(places))
        blank = pretraining.begin(request, run)
        texts = pretraining.survey(request, run, places)
        tokenizers = pretraining.tokenizers(request, run, blank, texts)
        tongues = pretraining.tokens(request, run, texts, tokenizers, lines)
        source, tongues = pretraining.build(request, run, tongues, texts)
        pretraining.rows(request, run, source, tongues, texts, options)
        held_out = stages.held_out(request, run, source.kind, tongues, texts)
        stages.initial(request, run, source, tongues, held_out)
        for name in chosen.phases:
            stages.phase(request, run, source, tongues, held_out, name, options)
        stages.evaluate(request, run, source, tongues, held_out)
        stages.export(request, run, source, tongues)
    return run
