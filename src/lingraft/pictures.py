"""What the report's pictures of rows are drawn from (TreLM, figures 3 and 4), kept in a run as pictures.json and pictures.safetensors.

Vectors are compared at unit length around their space's mean, as maps see them.
"""

from typing import Any

import numpy as np
import scipy.sparse
from safetensors.numpy import load_file, save_file

from lingraft.aids import Aids, parameters, used
from lingraft.embeddings import NewRows
from lingraft.embeddings.rows import Floats, Ints
from lingraft.embeddings.settings import AUTO
from lingraft.files import atomic_write, read_json, write_json
from lingraft.run import PICTURES, Run
from lingraft.text.shards import Shards
from lingraft.tokenizer import vocabulary
from lingraft.train.pairs import open_sides
from lingraft.vectors.tokens import centred

FEWEST, MOST = 10, 1_000  # pairs
BINS = 40  # of cosines, from -1 to 1
NEAREST = 50
LONG = 5  # letters of the word that is shown: shorter ones mostly are grammar


def keep(run: Run, aids: Aids, found: NewRows, *, disjoint: bool, words: bool) -> None:
    """Note how near translations lie, before any mapping and as rows `found`; and with `words` the neighbours of a word and of its
    translation. Nothing is left in the folder where there are no pairs."""
    for suffix in ("json", "safetensors"):
        (run.path / f"{PICTURES}.{suffix}").unlink(missing_ok=True)
    pairs = translations(aids, _links(run, aids, disjoint))
    if len(pairs) < FEWEST:
        return
    old, new = centred(aids.old_rows), centred(found.apply(aids.old_rows, np.random.default_rng(aids.seed)))
    spaces = [_cosines("begin", old[pairs[:, 0]], new[pairs[:, 1]])]
    before = None
    if aids.settings.method != AUTO and "mapped_vectors" in parameters(aids.settings):
        ids, vectors = aids.static_vectors
        before = np.zeros((len(new), vectors.shape[1]), dtype=np.float32)
        before[ids] = vectors
        seen = pairs[before[pairs[:, 1]].any(axis=1)]
        spaces.insert(0, _cosines("static", old[seen[:, 0]], before[seen[:, 1]]))
    told: dict[str, Any] = {"num_pairs": len(pairs), "spaces": spaces}
    if words:
        told["word"] = _word(aids, pairs, old, before, new)
    twin = dict(zip(aids.overlap.tolist(), range(len(aids.overlap)), strict=True))
    same = np.array([twin.get(int(i), -1) for i in pairs[:, 0]], dtype=np.int64)
    with atomic_write(run.path / f"{PICTURES}.safetensors") as temporary:
        save_file({"old": old[pairs[:, 0]].astype(np.float16), "new": pairs[:, 1].copy(), "same": same}, temporary)
    write_json(run.path / f"{PICTURES}.json", told)


def keep_trained(run: Run, model: Any) -> None:
    """Note how near the same translations lie in the finished model. A source word that is in its vocabulary has its row there."""
    path = run.path / f"{PICTURES}.json"
    if not path.exists():
        return
    kept, told = load_file(path.with_suffix(".safetensors")), read_json(path)
    rows = centred(model.get_input_embeddings().weight.detach().float().cpu().numpy())
    old = np.where((kept["same"] >= 0)[:, None], rows[kept["same"]], kept["old"].astype(np.float32))
    spaces = [space for space in told["spaces"] if space["space"] != "trained"]
    write_json(path, {**told, "spaces": [*spaces, _cosines("trained", old, rows[kept["new"]])]})


def translations(aids: Aids, links: scipy.sparse.csr_array | None) -> Ints:
    """(n, 2) old and new ids of words and their translations that are spelled otherwise, the most frequent first, MOST at most.

    They are those of the lexicon, or the pieces that are linked most often, each the other's first choice, in the alignment that the
    row method uses; without it in `links`, (num_new, num_old) counts. None where there is none of these.
    """
    spelled = vocabulary.spelling(aids.source)
    old, new = ({text: i for i, text in enumerate(texts)} for texts in (spelled, aids.new_spelling))
    mark = vocabulary.WORD
    if aids.given.lexicon and "lexicon" in used(aids.settings):
        pairs = {(old.get(mark + source, -1), new.get(mark + target, -1)) for source, target, _ in aids.entries}
    else:
        is_used = aids.settings.method != AUTO and "alignment" in parameters(aids.settings)
        pairs = mutual(aids.alignment if is_used else links) if is_used or links is not None else set()
    rank = {int(number): place for place, number in enumerate(aids.new_ranks)}
    is_text = aids.vocabularies.text
    known = [(i, j) for i, j in pairs if i >= 0 and j in rank and is_text[i] and aids.new_spelling[j].removeprefix(mark).isalpha()]
    known = [(i, j) for i, j in known if aids.overlap[j] != i]
    return np.array(sorted(known, key=lambda pair: (rank[pair[1]], pair))[:MOST], dtype=np.int64).reshape(-1, 2)


