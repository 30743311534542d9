"""What row methods may ask for. A method's parameters name its aids; only those are gathered, and each of them once."""

import inspect
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise, tee
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse
from transformers import PreTrainedTokenizerBase

from lingraft.embeddings import ROWS, NewRows, Vocabularies, blended, layered, unchanged
from lingraft.embeddings.counts import spread
from lingraft.embeddings.rows import Floats, Ints
from lingraft.embeddings.settings import AUTO, RowSettings
from lingraft.errors import LingraftWarning, RecipeError
from lingraft.text.corpus import Corpus
from lingraft.text.lexicon import read_lexicon
from lingraft.text.parallel import Parallel
from lingraft.text.shards import Shards, token_counts
from lingraft.text.words import word_tokens
from lingraft.tokenizer import vocabulary
from lingraft.tokenizer.pieces import batched, before_words, encode, subword_vectors
from lingraft.vectors.alignment import AlignmentSettings, link_counts, train_aligner, word_pair_counts
from lingraft.vectors.static import Vectors, VectorSettings, read_vectors, train_vectors

Pair = tuple[list[str], list[str]]

USES = {
    "alignment": ("parallel",),
    "word_pairs": ("parallel",),
    "dictionary": ("lexicon",),
    "new_vectors": ("vectors", "source_text", "lexicon"),
    "helper_vectors": ("helper",),
    "old_ranks": ("source_text",),
    "mapped_vectors": ("source_text",),
    "token_pairs": ("lexicon",),
}
NEEDS = {
    "alignment": ("parallel",),
    "word_pairs": ("parallel",),
    "dictionary": ("lexicon",),
    "token_pairs": ("lexicon",),
    "new_vectors": ("vectors", "source_text"),
}
OWN = VectorSettings()  # FOCUS's: cbow, 100 dimensions, 3 epochs
WORDS = VectorSettings(architecture="skipgram", dimension=300, epochs=5, min_count=5, ngrams=True)


@dataclass(frozen=True, slots=True)
class Given:
    """What the user gave beside the text: places of text, files, a model's name. Empty: nothing."""

    source_text: Sequence[str] = ()
    parallel: Sequence[str] = ()
    lexicon: Sequence[str] = ()
    vectors: Sequence[str] = ()
    helper: str = ""

    def names(self) -> list[str]:
        """Of what there is."""
        return [name for name in self.__slots__ if getattr(self, name)]


def parameters(settings: RowSettings) -> list[str]:
    """The aids that the recipe's row methods ask for."""
    names = dict.fromkeys(name for method in settings.methods for name in inspect.signature(ROWS[method]).parameters)
    return [*names, *(["token_pairs"] if "mapped_vectors" in names and settings.mapping == "lexicon" else [])]


def used(settings: RowSettings) -> set[str]:
    """Which of the things that a user may give have any part in the rows."""
    if settings.method == AUTO:
        return set(Given.__slots__)
    asked = [name for name in parameters(settings) if name != "old_ranks" or settings.order == "frequency"]
    return {given for name in asked for given in USES.get(name, ())}


def check_given(settings: RowSettings, given: Given) -> None:
    """Raise RecipeError where a row method cannot do without something that is not given."""
    for name in parameters(settings) if settings.method != AUTO else ():
        if (wanted := NEEDS.get(name, ())) and not set(wanted) & set(given.names()):
            options = " or ".join(f"--{option.replace('_', '-')}" for option in wanted)
            raise RecipeError(f"rows.method = {settings.method!r} needs {options}. Give it, or choose another recipe.")
    if given.vectors and len(given.vectors) != 2:
        raise RecipeError(f"--vectors takes two files, the source language's and the target's; {len(given.vectors)} given.")


