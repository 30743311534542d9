"""NewRows: what is row t of the new matrix? Every initialisation answers with a mix of old rows, a vector of its own, or a draw.

A copy is a mix with a single 1. Specials, widths, untied heads, biases, padded rows and fallbacks are done here, once, for all methods.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

ORIGINS = ("copied", "mixed", "direct", "drawn")
AT_ONCE = 4_096  # rows of a matrix that are held at once in double precision


@dataclass(frozen=True, slots=True)
class Vocabularies:
    """The two vocabularies as a row method sees them.

    num_new, num_old: rows of the two matrices (padded rows of the old one counted).
    roles: (num_roles, 2) pairs (new id, old id) of the special tokens that play the same role.
    text: (num_old,) True where the old row stands for text: not special, not unused, not padding beyond the tokenizer.
    """

    num_new: int
    num_old: int
    roles: Ints
    text: Bools

    def new_text(self) -> Bools:
        """(num_new,) True where the new row is no special token with a role."""
        free = np.ones(self.num_new, dtype=bool)
        free[self.roles[:, 0]] = False
        return free


@dataclass(frozen=True, slots=True)
class Group:
    """What a drawn row is drawn from, per dimension: the mean and standard deviation of some old rows, or fixed numbers."""

    rows: Ints | None = None
    mean: float = 0.0
    deviation: float = 0.02

    def moments(self, old: Floats) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Mean and standard deviation, (dim,) each."""
        if self.rows is None or not len(self.rows):
            return np.full(old.shape[1], self.mean), np.full(old.shape[1], self.deviation)
        some = _some(self.rows)
        mean = sum(old[ids].sum(axis=0, dtype=np.float64) for ids in some) / len(self.rows)
        return mean, np.sqrt(sum(np.square(old[ids] - mean).sum(axis=0) for ids in some) / len(self.rows))


