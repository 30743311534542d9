"""Word vectors: trained on text, saved in the word2vec text format, and read from the formats that others are published in.

vectors = train_vectors(lambda: (line.split() for line in lines()), VectorSettings(), seed=0)
vectors.save(Path("sw.vec.gz"))
vectors = read_vectors("cc.sw.300.bin", limit=200_000)
"""

import codecs
import contextlib
import re
import statistics
import struct
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from lingraft.errors import LingraftWarning, TextError
from lingraft.text.lexicon import write_lines
from lingraft.text.read import CHUNK, open_bytes

Floats = NDArray[np.float32]
Sentences = Iterable[Sequence[str]]
Row = tuple[str, str, Floats]  # its place in the file, the word, the vector

FEWEST_WORDS = 100  # to have vectors, where the text has so many
LONGEST_SENTENCE = 10_000  # words; gensim drops what is beyond
SHORTEST_NGRAM, LONGEST_NGRAM, MOST_BUCKETS, RATE = 3, 6, 2_000_000, 0.05  # fastText's
SAMPLE = 1e-3  # word2vec's; fastText's 1e-4 passes over too much of a short text

FASTTEXT = 793712314  # what a model of fastText starts with
HEAD = 1 << 16  # bytes, which tell a format
HEADER = re.compile(rb"\s*(\d+)[ \t]+([1-9]\d*)\s*\n")
NUMBER = re.compile(rb"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?|[-+]?(nan|inf)", re.IGNORECASE)
COORDINATE = re.compile(rb"[-+]?\d*\.\d{3,}(e[-+]?\d+)?", re.IGNORECASE)  # of a vector rather than of a phrase such as "version 2.0"


class VectorSettings(BaseModel):
    """How word vectors are trained; by default as FOCUS does (Dobler and de Melo 2023)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    architecture: Literal["skipgram", "cbow"] = Field(default="cbow", description="predict the words around a word, or it from those")
    dimension: int = Field(default=100, ge=1, description="numbers in a vector")
    epochs: int = Field(default=3, ge=1, description="passes over the text")
    min_count: int = Field(default=10, ge=1, description="how often a word must occur to have a vector; less where the text is too short")
    negative: int = Field(default=10, ge=1, description="negative samples for each word")
    window: int = Field(default=5, ge=1, description="words to each side that are its context, at most")
    ngrams: bool = Field(default=True, description="whether a word's vector comes from its character n-grams too (fastText, 3 to 6)")


@dataclass(frozen=True, eq=False)
class Ngrams:
    """Vectors of character n-grams as fastText has them: by hash, so that several may share one.

    buckets            (num_buckets, dimension)
    known              (num_known,) sorted hashes of the n-grams of the words; others were never trained, their buckets are noise
    shortest, longest  characters of an n-gram; the start and the end of a word count as one each
    """

    buckets: Floats
    known: NDArray[np.uint32]
    shortest: int
    longest: int

    def vector(self, word: str) -> Floats:
        """(dimension,) mean over the word's known n-grams, zeros where it has none."""
        hashes = np.array(_hashes(word, self.shortest, self.longest), dtype=np.uint32)
        nearest = np.minimum(np.searchsorted(self.known, hashes), len(self.known) - 1)
        trained = hashes[self.known[nearest] == hashes] % len(self.buckets)
        total: Floats = self.buckets[trained].sum(axis=0)
        return total / np.float32(max(1, len(trained)))


@dataclass(frozen=True, eq=False)
class Vectors:
    """Words and their vectors.

    words   by falling frequency, those as frequent by their first place in the text; of a file that was read, in its order
    matrix  (num_words, dimension) float32
    counts  (num_words,) how often each occurs in the text, where that is known
    ngrams  what vectors of other words are made from, where the model has it
    """

    words: list[str]
    matrix: Floats
    counts: NDArray[np.int64] | None = None
    ngrams: Ngrams | None = None

    @cached_property
    def index(self) -> dict[str, int]:
        """The row of each word."""
        return {word: row for row, word in enumerate(self.words)}

    def lookup(self, words: Sequence[str]) -> Floats:
        """(len(words), dimension) vectors; that of another word comes from its n-grams, or is zeros."""
        found = np.zeros((len(words), self.matrix.shape[1]), dtype=np.float32)
        for row, word in enumerate(words):
            if word in self.index:
                found[row] = self.matrix[self.index[word]]
            elif self.ngrams is not None:
                found[row] = self.ngrams.vector(word)
        return found

    def save(self, path: Path) -> None:
        """Write words and matrix in the word2vec text format, to .vec or .vec.gz; `read_vectors` gives the same numbers back.

        Words that it cannot hold (empty, with a line break, or with white space at an end) are left out. Raises TextError for other
        compressions, RunError where the file cannot be written.
        """
        rows = [row for row, word in enumerate(self.words) if word and word.strip() == word and "\n" not in word]
        numbers = " %.9g" * self.matrix.shape[1]  # nine digits tell any two float32 apart
        lines = (self.words[row] + numbers % tuple(self.matrix[row].tolist()) for row in rows)
        write_lines(path, chain([f"{len(rows)} {self.matrix.shape[1]}"], lines))


