"""`lingraft doctor`."""

from typing import Annotated

import typer


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> None:
    """What is installed, and how fast it runs here."""
    import json

    from lingraft.doctor import examine

    found = examine()
    print(json.dumps(found) if as_json else "\n".join(f"{name:28} {value}" for name, value in found.items()))
