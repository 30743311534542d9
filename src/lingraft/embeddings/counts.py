"""Rows as mixtures by counts: what was aligned with what in parallel text, or stands beside it in a dictionary."""

from collections.abc import Iterable, Sequence

import numpy as np
import scipy.sparse

from lingraft.embeddings.rows import Ints, NewRows, Vocabularies, copies, from_mix

Entry = tuple[Sequence[int], Sequence[int], float]


def ramen(vocabularies: Vocabularies, alignment: scipy.sparse.csr_array) -> NewRows:
    """RAMEN from parallel text (Tran 2020): E_t[f] = sum over e of p(e|f) E_s[e], with p(e|f) the share of f's links that go to e.

    alignment: (num_new, num_old) how often two pieces were linked. Pieces never linked are drawn.
    """
    return from_mix(vocabularies, shares(alignment))


def lexicon(vocabularies: Vocabularies, overlap: Ints, dictionary: scipy.sparse.csr_array) -> NewRows:
    """A dictionary alone: tokens with entries mix the rows of their translations' pieces, others are copied where identical, or drawn.

    dictionary: (num_new, num_old) counts, as `spread` makes them of the entries' pieces.
    """
    return from_mix(vocabularies, first_of(shares(dictionary), _same(vocabularies, overlap)))


def trans_tokenizer(vocabularies: Vocabularies, overlap: Ints, word_pairs: scipy.sparse.csr_array, new_spelling: list[str]) -> NewRows:
    """Trans-tokenization (Remy et al. 2024): counts of aligned words spread over their pieces, one more for the same string; then tokens
    without counts take from tokens with them that they begin, or that stand inside them.

    word_pairs: (num_new, num_old), as `spread` makes them. new_spelling: each new token, with the marker ▁ where it begins a word.
    """
    counted = scipy.sparse.csr_array(word_pairs + _same(vocabularies, overlap))
    known = shares(counted)
    missing = np.flatnonzero((np.diff(known.indptr) == 0) & vocabularies.new_text())
    donors = _donors([new_spelling[i] for i in missing], {new_spelling[i]: int(i) for i in np.flatnonzero(np.diff(known.indptr))})
    rows = np.repeat(missing, [len(found) for found in donors])
    columns = np.array([donor for found in donors for donor, _ in found], dtype=np.int64)
    weights = np.array([weight for found in donors for _, weight in found])
    smoothed = scipy.sparse.csr_array((weights, (rows, columns)), shape=(vocabularies.num_new, vocabularies.num_new))
    return from_mix(vocabularies, first_of(known, shares(smoothed) @ known))


def _same(vocabularies: Vocabularies, overlap: Ints) -> scipy.sparse.csr_array:
    shared = np.flatnonzero(overlap >= 0)
    return copies(vocabularies, shared, overlap[shared])


def _donors(tokens: list[str], known: dict[str, int]) -> list[list[tuple[int, float]]]:
    """For each token: the known tokens that it begins, and the longest known strings inside it, with their weights.

    Strings that begin a word count twice. Of strings inside a token, one that lies within another is left out.
    """
    ordered = sorted(known)
    found = []
    for token in tokens:
        first = np.searchsorted(ordered, token) if token else len(ordered)
        longer = []
        for place in range(int(first), len(ordered)):
            if not ordered[place].startswith(token):
                break
            longer.append(ordered[place])
        found.append([(known[string], 2.0 if string.startswith("▁") else 1.0) for string in [*longer, *_inside(token, known)]])
    return found


def _inside(token: str, known: dict[str, int]) -> list[str]:
    kept: list[tuple[int, int]] = []
    for length in range(len(token) - 1, 0, -1):
        for start in range(len(token) - length + 1):
            end = start + length
            if token[start:end] in known and not any(first <= start and end <= last for first, last in kept):
                kept.append((start, end))
    return [token[start:end] for start, end in kept]


def shares(counts: scipy.sparse.csr_array) -> scipy.sparse.csr_array:
    """Every row divided by its sum; empty rows stay empty."""
    totals = np.asarray(counts.sum(axis=1)).ravel()
    return scipy.sparse.csr_array(
        scipy.sparse.diags_array(np.divide(1.0, totals, out=np.zeros_like(totals, dtype=float), where=totals > 0)) @ counts
    )


def first_of(*mixes: scipy.sparse.csr_array) -> scipy.sparse.csr_array:
    """For every row, that of the first mix that has one."""
    result = mixes[0]
    for mix in mixes[1:]:
        empty = scipy.sparse.diags_array((np.diff(result.indptr) == 0).astype(np.float32))
        result = scipy.sparse.csr_array(result + empty @ mix)
    return result


def spread(entries: Iterable[Entry], num_new: int, num_old: int) -> scipy.sparse.csr_array:
    """Counts of word pairs spread over their pieces (Remy et al. 2024): half of a count goes to all pairs of pieces alike, half to the
    pieces in order (both lists repeated to a common length).

    entries: (new pieces, old pieces, count).
    """
    rows: list[np.ndarray] = []
    columns: list[np.ndarray] = []
    values: list[np.ndarray] = []
    for new, old, count in entries:
        if not len(new) or not len(old):
            continue
        size = np.lcm(len(new), len(old))
        rows += [np.repeat(new, len(old)), np.tile(new, size // len(new))]
        columns += [np.tile(old, len(new)), np.tile(old, size // len(old))]
        values += [np.full(len(new) * len(old), count / 2 / (len(new) * len(old))), np.full(size, count / 2 / size)]
    if not rows:
        return scipy.sparse.csr_array((num_new, num_old))
    placed = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    return scipy.sparse.csr_array(placed, shape=(num_new, num_old))
