"""Word vectors: what training finds in made text, the formats read back, and the message for every damage."""

import hashlib
import lzma
import os
import random
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from pydantic import ValidationError

from lingraft.errors import LingraftWarning, TextError
from lingraft.vectors.static import Vectors, VectorSettings, read_vectors, train_vectors

SMALL = VectorSettings(dimension=16, epochs=5, min_count=1, negative=5, window=3)
TOPICS = [["".join(random.Random(f"{topic} {n}").choices("abcdefghijklmnop", k=6)) for n in range(200)] for topic in range(2)]


def made_text(num_sentences: int = 3000) -> list[list[str]]:
    """Sentences of eight words of one topic, or of the other; nothing but the company that they keep tells the topics apart."""
    choose = random.Random(0)
    return [choose.choices(choose.choice(TOPICS), k=8) for _ in range(num_sentences)]


def cosines(matrix: np.ndarray) -> np.ndarray:
    unit = matrix / np.linalg.norm(matrix, axis=1, keepdims=True)
    return unit @ unit.T


def digest(vectors: Vectors) -> str:
    return hashlib.sha256(vectors.matrix.tobytes() + "\n".join(vectors.words).encode()).hexdigest()


@pytest.fixture(scope="module")
def trained() -> Vectors:
    return train_vectors(made_text(), SMALL, seed=3)


@pytest.mark.parametrize("architecture", ["skipgram", "cbow"])
@pytest.mark.parametrize("ngrams", [True, False])
def test_words_with_the_same_contexts_are_near(architecture: str, ngrams: bool) -> None:
    settings = SMALL.model_copy(update={"architecture": architecture, "ngrams": ngrams})
    vectors = train_vectors(made_text(), settings, seed=1)
    found = cosines(vectors.lookup(TOPICS[0] + TOPICS[1]))
    topics = np.repeat([0, 1], 200)
    same = topics[:, None] == topics
    assert found[same].mean() > found[~same].mean() + 0.3
    np.fill_diagonal(found, -1)
    assert (topics[found.argmax(axis=1)] == topics).mean() > 0.95


def test_words_come_by_frequency_and_then_as_in_the_text() -> None:
    text = [["b", "a", "c"], ["d", "c", "e"], ["e", "d"], ["f", "c"]]
    vectors = train_vectors(text, SMALL, seed=0)
    assert vectors.words == ["c", "d", "e", "b", "a", "f"]
    assert vectors.counts is not None and vectors.counts.tolist() == [3, 2, 2, 1, 1, 1]
    assert vectors.matrix.shape == (6, 16) and vectors.matrix.dtype == np.float32


def test_same_seed_same_bytes_in_another_process_too() -> None:
    expected = digest(train_vectors(made_text(500), SMALL, seed=3))
    assert digest(train_vectors(made_text(500), SMALL, seed=4)) != expected
    code = "import test_static as t; print(t.digest(t.train_vectors(t.made_text(500), t.SMALL, seed=3)))"
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": str(Path(__file__).parent)}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert (result.stdout.strip(), result.stderr) == (expected, "")


def test_text_streams_once_to_count_and_once_an_epoch() -> None:
    passes = []

    def sentences() -> Iterator[list[str]]:
        passes.append(1)
        yield from made_text(500)

    assert digest(train_vectors(sentences, SMALL, seed=3)) == digest(train_vectors(made_text(500), SMALL, seed=3))
    assert len(passes) == 1 + SMALL.epochs
    with pytest.raises(TypeError, match="only once: give a list, or a function"):
        train_vectors(sentences(), SMALL, seed=3)


def test_an_error_in_the_text_is_raised_in_a_later_pass_too() -> None:
    passes = []

    def sentences() -> Iterator[list[str]]:
        passes.append(1)
        yield from made_text(500)
        if len(passes) == 3:
            raise TextError("the file is gone")

    with pytest.raises(TextError, match="the file is gone"):
        train_vectors(sentences, SMALL, seed=0)