@dataclass(frozen=True)
class Aids:
    """Everything aids are made of.

    num_old: rows of the source's matrix, padded ones included. text: of the target's language, of which the training part is used.
    model: the source's. notes: what gathering an aid cost, where that is worth a line in run.json.
    source_text, parallel: None where they are not given or not used. beside: of one vocabulary for both languages, the source's text in it.
    """

    settings: RowSettings
    source: PreTrainedTokenizerBase
    target: PreTrainedTokenizerBase
    num_old: int
    shards: Shards
    text: Corpus
    source_text: Corpus | None
    parallel: Parallel | None
    given: Given
    seed: int
    model: Any
    beside: Shards | None = None
    notes: dict[str, Any] = field(default_factory=dict)

    def rows(self, names: str) -> NewRows:
        """The rows by a method, by several joined by / (blended) or + (layered); those of ids that the target keeps stay as they are."""
        answers = [blended([self.answer(ROWS[name]) for name in layer.split("/")]) for layer in names.split("+")]
        kept = vocabulary.num_kept(self.source, self.target)
        found = layered([unchanged(self.vocabularies, kept), *answers] if kept else answers)
        return replace(found, restored=self.settings.restore_length)

    def answer(self, method: Callable[..., NewRows]) -> NewRows:
        """Gather what `method` asks for, and call it."""
        return method(**{name: getattr(self, name) for name in inspect.signature(method).parameters})

    @cached_property
    def vocabularies(self) -> Vocabularies:
        """Sizes, specials by role, and which old rows stand for text."""
        pairs = vocabulary.shared_roles(self.source, self.target)
        text = np.ones(self.num_old, dtype=bool)
        text[[*vocabulary.special_ids(self.source), *vocabulary.unused(self.source, self.num_old)]] = False
        num_new = self.num_old if self.target is self.source else len(vocabulary.tokens(self.target))
        return Vocabularies(num_new, self.num_old, np.array(sorted(pairs.items()), dtype=np.int64).reshape(-1, 2), text)

    # From the vocabularies

    @cached_property
    def overlap(self) -> Ints:
        """(num_new,) old id of the identical string, -1 for none."""
        return vocabulary.overlap(self.source, self.target)

    @cached_property
    def new_spelling(self) -> list[str]:
        """Each new token in the one spelling, "" for specials."""
        special = vocabulary.special_ids(self.target)
        return ["" if i in special else text for i, text in enumerate(vocabulary.spelling(self.target))]

    @cached_property
    def old_pieces(self) -> list[Ints]:
        """For each new token the old ids of its text, unknowns left out; empty for specials."""
        unknown = self.source.unk_token_id
        encoded = self.source([text.removeprefix(vocabulary.WORD) for text in self.new_spelling], add_special_tokens=False)["input_ids"]
        return [np.array([i for i in ids if i != unknown], dtype=np.int64) for ids in encoded]

    @cached_property
    def new_classes(self) -> Ints:
        """(num_new,) number of script and position of each new token."""
        return np.array(list(map(vocabulary.class_number, self.new_spelling)), dtype=np.int64)

    @cached_property
    def old_classes(self) -> Ints:
        """(num_old,) number of script and position of each old token, -1 beyond the tokenizer."""
        found = np.full(self.num_old, -1, dtype=np.int64)
        classes = list(map(vocabulary.class_number, vocabulary.spelling(self.source)))[: self.num_old]
        found[: len(classes)] = classes
        return found

    # From text

    @cached_property
    def new_ranks(self) -> Ints:
        """New ids, the most frequent in the training text first (or in the order of ids), specials left out."""
        num_new = len(vocabulary.tokens(self.target))
        text = np.setdiff1d(np.arange(num_new), list(vocabulary.special_ids(self.target)))
        if self.settings.order == "id":
            return text
        counts = self.shards.counts(num_new)
        return text[np.argsort(-counts[text], kind="stable")]

    @cached_property
    def old_ranks(self) -> Ints:
        """Old ids by frequency in the source's own text, without it by id; unused rows left out. Order "id": by id, all but specials."""
        if self.settings.order == "id":
            num_tokens = len(vocabulary.tokens(self.source))
            return np.setdiff1d(np.arange(num_tokens), list(vocabulary.roles(self.source).values()))
        text = np.flatnonzero(self.vocabularies.text)
        if self.source_text is None:
            return text
        counts = token_counts(self.source_text.documents(), self.source, self.num_old)
        return text[np.argsort(-counts[text], kind="stable")]

    @cached_property
    def own_vectors(self) -> Floats:
        """(num_new, d) vectors of the new tokens, trained on the training text as the target's tokenizer cuts it; specials have zeros."""
        names = vocabulary.tokens(self.target)
        made = train_vectors(self._sentences, OWN, self.seed).lookup(names)
        made[[i for i, text in enumerate(self.new_spelling) if not text]] = 0
        return made

    def _sentences(self) -> Iterator[list[str]]:
        """The training text as the target's tokenizer cuts it; with one vocabulary for both languages, of both."""
        names = vocabulary.tokens(self.target)
        for shards in [self.shards, *([self.beside] if self.beside else [])]:
            for first, last in pairwise(shards.sentences):
                yield [names[i] for i in shards.tokens[first:last]]

    @cached_property
    def old_rows(self) -> Floats:
        """(num_old, dim) the source's input matrix."""
        return self.model.get_input_embeddings().weight.detach().float().numpy()  # type: ignore[no-any-return]

    @cached_property
    def _static(self) -> tuple[Ints, Vectors]:
        """Ids of new tokens, the most frequent first, and their vectors, as wide as the old rows, named by spelling."""
        from lingraft.vectors.tokens import drawn, skipgram

        names, width, seed, ranks = vocabulary.tokens(self.target), self.old_rows.shape[1], self.seed, self.new_ranks
        if self.beside:
            counts = self.shards.counts(len(names)) + self.beside.counts(len(names))
            ranks = ranks[np.argsort(-counts[ranks], kind="stable")]
        number = {names[i]: int(i) for i in ranks}
        made = drawn(list(number), width, seed) if self.settings.vectors == "random" else skipgram(self._sentences, number, width, seed)
        ids = np.array([number[name] for name in made.words], dtype=np.int64)
        return ids, replace(made, words=[self.new_spelling[i] for i in ids])

    @cached_property
    def static_vectors(self) -> tuple[Ints, Floats]:
        """Ids of new tokens, and their vectors (n, dim) of unit length around zero."""
        from lingraft.vectors.tokens import centred

        ids, vectors = self._static
        return ids, centred(vectors.matrix)

    @cached_property
    def mapped_vectors(self) -> tuple[Ints, Floats]:
        """Ids of new tokens, and their vectors (n, dim) of unit length among the old rows. Raises RecipeError without a mapping."""
        from lingraft.vectors.tokens import mapped_onto

        (ids, new), spelled, mark = self._static, vocabulary.spelling(self.source), vocabulary.WORD
        old = Vectors([spelled[i] for i in self.old_ranks], self.old_rows[self.old_ranks])
        pairs = [(mark + target, mark + source) for source, target, _ in self.entries]
        rows, trust = mapped_onto(new, old, self.settings.mapping, pairs, self.seed, self.settings.adversary_steps)
        self._judge(trust)
        return ids, rows

    def _judge(self, trust: Any) -> None:
        """Note what a mapping is worth. Raises RecipeError where it is not to be trusted; rows.trust = false: warns."""
        from lingraft.vectors.tokens import insist

        self.notes["mapping"] = trust.measures()
        insist(trust, is_strict=self.settings.trust)

    @cached_property
    def helper_vectors(self) -> Floats:
        """(num_new, d) input embeddings of the new tokens in the helper model, zeros where it has none; without one, `own_vectors`."""
        if not self.given.helper:
            warnings.warn("No --helper model is given: vectors trained on your own text stand in for it.", LingraftWarning, stacklevel=2)
            return self.own_vectors
        from lingraft.model.load import load_source

        helper = load_source(self.given.helper, seed=self.seed)
        matrix = helper.model.get_input_embeddings().weight.detach().float().numpy()
        same = vocabulary.overlap(helper.tokenizer, self.target)
        return np.where((same >= 0)[:, None], matrix[same], 0).astype(np.float32)

    @cached_property
    def distilled_rows(self) -> tuple[Ints, Floats]:
        """Ids, and (n, dim) input rows, of new tokens that make the source's hidden states what their old pieces make them."""
        from lingraft.train.distil import distilled

        lines = (line for document in self.text.split("train") for line in document.lines)
        start, steps = self.answer(ROWS["pieces"]), self.settings.distil_steps
        found = distilled(self.model, self.source, self.target, lines, start, self.overlap, steps=steps, seed=self.seed)
        self.notes["distillation"] = found.record
        return found.ids, found.rows

    # From both languages

    @cached_property
    def _mapped(self) -> tuple[Floats, Floats]:
        """Vectors of new and old tokens in one space: means over the words they are pieces of. Raises RecipeError without a mapping."""
        from lingraft.vectors.mapping import map_spaces

        old, new = self._word_vectors()
        entries = [(source, target) for source, target, _ in self.entries] if self.given.lexicon else None
        mapping = map_spaces(old, new, start=entries or "identical", method="procrustes" if entries else "self-learning")
        self._judge(mapping.trust)
        return (
            subword_vectors(self.target, new, mapping.target(new.matrix), len(self.new_spelling)),
            subword_vectors(self.source, old, mapping.source(old.matrix), self.num_old),
        )

    def _word_vectors(self) -> tuple[Vectors, Vectors]:
        """Of the source's words and of the target's: read, or trained on the texts."""
        if self.given.vectors:
            return read_vectors(Path(self.given.vectors[0])), read_vectors(Path(self.given.vectors[1]))
        assert self.source_text is not None
        text, target = self.source_text, self.text
        return (
            train_vectors(lambda: (word_tokens(line) for document in text.documents() for line in document.lines), WORDS, self.seed),
            train_vectors(lambda: (word_tokens(line) for document in target.split("train") for line in document.lines), WORDS, self.seed),
        )

    @property
    def new_vectors(self) -> Floats:
        """(num_new, d) in one space with `old_vectors`."""
        return self._mapped[0]

    @property
    def old_vectors(self) -> Floats:
        """(num_old, d) in one space with `new_vectors`."""
        return self._mapped[1]

    @cached_property
    def entries(self) -> list[tuple[str, str, float]]:
        """(source, target, score) of the lexicon's entries."""
        return [entry for place in self.given.lexicon for entry in read_lexicon(Path(place))]

    @cached_property
    def dictionary(self) -> scipy.sparse.csr_array:
        """(num_new, num_old) counts of the pieces of the lexicon's entries."""
        return self._spread(self.entries)

    def _spread(self, entries: Sequence[tuple[str, str, float]]) -> scipy.sparse.csr_array:
        """Pieces of word pairs (source, target, count), at the start of a word as inside a text."""
        old = encode(self.source, [before_words(self.source) + source for source, _, _ in entries])
        new = encode(self.target, [before_words(self.target) + target for _, target, _ in entries])
        counts = [count for _, _, count in entries]
        return spread(zip(new, old, counts, strict=True), self.vocabularies.num_new, self.num_old)

    @cached_property
    def alignment(self) -> scipy.sparse.csr_array:
        """(num_new, num_old) how often two pieces were linked in the parallel text: fast_align both ways, grow-diag-final-and."""
        aligner = train_aligner(lambda: map(_as_words, self._piece_pairs()), AlignmentSettings())
        first, second = tee(self._piece_pairs())
        return link_counts(first, aligner.align(map(_as_words, second)), self.num_old, self.vocabularies.num_new)

    def _piece_pairs(self) -> Iterator[tuple[list[int], list[int]]]:
        assert self.parallel is not None
        for some in batched(self.parallel.pairs()):
            yield from zip(encode(self.source, [old for old, _ in some]), encode(self.target, [new for _, new in some]), strict=True)

    def _word_pairs(self) -> Iterator[Pair]:
        assert self.parallel is not None
        return ((word_tokens(old), word_tokens(new)) for old, new in self.parallel.pairs())

    @cached_property
    def word_pairs(self) -> scipy.sparse.csr_array:
        """(num_new, num_old) counts of the pieces of aligned words (fast_align, 7 iterations, one way; `min_count` times and more)."""
        aligner = train_aligner(self._word_pairs, AlignmentSettings(iterations=7, symmetrisation="forward"))
        first, second = tee(self._word_pairs())
        counted = word_pair_counts(first, aligner.align(second))
        return self._spread([(old, new, float(count)) for (old, new), count in sorted(counted.items()) if count >= self.settings.min_count])


def _as_words(pair: tuple[list[int], list[int]]) -> Pair:
    return [str(i) for i in pair[0]], [str(i) for i in pair[1]]
