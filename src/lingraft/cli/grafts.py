"""`lingraft grafts`."""

from pathlib import Path
from typing import Annotated, Any

import typer


def grafts(
    folder: Annotated[Path, typer.Argument(help="A folder of runs, task models and swapped models.", metavar="DIR")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array.")] = False,
) -> None:
    """List grafts, models and task models in a folder, and which fit which."""
    import json

    from lingraft.grafts import grafts as read

    found = read(folder)
    if as_json:
        print(json.dumps(found, ensure_ascii=False))
        return
    wide = max(len(told["name"]) for told in found)
    for told in found:
        print(f"{told['name']:<{wide}}  {told['kind']:<10}  {'; '.join(part for part in _parts(told) if part)}")


def _parts(told: dict[str, Any]) -> list[str]:
    """What there is to say of one, in order; "" for what is not known of it."""
    languages = [told["language"]] if isinstance(told["language"], str) else told["language"] or []
    own = ["rows", "positions" if told["positions"] else "", f"{told['adapters']} adapters" if told["adapters"] else ""]
    frozen = f"frozen: {', '.join(told['frozen']) or 'nothing'}" if told["kind"] == "task" else ""
    development = told.get("development")
    return [
        ", ".join(filter(None, [*languages, told["recipe"], told["task"]])),
        ", ".join(filter(None, own)) if told["kind"] in ("graft", "swapped") else frozen,
        "" if development is None else f"{100 * development:.1f} on development",
        f"{told['tokens']:,} tokens" if told["tokens"] else "",
        "" if told["loss"] is None else f"loss {told['loss']:.3f}, {told['bits_per_byte']:.3f} bits per byte",
        f"body {told['body'][:12]}" if told["body"] else "",
        f"fits {', '.join(told['fits'])}" if told["fits"] else "",
    ]
