"""Two texts in a block: where they are cut, what follows what, and what the model is told of it. Every token says where it is from."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import World
from small_shards import BERT, CLS, FIRST, PAD, ROBERTA, SEP, shards

from lingraft.errors import TextError
from lingraft.model.load import draw_model, load_config, load_tokenizer
from lingraft.text.corpus import TextSettings, resolve
from lingraft.text.shards import Shards, encode_to_shards
from lingraft.tokenizer import vocabulary
from lingraft.train.batches import Inputs, Mixture
from lingraft.train.pairs import Frame, Pairs, Translations, encode_sides, fitted, frame_of, open_sides, pairs

LENGTH = 32


def texts_of(row: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places in the text of the tokens of a row's two texts."""
    ends = np.flatnonzero(row == SEP)
    assert row[0] == CLS
    assert len(ends) == 2, "the id that ends a document stands in no text"
    assert (row[ends[1] + 1 :] == PAD).all()
    return row[1 : ends[0]] - FIRST, row[ends[0] + 1 : ends[1]] - FIRST


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Shards:
    """60 documents of 1 to 12 sentences of 2 to 13 tokens."""
    generator = np.random.default_rng(0)
    documents = [generator.integers(2, 14, size=generator.integers(1, 13)).tolist() for _ in range(60)]
    return shards(tmp_path_factory.mktemp("text") / "text", documents)


@pytest.fixture(scope="module")
def rows(text: Shards) -> tuple[Pairs, Inputs]:
    found = pairs(text, LENGTH, BERT)
    return found, found.batch(0, 2000, 7)


def test_texts_are_whole_sentences_that_follow_or_come_from_another_document(rows: tuple[Pairs, Inputs], text: Shards):
    _, found = rows
    starts, ends = set(text.sentences[:-1].tolist()), {*text.sentences.tolist(), *(text.documents - 1).tolist()}
    assert found.follows is not None
    assert 0.46 < found.follows.mean() < 0.54
    for row, follows in zip(found.ids, found.follows, strict=True):
        one, other = texts_of(row)
        for part in (one, other):
            assert len(part) >= 1
            assert np.array_equal(part, np.arange(part[0], part[0] + len(part)))
        assert one[-1] + 1 in starts, "the first text ends where a sentence does"
        assert other[0] in starts
        assert len(one) + len(other) == LENGTH - 3 or (one[0] in starts and other[-1] + 1 in ends)
        document = [int(np.searchsorted(text.documents, part[0], side="right")) for part in (one, other)]
        assert (document[0] == document[1]) == bool(follows)
        assert not follows or other[0] == one[-1] + 1


def test_every_document_of_several_sentences_comes_and_no_other(rows: tuple[Pairs, Inputs], text: Shards):
    found, inputs = rows
    seen = {int(np.searchsorted(text.documents, texts_of(row)[0][0], side="right")) - 1 for row in inputs.ids}
    sizes = np.diff(np.searchsorted(text.sentences, text.documents))
    assert seen == set(np.flatnonzero(sizes > 1).tolist())
    assert found.skipped == np.count_nonzero(sizes == 1) > 0


def test_an_epoch_reads_nearly_all_of_the_text(rows: tuple[Pairs, Inputs], text: Shards):
    found, _ = rows
    several = np.repeat(np.diff(np.searchsorted(text.sentences, text.documents)) > 1, np.diff(text.documents))
    several[text.documents[1:] - 1] = False
    for epochs, least in ((1, 0.6), (10, 0.999)):
        seen = np.zeros(len(text.tokens), dtype=bool)
        for row in found.batch(0, epochs * len(found), 3).ids:
            seen[np.concatenate(texts_of(row))] = True
        assert seen[several].mean() >= least


def test_the_length_does_not_tell_what_follows(rows: tuple[Pairs, Inputs]):
    _, found = rows
    assert found.follows is not None
    for sizes in (found.more["attention_mask"].sum(1), found.more["token_type_ids"].sum(1)):
        true, false = sizes[found.follows == 1], sizes[found.follows == 0]
        assert abs(true.mean() - false.mean()) < 0.1 * sizes.mean()


