"""Word alignment on made languages whose links are known; aligners that are kept; counts."""

import random
import tracemalloc
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from lingraft.errors import RunError, TextError
from lingraft.files import digest
from lingraft.vectors.alignment import (
    LONGEST,
    Aligner,
    AlignmentSettings,
    Links,
    Model,
    Symmetrisation,
    _joined,
    link_counts,
    pharaoh,
    train_aligner,
    word_pair_counts,
)

Pairs = list[tuple[list[str], list[str]]]
WORDS = ["NULL", "UNKNOWN_WORD", "<UNUSED_WORD>", "two words", "", "1", *(f"w{number}" for number in range(80))]  # thot's own marks too


def translated(count: int, seed: int) -> tuple[Pairs, list[Links]]:
    """Sentences, word for word in another language and in a slightly other order; and the links."""
    generator = random.Random(seed)
    pairs, links = [], []
    for _ in range(count):
        source = list(dict.fromkeys(generator.choices(WORDS, [1 / (rank + 3) for rank in range(len(WORDS))], k=generator.randint(4, 10))))
        order = sorted(range(len(source)), key=lambda place: place + generator.uniform(0, 2.5))
        pairs.append((source, [source[place] + "!" for place in order]))
        links.append(sorted((place, other) for other, place in enumerate(order)))
    return pairs, links


PAIRS, LINKS = translated(500, seed=1)
FEW = PAIRS[:60]
NEW_PAIRS, NEW_LINKS = translated(50, seed=2)


def shares(found: list[Links], right: list[Links]) -> tuple[float, float]:
    """(precision, recall)."""
    hits = sum(len({*one} & {*other}) for one, other in zip(found, right, strict=True))
    return hits / sum(map(len, found)), hits / sum(map(len, right))


@pytest.fixture(scope="module")
def aligner() -> Aligner:
    return train_aligner(PAIRS, AlignmentSettings())


def test_the_default_finds_all_links_also_in_text_it_has_not_seen(aligner: Aligner) -> None:
    assert min(shares([*aligner.align(PAIRS)], LINKS)) > 0.995
    assert min(shares([*aligner.align(NEW_PAIRS)], NEW_LINKS)) > 0.98


@pytest.mark.parametrize(("model", "least"), [("ibm1", 0.95), ("ibm2", 0.95), ("hmm", 0.95), ("eflomal", 0.95)])
def test_other_models_are_kept_and_the_same_pairs_give_the_same_bytes(model: Model, least: float, tmp_path: Path) -> None:
    for name in ("one", "other"):
        aligner = train_aligner(lambda: iter(FEW), AlignmentSettings(model=model))
        aligner.save(tmp_path / name)
    links = [*aligner.align(FEW)]
    assert min(shares(links, LINKS[:60])) > least
    assert [*Aligner.load(tmp_path / "one").align(FEW)] == links
    assert digest(tmp_path / "one") == digest(tmp_path / "other")
    assert not any(b"w1 w" in file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()), "the text is not kept"


def test_one_direction_has_one_link_a_word() -> None:
    pairs = [(["a", "b"], ["A"]), (["a"], ["A"]), (["b"], ["B"]), (["b", "a"], ["B", "B"])] * 3
    for how, side in (("forward", 1), ("reverse", 0)):
        for links in train_aligner(pairs, AlignmentSettings(symmetrisation=how)).align(pairs):  # type: ignore[arg-type]
            assert len({link[side] for link in links}) == len(links) > 0


def test_the_same_pairs_give_the_same_bytes(aligner: Aligner, tmp_path: Path) -> None:
    aligner.save(tmp_path / "one")
    train_aligner(iter(PAIRS), AlignmentSettings()).save(tmp_path / "other")
    assert digest(tmp_path / "one") == digest(tmp_path / "other")


@pytest.mark.parametrize("how", get_args(Symmetrisation))
def test_a_kept_aligner_gives_the_same_links_in_every_symmetrisation(aligner: Aligner, how: Symmetrisation, tmp_path: Path) -> None:
    aligner.save(tmp_path / "kept")
    trained = train_aligner(PAIRS, AlignmentSettings(symmetrisation=how))
    loaded = Aligner.load(tmp_path / "kept", how)
    assert loaded.settings == trained.settings
    assert [*loaded.align(NEW_PAIRS)] == [*trained.align(NEW_PAIRS)]


def test_what_cannot_be_loaded_is_said_so(aligner: Aligner, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="holds no trained aligner"):
        Aligner.load(tmp_path)
    train_aligner(PAIRS, AlignmentSettings(symmetrisation="forward")).save(tmp_path / "half")
    with pytest.raises(RunError, match="'union' needs a reverse model"):
        Aligner.load(tmp_path / "half", "union")
    (tmp_path / "half" / "words.json").write_text("[]")
    with pytest.raises(RunError, match=r"words\.json is damaged or missing"):
        Aligner.load(tmp_path / "half")


ODD: Pairs = [([], ["A"]), (["a"], []), ([], []), (["a"] * (LONGEST + 1), ["A"]), (["a"], ["A"] * (LONGEST + 1))]


