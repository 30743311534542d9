"""Which cells are run next: by the definition, by a fresh fit, and by maps in which the order is known."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from made_grids import additive_map
from scipy.stats import norm

from lingraft.donors import sampling
from lingraft.donors.additive import LOOSE, fit
from lingraft.files import write_json

CODES = ["cs", "da", "de", "en", "es", "fi", "fr", "hu", "it", "ja"]


@pytest.mark.parametrize("mode", ["joint", "sequential"])
def test_first_come_the_languages_alone_then_a_connected_balanced_design(mode: str) -> None:
    cells = sampling.next_cells(CODES, [], 20, mode=mode)
    assert [one.languages for one in cells[:10]] == [(code,) for code in CODES]
    in_pairs = [code for one in cells[10:] for code in one.languages]
    assert {in_pairs.count(code) for code in CODES} == {2}
    part = list(range(10))
    for one in cells[10:]:
        part = sampling._joined(part, tuple(CODES.index(code) for code in one.languages))
    assert set(part) == {0}


def test_every_cell_comes_once_seed_by_seed_and_none_that_is_done() -> None:
    done = {"da.0", "cs+da.0"}
    cells = sampling.next_cells(CODES[:4], done, 99, seeds=2)
    names = [one.name for one in cells]
    assert len(names) == len(set(names)) == 2 * (4 + 6) - 2
    assert not done & set(names)
    assert [one.seed for one in cells] == [0] * 8 + [1] * 10


def test_the_pair_whose_order_is_open_is_run_before_one_that_is_settled() -> None:
    F, off = additive_map(6, seed=0), ~np.eye(6, dtype=bool)
    F[off] = (np.array([5.0, 4.0, 3.0, 0.0, 0.0, 0.0])[:, None] + 0.3 * np.random.default_rng(0).normal(size=(6, 6)))[off]
    ran = [(0, 1), (1, 2), (0, 2), (2, 3), (3, 4), (4, 5), (0, 5)]
    state = (sampling._shown(F, ran, "joint"), np.zeros((6, 6)))
    model = fit(*state)
    gain = sampling._settled(model, 0.0, "joint")
    assert gain[3, 5] > gain[1, 3]


@pytest.mark.parametrize("mode", ["joint", "sequential"])
def test_what_a_pair_tells_by_the_definition(mode: str) -> None:
    """Variances of all differences of two sums, before and after each pair."""
    F, generator = additive_map(5, seed=4), np.random.default_rng(4)
    noise = 0.02**2 * generator.uniform(0.5, 2, size=F.shape)
    model = fit(sampling._shown(F, [(0, 1), (1, 2), (2, 3), (3, 4), (0, 4)], mode), noise)
    told, off = sampling._settled(model, 1e-9, mode), ~np.eye(5, dtype=bool)
    for pair in [(0, 2), (1, 4)]:
        expected = 0.0
        for way in [pair, pair[::-1]] if mode == "joint" else [pair]:
            seen = model.foreseen(*way, 1e-9)
            for i, j in itertools.combinations(range(5), 2):
                rows = ((np.arange(5) == i).astype(float) - (np.arange(5) == j))[:, None] * off
                for shares in (rows, rows.T):
                    before, after, apart = model.variance(shares), seen.variance(shares), (shares * model.mean)[off].sum()
                    expected += (before - after) * norm.pdf(apart / np.sqrt(before)) / np.sqrt(before)
        assert told[pair] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("mode", ["joint", "sequential"])
def test_a_foreseen_outcome_changes_the_model_as_a_fit_with_it_does(mode: str) -> None:
    F, generator = additive_map(6, seed=5), np.random.default_rng(5)
    noise = 0.02**2 * generator.uniform(0.5, 2, size=F.shape)
    ran = [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (0, 5), (1, 4)]
    shown, usual = sampling._shown(F, ran, mode), 0.03**2
    fast = fit(shown, noise)
    for pair in [(0, 2), (3, 5), (2, 5)]:
        means = fast.mean
        fast = sampling._foreseen(fast, pair, usual, mode)
        for way in [pair, pair[::-1]] if mode == "joint" else [pair]:
            shown[way], noise[way] = means[way], usual
        plain = fit(shown, noise, variances=fast.variances)
        off = ~np.eye(6, dtype=bool)
        for name in ("mean", "additive", "weight", "own"):
            np.testing.assert_allclose(getattr(fast, name)[off], getattr(plain, name)[off], rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(fast.covariance, plain.covariance, rtol=1e-6, atol=1e-9)
    assert sampling._foreseen(fast, (0, 1), usual, mode) is fast  # known from another seed


def test_the_variances_are_the_likeliest_by_the_density_itself() -> None:
    F, generator = additive_map(4, seed=6), np.random.default_rng(6)
    F[0, 1] = F[2, 3] = np.nan
    noise = 0.05**2 * generator.uniform(0.5, 2, size=F.shape)
    s, t = np.nonzero(np.isfinite(F))
    y, usual = F[s, t], np.log(((F - np.nanmean(F)) ** 2)[np.isfinite(F)].mean() / 3)

    def density(variances: np.ndarray) -> float:
        """Restricted likelihood with the prior, written out over all measured pairs."""
        donors, recipients, pairs = variances
        V = donors * (s[:, None] == s) + recipients * (t[:, None] == t) + np.diag(pairs + noise[s, t])
        inverse, one = np.linalg.inv(V), np.ones(len(y))
        mean = one @ inverse @ y / (one @ inverse @ one)
        log = np.linalg.slogdet(V)[1] + np.log(one @ inverse @ one) + (y - mean) @ inverse @ (y - mean)
        return -float(log / 2 + (((np.log(variances) - usual) / LOOSE) ** 2).sum() / 2)

    chosen = fit(F, noise).variances
    best = density(chosen)
    for place, factor in itertools.product(range(3), (0.5, 0.8, 1.25, 2)):
        other = chosen.copy()
        other[place] *= factor
        assert density(other) < best + 0.01


def test_active_order_is_no_worse_than_random_on_average_and_ends_at_the_whole_map() -> None:
    active, random = [], []
    for seed in range(4):
        table = sampling.simulate(additive_map(9, seed), seed, orders=2, fractions=(0.3, 0.6, 1.0))
        active += [row[f"active_{name}"] for row in table[:-1] for name in "DR"]
        random += [row[f"random_{name}"] for row in table[:-1] for name in "DR"]
        assert all(table[-1][f"{kind}_{name}"] == pytest.approx(1) for kind in ("active", "random") for name in "DR")
    assert np.mean(active) >= np.mean(random)
    assert np.mean(active) > 0.85


def test_before_anything_was_run_all_languages_come_first(tmp_path: Path) -> None:
    write_json(tmp_path / "grid" / "grid.json", {"languages": CODES, "mode": "joint", "seeds": 1})
    assert [one.name for one in sampling.propose(tmp_path / "grid", 3)] == ["cs.0", "da.0", "de.0"]