def test_masks_and_segments_say_what_is_where(rows: tuple[Pairs, Inputs]):
    _, found = rows
    assert set(found.more) == {"attention_mask", "token_type_ids"}
    assert np.array_equal(found.more["attention_mask"] == 1, found.ids != PAD)
    first_end = np.argmax(found.ids == SEP, axis=1)[:, None]
    assert np.array_equal(found.more["token_type_ids"] == 1, (np.arange(LENGTH) > first_end) & (found.ids != PAD))


def test_a_batch_is_a_pure_function_of_seed_and_step(rows: tuple[Pairs, Inputs]):
    found, _ = rows
    one, again, other, later = (found.batch(step, 16, seed).ids for step, seed in ((3, 7), (3, 7), (3, 8), (3 + len(found), 7)))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    assert not np.array_equal(one, later), "another epoch, another cut"
    halves = [found.batch(step, 8, 7).ids for step in (6, 7)]
    assert np.array_equal(one, np.concatenate(halves))


def test_what_is_too_long_loses_its_outer_ends(tmp_path: Path):
    found = pairs(shards(tmp_path / "long", [[50, 60], [3, 70], [80, 2]]), LENGTH, BERT).batch(0, 200, 0)
    assert found.follows is not None
    for row, follows in zip(found.ids, found.follows, strict=True):
        one, other = texts_of(row)
        assert len(one) + len(other) <= LENGTH - 3
        assert not follows or other[0] == one[-1] + 1


@pytest.mark.parametrize(
    ("first", "second", "sizes"), [(3, 4, (3, 4)), (30, 30, (5, 5)), (2, 30, (2, 8)), (30, 2, (8, 2)), (5, 6, (5, 5)), (1, 99, (1, 9))]
)
def test_the_longer_text_gives(first: int, second: int, sizes: tuple[int, int]):
    assert tuple(int(size[0]) for size in fitted(np.array([first]), np.array([second]), 10)) == sizes


@pytest.mark.parametrize(
    ("documents", "length", "said"),
    [
        ([[5], [6], [7]], LENGTH, "of 3 in the training text, 0 have two or more"),
        ([[5, 5], [6]], LENGTH, "1 have two or more"),
        ([], LENGTH, "of 0 in"),
        ([[5, 5], [5, 5]], 4, "no room"),
    ],
)
def test_text_without_pairs_is_refused(documents: list[list[int]], length: int, said: str, tmp_path: Path):
    with pytest.raises(TextError, match=said):
        pairs(shards(tmp_path / "text", documents), length, BERT)


def test_texts_without_ends_and_with_empty_last_sentences(tmp_path: Path):
    plain = pairs(shards(tmp_path / "plain", [[4, 4], [4, 4], [4, 4]], end=False), LENGTH, BERT).batch(0, 40, 0)
    assert {len(part) for row in plain.ids for part in texts_of(row)} == {4}
    empty = shards(tmp_path / "empty", [[4, 4, 0], [4, 4], [5, 0]])
    found = pairs(empty, LENGTH, BERT)
    assert found.skipped == 1
    assert {len(part) for row in found.batch(0, 40, 0).ids for part in texts_of(row)} == {4}


def test_a_mixture_of_languages_has_the_ids_of_each(text: Shards, rows: tuple[Pairs, Inputs]):
    found, _ = rows
    table = np.arange(5000) + 5000
    other = pairs(text, LENGTH, BERT, table)
    both = Mixture((found, other)).batch(0, 400, 1)
    assert isinstance(both, Inputs)
    assert both.follows is not None
    high = (both.ids > 4999).any(axis=1)
    assert 0.4 < high.mean() < 0.6
    for row, is_high in zip(both.ids, high, strict=True):
        assert all((part + FIRST > 4999).all() == is_high for part in texts_of(row))
    assert np.array_equal(both.more["attention_mask"] == 1, both.ids != PAD)


