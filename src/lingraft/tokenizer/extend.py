"""A tokenizer trained further on new text: more tokens behind its own, which keep their ids, and nothing else changed.

The words of the text are cut as the tokenizer cuts them; then the most frequent pair of neighbours becomes a new token, again and again
(byte-pair encoding, Sennrich et al. 2016, from another start). BPE gets the pair as a merge behind its own. WordPiece gets the token.
Unigram gets it with the log-probabilities of its halves and a little more, so that it is taken where they were neighbours and hardly
anywhere else. A text of the source's language is cut as before, but for neighbours that are now one token.
"""

import heapq
import json
import re
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import pairwise
from typing import Any

from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from lingraft.errors import LingraftWarning, TokenizerError
from lingraft.tokenizer import vocabulary
from lingraft.tokenizer.train import LONGEST_WORD, NAMES, as_transformers
from lingraft.tokenizer.training_text import TrainingText, some

Pair = tuple[str, str]
FEWEST = 2  # times that a pair must occur
MARGIN = 0.1  # nats that a Unigram piece has over its halves: the first one all, the last one half of it
_SCRIPT = Regex(r"▁*(?:[\p{L}\p{M}]+|\p{N}+|[^\p{L}\p{M}\p{N}▁]+)|▁+")
_BYTE = re.compile("<0x[0-9A-F]{2}>")


def extend(lines: Iterable[str], size: int, source: PreTrainedTokenizerBase) -> PreTrainedTokenizerFast:
    """The source's tokenizer with `size` tokens more, from `lines` (read once).

    Letters come first that the text has and the source lacks (none in byte-level vocabularies); those seen once, and the rarest beyond a
    quarter of the size (or 256), stay unknown. Normalisation, cutting into words, specials and template are the source's.
    The same lines give the same tokens. Raises TokenizerError where there is no text, and for a source that is no BPE, WordPiece or
    Unigram. Warns, with the number, where the text yields fewer tokens than asked.
    """
    model = _Model(source)
    num_old = model.size
    with TrainingText(some(lines), size) as text:
        for letter in model.missing(text.kept)[:size]:
            model.add(letter, model.floor)
        words = model.count_words(text)
    runs = list(model.cut(words))
    room = size - (model.size - num_old)
    for rank, (left, right) in enumerate(further_merges(runs, model.join, model.ids, model.closed, room)):
        model.merge(left, right, MARGIN * (1 - rank / size / 2))
    if (added := model.size - num_old) < size:
        warnings.warn(f"The text yields {added:,} new tokens, fewer than the {size:,} asked for.", LingraftWarning, stacklevel=2)
    named = {name: held for name in NAMES if (held := getattr(source, name)) is not None}
    made = as_transformers(model.tokenizer(), source, named)
    made.chat_template = source.chat_template
    return made