class _Passes:
    """Sentences to be gone through again and again, none of them too long for gensim.

    gensim reads them in a thread, and waits for ever where that ends with an exception: it is kept in `error` instead.
    """

    def __init__(self, sentences: Sentences | Callable[[], Sentences]) -> None:
        if isinstance(sentences, Iterator):
            raise TypeError("sentences can be gone through only once: give a list, or a function that starts anew")
        self.sentences = sentences
        self.error: Exception | None = None

    def once(self) -> Iterator[list[str]]:
        for sentence in self.sentences() if callable(self.sentences) else self.sentences:
            for start in range(0, len(sentence), LONGEST_SENTENCE):
                yield list(sentence[start : start + LONGEST_SENTENCE])

    def __iter__(self) -> Iterator[list[str]]:
        try:
            yield from self.once()
        except Exception as error:
            self.error = error


def train_vectors(sentences: Sentences | Callable[[], Sentences], settings: VectorSettings, seed: int) -> Vectors:
    """Vectors of the words of `sentences`: lists of words in a list, or a function that starts to yield them anew, for text of any size.

    Same seed, same bytes. Where fewer than FEWEST_WORDS words occur `min_count` times, rarer ones are taken as well, with a warning.
    Raises TextError where there are no words.
    """
    passes = _Passes(sentences)
    counts, num_sentences = Counter[str](), 0
    for sentence in passes.once():
        counts.update(sentence)
        num_sentences += 1
    kept = _frequent(counts, settings.min_count)
    model = _model(kept, counts.total(), settings, seed)
    model.build_vocab_from_freq(dict(kept), corpus_count=num_sentences)
    model.train(passes, total_examples=num_sentences, epochs=settings.epochs)
    if passes.error:
        raise passes.error
    ngrams = _ngrams(kept, np.array(model.wv.vectors_ngrams), SHORTEST_NGRAM, LONGEST_NGRAM) if settings.ngrams else None
    return Vectors(list(model.wv.index_to_key), np.array(model.wv.vectors), np.array(list(kept.values())), ngrams)


def _frequent(counts: Counter[str], min_count: int) -> dict[str, int]:
    """The words to have vectors, with their counts, the most frequent first. Raises TextError where there are none."""
    ordered = counts.most_common()  # words as frequent stay in the order in which they came
    if not ordered:
        raise TextError("There are no words to train vectors on: the text is empty. Give more text.")
    lowest = min(min_count, ordered[:FEWEST_WORDS][-1][1])
    kept = {word: count for word, count in ordered if count >= lowest}
    if lowest < min_count:
        warnings.warn(f"The text is short: words have vectors that occur {lowest} times, not {min_count}.", LingraftWarning, stacklevel=3)
    return kept


