"""Names of the parts of a model.

all          everything
adapters     what a recipe inserts into each layer (`[surgery] adapters`); of the other parts only `all` has them
added        what the source lacked and was drawn, a head for predicting tokens; nothing where it lacked nothing
embeddings   the embedding block (words, positions, segments, languages, their norm), an untied output matrix, the output bias
language     the language embeddings that a recipe adds (`[surgery] language_embeddings`)
new          the rows of tokens that the source does not have (tied or untied output too) and their entries in the output bias
words        the word rows without the special tokens (tied or untied output too) and the output bias; of factorised rows the coordinates
specials     the rows of the special tokens
positions    the position table
segments     the segment table and the norm of the embedding block
body         the network between embeddings and head
trilayer     the layer that a recipe puts between the halves (`[surgery] trilayer`), and what stands for unaligned places
layers.N-M   layers N to M (0 is the first, a TRILayer counts); layers.lower-half, layers.upper-half are without the TRILayer
head         what stands on top of the body for predicting tokens, the word matrix excepted
"""

import re

from lingraft.errors import RecipeError, suggest

PARTS = (
    "adapters",
    "added",
    "all",
    "body",
    "embeddings",
    "head",
    "language",
    "new",
    "positions",
    "segments",
    "specials",
    "trilayer",
    "words",
)
LAYERS = re.compile(r"layers\.(?:(\d+)(?:-(\d+))?|(lower-half|upper-half))")


def check_part(name: str) -> str:
    """The name, if it is a part's. Raises RecipeError."""
    if name not in PARTS and not LAYERS.fullmatch(name):
        raise RecipeError(f"There is no part {name!r}. {suggest(name, [*PARTS, 'layers.N-M', 'layers.lower-half', 'layers.upper-half'])}")
    return name