def test_nothing_of_a_long_sentence_is_lost() -> None:
    words = [word for sentence in made_text(1500) for word in sentence]
    cut = [words[start : start + 10_000] for start in range(0, len(words), 10_000)]
    assert len(cut) == 2
    assert digest(train_vectors([words], SMALL, seed=0)) == digest(train_vectors(cut, SMALL, seed=0))


def test_short_text_lowers_the_minimum_and_says_so() -> None:
    with pytest.warns(LingraftWarning, match="The text is short: words have vectors that occur 1 times, not 10"):
        assert train_vectors([["a", "b", "a"], ["c"]], VectorSettings(dimension=4), seed=0).words == ["a", "b", "c"]
    text = [[f"w{n}"] * (9 - n // 60) for n in range(300)]
    with pytest.warns(LingraftWarning, match="words have vectors that occur 8 times, not 10"):
        assert len(train_vectors(text, VectorSettings(dimension=4), seed=0).words) == 120
    for nothing in ([], [[], []]):
        with pytest.raises(TextError, match=r"no words to train vectors on: the text is empty. Give more text"):
            train_vectors(nothing, SMALL, seed=0)


@pytest.mark.parametrize("wrong", [{"dimension": 0}, {"architecture": "glove"}, {"negative": 0}, {"size": 3}])
def test_wrong_settings(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        VectorSettings(**wrong)  # type: ignore[arg-type]


def test_other_words_come_from_their_ngrams(trained: Vectors) -> None:
    word = trained.words[5]
    known, inflected, alien, short = trained.lookup([word, word + "s", "漢字仮名", "x"])
    assert np.array_equal(known, trained.matrix[5])
    own = TOPICS[word not in TOPICS[0]]
    company = cosines(np.stack([inflected, *trained.matrix]))[0, 1:]
    is_own = np.isin(trained.words, own)
    assert company[is_own].mean() > company[~is_own].mean() + 0.3
    assert not alien.any() and not short.any()
    plain = train_vectors(made_text(100), SMALL.model_copy(update={"ngrams": False}), seed=0)
    assert not plain.lookup([word + "s", ""]).any() and plain.lookup([word]).any() and plain.lookup([]).shape == (0, 16)


@pytest.mark.parametrize("name", ["x.vec", "x.vec.gz", "deeper/x.vec"])
def test_what_is_saved_is_read_back(tmp_path: Path, trained: Vectors, name: str) -> None:
    trained.save(tmp_path / name)
    found = read_vectors(tmp_path / name)
    assert found.words == trained.words and np.array_equal(found.matrix, trained.matrix)
    before = (tmp_path / name).read_bytes()
    trained.save(tmp_path / name)
    assert (tmp_path / name).read_bytes() == before
    assert read_vectors(tmp_path / name, limit=3).words == trained.words[:3]


def test_words_with_spaces_survive_and_those_that_cannot_are_left_out(tmp_path: Path) -> None:
    words = ["New York", "a\u00a0b", "\u2028x", "1 2", "", "a\nb", " ", "ende", "x ", "漢字", "version 2.0"]
    vectors = Vectors(words, np.arange(22, dtype=np.float32).reshape(11, 2) / 7)
    vectors.save(tmp_path / "x.vec")
    found = read_vectors(tmp_path / "x.vec")
    kept = [0, 1, 3, 7, 9, 10]
    assert found.words == [words[row] for row in kept] and np.array_equal(found.matrix, vectors.matrix[kept])


def test_only_gz_is_written(tmp_path: Path, trained: Vectors) -> None:
    with pytest.raises(TextError, match=r"\.xz are read, but not written. Write \.gz"):
        trained.save(tmp_path / "x.vec.xz")


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("x.vec", "2 2\nä 1 2\nb 3 -4e0\n", ["ä", "b"]),
        ("x.txt", "ä 1 2\nb 3 -4\n", ["ä", "b"]),
        ("x.vec", "2 2 \r\nä 1 2 \r\nb 3 -4 \r\n", ["ä", "b"]),
        ("x.vec", "\ufeff2 2\nä 1 2\n\nb 3 -4", ["ä", "b"]),
        ("x.txt", "\ufeffä\t1\t2\nb 3  -4", ["ä", "b"]),
        ("x.vec", "3 2\nä 1 2\nä 7 7\nb 3 -4\n", ["ä", "b"]),
        ("x.txt", "ein paar 1 2\nb\u0085c\u3000d 3 -4\nein paar 7 7\n", ["ein paar", "b\u0085c\u3000d"]),
        ("x.txt", "im jahr 1999 1 2\nb 3 -4\nc 0.1 0.2\n", ["im jahr 1999", "b", "c"]),
        ("vectors", "2 2\n1 1 2\n. 3 -4\n", ["1", "."]),
        ("x.vec.xz", lzma.compress(b"2 2\na 1 2\nb 3 -4\n"), ["a", "b"]),
        ("x.vec.zst", pyarrow.compress(b"2 2\na 1 2\nb 3 -4\n", "zstd", asbytes=True), ["a", "b"]),
    ],
)
def test_text_of_every_kind(tmp_path: Path, name: str, data: str | bytes, words: list[str]) -> None:
    (tmp_path / name).write_bytes(data if isinstance(data, bytes) else data.encode())
    found = read_vectors(str(tmp_path / name))
    assert found.words == words and found.matrix[:2].tolist() == [[1, 2], [3, -4]]
    assert found.counts is None and not found.lookup(["?"]).any()


def test_a_word_cut_inside_a_character_is_let_through(tmp_path: Path) -> None:
    rows = b"".join(b"w%d 0.25 0.5\n" % n for n in range(99))
    (tmp_path / "x.vec").write_bytes(b"100 2\n" + rows + "é".encode()[:1] + b" 1 2\n")
    assert read_vectors(tmp_path / "x.vec").words[-1] == "\ufffd"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "has no word vectors: it is empty"),
        (b"0 5\n", "has no word vectors"),
        (b"3 2\na 1 2\nb 3 4\n", "has 2 word vectors, but its first line says 3: it is cut off"),
        (b"2 2\na 1 2\nb 3\n", "x.vec, line 3 is not a word with 2 numbers: 'b 3"),
        (b"a 1 2\nb 1 2\nnew york 3\n", "x.vec, line 3 is not a word with 2 numbers: 'new york 3"),
        (b"2 2\na 1 2\n3 4\n", "x.vec, line 3 is not a word with 2 numbers"),
        (b"2 2\na 1 2\nb 0.1234 0.2345 0.3456\n", "x.vec, line 3 is not a word with 2 numbers"),
        (b"2 2\na 1 2\nb 3 x\n", "x.vec, line 3 is not a word with 2 numbers"),
        (b"2 2\na 1 2\nb 3 nan\n", "x.vec, line 3: the vector of 'b' has a value that is infinite or not a number"),
        (b"2 2\na 1 2\nb 3 1e99\n", "x.vec, line 3: the vector of 'b' has a value that is infinite"),
        (b"300 2\n" + b"word 0.25 0.5\n" * 99 + b"Stra\xdfe 1 2\n", r"x.vec, line 101: b'Stra\\xdfe' is not valid UTF-8"),
        (b"This is no file of vectors.\nIt has sentences.\n", "x.vec, line 1 is not a word with 1 numbers"),
        (b"\x89PNG\0\0", "has no word vectors that are known: give .vec text in UTF-8, or a .bin"),
    ],
)
def test_damaged_text_is_said_so(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "x.vec").write_bytes(data)
    with pytest.raises(TextError, match=message):
        read_vectors(tmp_path / "x.vec")


