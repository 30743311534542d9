"""Initialisations of new embedding rows. A method is a function of arrays that returns NewRows; its parameters name the aids it needs."""

from collections.abc import Callable

from lingraft.embeddings.counts import lexicon, ramen, trans_tokenizer
from lingraft.embeddings.neighbours import clp, clp_plus, focus, ofa, ramen_mono, wechsel
from lingraft.embeddings.overlap import copy, distilled, keep, pieces
from lingraft.embeddings.pursuit import omp
from lingraft.embeddings.rows import ORIGINS, Group, NewRows, Vocabularies, blended, layered, unchanged
from lingraft.embeddings.static import mapped, static
from lingraft.embeddings.statistics import heuristic, random, rank

ROWS: dict[str, Callable[..., NewRows]] = {
    "clp": clp,
    "clp-plus": clp_plus,
    "copy": copy,
    "distilled": distilled,
    "focus": focus,
    "heuristic": heuristic,
    "keep": keep,
    "lexicon": lexicon,
    "mapped": mapped,
    "ofa": ofa,
    "omp": omp,
    "pieces": pieces,
    "ramen": ramen,
    "ramen-mono": ramen_mono,
    "random": random,
    "rank": rank,
    "static": static,
    "trans-tokenizer": trans_tokenizer,
    "wechsel": wechsel,
}

__all__ = ["ORIGINS", "ROWS", "Group", "NewRows", "Vocabularies", "blended", "layered", "unchanged"]