@pytest.mark.parametrize(
    ("frame", "ids", "positions"),
    [
        (BERT, [1, 10, 11, 12, 2, 20, 21, 2, 0, 0], [0, 1, 2, 3, 4, 1, 2, 3, 4, 5]),
        (ROBERTA, [1, 10, 11, 12, 2, 2, 20, 21, 2, 0], [2, 3, 4, 5, 6, 2, 3, 4, 5, 6]),
    ],
)
def test_positions_begin_again_in_a_translation(frame: Frame, ids: list[int], positions: list[int], tmp_path: Path):
    """Conneau & Lample 2019, figure 1: the two first words have one position."""
    source = shards(tmp_path / "source", [[3], [2]], end=False)
    target = shards(tmp_path / "target", [[2], [40]], end=False)
    found = Translations(source, target, 10, frame, (None, np.arange(100) + 10)).read(np.array([0, 1]), np.zeros(2, dtype=np.uint64))
    assert found.ids[0].tolist() == ids
    assert found.more["position_ids"][0].tolist() == positions
    assert ("token_type_ids" in found.more) == (frame is BERT)
    assert found.follows is None
    assert found.more["attention_mask"][1].all(), "what is too long is cut"
    assert found.ids[1, -1] == SEP


@pytest.mark.parametrize(
    ("family", "has_segments", "first"), [("bert", True, 0), ("roberta", True, 1), ("distilbert", False, 0), ("modernbert", False, None)]
)
def test_frames_are_what_the_model_takes(family: str, has_segments: bool, first: int | None, pico: Callable[[str], Path]):
    folder = str(pico(family))
    model, tokenizer = draw_model(load_config(folder), "mlm", seed=0), load_tokenizer(folder)
    frame = frame_of(tokenizer, model, lambda ids: np.array(ids, dtype=np.int64))
    assert [len(frame.before), len(frame.between), len(frame.after)] == [1, 1, 1]
    assert (frame.segments == (0, 0, 0, 1, 1)) == has_segments
    assert frame.pad == tokenizer.pad_token_id
    assert frame.first_position == (tokenizer.pad_token_id + 1 if first else first)


def test_real_text_reads_as_the_tokenizer_would_write_it(world: World, pico: Callable[[str], Path], tmp_path: Path):
    folder = str(pico("bert"))
    tokenizer, model = load_tokenizer(folder), draw_model(load_config(folder), "mlm", seed=0)
    corpus = resolve([str(world.plain)], "en", settings=TextSettings(), spool=None)
    encode_to_shards(corpus.split("train"), tokenizer, tmp_path / "text", end_id=vocabulary.roles(tokenizer)["end"])
    frame = frame_of(tokenizer, model, lambda ids: np.array(ids, dtype=np.int64))
    found = pairs(Shards.open(tmp_path / "text"), 64, frame).batch(0, 50, 0)
    assert found.follows is not None
    whole = world.plain.read_text().replace("\n", "").replace(" ", "")
    for row, follows in zip(found.ids, found.follows, strict=True):
        one, other = tokenizer.decode(row).removeprefix("[CLS]").replace(" ", "").split("[SEP]")[:2]
        assert one in whole
        assert other in whole
        assert (one + other in whole) == bool(follows)


def test_sides_of_parallel_text_stay_line_by_line(world: World, pico: Callable[[str], Path], tmp_path: Path):
    tokenizer = load_tokenizer(str(pico("bert")))
    lines = [("ab cd", "ef gh"), ("ij", "kl mn op"), ("?", "\u4e00")]
    encode_sides(lambda: iter(lines), (tokenizer, tokenizer), tmp_path)
    source, target = open_sides(tmp_path)
    for number, pair in enumerate(lines):
        for side, text in zip((source, target), pair, strict=True):
            ids = side.tokens[side.documents[number] : side.documents[number + 1]]
            assert ids.tolist() == tokenizer(text, add_special_tokens=False).input_ids
