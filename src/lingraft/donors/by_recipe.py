"""A cell that a recipe trains: from nothing by `lingraft pretrain`, or on top of the source's cell by `lingraft transfer`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lingraft.donors.corpus import Corpus
from lingraft.donors.records import Cell, Mode
from lingraft.donors.settings import GridSettings
from lingraft.errors import RecipeError
from lingraft.model.load import load_tokenizer
from lingraft.pretrain import pretrain
from lingraft.recipe import EVERY_PHASE, Recipe, load_recipe
from lingraft.run import METRICS
from lingraft.train.loop import Options
from lingraft.transfer import transfer


def split(changes: Sequence[str]) -> tuple[list[str], list[str]]:
    """What of --set goes to the grid's own settings, and what to a recipe: what every phase has goes to both."""
    keys = [change.partition("=")[0].strip() for change in changes]
    own = [change for key, change in zip(keys, changes, strict=True) if key in GridSettings.model_fields]
    return own, [change for key, change in zip(keys, changes, strict=True) if key in EVERY_PHASE or key not in GridSettings.model_fields]


def checked(name: str, changes: Sequence[str], mode: Mode, corpus: Corpus) -> tuple[Recipe, list[str]]:
    """The recipe, and its changes with the corpus' tokenizer as that of every cell. Raises RecipeError where it is not for this mode, or
    gives languages tokens of their own."""
    verb = "pretrain" if mode == "joint" else "transfer"
    more = [*changes, f"tokenizer.read={corpus.tokenizer.resolve()}"]
    recipe = load_recipe(name, more)
    if recipe.verb != verb:
        raise RecipeError(f"The recipe {name!r} is for `lingraft {recipe.verb}`; cells of --mode {mode} are trained by `lingraft {verb}`.")
    if recipe.tokenizer.vocabulary not in ("joint", "replace", "source"):
        raise RecipeError(
            f"The recipe {name!r} gives every language tokens of its own, but a grid scores all models on the corpus' tokens. "
            "Use a recipe with tokenizer.vocabulary = 'joint', 'replace' or 'source'."
        )
    return recipe, more


def train_by_recipe(
    corpus: Corpus, one: Cell, source: Path | None, name: str, changes: Sequence[str], folder: Path
) -> tuple[Any, int, int]:
    """The model, and the steps and tokens of all phases, from a run in `folder`; source: the model that it goes on from."""
    text = {code: f"{code}={corpus.text(code)}" for code in one.languages}
    shared: dict[str, Any] = {"out": folder, "recipe": name, "changes": changes, "seed": one.seed, "options": Options(alone=True)}
    if source is None:
        run = pretrain(list(text.values()), **shared)
    else:
        *others, target = one.languages
        given = [text[code] for code in others[-1:]] if load_recipe(name, changes).needs_source_text else []
        run = transfer(str(source), to=target, text=text[target], source_text=given, **shared)
    if load_tokenizer(str(run.path / "model")).get_vocab() != load_tokenizer(str(corpus.tokenizer)).get_vocab():
        raise RecipeError(f"The recipe {name!r} changes the vocabulary: a grid scores all models on the corpus' tokens.")
    last = {line["phase"]: line for line in run.lines(METRICS) if "tokens" in line}
    steps, tokens = (sum(line[key] for line in last.values()) for key in ("step", "tokens"))
    return run.load()[0], steps, tokens
