"""Recipes: a whole transfer as data. TOML in, frozen settings out; a recipe may extend another and change a few fields."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Literal, TypeVar

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from lingraft.embeddings.settings import RowSettings
from lingraft.errors import RecipeError, suggest
from lingraft.evaluate.settings import EvaluationSettings
from lingraft.model.settings import ArchitectureSettings
from lingraft.model.surgery_settings import SurgerySettings
from lingraft.text.corpus import TextSettings
from lingraft.tokenizer.settings import TokenizerSettings
from lingraft.train.settings import ALIGNING, ON_LINKS, ON_PARALLEL, LinkSettings, PhaseSettings

EVERY_PHASE = ("steps", "epochs", "batch", "length", "learning_rate", "precision")


class SourceSettings(BaseModel):
    """What is taken from the source model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights: Literal["pretrained", "random"] = Field("pretrained", description="random: only the architecture, to train from scratch")


class Recipe(BaseModel):
    """A transfer, or a training from scratch, from beginning to end. Phases run in the order of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field("", description="by default the file's")
    title: str = Field("", description="one line: what it does and whose it is")
    verb: Literal["transfer", "pretrain"] = Field("transfer", description="the command that it is for")
    source: SourceSettings = SourceSettings()
    architecture: ArchitectureSettings = ArchitectureSettings()
    text: TextSettings = TextSettings()
    tokenizer: TokenizerSettings = TokenizerSettings()
    rows: RowSettings = RowSettings()
    surgery: SurgerySettings = SurgerySettings()
    alignment: LinkSettings = LinkSettings()
    phases: dict[str, PhaseSettings] = Field({}, description="the phases of training, by name")
    evaluation: EvaluationSettings = EvaluationSettings()

    @field_validator("phases")
    @classmethod
    def _named(cls, phases: dict[str, PhaseSettings]) -> dict[str, PhaseSettings]:
        for position, (name, phase) in enumerate(phases.items()):
            if not re.fullmatch(r"[a-z][a-z0-9-]*", name):
                raise RecipeError(f"A phase cannot be named {name!r}: use lower-case letters, digits and hyphens.")
            if unknown := [start for start in phase.starts if start not in list(phases)[:position]]:
                raise RecipeError(f"Phase {name!r} starts from {unknown[0]!r}, which is no phase before it.")
            if phase.merge and (phase.start_from or phase.restarts):
                raise RecipeError(f"Phase {name!r} merges others: it has neither start_from nor restarts.")
        return phases

    @model_validator(mode="after")
    def _vocabulary_serves(self) -> "Recipe":
        kind = self.tokenizer.vocabulary
        if self.verb == "pretrain" and (kind not in ("joint", "disjoint") or self.trains_on_source):
            raise RecipeError(
                "A recipe for `lingraft pretrain` has no source: tokenizer.vocabulary is 'joint' or 'disjoint', languages ['target']."
            )
        if self.verb == "pretrain" and any(((ON_PARALLEL | ALIGNING) - {"tlm"}) & set(phase.objectives) for phase in self.phases.values()):
            raise RecipeError(
                "A recipe for `lingraft pretrain` has parallel text for the objective tlm only, beside 'auto', 'mlm' and 'clm'."
            )
        parts = {part for phase in self.phases.values() for named in (*phase.all_parts(), phase.freeze) for part in named}
        if self.verb == "pretrain" and "new" in parts:
            raise RecipeError("A recipe for `lingraft pretrain` has no new tokens beside old ones: train 'words', not 'new'.")
        if self.verb == "pretrain" and self.surgery.meets:
            raise RecipeError(
                "A recipe for `lingraft pretrain` has no source's language: surgery.trilayer and language_embeddings are false."
            )
        if self.verb == "transfer" and kind == "source" and self.source.weights == "pretrained" and self.rows.method != "keep":
            raise RecipeError(
                f"tokenizer.vocabulary = 'source' keeps every token, and rows.method = {self.rows.method!r} would give them other rows "
                "than the source has learnt. Add --set rows.method=keep."
            )
        if not self.surgery.mid_embeddings and not self.surgery.meets:
            raise RecipeError(
                "surgery.mid_embeddings = false is of a model that re-orders states: set trilayer or language_embeddings, too."
            )
        for name, phase in self.phases.items():
            if "cdlm" in phase.objectives and not self.surgery.meets:
                raise RecipeError(
                    f"Phase {name!r} has the objective cdlm, for which states are re-ordered between the model's halves. Set "
                    "surgery.trilayer=true, or surgery.language_embeddings=true to have that without a TRILayer."
                )
            if phase.mid_embeddings is not None and not self.surgery.meets:
                raise RecipeError(f"Phase {name!r} sets mid_embeddings, but surgery has neither trilayer nor language_embeddings.")
            if kind == "replace" and ON_PARALLEL & set(phase.objectives):
                raise RecipeError(
                    f"Phase {name!r} has the objective {phase.objective!r}, which is about both languages, but tokenizer.vocabulary = "
                    "'replace' takes the source's tokens away. Use 'joint' or 'disjoint', or 'source' where its tokenizer knows both."
                )
            if kind == "joint" and ALIGNING & set(phase.objectives):
                raise RecipeError(
                    f"Phase {name!r} compares with the source as it was, which does not know a joint vocabulary. Use "
                    "tokenizer.vocabulary = 'replace', 'source', 'extend' or 'disjoint'."
                )
            if ALIGNING & set(phase.objectives) and self.surgery.language_embeddings:
                raise RecipeError(
                    f"Phase {name!r} has the objective {phase.objective!r}, which does not tell the model a line's language: with "
                    "surgery.language_embeddings it would read the source's lines as the target's. Set surgery.language_embeddings=false."
                )
            if "middle" in phase.objectives and (kind != "source" or self.surgery.adapters != "linear"):
                raise RecipeError(
                    f"Phase {name!r} has the objective 'middle', which is for a linear map behind a source that reads both languages: "
                    "it needs tokenizer.vocabulary = 'source' and surgery.adapters = 'linear'."
                )
            if self.surgery.adapters == "vectors" and (problem := self._no_vectors(phase)):
                raise RecipeError(
                    f"surgery.adapters = 'vectors' puts vectors of both languages' tokens beside a source's states: {problem}."
                )
            if kind == "source" and any("new" in parts for parts in phase.all_parts()):
                raise RecipeError(f"Phase {name!r} trains the part 'new', but with tokenizer.vocabulary = 'source' no token is new.")
            if kind == "replace" and "source" in phase.languages:
                raise RecipeError(
                    f"Phase {name!r} trains on the source's language, whose tokens tokenizer.vocabulary = 'replace' takes away. "
                    "Use 'joint', 'disjoint' or 'extend'."
                )
        return self

    def _no_vectors(self, phase: PhaseSettings) -> str:
        """Why there can be no static vectors beside the states; "": there can."""
        if self.tokenizer.vocabulary != "source" or not self.reads_parallel:
            return "it needs tokenizer.vocabulary = 'source', and a phase on parallel text, for the source's vectors"
        if self.surgery.meets:
            return "with surgery.trilayer and language_embeddings these are re-ordered, and the tokens are not"
        if phase.gradient_checkpointing:
            return "they cannot be computed anew. Use gradient_checkpointing = false"
        return "rows.mapping is 'identical', 'unsupervised' or 'adversarial'" if self.rows.mapping == "lexicon" else ""

    def for_verb(self, verb: str) -> "Recipe":
        """Itself. Raises RecipeError where it is for another command."""
        if self.verb != verb:
            raise RecipeError(
                f"The recipe {self.name!r} is for `lingraft {self.verb}`, not for `lingraft {verb}`. Choose another --recipe."
            )
        return self

    @property
    def trains_on_source(self) -> bool:
        """Whether a phase sees text of the source's language."""
        return any("source" in phase.languages for phase in self.phases.values())

    @property
    def needs_source_text(self) -> bool:
        """Whether it cannot do without text of the source's language, whatever its rows."""
        return self.trains_on_source or (self.tokenizer.vocabulary == "joint" and not self.tokenizer.read)

    @property
    def reads_parallel(self) -> bool:
        """Whether a phase trains on parallel text."""
        return any((ON_PARALLEL | ALIGNING) & set(phase.objectives) for phase in self.phases.values())

    @property
    def reads_links(self) -> bool:
        """Whether a phase asks which piece of parallel text stands for which; tlm does, to know the good pairs, as cdlm does."""
        asking = ON_LINKS | ({"tlm"} if self.verb == "transfer" else set())
        return any(asking & set(phase.objectives) for phase in self.phases.values())

    @property
    def aligns(self) -> bool:
        """Whether a phase pulls states of linked pieces together."""
        return any(ALIGNING & set(phase.objectives) for phase in self.phases.values())

    @property
    def predicts_tokens(self) -> bool:
        """Whether a phase does; without phases nothing is spoilt either."""
        return not self.phases or any(set(phase.objectives) - ALIGNING for phase in self.phases.values())

    @property
    def predicts_next_sentence(self) -> bool:
        """Whether a phase trains on pairs of texts."""
        return any(phase.next_sentence for phase in self.phases.values())

    def before(self, name: str) -> list[str]:
        """The phases that one starts from, and those that these start from, in the recipe's order. Raises RecipeError for no phase."""
        names = list(self.phases)
        if name not in names:
            raise RecipeError(f"This recipe has no phase {name!r}. {suggest(name, names)}")
        place, starts = names.index(name), self.phases[name].starts
        found = {phase for start in starts or names[max(0, place - 1) : place] for phase in (start, *self.before(start))}
        return [phase for phase in names if phase in found]

    def to_toml(self) -> str:
        """The whole recipe, defaults written out."""
        return tomli_w.dumps(self.model_dump(exclude_none=True))


