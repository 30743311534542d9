"""The languages that a run trains on: one tokenizer for all, or one for each, whose vocabularies the model has one behind the other."""

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
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
from lingraft.train.aligned import Lines, Side, aligned
from lingraft.train.batches import Blocks, Spoken, mixture
from lingraft.train.crossing import SOURCE, TARGET, Crossing
from lingraft.train.data import Data, Lessons
from lingraft.train.links import Linked
from lingraft.train.objectives import Vocabulary
from lingraft.train.pairs import Frame, Pairs, Translations, frame_of, pairs, speaks
from lingraft.train.settings import ALIGNING, ON_PARALLEL, PhaseSettings


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
        return Blocks(self.shards.tokens, length, before, after, self.ids).check(f"{self.shards.folder.name} training")

    def alone(self, model: Any) -> Any:
        """`model` with this language's vocabulary alone: itself, where it has no other, else a copy."""
        if self.ids is None:
            return model
        made = copy.deepcopy(model)
        multiply_out(made)
        rows = picked(self.ids, model.get_input_embeddings().weight.shape[0])
        graft(made, rows, vocabulary.roles(self.tokenizer), seed=0)
        return made

    def heard(self, found: HeldOut, how: Reader) -> tuple[HeldOut, Reader]:
        """Held-out text of this language, in the model's ids."""
        if self.ids is None:
            return found, how
        before, after = (tuple(self.placed(part).tolist()) for part in (how.prefix, how.suffix))
        mask = None if how.mask is None else int(self.placed([how.mask])[0])
        return replace(found, ids=self.placed(found.ids), shown=self.placed(found.shown)), Reader(how.length, before, after, mask)

    def frame(self, model: Any) -> Frame:
        """What stands around two texts."""
        return frame_of(self.tokenizer, model, self.placed)

    def side(self) -> Side:
        """Lines of parallel text, one by one."""
        before, after = (tuple(self.placed(part).tolist()) for part in vocabulary.blocks(self.tokenizer))
        roles = vocabulary.roles(self.tokenizer)
        pad = int(self.placed([roles.get("pad", roles.get("end", 0))])[0])
        spelled = vocabulary.spelling(self.tokenizer)
        begins = np.array([vocabulary.begins_word(text) or vocabulary.is_mark(text) for text in spelled])
        return Side(self.shards, before, after, pad, self.ids, begins)

    def pairs(self, length: int, model: Any) -> Pairs:
        """Training text in pairs of texts. Raises TextError where there are none."""
        return pairs(self.shards, length, self.frame(model), self.ids)


