"""Names of the parts of a model.

all          everything
adapters     what a recipe inserts into each layer (`[surgery] adapters`); of the other parts only `all` has them
added        what the source lacked and was drawn, a head for predicting tokens; nothing where it lacked nothing
embeddings   the embedding block (words, positions, segments, their norm), an untied output matrix, the output bias
new          the rows of tokens that the source does not have (tied or untied output too) and their entries in the output bias
words        the word rows without the special tokens (tied or untied output too) and the output bias; of factorised rows the coordinates
specials     the rows of the special tokens
positions    the position table
body         the network between embeddings and head
layers.N-M   layers N to M (0 is the first), layers.lower-half, layers.upper-half
head         what stands on top of the body for predicting tokens, the word matrix excepted
"""

import re

from lingraft.errors import RecipeError, suggest

PARTS = ("adapters", "added", "all", "body", "embeddings", "head", "new", "positions", "specials", "words")
LAYERS = re.compile(r"layers\.(?:(\d+)(?:-(\d+))?|(lower-half|upper-half))")


def check_part(name: str) -> str:
    """The name, if it is a part's. Raises RecipeError."""
    if name not in PARTS and not LAYERS.fullmatch(name):
        raise RecipeError(f"There is no part {name!r}. {suggest(name, [*PARTS, 'layers.N-M', 'layers.lower-half', 'layers.upper-half'])}")
    return name
