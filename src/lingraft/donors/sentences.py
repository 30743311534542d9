"""Sentences of a donor corpus as ids: one a row, cut to a length, as a blood bank's models read them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from transformers import PreTrainedTokenizerBase

from lingraft.donors.corpus import Corpus
from lingraft.errors import TextError
from lingraft.files import locked
from lingraft.text.corpus import Document
from lingraft.text.shards import Shards, encode_to_shards
from lingraft.tokenizer import vocabulary
from lingraft.train.batches import Sentences


def _lines(path: Path) -> Iterator[Document]:
    """Every sentence of a corpus' file as a document."""
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file):
            if text := line.strip():
                yield Document([text], number)


def encode(corpus: Corpus, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Write the ids of all of a corpus below `folder`, what is there already left alone."""
    with locked(folder, waits=True):
        for code in corpus.languages:
            for part, path in (("text", corpus.text(code)), ("held-out", corpus.held_out(code))):
                if not (folder / part / code / "info.json").exists():
                    encode_to_shards(_lines(path), tokenizer, folder / part / code, end_id=None)


def sentences(folders: Sequence[Path], tokenizer: PreTrainedTokenizerBase, length: int) -> Sentences:
    """The sentences in folders that `encode` wrote, those without a token left out. Raises TextError where there is none, or no room."""
    before, after = (tuple(part) for part in vocabulary.blocks(tokenizer))
    if length <= len(before) + len(after):
        raise TextError(f"Sentences of {length} tokens have no room for text. Use a larger --set length=N.")
    found = [Shards.open(folder) for folder in folders]
    first = np.cumsum([0, *(len(shards.tokens) for shards in found)])
    starts = np.concatenate([shards.documents[:-1] + begin for shards, begin in zip(found, first[:-1], strict=True)])
    sizes = np.concatenate([np.diff(shards.documents) for shards in found])
    if not sizes.any():
        raise TextError(f"There is no text in {', '.join(folder.name for folder in folders)}.")
    pad = vocabulary.roles(tokenizer).get("pad", 0)
    tokens = np.concatenate([np.asarray(shards.tokens) for shards in found]).astype(np.int64)
    return Sentences(tokens, starts[sizes > 0], sizes[sizes > 0], length, before, after, pad)