def _model(kept: dict[str, int], num_words: int, settings: VectorSettings, seed: int) -> Any:
    """A model of gensim without vocabulary."""
    from gensim.models import FastText, Word2Vec

    options: dict[str, Any] = {
        "sg": int(settings.architecture == "skipgram"),
        "vector_size": settings.dimension,
        "negative": settings.negative,
        "window": settings.window,
        "epochs": settings.epochs,
        "alpha": RATE,
        "sample": SAMPLE,
        "seed": seed,
        "workers": 1,  # with more, which words come first is a matter of chance
        "min_count": 1,  # the rare ones are gone already
        "sorted_vocab": 0,  # as they come: gensim's own order of words as frequent is another
        "batch_words": min(LONGEST_SENTENCE, max(1, num_words // 100)),  # the rate falls from batch to batch: many of them
    }
    if not settings.ngrams:
        return Word2Vec(**options)
    buckets = min(MOST_BUCKETS, 4 * sum(map(len, kept)) + 1)  # about one for each n-gram, as four begin at each character
    return FastText(min_n=SHORTEST_NGRAM, max_n=LONGEST_NGRAM, bucket=buckets, **options)


def _ngrams(words: Iterable[str], buckets: Floats, shortest: int, longest: int) -> Ngrams | None:
    """The n-grams of `words`; None where they have none."""
    hashes = np.fromiter(chain.from_iterable(_hashes(word, shortest, longest) for word in words), dtype=np.uint32)
    return Ngrams(buckets, np.unique(hashes), shortest, longest) if len(hashes) else None


def _hashes(word: str, shortest: int, longest: int) -> list[int]:
    """fastText's 32-bit hashes of a word's n-grams; the bucket of one is its remainder by their number."""
    from gensim.models.fasttext import ft_ngram_hashes

    return list(ft_ngram_hashes(word, shortest, longest, 1 << 32))


def read_vectors(path: Path | str, limit: int | None = None) -> Vectors:
    """Word vectors from a file, the first `limit` words only where that is given.

    Text (.vec, .txt; "word number number …" on each line, with or without word2vec's header), word2vec's .bin and fastText's .bin, told by
    their content; any of them also .gz, .xz or .zst. Of words that come twice the first stands. Words with spaces are read in text; a word
    cut inside its last character, as tools that count bytes leave some, ends with U+FFFD. Raises TextError where the file is missing,
    damaged, cut off, not one of these, or has a line with more or fewer numbers or with one that is infinite or not a number.
    """
    name = str(path)
    with open_bytes(name) as stream:
        head = stream.read(HEAD)
    header = HEADER.match(head.removeprefix(codecs.BOM_UTF8))
    with open_bytes(name) as stream, np.errstate(over="ignore"):  # a number that is too large is an error of ours
        if head[:4] == struct.pack("<i", FASTTEXT):
            return _fasttext(stream, name, limit)
        if b"\0" not in head and head.decode(errors="replace").count("\ufffd") <= len(head) // 100:  # a word may be cut in a character
            return Vectors(*_collect(_text_rows(stream, name, header, head), name, limit))
        if header:
            return Vectors(*_collect(_word2vec_rows(stream, name), name, limit))
    raise TextError(f"{name} has no word vectors that are known: give .vec text in UTF-8, or a .bin of word2vec or fastText.")


def _collect(rows: Iterable[Row], path: str, limit: int | None) -> tuple[list[str], Floats]:
    """Words and matrix. Raises TextError where there are none, or a number is none."""
    words: dict[str, None] = {}
    data = bytearray()
    for place, word, numbers in rows:
        if word in words:
            continue
        if not np.isfinite(numbers).all():
            raise TextError(f"{place}: the vector of {word!r} has a value that is infinite or not a number. Make the file anew.")
        words[word] = None
        data += numbers.astype("<f4").tobytes()
        if len(words) == limit:
            break
    if not words:
        raise TextError(f"{path} has no word vectors: it is empty. Give another file.")
    return list(words), np.frombuffer(data, dtype="<f4").reshape(len(words), -1)


def _text_rows(stream: IO[bytes], path: str, header: re.Match[bytes] | None, head: bytes) -> Iterator[Row]:
    """The rows of a text file. Only a line feed ends a line: the other line breaks of Unicode are found in words."""
    dimension = int(header[2]) if header else _dimension(head)
    num_rows = 0
    for number, line in enumerate(stream, 1):
        if not line.strip() or (header and number == 1):
            continue
        num_rows += 1
        place = f"{path}, line {number}"
        word, numbers = _parse(line.removeprefix(codecs.BOM_UTF8) if number == 1 else line, dimension, place)
        yield place, _decode(word, place), numbers
    if header and num_rows < int(header[1]):
        raise TextError(f"{path} has {num_rows} word vectors, but its first line says {int(header[1])}: it is cut off. Get it anew.")


def _dimension(head: bytes) -> int:
    """With how many numbers most lines end."""
    lines = [line.split() for line in head.split(b"\n")]
    found = [next((n for n, field in enumerate(fields[:0:-1]) if not NUMBER.fullmatch(field)), len(fields) - 1) for fields in lines]
    return max(1, statistics.mode(found[:-1] or found))  # the last line may be incomplete


def _parse(line: bytes, dimension: int, place: str) -> tuple[bytes, Floats]:
    """(word, (dimension,) vector): the last fields are the numbers, and the word what stands before. Raises TextError."""
    word, *fields = line.rstrip().rsplit(None, dimension)
    has_more = len(parts := word.split()) > 1 and COORDINATE.fullmatch(parts[-1])
    with contextlib.suppress(ValueError):
        if len(fields) == dimension and not has_more:
            return word, np.array(fields, dtype=np.float32)
    raise TextError(
        f"{place} is not a word with {dimension} numbers: {line.decode(errors='replace')[:40]!r}. Every line needs as many as the others; "
        "the file may be damaged, cut off, or put together from several."
    )


def _decode(word: bytes, place: str) -> str:
    """A word in UTF-8. Raises TextError where it is not; one that is only cut inside its last character is let through."""
    try:
        return word.decode()
    except UnicodeDecodeError as error:
        if error.end < len(word):
            raise TextError(f"{place}: {word!r} is not valid UTF-8. Convert the file (for example: iconv -f latin1 -t utf-8).") from None
        return word.decode(errors="replace")


def _word2vec_rows(stream: IO[bytes], path: str) -> Iterator[Row]:
    """The rows of a .bin of word2vec: "count dimension", then each word, a space, its vector as float32; line feeds may stand between."""
    count, dimension = map(int, _until(stream, b"\n").split())
    for number in range(1, count + 1):
        place = f"{path}, word {number}"
        word = _decode(_until(stream, b" ").lstrip(b"\n"), place)
        yield place, word, np.frombuffer(_exactly(stream, 4 * dimension), dtype="<f4")


def _fasttext(stream: IO[bytes], path: str, limit: int | None) -> Vectors:
    """The vectors of a .bin of fastText; a word's is the mean of its own and of those of its n-grams. Raises TextError.

    Read here, since gensim's reader never ends on a file that is cut off, and cannot stop after the first words.
    """
    _, _, dimension, *_, model, num_buckets, shortest, longest, _, _ = struct.unpack("<14id", _exactly(stream, 64))
    size, num_words, _, _, num_pruned = struct.unpack("<3i2q", _exactly(stream, 28))
    counts: dict[str, int] = {}
    for number in range(1, size + 1):
        word = _decode(_until(stream, b"\0"), f"{path}, word {number}")
        counts[word], _ = struct.unpack("<qb", _exactly(stream, 9))
    quantised = _exactly(stream, 1) != b"\0"
    if quantised or num_pruned > 0 or model == 3:
        raise TextError(f"{path} is a {'quantised model' if quantised else 'classifier'} of fastText. Give one with plain vectors.")
    shape = struct.unpack("<2q", _exactly(stream, 16))
    if shape != (num_words + num_buckets, dimension) or len(counts) != num_words or min(shape) < 1:
        raise TextError(f"{path} is damaged: its parts do not fit one another. Get it anew.")
    matrix = np.frombuffer(_exactly(stream, 4 * shape[0] * shape[1]), dtype="<f4").reshape(shape)

    def rows() -> Iterator[Row]:
        for row, word in enumerate(counts):
            buckets = [num_words + code % num_buckets for code in _hashes(word, shortest, longest)] if num_buckets else []
            yield f"{path}, word {row + 1}", word, matrix[[row, *buckets]].mean(axis=0)

    words, vectors = _collect(rows(), path, limit)
    ngrams = _ngrams(words, matrix[num_words:], shortest, longest) if num_buckets else None
    return Vectors(words, vectors, np.array([counts[word] for word in words]), ngrams)


def _until(stream: IO[bytes], end: bytes) -> bytes:
    """The bytes before `end`. Raises EOFError where it does not come."""
    data = bytearray()
    while (byte := stream.read(1)) not in (end, b""):
        data += byte
    if not byte:
        raise EOFError("it ends too early")
    return bytes(data)


def _exactly(stream: IO[bytes], size: int) -> bytearray:
    """The next `size` bytes, taken bit by bit: a damaged size must not ask for all memory. Raises EOFError where there are fewer."""
    data = bytearray()
    while len(data) < size and (piece := stream.read(min(size - len(data), CHUNK))):
        data += piece
    if len(data) < size:
        raise EOFError("it ends too early")
    return data
