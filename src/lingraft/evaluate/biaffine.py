"""Biaffine layers and the heads made of them: a dependency parser (Dozat & Manning 2017) and a role labeller (Cai et al. 2018)."""

from typing import Any

import numpy as np
import torch
from torch import nn

from lingraft.evaluate.trees import best_tree

DROPOUT = 0.33
ARC, RELATION = 500, 100  # Dozat & Manning 2017, table 2; not above the encoder's width
ROLE = 300  # Cai et al. 2018, section 3.1; likewise

Tensor = torch.Tensor


def perceptron(width: int, size: int) -> nn.Sequential:
    """One layer with dropout on both sides: (…, width) to (…, size)."""
    return nn.Sequential(nn.Dropout(DROPOUT), nn.Linear(width, size), nn.LeakyReLU(0.1), nn.Dropout(DROPOUT))


class Biaffine(nn.Module):
    """Scores of pairs x, y for each label: [x; 1]ᵀ U [y; 1], so a bilinear part, one for each side, and a bias. Begins at 0."""

    def __init__(self, left: int, right: int, labels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(labels, left + 1, right + 1))

    def forward(self, pattern: str, left: Tensor, right: Tensor) -> Tensor:
        """Contract as einsum does with `pattern`, in which l is the label, x and y the features of left and right."""
        return torch.einsum(pattern, with_one(left), self.weight, with_one(right))


def with_one(x: Tensor) -> Tensor:
    """(…, k + 1): a last feature that is 1."""
    return torch.cat([x, torch.ones_like(x[..., :1])], dim=-1)


def at_words(states: Tensor, first: Tensor) -> Tensor:
    """(batch, n, dim) states (batch, length, dim) at the words' first pieces (batch, n)."""
    return states.gather(1, first[..., None].expand(-1, -1, states.shape[-1]))


def inside(words: Tensor, size: int) -> Tensor:
    """(batch, size) which places hold words and no padding. words: (batch,) how many each has."""
    return torch.arange(size, device=words.device) < words[:, None]


class Parser(nn.Module):
    """Deep biaffine attention. The artificial root is a vector that is learnt, as if it were the word before the first."""

    def __init__(self, width: int, num_relations: int) -> None:
        super().__init__()
        arc, relation = min(ARC, width), min(RELATION, width)
        self.root = nn.Parameter(torch.randn(width) * 0.02)
        self.arc_dependent, self.arc_head = perceptron(width, arc), perceptron(width, arc)
        self.relation_dependent, self.relation_head = perceptron(width, relation), perceptron(width, relation)
        self.arc, self.relation = Biaffine(arc, arc, 1), Biaffine(relation, relation, num_relations)

    def forward(self, states: Tensor, first: Tensor, words: Tensor, heads: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Scores of arcs (batch, n, n + 1), the heads (batch, n), and scores of relations there (batch, n, relations).

        states: (batch, length, dim). first: (batch, n) where words begin. words: (batch,) how many. heads: (batch, n), 0 the root; without
        them those of the best trees.
        """
        root = self.root.expand(len(states), 1, -1).to(states.dtype)
        nodes = torch.cat([root, at_words(states, first)], dim=1)
        arcs = self.arc("bnx,lxy,bmy->bnm", self.arc_dependent(nodes[:, 1:]), self.arc_head(nodes)).float()
        itself = torch.eye(first.shape[1], dtype=torch.bool, device=arcs.device)
        outside = ~inside(words + 1, arcs.shape[2])[:, None] | nn.functional.pad(itself, (1, 0))
        arcs = arcs.masked_fill(outside, -torch.inf)
        if heads is None:
            heads = best_heads(arcs, words)
        places = heads.clamp(min=0)[..., None].expand(-1, -1, nodes.shape[-1])
        relations = self.relation("bnx,lxy,bny->bnl", self.relation_dependent(nodes[:, 1:]), self.relation_head(nodes.gather(1, places)))
        return arcs, heads, relations.float()


def best_heads(arcs: Tensor, words: Tensor) -> Tensor:
    """(batch, n) heads of the best trees, 0 at padding. arcs: (batch, n, n + 1) scores."""
    scores = arcs.log_softmax(dim=-1).cpu().numpy()
    found = np.zeros(arcs.shape[:2], dtype=np.int64)
    for number, size in enumerate(words.tolist()):
        found[number, :size] = best_tree(scores[number, :size, : size + 1])
    return torch.from_numpy(found).to(arcs.device)


class Roles(nn.Module):
    """A sense or none for each word, and for each pair of a predicate and a word a role or none; 0 is none in both."""

    def __init__(self, width: int, num_senses: int, num_roles: int) -> None:
        super().__init__()
        size = min(ROLE, width)
        self.sense = nn.Sequential(perceptron(width, size), nn.Linear(size, num_senses + 1))
        self.predicate, self.argument = perceptron(width, size), perceptron(width, size)
        self.role = Biaffine(size, size, num_roles + 1)

    def forward(self, states: Tensor, first: Tensor, words: Tensor, senses: Tensor | None = None) -> tuple[Tensor, Any, Tensor]:
        """Scores of senses (batch, n, senses + 1), the predicates' places (p,), (p,) in batch and sentence, and scores of their roles
        (p, n, roles + 1).

        states, first, words: as Parser's. senses: (batch, n), above 0 at predicates; without them the best ones.
        """
        vectors = at_words(states, first)
        scores = self.sense(vectors).float()
        chosen = scores.argmax(-1) if senses is None else senses
        places = ((chosen > 0) & inside(words, first.shape[1])).nonzero(as_tuple=True)
        roles = self.role("px,lxy,pny->pnl", self.predicate(vectors)[places], self.argument(vectors)[places[0]])
        return scores, places, roles.float()