@pytest.mark.parametrize("model", ["fast_align", "ibm1"])
def test_pairs_that_cannot_be_aligned_are_skipped_and_counted(model: Model) -> None:
    pairs = [pair for good in PAIRS[:100] for pair in (good, *ODD)]
    aligner = train_aligner(pairs, AlignmentSettings(model=model))
    assert aligner.skipped == 100 * len(ODD)
    assert [aligner.takes(pair) for pair in pairs[:6]] == [True] + [False] * len(ODD)
    found = [*aligner.align(pairs)]
    assert [bool(links) for links in found] == [aligner.takes(pair) for pair in pairs]
    assert found[::6] == [*train_aligner(PAIRS[:100], AlignmentSettings(model=model)).align(PAIRS[:100])]


def test_nothing_to_learn_from_is_said_so() -> None:
    with pytest.raises(TextError, match="all 5 have an empty side, or one of more than 1,024 words"):
        train_aligner(ODD, AlignmentSettings())
    with pytest.raises(TextError, match="no pair to learn"):
        train_aligner([], AlignmentSettings(model="ibm1"))


@pytest.mark.parametrize("pair", [(["never", "seen"], ["nie", "gesehen"]), (["w1"] * 300, ["w1!"]), (["w1"], ["w1!"] * 300)])
def test_links_stay_inside_the_sentences(aligner: Aligner, pair: tuple[list[str], list[str]]) -> None:
    for source, target in next(aligner.align([pair])):
        assert 0 <= source < len(pair[0]) and 0 <= target < len(pair[1])


def test_symmetrisations_of_a_pair() -> None:
    forward, reverse = [1, 2, 0, 4], [1, 2, 2, 0]  # best source of each target word; best target of each source word
    expected = {
        "forward": [(0, 0), (1, 1), (3, 3)],
        "reverse": [(0, 0), (1, 1), (2, 1)],
        "intersection": [(0, 0), (1, 1)],
        "union": [(0, 0), (1, 1), (2, 1), (3, 3)],
        "grow": [(0, 0), (1, 1), (2, 1)],
        "grow-diag": [(0, 0), (1, 1), (2, 1)],
        "grow-diag-final": [(0, 0), (1, 1), (2, 1), (3, 3)],
        "grow-diag-final-and": [(0, 0), (1, 1), (2, 1), (3, 3)],
    }
    assert {how: _joined(forward, reverse, how) for how in get_args(Symmetrisation)} == expected
    assert _joined([1, 0, 3], [1, 0, 2], "grow-diag-final-and") == [(0, 0), (2, 2)]
    assert _joined([1, 0, 3], [1, 0, 2], "grow-diag-final") == [(0, 0), (2, 1), (2, 2)]
    assert _joined([1, 2], [1, 0], "grow") == [(0, 0)]
    assert _joined([1, 2], [1, 0], "grow-diag") == [(0, 0), (1, 1)]


def test_every_symmetrisation_lies_between_intersection_and_union() -> None:
    generator = random.Random(0)
    for _ in range(200):
        forward, reverse = [generator.randint(0, 6) for _ in range(5)], [generator.randint(0, 5) for _ in range(6)]
        found = {how: set(_joined(forward, reverse, how)) for how in get_args(Symmetrisation)}
        assert found["intersection"] == found["forward"] & found["reverse"]
        assert found["union"] == found["forward"] | found["reverse"]
        assert all(found["intersection"] <= links <= found["union"] for links in found.values())
        assert found["grow-diag"] <= found["grow-diag-final-and"]
        linked = [{link[side] for link in found["union"]} for side in (0, 1)]
        assert [{link[side] for link in found["grow-diag-final"]} for side in (0, 1)] == linked


def test_links_are_counted_by_ids_and_by_words() -> None:
    pairs = [(np.array([3, 1, 1]), np.array([0, 2])), ([1], [2])]
    links = [[(0, 0), (1, 1), (2, 1)], [(0, 0)]]
    counts = link_counts(pairs, links, num_source=5, num_target=3)
    assert counts.toarray().tolist() == [[0, 0, 0, 1, 0], [0, 0, 0, 0, 0], [0, 3, 0, 0, 0]]
    assert link_counts([], [], 5, 3).shape == (3, 5)
    words = [(["the", "old", "old"], ["das", "alte"]), (["old"], ["alte"])]
    assert word_pair_counts(words, links) == {("the", "das"): 1, ("old", "alte"): 3}
    with pytest.raises(ValueError, match="shorter"):
        link_counts(pairs, links[:1], 5, 3)
    with pytest.raises(ValueError, match="shorter"):
        word_pair_counts(words, links[:1])
    assert pharaoh(links[0]) == "0-0 1-1 2-1"


def test_counting_takes_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lingraft.vectors.alignment.AT_ONCE", 10_000)
    number = 50_000
    tracemalloc.start()
    counts = link_counts((([4, 5], [6, 7]) for _ in range(number)), ([(0, 0), (1, 1)] for _ in range(number)), 9, 9)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (counts[6, 4], counts[7, 5], counts.sum()) == (number, number, 2 * number)
    assert peak < 1_500_000
