"""Row methods from vectors and counts: known answers."""

import numpy as np
import pytest
import scipy.sparse

from lingraft.embeddings import ROWS, Vocabularies
from lingraft.embeddings.counts import spread
from lingraft.embeddings.neighbours import similar, softmax_of_nearest, sparsemax
from lingraft.embeddings.pursuit import pursue
from lingraft.errors import RecipeError

NUMBERS = np.random.default_rng(0)
SIZE = 200
SAME = np.zeros((0, 2), dtype=np.int64)


def world(num_new: int = SIZE, num_old: int = SIZE) -> Vocabularies:
    return Vocabularies(num_new, num_old, SAME, np.ones(num_old, dtype=bool))


def vectors(count: int, dim: int = 16) -> np.ndarray:
    return NUMBERS.normal(size=(count, dim)).astype(np.float32)


def slow_sparsemax(scores: np.ndarray) -> np.ndarray:
    ordered = np.sort(scores)[::-1]
    sizes = np.arange(1, len(scores) + 1)
    size = sizes[1 + sizes * ordered > np.cumsum(ordered)][-1]
    return np.maximum(scores - (ordered[:size].sum() - 1) / size, 0)


@pytest.mark.parametrize("width", [0.001, 0.1, 1.0])
def test_sparsemax_is_the_projection_on_the_simplex(width: float):
    scores = (NUMBERS.normal(size=(20, 700)) * width).astype(np.float32)
    found = sparsemax(scores).toarray()
    assert np.allclose(found, [slow_sparsemax(row.astype(float)) for row in scores], atol=1e-5)
    assert np.allclose(found.sum(axis=1), 1, atol=1e-5)


def test_softmax_of_the_ten_nearest():
    scores = NUMBERS.uniform(-1, 1, size=(5, 40)).astype(np.float32)
    found = softmax_of_nearest(scores).toarray()
    for row, weights in zip(scores, found, strict=True):
        nearest = np.argsort(-row)[:10]
        expected = np.exp(row[nearest] / 0.1)
        assert np.allclose(weights[nearest], expected / expected.sum(), atol=1e-5)
        assert np.count_nonzero(weights) == 10


def test_of_equally_near_ones_the_lower_columns_count():
    scores = np.zeros((2, 3000), dtype=np.float32)
    scores[0, 2990:] = 1
    scores[1, ::100] = 1
    found = softmax_of_nearest(scores).toarray()
    assert np.flatnonzero(found[0]).tolist() == list(range(2990, 3000))
    assert np.flatnonzero(found[1]).tolist() == list(range(0, 1000, 100))


def test_neighbours_are_found_in_pieces_too(monkeypatch: pytest.MonkeyPatch):
    queries, keys, usable = vectors(50), vectors(60), np.arange(60) % 4 > 0
    queries[7] = keys[9] = 0
    whole = similar(queries, keys, usable, sparsemax).toarray()
    monkeypatch.setattr("lingraft.embeddings.neighbours.AT_ONCE", 300)
    assert np.allclose(whole, similar(queries, keys, usable, sparsemax).toarray(), atol=1e-6)
    assert not whole[7].any() and not whole[:, [9, 0, 4]].any()


@pytest.mark.parametrize("method", ["wechsel", "ramen-mono", "ofa"])
def test_a_renamed_language_finds_its_rows(method: str):
    """The new vocabulary is the old one in another order, and its vectors are the old ones: the nearest is the right one."""
    order = NUMBERS.permutation(SIZE)
    old = vectors(SIZE)
    aids = {"new_vectors": old[order], "old_vectors": old} | ({"overlap": np.full(SIZE, -1)} if method == "ofa" else {})
    assert np.array_equal(ROWS[method](world(), **aids).mix.toarray().argmax(axis=1), order)


@pytest.mark.parametrize(
    ("method", "name"), [("focus", "own_vectors"), ("clp", "helper_vectors"), ("clp-plus", "helper_vectors"), ("omp", "helper_vectors")]
)
def test_tokens_mix_the_copied_ones_that_they_resemble(method: str, name: str):
    """Tokens 100-199 are not shared; each has the vector of token i - 100, which is shared with old token i + 50 (modulo the size)."""
    own = np.abs(vectors(SIZE))  # cosines are above 0, as most are in the embeddings of a real model
    own[100:] = own[:100]
    overlap = np.where(np.arange(SIZE) < 100, (np.arange(SIZE) + 50) % SIZE, -1)
    rows = ROWS[method](world(), overlap=overlap, **{name: own})
    mix = rows.mix.toarray()
    assert np.array_equal(mix[:100].argmax(axis=1), overlap[:100]) and np.count_nonzero(mix[:100]) == 100
    assert np.array_equal(mix[100:].argmax(axis=1), overlap[:100])
    if method != "omp":
        assert np.allclose(mix.sum(axis=1), 1, atol=1e-4)
    with pytest.raises(RecipeError, match="No token"):
        ROWS[method](world(), overlap=np.full(SIZE, -1), **{name: own})


def test_clp_draws_where_weights_cancel_out():
    own = np.array([[1, 0], [-1, 0], [1, 0], [0.5, 1]], dtype=np.float32)
    rows = ROWS["clp"](world(4, 4), overlap=np.array([0, 1, -1, -1]), helper_vectors=own)
    assert rows.group.tolist() == [-1, -1, 0, 0], "cosines +1 and -1 have no sum to divide by"


def test_pursuit_writes_a_sum_of_few_atoms_exactly():
    atoms = vectors(300, 40)
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    chosen = np.array([[3, 50], [7, 9]])
    weights = np.array([[2.0, -1.0], [0.5, 3.0]], dtype=np.float32)
    wanted = np.einsum("nk,nkd->nd", weights, atoms[chosen])
    columns, found = pursue(wanted, atoms)
    assert np.allclose(np.einsum("nk,nkd->nd", found, atoms[columns]), wanted, atol=1e-3)
    for row in range(2):
        assert {columns[row, 0], columns[row, 1]} == set(chosen[row]), "the first two atoms are the right ones"


