"""F as a two-way table: what a donor gives, what a recipient takes, and what is left to the pair, each shrunk by how much it varies.

    F(s→t) = μ + d_s + r_t + e_st + noise,   d ~ N(0, τ_d²), r ~ N(0, τ_r²), e ~ N(0, τ_e²)

The three variances are those that make the measured pairs likeliest (μ integrated out: restricted maximum likelihood), under a weak prior
that keeps a small map from setting one of them to nothing. The noise of each pair is known from draws.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dposv
from scipy.optimize import minimize

from lingraft.donors.gains import Gains

Array = NDArray[Any]
LOOSE = 2.0
"""Standard deviation of the prior of each variance's logarithm, around a third of the variance of F."""


@dataclass(frozen=True, slots=True)
class Additive:
    """What is believed of all n × n pairs, measured or not, given those that were measured. The diagonal means nothing.

    variances    (3,) of donors, recipients, pairs
    covariance   (2n + 1, 2n + 1) of the effects (μ, d, r)
    additive     (n, n) μ + d_s + r_t
    donors       (n,) μ + d_s
    weight       (n, n) how far a measured F is believed against `additive`, 0 to 1; 0 where it was not measured
    mean         (n, n) expected F
    own          (n, n) variance of the part of a pair that effects do not decide
    shared       (n,) variance of the noise that all pairs of a recipient have in common, that of its model alone
    """

    variances: Array
    covariance: Array
    additive: Array
    donors: Array
    weight: Array
    mean: Array
    own: Array
    shared: Array

    def variance(self, shares: Array) -> float:
        """Of the sum of F times `shares` (n, n)."""
        trusted = shares * (1 - self.weight)
        effects = np.concatenate([[trusted.sum()], trusted.sum(axis=1), trusted.sum(axis=0)])
        own = float((shares**2 * self.own).sum() + (shares.sum(axis=0) ** 2 * self.shared).sum())
        return float(effects @ self.covariance @ effects) + own

    def left_out(self, F: Array) -> Array:
        """(n, n) what the measured pairs are expected to be from all others, by effects alone; nan elsewhere."""
        there = np.isfinite(F)
        leverage = self._effects() / np.where(there, self.variances[2] + self.noise(), np.inf)
        return np.where(there, F - (F - self.additive) / (1 - np.minimum(leverage, 0.999)), np.nan)

    def noise(self) -> Array:
        """(n, n) of measured pairs, from how far they are believed."""
        return self.variances[2] * (1 / np.where(self.weight > 0, self.weight, 1) - 1)

    def unsure(self) -> Array:
        """(n, n) variance of each pair, but for noise that a recipient's pairs share."""
        return (1 - self.weight) ** 2 * self._effects() + self.own

    def foreseen(self, source: int, target: int, noise: float) -> "Additive":
        """Once a pair that was not measured has been, with a noise of this variance, and came out as expected: what `fit` would say then,
        by an update of rank one. The means stay, what is not known shrinks."""
        n = len(self.mean)
        towards = self.covariance[[0, 1 + source, 1 + n + target]].sum(axis=0)
        seen = towards[[0, 1 + source, 1 + n + target]].sum() + self.variances[2] + noise
        weight, own = self.weight.copy(), self.own.copy()
        weight[source, target] = self.variances[2] / (self.variances[2] + noise)
        own[source, target] = weight[source, target] * noise
        return replace(self, covariance=self.covariance - np.outer(towards, towards) / seen, weight=weight, own=own)

    def _effects(self) -> Array:
        """(n, n) variance of `additive`."""
        return variance_of_pairs(self.covariance)


def variance_of_pairs(covariance: Array) -> Array:
    """(n, n) variance of μ + d_s + r_t. covariance: (2n + 1, 2n + 1) of (μ, d, r)."""
    n, C = len(covariance) // 2, covariance
    d, r = slice(1, n + 1), slice(n + 1, None)
    own = C[0, 0] + np.diag(C)[d][:, None] + np.diag(C)[r][None, :]
    return own + 2 * (C[0, d][:, None] + C[0, r][None, :] + C[d, r])


