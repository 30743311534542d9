"""Write the tables of docs/recipes.md from the settings themselves.

    python tools/recipe_reference.py          # puts them between the page's two marks

tests/test_docs.py checks that the page has what this makes.
"""

import inspect
import json
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from lingraft.embeddings import ROWS
from lingraft.recipe import EVERY_PHASE, Recipe
from lingraft.train.settings import PhaseSettings, Switch

PAGE = Path(__file__).parent.parent / "docs" / "recipes.md"
BEGIN, END = "<!-- from here on by tools/recipe_reference.py -->", "<!-- by hand again -->"
KINDS = {bool: "true or false", int: "whole number", float: "number", str: "string"}
BOUNDS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}


def kind(annotation: Any) -> str:
    """What a field takes, in words."""
    origin, inner = get_origin(annotation), [part for part in get_args(annotation) if part is not type(None)]
    if origin is Literal:
        return ", ".join(f'`"{value}"`' for value in inner)
    if origin is tuple:
        return f"[{', '.join(map(kind, inner))}]"
    if origin is list:
        return f"list of: {kind(inner[0])}"
    if origin is dict or (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        return "tables"
    return KINDS.get(annotation) or kind(inner[0])


def bounds(field: FieldInfo) -> str:
    """The range of a number, as in ' ≥ 0'."""
    found = [f"{sign} {getattr(limit, name)}" for limit in field.metadata for name, sign in BOUNDS.items() if hasattr(limit, name)]
    return f" {', '.join(found)}" if found else ""


def default(field: FieldInfo) -> str:
    """The default as TOML has it."""
    if field.is_required():
        return "required"
    return "not set" if field.default is None else f"`{json.dumps(field.default)}`"


def table(model: type[BaseModel], prefix: str = "") -> list[str]:
    """One row for each field of a model."""
    fields = [(name, field) for name, field in model.model_fields.items() if field.description and (model, name) != (Recipe, "name")]
    rows = [
        f"| `{prefix}{name}` | {kind(field.annotation)}{bounds(field)} | {default(field)} | {field.description} |" for name, field in fields
    ]
    return ["| key | value | default | meaning |", "|---|---|---|---|", *rows, ""]


def first_paragraph(function: Any) -> str:
    """The first paragraph of a docstring, on one line."""
    return " ".join((inspect.getdoc(function) or "").split("\n\n")[0].split())


def reference() -> str:
    """All settings of a recipe and all row methods, as Markdown."""
    lines = ["## All settings", "", "### At the top", "", *table(Recipe)]
    for name, field in Recipe.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            lines += [f"### [{name}]", "", first_paragraph(field.annotation), "", *table(field.annotation, f"{name}.")]
    lines += ["### [phases.NAME]", "", first_paragraph(PhaseSettings), "", *table(PhaseSettings, "phases.NAME.")]
    lines += ["### [[phases.NAME.switch]]", "", first_paragraph(Switch), "", *table(Switch)]
    lines += [f"`--set` without a section goes to every phase: {', '.join(f'`{key}`' for key in EVERY_PHASE)}.", ""]
    methods = [f"| `{name}` | {first_paragraph(method)} |" for name, method in sorted(ROWS.items())]
    lines += ["### Row methods", "", "| `rows.method` | row *t* of the new matrix |", "|---|---|", *methods]
    return "\n".join(lines)


def main() -> None:
    """Rewrite the page."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n\n{reference()}\n\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
