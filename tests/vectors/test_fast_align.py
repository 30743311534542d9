"""fast_align on arrays against the same model written out in loops."""

from collections import defaultdict
from math import exp

import numpy as np
import pytest
from scipy.special import digamma

from lingraft.vectors.fast_align import ALPHA, EMPTY_WORD, TENSION, FastAlign, Side

PAIRS = [([0, 1, 2], [0, 1]), ([1], [1, 1, 2]), ([2, 0], [2, 0, 3, 3]), ([3, 3], [4]), ([0, 2, 1, 3], [0, 2, 1, 4])]


def sides(pairs: list[tuple[list[int], list[int]]]) -> tuple[Side, Side]:
    return tuple(
        Side(np.array([word for pair in pairs for word in pair[side]], np.int32), np.array([len(pair[side]) for pair in pairs], np.int32))
        for side in (0, 1)
    )  # type: ignore[return-value]


def written_out(iterations: int) -> tuple[dict[tuple[int, int], float], list[int]]:
    """p(target | source), the empty word being source -1, and the best source position of every target word (0 for none)."""
    table: dict[tuple[int, int], float] = defaultdict(lambda: 1.0)
    for turn in range(iterations + 1):
        counts: dict[tuple[int, int], float] = defaultdict(float)
        best = []
        for source, target in PAIRS:
            for place, word in enumerate(target, 1):
                prior = [exp(-float(TENSION) * abs(other / len(source) - place / len(target))) for other in range(1, len(source) + 1)]
                joint = [(1 - EMPTY_WORD) * weight / sum(prior) * table[one, word] for weight, one in zip(prior, source, strict=True)]
                joint = [EMPTY_WORD * table[-1, word], *joint]
                best.append(int(np.argmax(joint)))
                for one, weight in zip([-1, *source], joint, strict=True):
                    counts[one, word] += weight / sum(joint)
        if turn < iterations:
            totals: dict[int, float] = defaultdict(float)
            for (one, _), count in counts.items():
                totals[one] += count + ALPHA
            table = {pair: exp(digamma(count + ALPHA) - digamma(totals[pair[0]])) for pair, count in counts.items()}
    return table, best


@pytest.mark.parametrize("iterations", [1, 2, 5])
@pytest.mark.parametrize("block", [1, 7, 1 << 21])
def test_arrays_and_loops_agree(iterations: int, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lingraft.vectors.fast_align.BLOCK", block)
    source, target = sides(PAIRS)
    model = FastAlign.train(source, target, iterations)
    table, best = written_out(iterations)
    assert model.best(source, target).tolist() == best
    for (one, word), probability in table.items():
        found = model.empty[word] if one < 0 else model.lexical[model.places[one, word]]
        assert found == pytest.approx(max(probability, 1e-20), rel=1e-3)


def test_unknown_words_are_linked_by_their_place_and_no_words_give_none() -> None:
    source, target = sides(PAIRS)
    model = FastAlign.train(source, target, 5)
    assert model.places.shape == (5, 6)
    unknown = sides([([4, 4, 4], [5, 5, 5]), ([0, 4], [0, 5])])
    assert model.best(*unknown).tolist() == [1, 2, 3, 1, 2]
    assert model.best(*sides([])).tolist() == []
