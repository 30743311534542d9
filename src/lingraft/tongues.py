"""The languages that a run trains on: one tokenizer for both, or one for each, whose vocabularies the model has one behind the other."""

import copy
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerBase

from lingraft.embeddings import NewRows
from lingraft.embeddings.rows import Ints, picked, stacked
from lingraft.evaluate.language_model import HeldOut, Reader
from lingraft.model.factorised import multiply_out
from lingraft.model.heads import next_sentence_head
from lingraft.model.load import Source
from lingraft.model.surgery import graft
from lingraft.text.shards import Shards
from lingraft.tokenizer import vocabulary
from lingraft.train.batches import Blocks, mixture
from lingraft.train.data import Data
from lingraft.train.objectives import Vocabulary
from lingraft.train.pairs import Frame, Pairs, Translations, frame_of, pairs
from lingraft.train.settings import PhaseSettings


@dataclass(frozen=True, slots=True)
class Tongue:
    """A language. ids: (num_tokens,) the model's id of each of its tokenizer's; None: the same."""

    tokenizer: PreTrainedTokenizerBase
    shards: Shards
    ids: Ints | None = None

    def placed(self, ids: Iterable[int]) -> Ints:
        """The model's ids of the tokenizer's."""
        own = np.array(list(ids), dtype=np.int64)
        return own if self.ids is None else self.ids[own]

    def blocks(self, length: int) -> Blocks:
        """Training text in blocks. Raises TextError where it is too short for one."""
        before, after = (tuple(self.placed(part).tolist()) for part in vocabulary.blocks(self.tokenizer))
        return Blocks(self.shards.tokens, length, before, after, self.ids).check("training")

    def frame(self, model: Any) -> Frame:
        """What stands around two texts."""
        return frame_of(self.tokenizer, model, self.placed)

    def pairs(self, length: int, model: Any) -> Pairs:
        """Training text in pairs of texts. Raises TextError where there are none."""
        return pairs(self.shards, length, self.frame(model), self.ids)


@dataclass(frozen=True, slots=True)
class Tongues:
    """The target's language, and the source's where a phase trains on it. masking: of all the model's ids. model: what is trained.

    translations: where a phase trains on parallel text, the two sides of it, whose documents are its lines.
    """

    target: Tongue
    source: Tongue | None
    masking: Vocabulary
    num_source: int
    model: Any = None
    translations: tuple[tuple[Tongue, Tongue], ...] = ()

    def data(self, settings: PhaseSettings) -> Data:
        """What a phase trains on. Raises TextError where a text is too short for one block, or has no pairs."""
        named = {"target": self.target, "source": self.source}
        paired = settings.next_sentence and self.model is not None and next_sentence_head(self.model) is not None
        tongues = [tongue for name in settings.languages if (tongue := named[name])]
        parts = [tongue.pairs(settings.length, self.model) if paired else tongue.blocks(settings.length) for tongue in tongues]
        parallel = self._parallel(settings.length) if "tlm" in settings.objectives else []
        return Data(mixture(parts), self.masking, mixture(parallel) if parallel else None)

    def _parallel(self, length: int) -> list[Translations]:
        return [
            Translations(one.shards, other.shards, length, other.frame(self.model), (one.ids, other.ids)).check()
            for one, other in self.translations
        ]

    def rows(self, found: NewRows) -> NewRows:
        """The rows of the model's vocabulary, from the target's."""
        return found if self.target.ids is None else stacked(found, self.num_source, self.target.ids)

    def output(self, found: NewRows | None) -> NewRows | None:
        """The same for an output matrix with rows of its own; None where it has none."""
        return None if found is None else self.rows(found)

    def roles(self) -> dict[str, int]:
        """Role -> the model's id."""
        found = vocabulary.roles(self.target.tokenizer)
        return dict(zip(found, self.target.placed(found.values()).tolist(), strict=True))

    def of_target(self, model: Any) -> Any:
        """`model` with the target's vocabulary alone: itself, where it has no other."""
        return model if self.target.ids is None else _with_ids(model, self.target.ids, self.target.tokenizer)

    def of_source(self, model: Any, tokenizer: PreTrainedTokenizerBase) -> Any:
        """A copy of `model` with the vocabulary of the source's tokenizer alone."""
        return _with_ids(model, np.arange(self.num_source), tokenizer)

    def placed(self, found: HeldOut, how: Reader) -> tuple[HeldOut, Reader]:
        """Held-out text of the target, in the model's ids."""
        if self.target.ids is None:
            return found, how
        place = self.target.placed
        before, after = (tuple(place(part).tolist()) for part in (how.prefix, how.suffix))
        mask = None if how.mask is None else int(place([how.mask])[0])
        return replace(found, ids=place(found.ids), shown=place(found.shown)), Reader(how.length, before, after, mask)


def _with_ids(model: Any, ids: Ints, tokenizer: PreTrainedTokenizerBase) -> Any:
    """A copy of `model` whose row i is its row ids[i]."""
    made = copy.deepcopy(model)
    multiply_out(made)
    graft(made, picked(ids, model.get_input_embeddings().weight.shape[0]), vocabulary.roles(tokenizer), seed=0)
    return made


def tongues(
    source: Source,
    made: PreTrainedTokenizerBase,
    target: Shards,
    from_source: Shards | None,
    disjoint: bool,
    lines: tuple[Shards, Shards] | None = None,
) -> Tongues:
    """`from_source`: the source's text, by its own tokenizer where the vocabularies are disjoint, else by the target's; `lines`: the
    source's and the target's lines of parallel text, alike."""
    ids = vocabulary.stacked_ids(source.tokenizer, made) if disjoint else None
    old = source.tokenizer if disjoint else made
    other = None if from_source is None else Tongue(old, from_source)
    translations = ((Tongue(old, lines[0]), Tongue(made, lines[1], ids)),) if lines else ()
    of_all = masking(source, made)
    if ids is not None:
        of_all = _joined(masking(source, source.tokenizer), of_all, ids)
    return Tongues(Tongue(made, target, ids), other, of_all, len(vocabulary.tokens(source.tokenizer)), source.model, translations)


def masking(source: Source, made: PreTrainedTokenizerBase) -> Vocabulary:
    """What masking needs to know of the target's vocabulary."""
    spelled = vocabulary.spelling(made)
    special = sorted({*vocabulary.special_ids(made), *vocabulary.unused(made, len(spelled))})
    starts = np.array([text.startswith(vocabulary.WORD) for text in spelled])
    mask = made.mask_token_id if source.kind == "mlm" else None
    new = vocabulary.new_ids(source.tokenizer, made)
    return Vocabulary(len(spelled), mask, np.array(special, dtype=np.int64), starts, new)


def _joined(old: Vocabulary, own: Vocabulary, ids: Ints) -> Vocabulary:
    """The source's vocabulary with the target's behind it."""
    behind = ids >= old.size
    starts = np.concatenate([old.starts, own.starts[behind]])
    mask = None if own.mask is None else int(ids[own.mask])
    return Vocabulary(len(starts), mask, np.union1d(old.specials, ids[own.specials]), starts, np.arange(old.size, len(starts)))