Settings = TypeVar("Settings", bound=BaseModel)


def shipped() -> dict[str, str]:
    """Name -> TOML text of the recipes in the package."""
    folder = resources.files("lingraft") / "recipes"
    files = [file for file in folder.iterdir() if file.name.endswith(".toml")]
    return {file.name.removesuffix(".toml"): file.read_text(encoding="utf-8") for file in sorted(files, key=lambda file: file.name)}


def _read(name: str) -> tuple[str, str]:
    """Name and TOML text of a recipe: a file, or one in the package."""
    path = Path(name)
    if path.suffix == ".toml" or path.is_file():
        if not path.is_file():
            raise RecipeError(f"There is no recipe file {name}. `lingraft recipes list` shows the recipes in the package.")
        try:
            return path.stem, path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise RecipeError(f"The recipe file {name} cannot be read as UTF-8 text: {error}.") from error
    known = shipped()
    if name not in known:
        raise RecipeError(f"There is no recipe {name!r}. {suggest(name, known)}")
    return name, known[name]


def _parse(name: str, text: str, folder: Path) -> dict[str, Any]:
    """The table of a recipe, completed by the one it extends: a file beside it in `folder`, or a recipe that _read finds."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"Recipe {name!r} is not TOML: {error}.") from error
    parent = table.pop("extends", None)
    if parent is None:
        return table
    beside = folder / str(parent)
    parent_name, parent_text = _read(str(beside if beside.is_file() else parent))
    if "extends" in tomllib.loads(parent_text):
        raise RecipeError(f"Recipe {name!r} extends {parent_name!r}, which extends another: one level only.")
    base = _parse(parent_name, parent_text, folder)
    return _merge({key: value for key, value in base.items() if key != "name"}, table)


def _merge(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in change.items():
        merged[key] = _merge(merged[key], value) if isinstance(value, dict) and isinstance(merged.get(key), dict) else value
    return merged


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _apply(table: dict[str, Any], assignment: str) -> None:
    """Put one K=V of --set into a recipe's table."""
    key, equals, text = assignment.partition("=")
    if not equals:
        raise RecipeError(f"--set {assignment!r} is not of the form KEY=VALUE, as in --set steps=200.")
    parts, phases = key.strip().split("."), table.setdefault("phases", {})
    if len(parts) == 1 and parts[0] in EVERY_PHASE:
        for phase in phases.values():
            if not ("merge" in phase and parts[0] in ("steps", "epochs")):
                phase[parts[0]] = _value(text)
        return
    if parts[0] == "phases" and len(parts) == 3:
        parts[1] = _phase_name(parts[1], list(phases))
    elif ".".join(parts) not in _keys():
        raise RecipeError(f"A recipe has no key {key!r}. {suggest('.'.join(parts), [*EVERY_PHASE, *_keys()])}")
    for part in parts[:-1]:
        table = table.setdefault(part, {})
    table[parts[-1]] = _value(text)


