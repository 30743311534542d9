"""The structural probe (Hewitt & Manning 2019): is there a linear map under which squared distances are those of the syntax tree?

    min_B  sum over sentences s of  1 / |s|^2  sum over words i, j of  | d_tree(i, j) - ||B (h_i - h_j)||^2 |

uuas  edges of the minimum spanning tree of predicted distances that are gold edges, of all gold edges; punctuation left out
dspr  Spearman correlation of predicted with gold distances from each word, mean over words, over sentences of a length, over lengths 5-50
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from pydantic import Field
from scipy.stats import rankdata

from lingraft.evaluate.probes import pictures
from lingraft.evaluate.probes.base import Answer, LayeredSettings, Question, chosen_layers, some, train_and_development
from lingraft.evaluate.probes.states import load_encoder, word_states
from lingraft.evaluate.probes.treebank import Sentence, read_sentences, spanning_edges
from lingraft.evaluate.task import Array

LENGTHS = range(5, 51)
PATIENCE, GAIN = 5, 1e-4
"""Epochs without a gain on development after which training ends, and what a gain is: as the authors' program has it."""


class StructuralSettings(LayeredSettings):
    """The paper's settings."""

    rank: int | None = Field(None, ge=1, description="rows of B; none: the width of the model")
    learning_rate: float = Field(1e-3, gt=0, description="of Adam; times 0.1 after each epoch without a gain, Adam then starting anew")
    batch: int = Field(20, ge=1, description="sentences per step")
    epochs: int = Field(40, ge=1, description="passes over the training sentences at most")


@dataclass(frozen=True, slots=True)
class Part:
    """Sentences and the states of their words at one layer, (words, dim), one sentence after the other."""

    sentences: Sequence[Sentence]
    states: torch.Tensor

    def batches(self, order: Array, size: int) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        """States (batch, n, dim), gold distances (batch, n, n) and lengths (batch,) of sentences in this order; the ends are padding."""
        starts = np.cumsum([0, *(len(sentence.words) for sentence in self.sentences)])
        for first in range(0, len(order), size):
            chosen = order[first : first + size]
            lengths = np.array([len(self.sentences[i].words) for i in chosen])
            rows = starts[chosen][:, None] + np.minimum(np.arange(lengths.max()), lengths[:, None] - 1)
            gold = np.zeros((len(chosen), lengths.max(), lengths.max()), dtype=np.float32)
            for place, i in enumerate(chosen):
                gold[place, : lengths[place], : lengths[place]] = self.sentences[i].distances
            device = self.states.device
            yield self.states[torch.from_numpy(rows).to(device)], torch.from_numpy(gold).to(device), torch.from_numpy(lengths).to(device)


def squared_distances(states: torch.Tensor, projection: torch.Tensor) -> torch.Tensor:
    """||B (h_i - h_j)||^2, (batch, n, n), of states (batch, n, dim) under a projection (rank, dim)."""
    mapped = states @ projection.T
    products = mapped @ mapped.transpose(1, 2)
    norms = products.diagonal(dim1=1, dim2=2)
    return (norms.unsqueeze(1) + norms.unsqueeze(2) - 2 * products).clamp(min=0)


def batch_loss(states: torch.Tensor, gold: torch.Tensor, lengths: torch.Tensor, projection: torch.Tensor) -> torch.Tensor:
    """The probe's objective, summed over the sentences of a batch."""
    inside = torch.arange(states.shape[1], device=states.device) < lengths.unsqueeze(1)
    pairs = inside.unsqueeze(1) & inside.unsqueeze(2)
    return (((squared_distances(states, projection) - gold).abs() * pairs).sum((1, 2)) / lengths**2).sum()


def fit(train: Part, development: Part, settings: StructuralSettings, seed: int) -> torch.Tensor:
    """The projection B (rank, dim) with the least loss on development."""
    generator, width = torch.Generator().manual_seed(seed), train.states.shape[1]
    start = torch.rand((settings.rank or width, width), generator=generator) * 0.1 - 0.05
    projection = start.to(train.states.device).requires_grad_()
    rate, order = settings.learning_rate, np.random.default_rng(seed)
    optimizer = torch.optim.Adam([projection], lr=rate)
    best, kept, last_gain = np.inf, projection.detach().clone(), 0
    for epoch in range(settings.epochs):
        for batch in train.batches(order.permutation(len(train.sentences)), settings.batch):
            optimizer.zero_grad()
            (batch_loss(*batch, projection) / len(batch[2])).backward()
            optimizer.step()
        with torch.no_grad():
            every = np.arange(len(development.sentences))
            loss = sum(float(batch_loss(*batch, projection)) for batch in development.batches(every, settings.batch)) / len(every)
        if loss < best - GAIN:
            best, kept, last_gain = loss, projection.detach().clone(), epoch
            continue
        rate *= 0.1
        optimizer = torch.optim.Adam([projection], lr=rate)
        if epoch - last_gain >= PATIENCE:
            break
    return kept


