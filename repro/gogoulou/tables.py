"""The tables of the paper beside ours (no script itself)."""

from typing import Any


def print_tables(lines: list[dict[str, Any]]) -> None:
    """Nothing yet."""
    for line in lines:
        print(line["key"], line["values"])
