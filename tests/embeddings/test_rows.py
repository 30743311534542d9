"""NewRows: what every method's answer obeys, whatever the method."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse

from lingraft.embeddings import ORIGINS, ROWS, Group, NewRows, Vocabularies, blended, layered
from lingraft.embeddings.rows import from_mix, picked, stacked
from lingraft.embeddings.settings import METHODS
from lingraft.errors import RecipeError

OLD, NEW, DIM = 40, 30, 6
GENERATOR = np.random.default_rng(0)
MATRIX = GENERATOR.normal(size=(OLD, DIM)).astype(np.float32)
TEXT = np.r_[np.zeros(5, dtype=bool), np.ones(30, dtype=bool), np.zeros(5, dtype=bool)]
ROLES = np.array([[0, 3], [1, 2]])
VOCABULARIES = Vocabularies(NEW, OLD, ROLES, TEXT)
VECTORS = GENERATOR.normal(size=(NEW, 4)).astype(np.float32)
VECTORS[[0, 1, 29]] = 0  # specials, and a token without a vector
LINKS = scipy.sparse.csr_array(GENERATOR.integers(0, 3, size=(NEW, OLD)) * TEXT * (np.arange(NEW) % 3 == 0)[:, None])
AIDS = {
    "own_vectors": VECTORS,
    "helper_vectors": VECTORS,
    "new_vectors": VECTORS,
    "old_vectors": GENERATOR.normal(size=(OLD, 4)).astype(np.float32),
    "alignment": LINKS,
    "word_pairs": LINKS,
    "dictionary": LINKS,
    "new_spelling": ["", "", *("▁" * (i % 2) + "abcdefghij"[i % 10] * (1 + i // 10) for i in range(2, NEW))],
    "new_classes": np.arange(NEW) % 3,
    "old_classes": np.arange(OLD) % 3,
    "overlap": np.r_[-1, -1, np.arange(10) + 5, np.full(NEW - 12, -1)],
    "old_pieces": [np.array([], dtype=np.int64)] * 12 + [np.array([6, 7])] * (NEW - 13) + [np.array([], dtype=np.int64)],
    "distilled_rows": (np.arange(12, 20), GENERATOR.normal(size=(8, DIM)).astype(np.float32)),
    "new_ranks": np.arange(2, NEW),
    "old_ranks": np.arange(5, 25),
    "old_rows": MATRIX,
    "static_vectors": (np.arange(1, 20), MATRIX[1:20] / np.linalg.norm(MATRIX[1:20], axis=1, keepdims=True)),
    "mapped_vectors": (np.arange(1, 20), MATRIX[1:20] / np.linalg.norm(MATRIX[1:20], axis=1, keepdims=True)),
}


def answer(method: str, vocabularies: Vocabularies = VOCABULARIES, **aids: object) -> NewRows:
    import inspect

    names = inspect.signature(ROWS[method]).parameters
    return ROWS[method](vocabularies, **{name: {**AIDS, **aids}[name] for name in names if name != "vocabularies"})


def test_settings_name_every_method():
    assert set(METHODS) == set(ROWS)


@pytest.mark.parametrize("method", sorted(set(ROWS) - {"keep"}))
def test_contract_of_every_method(method: str):
    rows = answer(method)
    matrix = rows.apply(MATRIX, np.random.default_rng(1))
    assert matrix.shape == (NEW, DIM) and matrix.dtype == np.float32 and np.isfinite(matrix).all()
    assert np.array_equal(matrix[[0, 1]], MATRIX[[3, 2]]), "specials keep their role, whatever the ids"
    assert sum(rows.counts().values()) == NEW
    used = rows.mix.tocoo()
    assert TEXT[used.coords[1][~np.isin(used.coords[0], [0, 1])]].all(), "only rows that stand for text are used"
    assert np.array_equal(matrix, rows.apply(MATRIX, np.random.default_rng(1))), "one seed, one matrix"
    bias = rows.without_direct().apply(MATRIX[:, :1], np.random.default_rng(1))
    assert bias.shape == (NEW, 1)


@pytest.mark.parametrize("method", sorted(set(ROWS) - {"keep"}))
def test_order_of_the_new_vocabulary_changes_nothing(method: str):
    shuffle = np.random.default_rng(3).permutation(NEW)
    place = np.argsort(shuffle)
    moved = Vocabularies(NEW, OLD, np.column_stack([place[ROLES[:, 0]], ROLES[:, 1]]), TEXT)
    aids = {
        "overlap": AIDS["overlap"][shuffle],
        "old_pieces": [AIDS["old_pieces"][i] for i in shuffle],
        **{n: (place[AIDS[n][0]], AIDS[n][1]) for n in ("distilled_rows", "static_vectors", "mapped_vectors")},
        "new_ranks": place[AIDS["new_ranks"]],
        "new_spelling": [AIDS["new_spelling"][i] for i in shuffle],
    }
    names = ("own_vectors", "helper_vectors", "new_vectors", "alignment", "word_pairs", "dictionary", "new_classes")
    aids |= {name: AIDS[name][shuffle] for name in names}
    before, after = answer(method), answer(method, moved, **aids)
    assert np.allclose(before.mix.toarray()[shuffle], after.mix.toarray(), atol=1e-6)
    assert np.array_equal(before.group[shuffle], after.group)


@pytest.mark.parametrize("method", sorted(set(ROWS) - {"keep"}))
def test_rows_go_round_as_arrays(method: str):
    rows = answer(method)
    again = NewRows.from_arrays(rows.to_arrays())
    assert np.array_equal(rows.apply(MATRIX, np.random.default_rng(1)), again.apply(MATRIX, np.random.default_rng(1)))
    assert np.array_equal(rows.origin, again.origin)


def test_direct_rows_go_round_as_arrays():
    base = answer("copy")
    rows = NewRows(base.mix, base.group, (Group(mean=1.0), *base.groups), np.array([4]), np.full((1, DIM), 9.0, dtype=np.float32))
    again = NewRows.from_arrays(rows.to_arrays())
    assert np.array_equal(rows.apply(MATRIX, np.random.default_rng(1)), again.apply(MATRIX, np.random.default_rng(1)))


def test_layers_take_the_first_answer_that_is_no_draw():
    ramen, copy = answer("ramen"), answer("copy")
    both = layered([ramen, copy])
    drawn = ramen.origin == ORIGINS.index("drawn")
    assert np.array_equal(both.mix.toarray()[~drawn], ramen.mix.toarray()[~drawn])
    assert np.array_equal(both.mix.toarray()[drawn], copy.mix.toarray()[drawn])
    assert np.array_equal(both.group >= 0, drawn & (copy.group >= 0))
    direct = NewRows(copy.mix, copy.group, copy.groups, np.array([4, 25]), np.arange(2 * DIM, dtype=np.float32).reshape(2, DIM))
    mixed = layered([answer("lexicon"), direct]).apply(MATRIX, np.random.default_rng(0))
    assert np.array_equal(mixed[25], np.arange(DIM, 2 * DIM)), "the layer below gives its vector"


def test_blends_are_means_of_what_is_not_drawn():
    ramen, copy = answer("ramen"), answer("copy")
    both = blended([ramen, copy])
    has = [found.origin != ORIGINS.index("drawn") for found in (ramen, copy)]
    means = (ramen.mix.toarray() + copy.mix.toarray()) / np.maximum(has[0].astype(int) + has[1], 1)[:, None]
    assert np.allclose(both.mix.toarray(), means) and np.array_equal(both.group >= 0, ~has[0] & ~has[1])
    assert (has[0] & has[1]).sum() > 2 and both.counts()["copied"] > 0
    assert np.array_equal(both.apply(MATRIX, np.random.default_rng(0))[[0, 1]], MATRIX[[3, 2]])
    assert blended([copy]) is copy


def test_copy_copies_and_draws_the_rest_from_text_rows():
    rows = answer("copy")
    matrix = rows.apply(MATRIX, np.random.default_rng(0))
    assert np.array_equal(matrix[2:12], MATRIX[5:15])
    assert rows.counts() == {"copied": 12, "mixed": 0, "direct": 0, "drawn": 18}
    assert [ORIGINS[i] for i in rows.origin[[0, 5, 20]]] == ["copied", "copied", "drawn"]


def test_drawn_rows_have_the_moments_of_their_group():
    wide = np.random.default_rng(5).normal(3.0, 0.5, size=(OLD, 4)).astype(np.float32)
    wide[~TEXT] = 100
    many = Vocabularies(20_000, OLD, np.zeros((0, 2), dtype=np.int64), TEXT)
    drawn = ROWS["random"](many).apply(wide, np.random.default_rng(0))
    assert np.allclose(drawn.mean(0), wide[TEXT].mean(0), atol=0.02)
    assert np.allclose(drawn.std(0), wide[TEXT].std(0), atol=0.02)


def test_pieces_are_means():
    matrix = answer("pieces").apply(MATRIX, np.random.default_rng(0))
    assert np.allclose(matrix[15], MATRIX[[6, 7]].mean(0), atol=1e-6)
    assert np.array_equal(matrix[5], MATRIX[8])


def test_rank_maps_rank_to_rank_and_draws_beyond():
    rows = answer("rank")
    matrix = rows.apply(MATRIX, np.random.default_rng(0))
    assert np.array_equal(matrix[2:22], MATRIX[5:25])
    assert rows.counts()["drawn"] == 8


def test_keep_is_the_identity_and_needs_equal_sizes():
    same = Vocabularies(OLD, OLD, ROLES, TEXT)
    assert np.array_equal(ROWS["keep"](same).apply(MATRIX, np.random.default_rng(0)), MATRIX)
    with pytest.raises(RecipeError, match="source"):
        ROWS["keep"](VOCABULARIES)


def test_direct_rows_belong_to_their_matrix_only():
    base = answer("copy")
    rows = NewRows(base.mix, base.group, base.groups, np.array([4, 25]), np.full((2, DIM), 9.0, dtype=np.float32))
    matrix = rows.apply(MATRIX, np.random.default_rng(0))
    assert (matrix[[4, 25]] == 9).all() and rows.counts()["direct"] == 2
    assert np.array_equal(rows.without_direct().apply(MATRIX, np.random.default_rng(0)), base.apply(MATRIX, np.random.default_rng(0)))


@pytest.mark.parametrize("method", ["pieces", "ramen", "omp"])
def test_restored_rows_are_as_long_as_the_rows_they_mix(method: str):
    rows = replace(answer(method), restored=True)
    plain, matrix = (found.apply(MATRIX, np.random.default_rng(0)) for found in (answer(method), rows))
    mixed = rows.origin == ORIGINS.index("mixed")
    assert mixed.sum() > 5 and np.array_equal(plain[~mixed], matrix[~mixed])
    weights = abs(rows.mix.toarray())
    lengths = weights @ np.linalg.norm(MATRIX, axis=1) / np.maximum(weights.sum(axis=1), 1e-9)
    assert np.allclose(np.linalg.norm(matrix, axis=1)[mixed], lengths[mixed], rtol=1e-5)
    assert np.allclose(
        matrix[mixed] / np.linalg.norm(matrix[mixed], axis=1, keepdims=True),
        plain[mixed] / np.linalg.norm(plain[mixed], axis=1, keepdims=True),
        atol=1e-5,
    )
    assert np.array_equal(NewRows.from_arrays(rows.to_arrays()).apply(MATRIX, np.random.default_rng(0)), matrix)
    bias = (found.apply(MATRIX[:, :1], np.random.default_rng(0)) for found in (answer(method), rows))
    assert np.array_equal(*bias), "a bias has no length"


def test_groups_with_fixed_moments():
    empty = scipy.sparse.csr_array((NEW, OLD))
    group = np.where(np.arange(NEW) < 15, 0, 1)
    rows = from_mix(VOCABULARIES, empty, groups=(Group(mean=5.0, deviation=0.0), Group(np.array([7]))), group=group)
    matrix = rows.apply(MATRIX, np.random.default_rng(0))
    assert (matrix[2:15] == 5).all() and np.allclose(matrix[15:], MATRIX[7])


def test_a_matrix_of_another_size_is_refused():
    with pytest.raises(ValueError, match="40 old rows"):
        answer("copy").apply(MATRIX[:-1], np.random.default_rng(0))


@pytest.mark.parametrize("method", sorted(set(ROWS) - {"keep"}))
def test_stacked_rows_are_the_old_ones_and_behind_them_the_answers(method: str):
    rows = answer(method)
    rows = NewRows(rows.mix, rows.group, rows.groups, np.array([1, 4, 9]), np.eye(3, DIM, dtype=np.float32))
    ids = np.r_[3, 2, 35 + np.arange(NEW - 2)]  # the first two are specials that the old vocabulary has
    both = stacked(rows, 35, ids)
    assert both.num_new == 35 + NEW - 2
    made = both.apply(MATRIX, np.random.default_rng(0))
    assert np.array_equal(made[:35], MATRIX[:35])
    assert np.array_equal(both.origin[35:], rows.origin[2:])
    assert np.array_equal(made[ids[[4, 9]]], rows.direct[1:])
    settled = np.flatnonzero(rows.origin != ORIGINS.index("drawn"))[2:]
    assert np.array_equal(made[ids[settled]], rows.apply(MATRIX, np.random.default_rng(0))[settled])


def test_picked_rows_are_copies():
    assert np.array_equal(picked(np.array([7, 7, 0]), OLD).apply(MATRIX, np.random.default_rng(0)), MATRIX[[7, 7, 0]])