@torch.no_grad()
def predicted(part: Part, projection: torch.Tensor) -> list[Array]:
    """(n, n) predicted distances of each sentence."""
    found: list[Array] = []
    for states, _, lengths in part.batches(np.arange(len(part.sentences)), 32):
        distances = squared_distances(states, projection).cpu().numpy()
        found += [square[:length, :length] for square, length in zip(distances, lengths.tolist(), strict=True)]
    return found


def tree_scores(sentences: Sequence[Sentence], distances: Sequence[Array]) -> dict[str, float]:
    """uuas and dspr of predicted distances (n, n)."""
    pairs = list(zip(sentences, distances, strict=True))
    right = sum(len(sentence.edges & spanning_edges(square, sentence.is_word)) for sentence, square in pairs)
    by_length: dict[int, list[float]] = defaultdict(list)
    for sentence, square in pairs:
        if len(sentence.words) in LENGTHS:
            by_length[len(sentence.words)].append(spearman(square, sentence.distances))
    means = [float(np.mean(values)) for values in by_length.values()]
    total = sum(len(sentence.edges) for sentence in sentences)
    return {"uuas": right / max(total, 1), "dspr": float(np.mean(means)) if means else 0.0}


def spearman(one: Array, other: Array) -> float:
    """Mean over rows of their Spearman correlation; 0 where a row is all the same. one, other: (n, n)."""
    ranks = [rankdata(matrix, axis=1) for matrix in (one, other)]
    a, b = (rank - rank.mean(axis=1, keepdims=True) for rank in ranks)
    size = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    return float(np.divide((a * b).sum(axis=1), size, out=np.zeros(len(a)), where=size > 0).mean())


def linear(sentences: Sequence[Sentence]) -> list[Array]:
    """The baseline's distances: how many words apart."""
    return [np.abs(np.subtract.outer(np.arange(len(s.words)), np.arange(len(s.words)))).astype(np.float32) for s in sentences]


def answer(question: Question) -> Answer:
    """Fit a map at each layer, choose the layer by UUAS on development (seed 0), and score every seed at that layer."""
    settings = question.settings
    train, development = train_and_development(question, read_sentences, "structural")
    test = some(read_sentences(question.evaluation), question.evaluation)
    encoder = load_encoder(question.model, settings.length)
    layers = chosen_layers(settings.layers, encoder.num_layers)
    states = [word_states(encoder, [s.words for s in sentences], layers) for sentences in (train, development, test)]
    device = next(encoder.model.parameters()).device

    def parts(index: int) -> list[Part]:
        pairs = zip((train, development, test), states, strict=True)
        return [Part(sentences, torch.from_numpy(found[index]).to(device)) for sentences, found in pairs]

    return _answer(parts, layers, settings, question)


def _answer(parts: Callable[[int], list[Part]], layers: Sequence[int], settings: StructuralSettings, question: Question) -> Answer:
    """parts(i) -> training, development and test sentences with their states at layers[i]."""
    maps, on_development = [], []
    for index in range(len(layers)):
        train, development, _ = parts(index)
        maps.append(fit(train, development, settings, seed=0))
        on_development.append(tree_scores(development.sentences, predicted(development, maps[-1])))
    best = int(np.argmax([scores["uuas"] for scores in on_development]))
    train, development, test = parts(best)
    scores, predictions = [], []
    for seed in range(question.seeds):
        distances = predicted(test, maps[best] if seed == 0 else fit(train, development, settings, seed))
        scores.append(tree_scores(test.sentences, distances))
        predictions += [_line(seed, *pair) for pair in zip(test.sentences, distances, strict=True)]
    pictures.draw(question.out, test.sentences, predictions, layers, on_development)
    facts: dict[str, Any] = {
        "layer": layers[best],
        "development": [{"layer": layer, **found} for layer, found in zip(layers, on_development, strict=True)],
        "examples": {"train": len(train.sentences), "development": len(development.sentences), "evaluation": len(test.sentences)},
    }
    return Answer(scores, tree_scores(test.sentences, linear(test.sentences)), predictions, facts)


def _line(seed: int, sentence: Sentence, distances: Array) -> dict[str, Any]:
    """A sentence's edges, words counted from 1."""
    both = {"gold": sentence.edges, "predicted": spanning_edges(distances, sentence.is_word)}
    return {"seed": seed, "words": sentence.words} | {name: sorted([a + 1, b + 1] for a, b in edges) for name, edges in both.items()}
