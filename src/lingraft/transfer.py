"""The story: from a source model and text of another language to a model of that language, as a folder that goes on where it stopped."""

from collections.abc import Sequence
from pathlib import Path

from lingraft import stages
from lingraft.aids import Given
from lingraft.grafting import check_phases, operate
from lingraft.languages import parse
from lingraft.recipe import load_recipe
from lingraft.request import Request, check_aids, listed, opened
from lingraft.run import Run, model_folder
from lingraft.train.loop import Options


def transfer(
    model: str,
    *,
    to: str,
    text: str | Sequence[str],
    out: str | Path,
    recipe: str = "auto",
    changes: Sequence[str] = (),
    source_text: str | Sequence[str] = (),
    parallel: str | Sequence[str] = (),
    lexicon: str | Sequence[str] = (),
    vectors: Sequence[str] = (),
    helper: str = "",
    seed: int = 0,
    minutes: float | None = None,
    examples: bool = True,
    restart_from: str | None = None,
    only_phase: str = "",
    options: Options | None = None,
) -> Run:
    """Graft `model` onto the language `to`, and return the run.

    model: folder, run or hub id. text: what --text takes. recipe: a name or a TOML file; changes: K=V, as --set.
    source_text: text of the source's language. parallel: files with a source text, a tab and a target text on each line, or `bundled`.
    lexicon: files of source and target words. vectors: two files, of source and target words. helper: a model of the target's tokens.
    An aid that a recipe does not use is named in a warning. minutes: train about so long, at this machine's speed.
    only_phase: train this phase and those that it needs, and no other: processes with different ones may work side by side.
    Raises LingraftError where something the user gave is wrong; Interrupted after a signal: the same call goes on.
    """
    given = Given(listed(source_text), listed(parallel), listed(lexicon), listed(vectors), helper)
    chosen = load_recipe(recipe, changes).for_verb("transfer")
    request = Request(model_folder(model), parse(to).code, listed(text), given, chosen, Path(out), seed, minutes, examples)
    options = options or Options()
    phases = [*chosen.before(only_phase), only_phase] if only_phase else chosen.phases
    with opened(request, restart_from, only_phase=only_phase) as run:
        check_aids(request)
        source = stages.load(request, run)
        texts = stages.survey(request, run)
        tokenizer = stages.tokenizer(request, run, source, texts)
        tongues = stages.tokens(request, run, source, texts, tokenizer)
        rows = stages.rows(request, run, source, tongues, texts, options)
        operate(request, source, tongues, rows, seed)
        check_phases(request, source.model)
        held_out = stages.held_out(request, run, source.kind, tongues, {request.to: texts.target})
        stages.initial(request, run, source, tongues, held_out)
        if only_phase and run.held:
            run.held.release()
        for name in phases:
            stages.phase(request, run, source, tongues, held_out, name, options)
        if not only_phase:
            stages.evaluate(request, run, source, tongues, held_out)
            stages.export(request, run, source, tongues)
    return run