@dataclass(frozen=True, slots=True)
class NewRows:
    """Row t of a new matrix, for every t.

    mix: sparse (num_new, num_old); row t is that weighting of old rows.
    group: (num_new,) index into `groups` where row t is drawn, -1 where it is not.
    groups: what drawn rows are drawn from.
    direct_ids, direct: (n,) and (n, dim): rows given as vectors; only for the matrix they were made for.
    restored: whether mixed rows get the length that the rows they mix have on average. A mean of different rows is shorter than they are.
    """

    mix: scipy.sparse.csr_array
    group: npt.NDArray[np.int32]
    groups: tuple[Group, ...]
    direct_ids: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    direct: Floats | None = None
    restored: bool = False

    @property
    def num_new(self) -> int:
        """Rows of the new matrix."""
        return int(self.group.shape[0])

    @property
    def origin(self) -> npt.NDArray[np.uint8]:
        """(num_new,) index into ORIGINS."""
        per_row = np.diff(self.mix.indptr)
        origin = np.where(per_row == 0, ORIGINS.index("drawn"), ORIGINS.index("mixed")).astype(np.uint8)
        single = np.flatnonzero(per_row == 1)
        origin[single[self.mix.data[self.mix.indptr[single]] == 1.0]] = ORIGINS.index("copied")
        origin[self.group >= 0] = ORIGINS.index("drawn")
        origin[self.direct_ids] = ORIGINS.index("direct")
        return origin

    def counts(self) -> dict[str, int]:
        """How many rows have each origin."""
        number = np.bincount(self.origin, minlength=len(ORIGINS))
        return {name: int(number[index]) for index, name in enumerate(ORIGINS)}

    def without_direct(self) -> "NewRows":
        """The same rows for another matrix: direct vectors fall back to their mix or draw."""
        return NewRows(self.mix, self.group, self.groups, restored=self.restored)

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """All of it as named arrays, `origin` among them, for `from_arrays`."""
        members = [group.rows for group in self.groups]
        arrays: dict[str, npt.NDArray[Any]] = {
            "origin": self.origin,
            "group": self.group,
            "groups.indptr": np.cumsum([0, *(0 if rows is None else len(rows) for rows in members)], dtype=np.int64),
            "groups.rows": np.concatenate([np.zeros(0, dtype=np.int64), *(rows for rows in members if rows is not None)]),
            "groups.fixed": np.array([(group.mean, group.deviation) for group in self.groups], dtype=np.float64).reshape(-1, 2),
            "mix.indptr": self.mix.indptr.astype(np.int64),
            "mix.indices": self.mix.indices.astype(np.int64),
            "mix.values": self.mix.data.astype(np.float32),
            "mix.num_old": np.array([self.mix.shape[1]]),
            "restored": np.array([self.restored]),
        }
        return arrays if self.direct is None else arrays | {"direct.ids": self.direct_ids, "direct.rows": self.direct}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> "NewRows":
        """What `to_arrays` was called on."""
        shape = (len(arrays["group"]), int(arrays["mix.num_old"][0]))
        mix = scipy.sparse.csr_array((arrays["mix.values"], arrays["mix.indices"], arrays["mix.indptr"]), shape=shape)
        members = [arrays["groups.rows"][first:last] for first, last in pairwise(arrays["groups.indptr"])]
        groups = [Group(rows if len(rows) else None, *fixed) for rows, fixed in zip(members, arrays["groups.fixed"].tolist(), strict=True)]
        ids, direct = arrays.get("direct.ids", np.zeros(0, dtype=np.int64)), arrays.get("direct.rows")
        return cls(mix, arrays["group"], tuple(groups), ids, direct, bool(arrays["restored"][0]))

    def apply(self, old: Floats, generator: np.random.Generator) -> Floats:
        """(num_new, dim) new matrix from the (num_old, dim) old one: one sparse product, a seeded draw, a fill-in."""
        if old.shape[0] != self.mix.shape[1]:
            raise ValueError(f"these rows mix {self.mix.shape[1]} old rows, the matrix has {old.shape[0]}")
        new = (self.mix @ old).astype(np.float32, copy=False)
        if self.restored and old.shape[1] > 1:
            new *= self._factors(old, new)[:, None]
        for index, group in enumerate(self.groups):
            if len(drawn := np.flatnonzero(self.group == index)):
                mean, deviation = group.moments(old)
                for ids in _some(drawn):
                    new[ids] = mean + deviation * generator.standard_normal((len(ids), old.shape[1]))
        if self.direct is not None:
            new[self.direct_ids] = self.direct
        return new

    def _factors(self, old: Floats, new: Floats) -> Floats:
        """(num_new,) what mixed rows are multiplied by to be as long as the rows they mix; 1 for all others."""
        weights, own = abs(self.mix), np.linalg.norm(new, axis=1)
        is_mixed = (self.origin == ORIGINS.index("mixed")) & (own > 0)
        wanted = weights @ np.linalg.norm(old, axis=1)
        return np.divide(wanted, own * weights.sum(axis=1), out=np.ones_like(own), where=is_mixed).astype(np.float32)


def _some(ids: Ints) -> list[Ints]:
    return [ids[start : start + AT_ONCE] for start in range(0, len(ids), AT_ONCE)]


def layered(answers: Sequence[NewRows]) -> NewRows:
    """For every row the first answer that is not a draw; the last answer's draw where there is none."""
    result = answers[-1]
    for answer in reversed(answers[:-1]):
        drawn = answer.origin == ORIGINS.index("drawn")
        mix = scipy.sparse.csr_array(
            scipy.sparse.diags_array((~drawn).astype(np.float32)) @ answer.mix
            + scipy.sparse.diags_array(drawn.astype(np.float32)) @ result.mix
        )
        direct = {int(i): row for i, row in zip(result.direct_ids, _rows(result.direct), strict=True) if drawn[i]}
        direct |= {int(i): row for i, row in zip(answer.direct_ids, _rows(answer.direct), strict=True)}
        ids = np.array(sorted(direct), dtype=np.int64)
        result = NewRows(
            mix,
            np.where(drawn, result.group, -1).astype(np.int32),
            result.groups,
            ids,
            np.stack([direct[i] for i in ids]) if direct else None,
        )
    return result