def test_ramen_shares_by_counts():
    links = scipy.sparse.csr_array(np.array([[3, 1, 0], [0, 0, 0], [0, 0, 2]]))
    rows = ROWS["ramen"](world(3, 3), alignment=links)
    assert np.allclose(rows.mix.toarray(), [[0.75, 0.25, 0], [0, 0, 0], [0, 0, 1]])
    assert rows.group.tolist() == [-1, 0, -1]


def test_counts_are_spread_half_over_all_pairs_and_half_in_order():
    found = spread([((0, 1), (0, 1), 8.0), ((2,), (0, 1, 2), 6.0), ((), (1,), 5.0)], 3, 3).toarray()
    assert np.allclose(found, [[1 + 2, 1, 0], [1, 1 + 2, 0], [2, 2, 2]])


def test_a_dictionary_goes_before_identical_strings():
    entries = scipy.sparse.csr_array(np.array([[0, 4, 0], [0, 0, 0], [0, 0, 0]]))
    rows = ROWS["lexicon"](world(3, 3), overlap=np.array([0, 2, -1]), dictionary=entries)
    assert np.allclose(rows.mix.toarray(), [[0, 1, 0], [0, 0, 1], [0, 0, 0]])


def test_tokens_without_counts_take_from_those_they_begin_and_hold():
    spelled = ["▁haus", "▁ha", "▁haustür", "tür", "▁x"]
    counts = scipy.sparse.csr_array(np.array([[2, 0], [0, 0], [0, 0], [0, 6], [0, 0]]))
    rows = ROWS["trans-tokenizer"](world(5, 2), overlap=np.full(5, -1), word_pairs=counts, new_spelling=spelled)
    mix = rows.mix.toarray()
    assert np.allclose(mix[1], [1, 0]), "it begins ▁haus"
    assert np.allclose(mix[2], [2 / 3, 1 / 3]), "it holds ▁haus, which counts twice, and tür"
    assert rows.group[4] == 0, "nothing known is in it"


def test_the_same_string_counts_once_more():
    rows = ROWS["trans-tokenizer"](
        world(1, 2), overlap=np.array([1]), word_pairs=scipy.sparse.csr_array(np.array([[3, 0]])), new_spelling=["a"]
    )
    assert np.allclose(rows.mix.toarray(), [[0.75, 0.25]])


def test_heuristic_draws_from_the_class():
    old = np.zeros((SIZE, 3), dtype=np.float32)
    old[100:] = 5
    classes = np.repeat([7, 8], 100)
    rows = ROWS["heuristic"](world(3), overlap=np.array([4, -1, -1]), new_classes=np.array([7, 7, 8]), old_classes=classes)
    matrix = rows.apply(old, np.random.default_rng(0))
    assert np.allclose(matrix, [[0] * 3, [0] * 3, [5] * 3])
    unknown = ROWS["heuristic"](world(1), overlap=np.array([-1]), new_classes=np.array([99]), old_classes=classes)
    assert len(unknown.groups[unknown.group[0]].rows) == SIZE


def test_distilled_rows_are_those_of_pieces_but_for_the_trained_ones():
    aids = {
        "overlap": np.array([3, -1, -1, -1]),
        "old_pieces": [np.array([3]), np.array([0, 1]), np.array([2]), np.zeros(0, dtype=np.int64)],
    }
    before = ROWS["pieces"](world(4, 4), **aids)
    rows = ROWS["distilled"](world(4, 4), **aids, distilled_rows=(np.array([2]), np.full((1, 4), 7, dtype=np.float32)))
    matrices = [made.apply(np.eye(4, dtype=np.float32), np.random.default_rng(0)) for made in (before, rows)]
    assert np.array_equal(matrices[0][[0, 1, 3]], matrices[1][[0, 1, 3]]) and (matrices[1][2] == 7).all()
    assert rows.counts() == {"copied": 1, "mixed": 1, "direct": 1, "drawn": 1}


def test_static_vectors_become_rows_as_long_as_the_old_ones():
    old = vectors(6, 4)
    ids, given = np.array([3, 1]), np.eye(4, dtype=np.float32)[:2]
    made = ROWS["static"](world(4, 6), static_vectors=(ids, given), old_rows=old)
    new = made.apply(old, np.random.default_rng(0))
    assert np.allclose(new[ids], given * np.linalg.norm(old, axis=1).mean())
    assert made.counts() == {"copied": 0, "mixed": 0, "direct": 2, "drawn": 2}
    assert made.without_direct().counts()["drawn"] == 4


def test_mapped_vectors_become_rows_and_the_rest_of_a_token_comes_from_the_nearest_old_ones():
    old, bias = np.eye(20, 16, dtype=np.float32) * 3, np.arange(20, dtype=np.float32)[:, None]
    special = Vocabularies(5, 20, np.array([[0, 19]]), np.arange(20) < 16)
    given = np.eye(16, dtype=np.float32)[[9, 4, 2]]
    made = ROWS["mapped"](special, mapped_vectors=(np.array([0, 2, 4]), given), old_rows=old)
    assert np.allclose(made.apply(old, np.random.default_rng(0))[[2, 4]], given[1:] * 3)
    assert made.counts() == {"copied": 1, "mixed": 0, "direct": 2, "drawn": 2}
    others = made.without_direct()
    assert np.array_equal(others.mix.toarray()[[2, 4]].argmax(axis=1), [4, 2])
    assert others.apply(bias, np.random.default_rng(0))[0, 0] == 19