def _phase_name(name: str, phases: list[str]) -> str:
    if name.isdigit() and int(name) < len(phases):
        return phases[int(name)]
    if name not in phases:
        raise RecipeError(f"This recipe has no phase {name!r}. {suggest(name, phases)}")
    return name


def _keys() -> list[str]:
    """Every key that --set takes, beside those that go to every phase."""
    keys = []
    for section, model in Recipe.model_fields.items():
        inner = getattr(model.annotation, "model_fields", None)
        keys += [f"{section}.{key}" for key in inner] if inner else []
    return keys + [f"phases.N.{key}" for key in PhaseSettings.model_fields]


def _explain(name: str, error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        section = "phases.N" if where.startswith("phases.") else where.split(".")[0]
        inner = [key.rpartition(".")[2] for key in _keys() if key.rpartition(".")[0] == section]
        return f"Recipe {name!r} has no key {where!r}. {suggest(where.split('.')[-1], inner or Recipe.model_fields)}"
    return f"Recipe {name!r}: {where} = {first.get('input')!r}: {first['msg']}."


def load_recipe(name: str, changes: Sequence[str] = ()) -> Recipe:
    """A recipe by name or file, with `--set` changes applied.

    Raises RecipeError for an unknown name, key, phase or value.
    """
    folder = Path(name).parent
    name, text = _read(name)
    table = _parse(name, text, folder)
    for change in changes:
        _apply(table, change)
    try:
        return Recipe.model_validate({"name": name, **table})
    except ValidationError as error:
        raise RecipeError(_explain(name, error)) from error


def changed(model: type[Settings], defaults: Mapping[str, Any], changes: Sequence[str]) -> Settings:
    """Settings of a task or a probe: their defaults, and what --set changes. Raises RecipeError for an unknown key or value."""
    table = dict(defaults)
    for change in changes:
        key, equals, text = change.partition("=")
        if not equals:
            raise RecipeError(f"--set {change!r} is not of the form KEY=VALUE, as in --set epochs=3.")
        if key.strip() not in model.model_fields:
            raise RecipeError(f"There is no setting {key.strip()!r} here. {suggest(key.strip(), model.model_fields)}")
        table[key.strip()] = _value(text)
    try:
        return model.model_validate(table)
    except ValidationError as error:
        first = error.errors()[0]
        raise RecipeError(f"--set {'.'.join(map(str, first['loc']))} = {first.get('input')!r}: {first['msg']}.") from error
