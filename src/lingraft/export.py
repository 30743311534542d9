"""`lingraft export`: a model with language embeddings and TRILayer as a folder that stock transformers reads without lingraft."""

from pathlib import Path
from typing import Any

from lingraft.errors import ModelError, RunError, suggest
from lingraft.files import atomic_folder, write_text
from lingraft.model.adapters import save_adapters
from lingraft.model.load import load
from lingraft.model.parts import num_layers
from lingraft.model.trilayer import STOCK, is_grown
from lingraft.run import model_folder

CARD = """---
library_name: transformers
tags:
- lingraft
---

Made by `lingraft export --stock {how}`: a {family} model of {layers} layers for texts in the language `{language}`.
"""


def export(model: str | Path, *, stock: str, out: str | Path) -> dict[str, Any]:
    """Write the stock model of a run, or of a model's folder, and return its family, layers and language.

    stock: `folded` (the same function, with one layer more than the source) or `without-trilayer` (another function, to be measured).
    Raises ModelError where the model is stock already or cannot be one in this way, RunError where `out` is there.
    """
    if stock not in STOCK:
        raise ModelError(f"There is no --stock {stock!r}. {suggest(stock, STOCK)}")
    if Path(out).exists():
        raise RunError(f"--out {out} exists. Give a folder that does not.")
    folder = model_folder(str(model))
    found, tokenizer = load(folder)
    if not is_grown(found):
        raise ModelError(f"The model in {folder} is stock already: it has neither TRILayer nor language embeddings.")
    made = STOCK[stock](found)
    told = {"family": made.config.model_type, "layers": num_layers(made), "language": found.config.lingraft_languages[1]}
    with atomic_folder(Path(out)) as temporary:
        made.save_pretrained(temporary)
        save_adapters(made, temporary)
        tokenizer.save_pretrained(temporary)
        write_text(temporary / "README.md", CARD.format(how=stock, **told))
    return told