def test_missing_and_damaged_files(tmp_path: Path) -> None:
    with pytest.raises(TextError, match=r"There is no file .*x.vec"):
        read_vectors(tmp_path / "x.vec")
    (tmp_path / "x.vec.xz").write_bytes(lzma.compress(os.urandom(5000).hex().encode())[:-900])
    with pytest.raises(TextError, match=r"cannot be read.*damaged or incomplete"):
        read_vectors(tmp_path / "x.vec.xz")


def test_bin_of_word2vec(tmp_path: Path, trained: Vectors) -> None:
    from gensim.models import KeyedVectors

    model = KeyedVectors(16)
    model.add_vectors([*trained.words, "漢 字".replace(" ", "_")], np.vstack([trained.matrix, np.ones(16)]))
    path = tmp_path / "x.bin"
    model.save_word2vec_format(str(path), binary=True)
    found = read_vectors(path)
    assert found.words == [*trained.words, "漢_字"] and np.array_equal(found.matrix[:-1], trained.matrix)
    assert read_vectors(path, limit=2).words == trained.words[:2]

    data = path.read_bytes()
    head, _, rest = data.partition(b"\n")
    spaced = b"".join(b"%s %s\n" % (word.encode(), row.tobytes()) for word, row in zip(trained.words, trained.matrix, strict=True))
    path.write_bytes(b"%d 16\n" % len(trained.words) + spaced)  # as the tool of word2vec itself writes it
    assert read_vectors(path).words == trained.words
    for damaged in (data[:-30], head + b"\n" + rest[:100]):
        path.write_bytes(damaged)
        with pytest.raises(TextError, match=r"x.bin cannot be read: it ends too early. It may be damaged"):
            read_vectors(path)
    path.write_bytes(b"1 2\nword " + struct.pack("<2f", 1, float("nan")))
    with pytest.raises(TextError, match=r"x.bin, word 1: the vector of 'word' has a value that is infinite or not a number"):
        read_vectors(path)