@dataclass(frozen=True, slots=True)
class Tongues:
    """Code -> each language that the run is for (one in a transfer), and the source's where a phase trains on it.

    masking: of all the model's ids. num_source: tokens of the source's tokenizer. model: what is trained.
    translations: where a phase trains on parallel text, its two sides, whose documents are its lines. links: of their pieces, where
    a phase asks for them. lines: the same, where a phase compares the states of linked pieces.
    """

    targets: Mapping[str, Tongue]
    source: Tongue | None
    masking: Vocabulary
    num_source: int = 0
    model: Any = None
    translations: tuple[tuple[Tongue, Tongue], ...] = ()
    links: Linked | None = None
    lines: Lines | None = None

    @property
    def target(self) -> Tongue:
        """The first, or only, language that the run is for."""
        return next(iter(self.targets.values()))

    @property
    def separate(self) -> dict[str, Tongue]:
        """Code -> the languages that get a folder of their own beside `model`, since their vocabulary is another one."""
        if self.target.ids is None:
            return {}
        others = {} if self.source is None else {self.source.shards.folder.name: self.source}
        return (dict(self.targets) if len(self.targets) > 1 else {}) | others

    def data(self, settings: PhaseSettings) -> Lessons:
        """What a phase trains on. Raises TextError where a text is too short for one block, or has no pairs."""
        if ALIGNING & set(settings.objectives):
            assert self.lines is not None
            return aligned(self.lines, self.masking, settings)
        paired = settings.next_sentence and self.model is not None and next_sentence_head(self.model) is not None
        named = {"target": [(tongue, TARGET) for tongue in self.targets.values()], "source": [(self.source, SOURCE)] if self.source else []}
        parts: list[Any] = []
        for tongue, number in (each for name in settings.languages for each in named[name]):
            part = tongue.pairs(settings.length, self.model) if paired else tongue.blocks(settings.length)
            parts.append(Spoken(part, number) if speaks(self.model) else part)
        objectives = set(settings.objectives)
        parallel = self._parallel(settings.length) if ON_PARALLEL & objectives and self.model is not None else []
        beside = [each.check() for each in parallel] if objectives & ON_PARALLEL - {"cdlm"} else []
        crossing = Crossing(parallel[0], settings.direction).check() if parallel and "cdlm" in objectives else None
        return Data(mixture(parts, settings.alpha), self.masking, mixture(beside, settings.alpha) if beside else None, crossing)

    def _parallel(self, length: int) -> list[Translations]:
        return [
            Translations(one.shards, other.shards, length, other.frame(self.model), (one.ids, other.ids), self.links)
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


def tongues(
    source: Source,
    made: PreTrainedTokenizerBase,
    code: str,
    target: Shards,
    from_source: Shards | None,
    disjoint: bool,
    lines: tuple[Shards, Shards] | None = None,
    links: Linked | None = None,
) -> Tongues:
    """Of a transfer. from_source: the source's text, by its own tokenizer where the vocabularies are disjoint, else by the target's;
    lines: the source's and the target's lines of parallel text, alike; links: of their pieces."""
    old = source.tokenizer
    own, ids = beside([old, made]) if disjoint else (None, None)
    reading = old if disjoint else made
    other = None if from_source is None else Tongue(reading, from_source, own)
    of_target = masking(made, source.kind, old)
    of_all = of_target if own is None or ids is None else together([masking(old, source.kind), of_target], [own, ids])
    translations = ((Tongue(reading, lines[0], own), Tongue(made, lines[1], ids)),) if lines else ()
    targets, num_source = {code: Tongue(made, target, ids)}, len(vocabulary.tokens(old))
    return Tongues(targets, other, of_all, num_source, source.model, translations, links)


def with_lines(spoken: Tongues, source: Source, kept: bool) -> Tongues:
    """The same with a copy of the source's body as it is now, beside which linked lines are read. kept: whether the model that trains has
    the source's vocabulary still."""
    assert spoken.links is not None
    of_source, of_target = spoken.translations[0]
    side = Tongue(source.tokenizer, of_source.shards).side()  # in the source's own ids, special ones too
    reference = copy.deepcopy(source.model.base_model).requires_grad_(False).eval()
    return replace(spoken, lines=Lines(side, of_target.side(), spoken.links, reference, kept))


def beside(tokenizers: Sequence[PreTrainedTokenizerBase]) -> list[Ints]:
    """The ids of each one's tokens where their vocabularies stand one behind the other; specials of the same role are the first's."""
    first, *others = tokenizers
    alone = size = len(vocabulary.tokens(first))
    found = [np.arange(size)]
    for own in others:
        ids = vocabulary.stacked_ids(first, own)
        ids[ids >= alone] += size - alone
        size = max(size, int(ids.max()) + 1)
        found.append(ids)
    return found


def masking(made: PreTrainedTokenizerBase, kind: str, source: PreTrainedTokenizerBase | None = None) -> Vocabulary:
    """What masking needs to know of a tokenizer's vocabulary; new are the tokens that the source's has not, without one none."""
    spelled = vocabulary.spelling(made)
    special = sorted({*vocabulary.special_ids(made), *vocabulary.unused(made, len(spelled))})
    starts = np.array([vocabulary.begins_word(text) for text in spelled])
    mask = made.mask_token_id if kind == "mlm" else None
    new = np.zeros(0, dtype=np.int64) if source is None else vocabulary.new_ids(source, made)
    return Vocabulary(len(spelled), mask, np.array(special, dtype=np.int64), starts, new)


def together(parts: Sequence[Vocabulary], ids: Sequence[Ints]) -> Vocabulary:
    """Vocabularies one behind the other, as `beside` has them: ids (num_tokens,) of each."""
    first, *others = zip(parts, ids, strict=True)
    return reduce(lambda old, other: _joined(old, *other), others, first[0])


def _joined(old: Vocabulary, own: Vocabulary, ids: Ints) -> Vocabulary:
    """Vocabularies with another one behind them."""
    behind = ids >= old.size
    starts = np.concatenate([old.starts, own.starts[behind]])
    mask = None if own.mask is None else int(ids[own.mask])
    return Vocabulary(len(starts), mask, np.union1d(old.specials, ids[own.specials]), starts, np.arange(old.size, len(starts)))
