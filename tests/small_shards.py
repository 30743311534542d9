"""Texts of a few tokens, encoded by hand, and what stands around them in a block."""

import json
from pathlib import Path

import numpy as np

from lingraft.text.shards import Shards
from lingraft.train.pairs import Frame

PAD, CLS, SEP, FIRST = 0, 1, 2, 10
BERT = Frame((CLS,), (SEP,), (SEP,), PAD, 0, (0, 0, 0, 1, 1), 0)
ROBERTA = Frame((CLS,), (SEP, SEP), (SEP,), PAD, 1, None, 2)


def shards(folder: Path, documents: list[list[int]], end: bool = True) -> Shards:
    """Documents of sentences of so many tokens; token number i of the text has id FIRST + i, the ends of documents SEP."""
    tokens: list[int] = []
    starts: dict[str, list[int]] = {"documents": [], "sentences": []}
    for document in documents:
        starts["documents"].append(len(tokens))
        for size in document:
            starts["sentences"].append(len(tokens))
            tokens += range(FIRST + len(tokens), FIRST + len(tokens) + size)
        tokens += [SEP] if end else []
    folder.mkdir(parents=True)
    np.array(tokens, dtype=np.uint16).tofile(folder / "tokens.bin")
    for name, places in starts.items():
        np.array([*places, len(tokens)], dtype=np.int64).tofile(folder / f"{name}.bin")
    info = {"num_tokens": len(tokens), "num_documents": len(documents), "num_sentences": len(starts["sentences"])}
    (folder / "info.json").write_text(
        json.dumps(info | {"num_words": 0, "num_bytes": 0, "dtype": "uint16", "end_id": SEP if end else None})
    )
    return Shards.open(folder)