def check_extends(found: PreTrainedTokenizerBase, source: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
    """`found`, if it has all of the source's tokens under their ids, and more. Raises TokenizerError."""
    if not vocabulary.num_kept(source, found):
        raise TokenizerError(
            "The tokenizer to read does not extend the source's: it must have the same tokens under the same ids, and more behind them. "
            "Use tokenizer.vocabulary = 'replace'."
        )
    return found


class _Model:
    """A tokenizer's definition with a vocabulary that is open at the end.

    ids: token -> id. closed: strings that no merge may make. floor: the lowest log-probability of a Unigram, 0 for others.
    """

    def __init__(self, source: PreTrainedTokenizerBase) -> None:
        if not hasattr(source, "_tokenizer"):
            raise _cannot(source)
        self.definition = json.loads(source._tokenizer.to_str()) | {"truncation": None, "padding": None}
        self.model, self.size = self.definition["model"], 0
        vocab = self.model["vocab"]
        self.kind = self.model.get("type")
        if self.kind not in ("BPE", "WordPiece", "Unigram"):
            raise _cannot(source)
        self.scores: dict[str, float] = dict(map(tuple, vocab)) if self.kind == "Unigram" else {}
        self.floor = min(self.scores.values(), default=0.0)
        self.ids: dict[str, int] = {piece: number for number, (piece, _) in enumerate(vocab)} if self.kind == "Unigram" else vocab
        self.prefix, self.suffix = (self.model.get(name) or "" for name in ("continuing_subword_prefix", "end_of_word_suffix"))
        added = [token["content"] for token in self.definition["added_tokens"]]
        self.closed = {*added, *self.scores}
        self._fill(vocabulary.tokens(source))
        if self.kind == "WordPiece":
            self.model["max_input_chars_per_word"] = max(LONGEST_WORD, self.model["max_input_chars_per_word"])

    def _fill(self, tokens: list[str]) -> None:
        """Give the model the added tokens that stand behind its own too: the new ids come after theirs, and a vocabulary has no holes."""
        for number, token in enumerate(tokens):
            if token not in self.ids:
                self.size = number
                self.add(token, self.floor)
        self.size = len(tokens)

    def add(self, token: str, score: float) -> None:
        """A token with the next id."""
        self.ids[token] = self.size
        if self.kind == "Unigram":
            self.model["vocab"].append([token, score])
            self.scores[token] = score
        self.size += 1

    def join(self, left: str, right: str) -> str:
        """The token of two neighbours."""
        return left + right.removeprefix(self.prefix)

    def merge(self, left: str, right: str, margin: float) -> None:
        """A pair becomes one token; a new one, where another pair has not made it already."""
        if self.kind == "BPE":
            old_style = isinstance(next(iter(self.model["merges"]), None), str)
            self.model["merges"].append(f"{left} {right}" if old_style else [left, right])
        if (joined := self.join(left, right)) not in self.ids:
            self.add(joined, round(self.scores[left] + self.scores[right] + margin, 6) if self.scores else 0.0)

    def tokenizer(self) -> Tokenizer:
        """With the vocabulary as it is now."""
        return Tokenizer.from_str(json.dumps(self.definition))

    def missing(self, letters: Iterable[str]) -> list[str]:
        """The forms of those letters that the vocabulary lacks, in their order."""
        if vocabulary.is_byte_level(self.definition):
            return []
        normalise, cut = self.word_cutter()
        forms: dict[str, None] = {}
        for letter in dict.fromkeys("".join(map(normalise, letters))):
            if not letter.isspace():
                inside = len(cut(f"a{letter}")) == 1  # punctuation is a word of its own to most
                forms |= dict.fromkeys([letter, self.prefix + letter if inside else letter, letter + self.suffix])
        return [form for form in forms if form not in self.ids]

    def word_cutter(self) -> tuple[Callable[[str], str], Callable[[str], list[tuple[str, Any]]]]:
        """From text to normal text, and from that to what the tokenizer looks up on its own.

        A tokenizer of SentencePiece's looks up whole lines, or words with their punctuation: they are cut as its trainer cuts them.
        """
        tokenizer = self.tokenizer()
        cutter = tokenizer.pre_tokenizer or pre_tokenizers.Sequence([])
        if self.kind != "WordPiece" and not self.suffix and not vocabulary.is_byte_level(self.definition):
            cutter = pre_tokenizers.Sequence([cutter, pre_tokenizers.Split(_SCRIPT, "isolated")])
        return (tokenizer.normalizer or normalizers.Sequence([])).normalize_str, cutter.pre_tokenize_str

    def count_words(self, lines: Iterable[str]) -> Counter[str]:
        """What the tokenizer looks up on its own, and how often it occurs."""
        normalise, cut = self.word_cutter()
        counts: Counter[str] = Counter()
        for line in lines:
            counts.update(word for word, _ in cut(normalise(line)))
        return counts

    def cut(self, words: Counter[str]) -> Iterator[tuple[list[str], int]]:
        """The tokens of each word with its count, as runs without the unknown token and without those that stand for a lone byte."""
        model = self.tokenizer().model
        unknown = self.model.get("unk_id", self.ids.get(self.model.get("unk_token") or "", -1))
        barred = {unknown, *(number for token, number in self.ids.items() if _BYTE.fullmatch(token))}
        for word, count in words.items():
            run: list[str] = []
            for token in model.tokenize(word):
                if token.id in barred:
                    yield run, count
                    run = []
                else:
                    run.append(token.value)
            yield run, count


def _cannot(source: PreTrainedTokenizerBase) -> TokenizerError:
    return TokenizerError(
        f"The source's tokenizer, {type(source).__name__}, cannot be trained further: only BPE, WordPiece and Unigram of the tokenizers "
        "library can. Use tokenizer.vocabulary = 'replace'."
    )


def further_merges(
    runs: Iterable[tuple[list[str], int]], join: Callable[[str, str], str], known: Collection[str], closed: Collection[str], size: int
) -> Iterator[Pair]:
    """Yield pairs of tokens to join, the most frequent one of what there is now (of equal ones the first by string), until `size` have
    made tokens that are not `known`, or none occurs FEWEST times.

    runs: tokens that stand side by side, and how often they do. closed: strings that are never made.
    """
    parts, weights = [list(run) for run, _ in runs], [count for _, count in runs]
    counts: Counter[Pair] = Counter()
    places: defaultdict[Pair, set[int]] = defaultdict(set)
    for number, (part, weight) in enumerate(zip(parts, weights, strict=True)):
        for pair in pairwise(part):
            counts[pair] += weight
            places[pair].add(number)
    heap = [(-count, pair) for pair, count in counts.items() if count >= FEWEST]
    heapq.heapify(heap)
    made = set(known)
    while heap and size > 0:
        negative, pair = heapq.heappop(heap)
        if counts[pair] != -negative or (joined := join(*pair)) in closed:
            continue
        yield pair
        size -= joined not in made
        made.add(joined)
        changed: set[Pair] = set()
        for number in places.pop(pair):
            before, parts[number] = parts[number], _joined(parts[number], pair, joined)
            for old in pairwise(before):
                counts[old] -= weights[number]
            for new in pairwise(parts[number]):
                counts[new] += weights[number]
                places[new].add(number)
            changed.update(pairwise(before), pairwise(parts[number]))
        for other in changed:
            if counts[other] >= FEWEST:
                heapq.heappush(heap, (-counts[other], other))


def _joined(part: list[str], pair: Pair, joined: str) -> list[str]:
    """A run with the pair as one token, from the left."""
    result, place = [], 0
    while place < len(part):
        together = part[place] == pair[0] and part[place + 1 : place + 2] == [pair[1]]
        result.append(joined if together else part[place])
        place += 2 if together else 1
    return result