def blended(answers: Sequence[NewRows]) -> NewRows:
    """For every row the mean of the answers that mix old rows; the first answer's draw where none does. Of several, none keeps its direct
    vectors."""
    if len(answers) == 1:
        return answers[0]
    mixes = [answer.mix for answer in answers]
    number = sum((np.diff(mix.indptr) > 0).astype(np.float32) for mix in mixes)
    share = scipy.sparse.diags_array(np.divide(1, number, out=np.zeros_like(number), where=number > 0))
    mix = scipy.sparse.csr_array(share @ sum(mixes[1:], start=mixes[0])).astype(np.float32)
    mix.sort_indices()
    return NewRows(mix, np.where(number > 0, -1, np.maximum(answers[0].group, 0)).astype(np.int32), answers[0].groups)


def unchanged(vocabularies: Vocabularies, count: int) -> NewRows:
    """The first `count` rows as they are, the rest drawn: for `layered`, where a vocabulary keeps the old ids."""
    ids = np.arange(count)
    group = np.where(np.arange(vocabularies.num_new) < count, -1, 0).astype(np.int32)
    return NewRows(copies(vocabularies, ids, ids), group, (Group(),))


def stacked(rows: NewRows, num_kept: int, ids: Ints) -> NewRows:
    """The first `num_kept` old rows as they are, and behind them the rows whose number in `ids` is not one of theirs, in its order.

    ids: (num_new,) where each of `rows` stands in the result; from `num_kept` on they rise by one.
    """
    behind, num_old = np.flatnonzero(ids >= num_kept), rows.mix.shape[1]
    mix = scipy.sparse.vstack([scipy.sparse.eye_array(num_kept, num_old, dtype=np.float32), rows.mix[behind]], format="csr")
    group = np.concatenate([np.full(num_kept, -1, dtype=np.int32), rows.group[behind]])
    if rows.direct is None:
        return NewRows(mix, group, rows.groups, restored=rows.restored)
    own = ids[rows.direct_ids] >= num_kept
    return NewRows(mix, group, rows.groups, ids[rows.direct_ids[own]], rows.direct[own], rows.restored)


def picked(ids: Ints, num_old: int) -> NewRows:
    """Row i is a copy of old row ids[i]."""
    mix = scipy.sparse.csr_array((np.ones(len(ids), dtype=np.float32), (np.arange(len(ids)), ids)), shape=(len(ids), num_old))
    return NewRows(mix, np.full(len(ids), -1, dtype=np.int32), ())


def _rows(direct: Floats | None) -> Sequence[Floats]:
    return [] if direct is None else list(direct)


def from_mix(vocabularies: Vocabularies, mix: scipy.sparse.sparray, *, groups: Sequence[Group] = (), group: Ints | None = None) -> NewRows:
    """Complete a method's mix into NewRows: specials by role, empty rows drawn (by default from the old rows that stand for text).

    mix: (num_new, num_old); rows of special tokens in it are ignored. group: (num_new,) which of `groups` an empty row is drawn from.
    """
    keep = scipy.sparse.diags_array(vocabularies.new_text().astype(np.float32))
    ones = np.ones(len(vocabularies.roles), dtype=np.float32)
    specials = scipy.sparse.coo_array((ones, (vocabularies.roles[:, 0], vocabularies.roles[:, 1])), shape=mix.shape)
    complete = scipy.sparse.csr_array(keep @ mix + specials).astype(np.float32)
    complete.eliminate_zeros()
    complete.sort_indices()
    chosen = np.zeros(vocabularies.num_new, dtype=np.int64) if group is None else group
    drawn = np.where(np.diff(complete.indptr) == 0, chosen, -1).astype(np.int32)
    return NewRows(complete, drawn, tuple(groups) or (Group(np.flatnonzero(vocabularies.text)),))


def copies(vocabularies: Vocabularies, new_ids: Ints, old_ids: Ints) -> scipy.sparse.csr_array:
    """(num_new, num_old) mix in which row new_ids[i] is a copy of old row old_ids[i]."""
    ones = np.ones(len(new_ids), dtype=np.float32)
    return scipy.sparse.csr_array((ones, (new_ids, old_ids)), shape=(vocabularies.num_new, vocabularies.num_old))
