"""From lines to their translations: what is read, which state goes where, what is predicted, all by hand; and links in a cipher."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_shards import BERT, CLS, FIRST, PAD, ROBERTA, SEP, shards

from lingraft.errors import RecipeError, TextError
from lingraft.text.shards import Shards
from lingraft.train.batches import Blocks, Inputs, Spoken
from lingraft.train.crossing import Crossing
from lingraft.train.data import Data
from lingraft.train.links import NONE, Linked, link
from lingraft.train.objectives import NOT_ASKED, Vocabulary
from lingraft.train.pairs import Frame, Translations
from lingraft.train.settings import LinkSettings, PhaseSettings

N, LENGTH = NOT_ASKED, 8
VOCABULARY = Vocabulary(40, 5, np.arange(FIRST), np.ones(40, dtype=bool))
SETTINGS = PhaseSettings(batch=2, length=LENGTH, mask_rate=0.5)


@pytest.fixture
def three(tmp_path: Path) -> Translations:
    """Source lines 10 11 12 | 13 14 15 16 17 18 19 | 20; target lines 10 11 | 12 13 14 15 16 17 18 | 19 20. The last pair is not good."""
    sides = [shards(tmp_path / name, [[size] for size in sizes], end=False) for name, sizes in (("one", (3, 7, 1)), ("other", (2, 7, 2)))]
    to_target = np.array([2, NONE, 6, 5, 4, 3, 2, 1, 0, 0, 0], dtype=np.int16)
    to_source = np.array([NONE, 1, 0, 6, 5, 4, 3, 2, 1, 0, 1], dtype=np.int16)
    return Translations(*sides, LENGTH, BERT, links=Linked(to_target, to_source, np.array([0, 1])))


def read(translations: Translations, direction: Any, *indices: int) -> Inputs:
    return Crossing(translations, direction).check().read(np.array(indices))


def test_a_line_is_read_and_its_translation_predicted(three: Translations):
    found = read(three, "to-target", 0)
    assert found.ids.tolist() == [[CLS, 10, 11, 12, SEP, PAD, PAD, PAD]]
    assert found.answers.tolist() == [[N, 10, 11, SEP, N, N, N, N]]
    assert found.more["alignment"].tolist() == [[0, 3, -1, 4, -1, -1, -1, -1]], "of what ends a line, what ends the other"
    assert found.more["attention_mask"].tolist() == [[1] * 5 + [0] * 3]
    assert found.more["target_mask"].tolist() == [[1] * 4 + [0] * 4]
    assert set(found.more) == {"attention_mask", "alignment", "target_mask"}


def test_the_other_way_the_target_is_read(three: Translations):
    found = read(three, "to-source", 0)
    assert found.ids.tolist() == [[CLS, 10, 11, SEP, PAD, PAD, PAD, PAD]]
    assert found.answers.tolist() == [[N, 10, 11, 12, SEP, N, N, N]]
    assert found.more["alignment"].tolist() == [[0, -1, 2, 1, 3, -1, -1, -1]]


def test_long_lines_are_cut_alike_and_links_beyond_are_lost(three: Translations):
    found = read(three, "to-target", 1)
    assert found.ids.tolist() == [[CLS, 13, 14, 15, 16, 17, 18, SEP]]
    assert found.answers.tolist() == [[N, 12, 13, 14, 15, 16, 17, SEP]]
    assert found.more["alignment"].tolist() == [[0, -1, 6, 5, 4, 3, 2, 7]]


def test_both_directions_take_turns_and_say_their_languages(three: Translations):
    told = replace(three, frame=replace(BERT, speaks=True))
    assert len(Crossing(told, "both")) == 4
    found, one, other = read(told, "both", 0, 1), read(told, "to-target", 0), read(told, "to-source", 0)
    for name in found.more:
        assert np.array_equal(found.more[name], np.concatenate([one.more[name], other.more[name]]))
    assert np.array_equal(found.ids, np.concatenate([one.ids, other.ids]))
    assert found.more["languages"].tolist() == [[0] * LENGTH, [1] * LENGTH]
    assert found.more["target_language"].tolist() == [[1] * LENGTH, [0] * LENGTH]


def test_pieces_are_in_the_model_s_vocabulary(three: Translations):
    tables = np.arange(40) + 100, np.arange(40) + 200
    found = read(replace(three, tables=tables), "to-source", 0)
    assert found.ids.tolist() == [[CLS, 210, 211, SEP, PAD, PAD, PAD, PAD]]
    assert found.answers.tolist() == [[N, 110, 111, 112, SEP, N, N, N]]


def test_blocks_without_room_are_refused(three: Translations):
    with pytest.raises(TextError, match="have no room"):
        Crossing(replace(three, length=2), "to-target").check()


def test_text_and_translations_share_a_batch(three: Translations):
    told = replace(three, frame=replace(BERT, speaks=True))
    blocks = Spoken(Blocks(three.target.tokens, LENGTH, (CLS,), (SEP,)), 1)
    data = Data(blocks, VOCABULARY, None, Crossing(told, "to-target"))
    settings = SETTINGS.model_copy(update={"objective": "cdlm+mlm"})
    batch = data.batch(settings, 3, 7)
    again = data.batch(settings, 3, 7)
    assert all(np.array_equal(getattr(batch, name), getattr(again, name)) for name in ("inputs", "positions", "targets"))
    assert batch.more["alignment"][1].tolist() == list(range(LENGTH)), "text stays in its order"
    assert batch.more["target_mask"][1].tolist() == batch.more["attention_mask"][1].tolist() == [1] * LENGTH
    assert batch.more["target_language"].tolist() == [[1] * LENGTH] * 2
    assert batch.more["languages"].tolist() == [[0] * LENGTH, [1] * LENGTH]
    crossed = batch.positions < LENGTH
    assert (batch.inputs[0] != VOCABULARY.mask).all(), "of a line that is translated nothing is hidden"
    assert np.array_equal(batch.targets[crossed][-1:], [SEP])
    assert crossed.sum() in (3, 7)
    assert 0 < (~crossed).sum() < LENGTH


def test_objectives_take_turns(three: Translations):
    blocks = Blocks(three.target.tokens, LENGTH, (CLS,), (SEP,))
    data = Data(blocks, VOCABULARY, None, Crossing(three, "to-target"))
    settings = SETTINGS.model_copy(update={"objective": "cdlm+mlm", "in_turn": True})
    batches = [data.batch(settings, step, 7) for step in range(4)]
    assert ["alignment" in batch.more for batch in batches] == [True, False, True, False]
    assert all(len(batch.inputs) == 2 for batch in batches)


def test_a_masked_token_is_predicted_where_its_partner_stands(three: Translations):
    """CLS 10 11 12 SEP 10 11 SEP: of the source 11 is linked with 11, 12 with 10; of the target 10 with 12, 11 with none."""
    found = three.read(np.array([0]), np.array([1], dtype=np.uint64))
    assert found.ids.tolist() == [[CLS, 10, 11, 12, SEP, 10, 11, SEP]]
    assert found.partners.tolist() == [[0, 1, 6, 5, 4, 3, 6, 7]]
    data = Data(Blocks(three.target.tokens, LENGTH, (CLS,), (SEP,)), VOCABULARY, three)
    bridged, plain = (data.batch(SETTINGS.model_copy(update={"objective": name}), 0, 5) for name in ("brlm", "tlm"))
    assert np.array_equal(bridged.inputs, plain.inputs)
    rows, places = np.divmod(plain.positions, LENGTH)
    partners = three.batch(0, 2, 5).partners
    moved = sorted(zip((rows * LENGTH + partners[rows, places]).tolist(), plain.targets.tolist(), strict=True))
    assert sorted(zip(bridged.positions.tolist(), bridged.targets.tolist(), strict=True)) == moved
    assert (np.diff(bridged.positions) >= 0).all(), "as shares of a batch are cut"


def test_partners_that_are_cut_off_are_none(three: Translations):
    """Lines of 7 in blocks with room for 5: 3 and 2 are left, linked crosswise from far ends."""
    found = three.read(np.array([1]), np.array([1], dtype=np.uint64))
    assert found.partners.tolist() == [list(range(LENGTH))]


def test_translations_say_the_language_of_each_side(three: Translations):
    for frame, expected in ((BERT, [0, 0, 0, 0, 0, 1, 1, 1]), (ROBERTA, [0, 0, 0, 0, 1, 1, 1, 1])):
        found = replace(three, frame=replace(frame, speaks=True)).read(np.array([0]), np.array([1], dtype=np.uint64))
        assert found.more["languages"].tolist()[0] == expected


@pytest.fixture(scope="module")
def cipher(tmp_path_factory: pytest.TempPathFactory) -> tuple[Shards, Shards]:
    """80 lines of tokens 10 to 29, and their translations: backwards, each token 10 higher; then a wrong one, and a long one."""
    generator, folder = np.random.default_rng(1), tmp_path_factory.mktemp("cipher")
    lines = [generator.integers(10, 30, size=generator.integers(3, 9)) for _ in range(80)]
    others = [line[::-1] + 10 for line in lines]
    lines += [np.array([10, 11, 12, 13]), np.array([14])]
    others += [np.array([35, 36, 37, 38]), np.array([24, 25, 26, 27])]
    made = []
    for name, texts in (("one", lines), ("other", others)):
        side = shards(folder / name, [[len(text)] for text in texts], end=False)
        np.concatenate(texts).astype(np.uint16).tofile(folder / name / "tokens.bin")
        made.append(Shards.open(side.folder))
    return made[0], made[1]


@pytest.mark.parametrize("symmetrisation", ["none", "intersection"])
def test_links_of_a_cipher(cipher: tuple[Shards, Shards], symmetrisation: str, tmp_path: Path):
    facts = link(*cipher, LinkSettings(symmetrisation=symmetrisation, least_linked=0.6), tmp_path / "alignments")
    found, ends = Linked.open(tmp_path / "alignments"), cipher[1].documents
    right = [found.to_target[ends[i] : ends[i + 1]] == np.arange(ends[i + 1] - ends[i])[::-1] for i in range(80)]
    assert np.concatenate(right).mean() > 0.8, "but for tokens that come twice"
    assert facts["pairs"] == 82
    assert facts["dropped_by_length"] == 1
    assert facts["dropped_by_links"] >= 1
    assert facts["kept"] == len(found.lines) == 82 - facts["dropped_by_length"] - facts["dropped_by_links"]
    assert facts["kept"] > 60
    assert not {80, 81} & set(found.lines.tolist())
    assert 0.8 < facts["linked_to_target"] <= 1


def test_no_pair_that_is_good_enough(cipher: tuple[Shards, Shards], tmp_path: Path):
    wrong = cipher[0], shards(tmp_path / "wrong", [[40]] * 82, end=False)
    with pytest.raises(TextError, match="None of the 82 pairs"):
        link(*wrong, LinkSettings(), tmp_path / "alignments")
    assert not (tmp_path / "alignments").exists()


def test_objectives_are_checked():
    for wrong, why in (("cdml", "cdlm"), ("mlm+mlm", "each once"), ("auto+mlm", "no 'auto'")):
        with pytest.raises(RecipeError, match=why):
            PhaseSettings(objective=wrong)
    assert isinstance(BERT, Frame)