def mutual(counts: scipy.sparse.csr_array) -> set[tuple[int, int]]:
    """(old, new) ids that are each other's most frequent partner, twice or more. counts: (num_new, num_old)."""
    best = counts.argmax(axis=1), counts.argmax(axis=0)
    chosen, back = (np.asarray(found).ravel() for found in best)
    rows = np.flatnonzero(back[chosen] == np.arange(len(chosen)))
    often = np.asarray(counts[rows, chosen[rows]]).ravel() >= 2
    return {(int(chosen[row]), int(row)) for row in rows[often]}


def _links(run: Run, aids: Aids, disjoint: bool) -> scipy.sparse.csr_array | None:
    """(num_new, num_old) how often pieces are linked in the parallel text that the run has aligned; None where it has not."""
    folder, sides = run.path / "alignments", run.path / "tokens" / "parallel"
    if not (folder / "to_target.npy").exists() or not sides.exists():
        return None
    source, target = open_sides(sides)
    link, lines = np.load(folder / "to_target.npy", mmap_mode="r"), _lines(target)
    is_linked = np.asarray(link) >= 0
    new = np.asarray(target.tokens)[is_linked].astype(np.int64)
    old = np.asarray(source.tokens)[source.documents[lines[is_linked]] + link[is_linked]].astype(np.int64)
    if not disjoint:  # both sides are in pieces of the new vocabulary
        old = aids.overlap[old]
    known = old >= 0
    shape = (aids.vocabularies.num_new, aids.vocabularies.num_old)
    return scipy.sparse.csr_array((np.ones(known.sum()), (new[known], old[known])), shape=shape)


def _lines(side: Shards) -> Ints:
    """(tokens,) the number of the line that each token is of."""
    return np.repeat(np.arange(side.info.num_documents), np.diff(side.documents))


def _cosines(space: str, old: Floats, new: Floats) -> dict[str, Any]:
    """Of rows with their translations', and of the same rows with other words' ones: counts in BINS, and means."""
    own, chance = ((old * side).sum(axis=1) for side in (new, np.roll(new, len(new) // 2, axis=0)))
    return {
        "space": space,
        "counts": _counts(own),
        "mean": round(float(own.mean()), 4),
        "chance_counts": _counts(chance),
        "chance_mean": round(float(chance.mean()), 4),
    }


def _counts(cosines: Floats) -> list[int]:
    return np.histogram(np.clip(cosines, -1, 1), BINS, (-1, 1))[0].tolist()  # type: ignore[no-any-return]


# --- a word ---------------------------------------------------------------------------------------------------------


def _word(aids: Aids, pairs: Ints, old: Floats, before: Floats | None, new: Floats) -> dict[str, Any]:
    """A word and its translation: cosines with all others of their space, and where their neighbours lie."""
    spelled = vocabulary.spelling(aids.source)
    own = new if before is None else before
    number = next(
        (
            i
            for i, (source, target) in enumerate(pairs)
            if own[target].any() and len(spelled[source]) > LONG and spelled[source][1:].isalpha()
        ),
        0,
    )
    source, target = map(int, pairs[number])
    of_text = np.flatnonzero(aids.vocabularies.text)
    others = np.array([i for i, text in enumerate(aids.new_spelling) if text and own[i].any()], dtype=np.int64)
    near, near_new = _nearest(old, source, of_text), _nearest(own, target, others)
    panels = [
        ("the source's rows", [(spelled, old, near, "old")]),
        ("rows before training" if before is None else "vectors of the text", [(aids.new_spelling, own, near_new, "new")]),
        ("both, before training", [(spelled, old, near, "old"), (aids.new_spelling, new, near_new, "new")]),
    ]
    return {
        "source": _plain(spelled[source]),
        "target": _plain(aids.new_spelling[target]),
        "source_counts": _counts(np.delete(old[of_text] @ old[source], np.flatnonzero(of_text == source))),
        "target_counts": _counts(np.delete(own[others] @ own[target], np.flatnonzero(others == target))),
        "panels": [{"space": name, "points": _points(parts)} for name, parts in panels],
    }


def _plain(token: str) -> str:
    return token.removeprefix(vocabulary.WORD)


def _nearest(rows: Floats, word: int, among: Ints) -> Ints:
    """The ids of a word and, by cosine, of its NEAREST neighbours, nearest first."""
    cosines = rows[among] @ rows[word]
    found = among[np.argsort(-cosines, kind="stable")]
    return np.concatenate([[word], found[found != word][:NEAREST]])


def _points(parts: list[tuple[list[str], Floats, Ints, str]]) -> list[list[Any]]:
    """Text, two coordinates and side of each token: its place in the plane of the most variance (PCA)."""
    vectors = np.concatenate([rows[ids] for _, rows, ids, _ in parts])
    vectors = vectors - vectors.mean(axis=0)
    axes = np.linalg.svd(vectors, full_matrices=False)[2][:2]
    axes = axes * np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)])[:, None]  # the signs of an SVD are arbitrary
    named = [(_plain(spelled[i]), side) for spelled, _, ids, side in parts for i in ids]
    return [[text, round(float(x), 4), round(float(y), 4), side] for (text, side), (x, y) in zip(named, vectors @ axes.T, strict=True)]
