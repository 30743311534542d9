"""A map from no pairs at all: turned until a discriminator cannot tell mapped source words from target words (Conneau et al. 2018)."""

import torch
from pydantic import BaseModel, ConfigDict, Field

from lingraft.vectors.neighbours import csls, unit

FREQUENT = 5_000  # words that the criterion looks at


class AdversarialSettings(BaseModel):
    """The paper's settings, with a narrower discriminator and fewer steps: minutes on two cores instead of hours."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    words: int = Field(5_000, ge=1, description="most frequent words of each side that take part; 75,000 in the paper")
    hidden: int = Field(512, ge=1, description="width of the discriminator's two layers; 2048 in the paper")
    epochs: int = Field(5, ge=1, description="after each the criterion is measured, and the best map is kept")
    steps: int = Field(1_000, ge=1, description="of the map in an epoch; 31,250 in the paper")
    discriminator_steps: int = Field(5, ge=1, description="for each step of the map")
    batch: int = Field(32, ge=1, description="words of each side in a step")
    learning_rate: float = Field(0.1, gt=0, description="of both")
    decay: float = Field(0.98, gt=0, le=1, description="of the map's rate from epoch to epoch")
    shrink: float = Field(0.5, gt=0, le=1, description="of the map's rate when the criterion has fallen")
    dropout: float = Field(0.1, ge=0, lt=1, description="of the discriminator's input")
    smoothing: float = Field(0.1, ge=0, lt=0.5, description="of its labels")
    orthogonality: float = Field(0.001, ge=0, description="how strongly each step pulls the map back to a rotation")


def play(x: torch.Tensor, y: torch.Tensor, settings: AdversarialSettings, seed: int) -> tuple[torch.Tensor, float]:
    """The map (d, d) of the best epoch, and its criterion: the mean cosine of frequent source words and their nearest by CSLS.

    x, y: (n, d), (m, d) of unit length, the most frequent words first. The map is rough: what refines it is self-learning.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        game = _Game(x[: settings.words], y[: settings.words], settings)
        best, best_map, last = -1.0, game.map, -1.0
        for _ in range(settings.epochs):
            game.epoch()
            reached = criterion(x @ game.map, y)
            if reached > best:
                best, best_map = reached, game.map.clone()
            game.rate *= settings.decay * (settings.shrink if reached < last else 1)
            last = reached
    return best_map, best


def criterion(x: torch.Tensor, y: torch.Tensor) -> float:
    """Mean cosine of the frequent words of x, mapped, and their nearest in y by CSLS."""
    x, y = unit(x[:FREQUENT]), y[:FREQUENT]
    return float((x * y[csls(x, y, 1).forward_ids[:, 0]]).sum(dim=1).mean())


class _Game:
    """The map, the discriminator, and their steps. The generator of torch must be seeded.

    The map begins as some rotation, not as the paper's identity, so that runs with other seeds agree only if they found something.
    """

    def __init__(self, x: torch.Tensor, y: torch.Tensor, settings: AdversarialSettings) -> None:
        dim, hidden = x.shape[1], settings.hidden
        self.settings, self.rate, self.map = settings, settings.learning_rate, torch.linalg.qr(torch.randn(dim, dim)).Q
        self.sides = x * dim**0.5, y * dim**0.5  # numbers around 1, which the discriminator learns from sooner
        self.discriminator = torch.nn.Sequential(
            torch.nn.Dropout(settings.dropout),
            torch.nn.Linear(dim, hidden),
            torch.nn.LeakyReLU(0.2),
            torch.nn.Linear(hidden, hidden),
            torch.nn.LeakyReLU(0.2),
            torch.nn.Linear(hidden, 1),
        )
        self.optimizer = torch.optim.SGD(self.discriminator.parameters(), lr=settings.learning_rate)
        truth = torch.full((2 * settings.batch, 1), settings.smoothing)
        truth[: settings.batch] = 1 - settings.smoothing
        self.truth = truth

    def epoch(self) -> None:
        for _ in range(self.settings.steps):
            for _ in range(self.settings.discriminator_steps):
                self.optimizer.zero_grad()
                self._loss(self.map, self.truth).backward()
                self.optimizer.step()
            self._turn()

    def _turn(self) -> None:
        """A step of the map against the discriminator, then W <- (1 + b) W - b (W W^T) W."""
        turned = self.map.requires_grad_()
        (gradient,) = torch.autograd.grad(self._loss(turned, 1 - self.truth), [turned])
        moved, pull = turned.detach() - self.rate * gradient, self.settings.orthogonality
        self.map = (1 + pull) * moved - pull * (moved @ moved.T) @ moved

    def _loss(self, rotation: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        drawn = [side[torch.randint(len(side), (self.settings.batch,))] for side in self.sides]
        return torch.nn.functional.binary_cross_entropy_with_logits(self.discriminator(torch.cat([drawn[0] @ rotation, drawn[1]])), labels)