def noise_of(gains: Gains) -> tuple[Array, Array]:
    """Variances of the noise, from the draws: (n, n) of each pair by itself, (n,) of what all pairs of a recipient share."""
    there = np.isfinite(gains.F)
    draws = np.where(there, gains.F_draws, 0)
    count = there.sum(axis=0)
    column = draws.sum(axis=1) / np.maximum(count, 1)
    apart = np.where(there, draws - column[:, None, :], 0).var(axis=0) * count / np.maximum(count - 1, 1)
    noise = np.where(count > 1, apart, draws.var(axis=0))
    mean = noise.sum(axis=0) / np.maximum(count, 1)
    return noise, np.where(count > 1, np.maximum(column.var(axis=0) - mean / np.maximum(count, 1), 0), 0)


def fit(F: Array, noise: Array | None = None, shared: Array | None = None, variances: Array | None = None) -> Additive:
    """The model of a map F (n, n), nan where nothing was measured and on the diagonal. noise, shared: as `noise_of` has them, by default
    none. variances: those of an earlier fit; they are estimated where they are not given."""
    n = len(F)
    there = np.isfinite(F) & ~np.eye(n, dtype=bool)
    noise = np.where(there, np.zeros((n, n)) if noise is None else noise, 0)
    centre = F[there].mean() if there.any() else 0.0
    y = np.where(there, F - centre, 0)
    chosen = _likeliest(y, noise, there) if variances is None else variances
    precision = there / (chosen[2] + noise)
    effects = np.linalg.solve(_information(precision, chosen), _sums(precision * y))
    additive = effects[0] + effects[1 : n + 1, None] + effects[None, n + 1 :]
    weight = np.where(there, chosen[2] / (chosen[2] + noise), 0)
    return Additive(
        variances=chosen,
        covariance=np.linalg.inv(_information(precision, chosen)),
        additive=additive + centre,
        donors=effects[0] + effects[1 : n + 1] + centre,
        weight=weight,
        mean=additive + weight * (y - additive) + centre,
        own=np.where(there, weight * noise, chosen[2]),
        shared=np.zeros(n) if shared is None else shared,
    )


def _likeliest(y: Array, noise: Array, there: Array) -> Array:
    """(3,) the variances. y: (n, n) measured F, less their mean; 0 where there is none."""
    unit = max(float((y**2).sum() / max(there.sum(), 1)), 1e-12)
    usual, n = np.log(np.full(3, unit / 3)), len(y)

    def surprise(logs: Array) -> float:
        variances = np.exp(np.clip(logs, usual - 10, usual + 10))
        precision = there / (variances[2] + noise)
        aims, rows, columns = precision * y, precision.sum(axis=1), precision.sum(axis=0)
        donors, given, beside = rows + 1 / variances[0], aims.sum(axis=1), np.column_stack([rows, precision])
        scaled = (beside / donors[:, None]).T  # donors do not meet each other: what is left of `_information` without them is half as large
        left = np.diag(np.concatenate([[max(rows.sum(), 1e-9 / variances.sum())], columns + 1 / variances[1]])) - scaled @ beside
        left[0, 1:] += columns
        left[1:, 0] += columns
        sums = np.concatenate([[aims.sum()], aims.sum(axis=0)]) - scaled @ given
        factor, effects, _ = dposv(left, sums)
        spread = n * np.log(variances[:2]).sum() - np.log(precision[there]).sum() + np.log(donors).sum() + 2 * np.log(np.diag(factor)).sum()
        fits = (aims * y).sum() - given @ (given / donors) - sums @ effects
        return float((spread + fits) / 2 + (((logs - usual) / LOOSE) ** 2).sum() / 2)

    found = minimize(surprise, usual, method="Nelder-Mead", options={"maxfev": 150, "xatol": 0.05, "fatol": 0.01})
    return np.exp(np.clip(found.x, usual - 10, usual + 10))


def _information(precision: Array, variances: Array) -> Array:
    """(2n + 1, 2n + 1) inverse covariance of (μ, d, r), of pairs with these precisions (n, n)."""
    n, rows, columns = len(precision), precision.sum(axis=1), precision.sum(axis=0)
    found = np.zeros((2 * n + 1, 2 * n + 1))
    found[0, 0] = max(precision.sum(), 1e-9 / variances.sum())
    found[0, 1 : n + 1], found[0, n + 1 :], found[1 : n + 1, n + 1 :] = rows, columns, precision
    found = np.maximum(found, found.T)
    found[np.diag_indices(2 * n + 1)] += np.concatenate([[0], rows + 1 / variances[0], columns + 1 / variances[1]])
    return found


def _sums(values: Array) -> Array:
    return np.concatenate([[values.sum()], values.sum(axis=1), values.sum(axis=0)])
