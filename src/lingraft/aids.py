"""What row methods may ask for. A method's parameters name its aids; only those are gathered."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from transformers import PreTrainedTokenizerBase

from lingraft.embeddings import ROWS, NewRows, Vocabularies
from lingraft.embeddings.rows import Ints
from lingraft.embeddings.settings import RowSettings
from lingraft.text.corpus import Corpus
from lingraft.text.shards import Shards, token_counts
from lingraft.tokenizer import vocabulary


def uses_source_text(settings: RowSettings) -> bool:
    """Whether text of the source's language has any part in the rows."""
    return settings.order == "frequency" and "old_ranks" in inspect.signature(ROWS[settings.method]).parameters


@dataclass(frozen=True, slots=True)
class Aids:
    """Everything aids are made of. num_old: rows of the source's matrix, padded ones included. source_text: for its frequencies."""

    settings: RowSettings
    source: PreTrainedTokenizerBase
    target: PreTrainedTokenizerBase
    num_old: int
    shards: Shards
    source_text: Corpus | None

    def rows(self, method: Callable[..., NewRows]) -> NewRows:
        """Gather what `method` asks for, and call it."""
        return method(**{name: getattr(self, name)() for name in inspect.signature(method).parameters})

    def vocabularies(self) -> Vocabularies:
        """Sizes, specials by role, and which old rows stand for text."""
        old, new = vocabulary.roles(self.source), vocabulary.roles(self.target)
        pairs = {new[role]: old[role] for role in new if role in old}
        text = np.ones(self.num_old, dtype=bool)
        text[[*vocabulary.special_ids(self.source), *vocabulary.unused(self.source, self.num_old)]] = False
        num_new = self.num_old if self.target is self.source else len(vocabulary.tokens(self.target))
        return Vocabularies(num_new, self.num_old, np.array(sorted(pairs.items()), dtype=np.int64).reshape(-1, 2), text)

    def overlap(self) -> Ints:
        """(num_new,) old id of the identical string, -1 for none."""
        return vocabulary.overlap(self.source, self.target)

    def old_pieces(self) -> list[Ints]:
        """For each new token the old ids of its text, unknowns left out; empty for specials."""
        special, unknown = vocabulary.special_ids(self.target), self.source.unk_token_id
        texts = ["" if i in special else text.removeprefix(vocabulary.WORD) for i, text in enumerate(vocabulary.spelling(self.target))]
        encoded = self.source(texts, add_special_tokens=False)["input_ids"]
        return [np.array([i for i in ids if i != unknown], dtype=np.int64) for ids in encoded]

    def new_ranks(self) -> Ints:
        """New ids, the most frequent in the training text first (or in the order of ids), specials left out."""
        num_new = len(vocabulary.tokens(self.target))
        text = np.setdiff1d(np.arange(num_new), list(vocabulary.special_ids(self.target)))
        if self.settings.order == "id":
            return text
        counts = self.shards.counts(num_new)
        return text[np.argsort(-counts[text], kind="stable")]

    def old_ranks(self) -> Ints:
        """Old ids by frequency in the source's own text, without it by id; unused rows left out. Order "id": by id, all but specials."""
        if self.settings.order == "id":
            num_tokens = len(vocabulary.tokens(self.source))
            return np.setdiff1d(np.arange(num_tokens), list(vocabulary.roles(self.source).values()))
        text = np.flatnonzero(self.vocabularies().text)
        if self.source_text is None:
            return text
        counts = token_counts(self.source_text.documents(), self.source, self.num_old)
        return text[np.argsort(-counts[text], kind="stable")]
