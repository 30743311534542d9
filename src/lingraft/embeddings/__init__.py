"""Initialisations of new embedding rows. A method is a function of arrays that returns NewRows; its parameters name the aids it needs."""

from collections.abc import Callable

from lingraft.embeddings.overlap import copy, keep, pieces
from lingraft.embeddings.rows import ORIGINS, Group, NewRows, Vocabularies
from lingraft.embeddings.statistics import random, rank

ROWS: dict[str, Callable[..., NewRows]] = {"copy": copy, "keep": keep, "pieces": pieces, "random": random, "rank": rank}

__all__ = ["ORIGINS", "ROWS", "Group", "NewRows", "Vocabularies"]