@pytest.fixture(scope="module")
def facebook(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from gensim.models.fasttext import FastText, save_facebook_model

    path = tmp_path_factory.mktemp("facebook") / "x.bin"
    model = FastText([*made_text(100), ["a" * 10]], vector_size=8, min_count=1, workers=1, bucket=50, epochs=1)
    save_facebook_model(model, str(path))
    return path


def test_bin_of_fasttext(facebook: Path) -> None:
    from gensim.models.fasttext import load_facebook_vectors

    expected, found = load_facebook_vectors(str(facebook)), read_vectors(facebook)
    assert found.words == list(expected.index_to_key)
    np.testing.assert_allclose(found.matrix, expected.vectors, atol=1e-7)
    assert found.counts is not None and found.counts.tolist() == [expected.get_vecattr(word, "count") for word in found.words]
    longer = "a" * 20  # has no n-grams but those of the word of ten
    np.testing.assert_allclose(found.lookup([longer])[0], expected[longer], atol=1e-7)
    assert found.lookup([longer]).any() and not found.lookup(["xyzxyz"]).any()
    part = read_vectors(facebook, limit=2)
    assert part.words == found.words[:2] and np.array_equal(part.matrix, found.matrix[:2])


def test_damaged_bin_of_fasttext(tmp_path: Path, facebook: Path) -> None:
    data, path = facebook.read_bytes(), tmp_path / "x.bin"
    matrix = data.index(struct.pack("<q", 8), 100)
    for size in (5, 70, 100, 300, matrix, matrix + 50):
        path.write_bytes(data[:size])
        with pytest.raises(TextError, match=r"x\.bin cannot be read: it ends too early"):
            read_vectors(path)
    for place, value, message in (
        (8, b"\x09", "its parts do not fit one another"),
        (40, b"\x07", "its parts do not fit one another"),
        (36, b"\x03", "is a classifier of fastText. Give one with plain vectors"),
        (matrix - 9, b"\x01", "is a quantised model of fastText"),
    ):
        path.write_bytes(data[:place] + value + data[place + 1 :])
        with pytest.raises(TextError, match=message):
            read_vectors(path)
