"""Up-sampling: shares by the formula, lines as often as it asks."""

from collections import Counter
from pathlib import Path

import pytest

from lingraft.text.balance import evenly, repeats, shares, training_lines
from lingraft.text.corpus import TextSettings, resolve


def test_shares_follow_the_formula():
    assert shares([900, 100], 1).tolist() == pytest.approx([0.9, 0.1])
    assert shares([900, 100], 0.5).tolist() == pytest.approx([0.75, 0.25])
    assert shares([900, 100, 1], 0).tolist() == pytest.approx([1 / 3] * 3)


def test_repeats_give_these_shares_and_read_the_largest_once():
    times = repeats([900, 100], 0.5)
    assert times.tolist() == pytest.approx([1, 3])
    assert repeats([7, 5, 1], 1).tolist() == [1, 1, 1]


def test_a_part_of_the_lines_is_spread_evenly():
    assert list(evenly("abcdefgh", 0.25)) == ["d", "h"]
    assert list(evenly("abcdefgh", 0)) == []


def test_the_small_text_is_read_more_often(tmp_path: Path):
    for name, count in (("en", 360), ("de", 40)):
        (tmp_path / f"{name}.txt").write_text("\n\n".join(f"{name} {number}" for number in range(count)))
    corpora = [resolve([str(tmp_path / f"{code}.txt")], code, settings=TextSettings()) for code in ("en", "de")]
    plain, upsampled = (Counter(training_lines(corpora, alpha)) for alpha in (1.0, 0.25))
    assert set(plain.values()) == {1}
    times = repeats([360, 40], 0.25)[1]
    assert plain.keys() == upsampled.keys()
    assert {upsampled[line] for line in upsampled if line.startswith("en")} == {1}
    counts = [upsampled[line] for line in upsampled if line.startswith("de")]
    assert {*counts} == {5, 6}
    assert sum(counts) / len(counts) == pytest.approx(times, abs=0.05)
