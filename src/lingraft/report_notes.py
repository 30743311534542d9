"""Sentences of the report about one thing each."""

from collections.abc import Mapping
from typing import Any


def of_pairs(told: Mapping[str, Any]) -> str:
    """How much of the parallel text was trained on."""
    return (
        f"Of {told['pairs']:,} pairs of parallel text {told['kept']:,} were good enough to train on: {told['dropped_by_length']:,} "
        f"have sides of too different length, in {told['dropped_by_links']:,} too few pieces are linked. Of the pieces of the others, "
        f"{told['linked_to_target']:.0%} in the target's language have a link, and {told['linked_to_source']:.0%} in the source's."
    )


def of_meeting(told: Mapping[str, Any]) -> str:
    """What a TreLM has between its halves."""
    layer = f"a TRILayer after layer {told['at']}" if told["layer"] else "no TRILayer"
    return f"The model has {layer} and knows the languages {', '.join(told['languages'])}: `import lingraft` before loading it."
