"""What a phase learns from: a protocol, and blocks of text for a language model."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from lingraft.errors import RecipeError
from lingraft.model.heads import Predictor
from lingraft.train.batches import Blocks, Ids, Inputs, Mixture, Sentences, Spoken, shortest_first
from lingraft.train.crossing import Crossing
from lingraft.train.objectives import (
    NOT_ASKED,
    OBJECTIVES,
    Example,
    Vocabulary,
    bridge_language_model,
    cross_lingual_language_model,
    joined,
    part_of,
)  # fmt: skip
from lingraft.train.pairs import Pairs, Translations
from lingraft.train.settings import ON_PARALLEL


class Material(Protocol):
    """What the training loop asks of what a phase learns from.

    rows: part -> ids, for the parts that are some rows of a matrix only. ragged: whether inputs differ in length; a batch then has the
    shortest first, and its shares are filled up to lengths of their own. network: the module of a model that steps call.
    batch: the global batch of a step, a pure function of its arguments. size: its tokens. loss: the summed loss of share `index` of
    `shares` equal ones, divided by the number of predictions in the whole batch, so that processes and accumulation change nothing.
    measured: what else is known of the batches since it was last called: name -> (2,) how many are right, of how many.
    """

    @property
    def rows(self) -> Mapping[str, Ids]: ...

    @property
    def ragged(self) -> bool: ...

    def network(self, model: Any) -> Any: ...

    def batch(self, settings: Any, step: int, seed: int) -> Any: ...

    def size(self, batch: Any) -> int: ...

    def loss(self, network: Any, batch: Any, index: int, shares: int, device: torch.device) -> torch.Tensor: ...

    def measured(self) -> Mapping[str, torch.Tensor]: ...

    def release(self, network: Any) -> None: ...

    def remove(self, network: Any) -> None: ...


class Lessons(Material, Protocol):
    """What a phase of a recipe learns from. skipped: documents that give nothing. per_epoch: optimiser steps in which all is seen once.
    num_blocks: of text, or lines."""

    @property
    def skipped(self) -> int: ...

    @property
    def vocabulary(self) -> Vocabulary: ...

    def num_blocks(self, settings: Any) -> int: ...

    def per_epoch(self, settings: Any) -> float: ...


def objectives_of(settings: Any, kind: str) -> list[str]:
    """Names of what a phase trains for. kind: mlm or clm, what the model is.

    Raises RecipeError where it cannot be trained for one of them, or the batch not split between them.
    """
    names: list[str] = settings.objectives
    if names == ["auto"]:
        return [kind]
    if kind == "clm" and names != ["clm"]:
        raise RecipeError(f"A phase asks for objective {settings.objective}, but the source is a causal model. Use objective = 'auto'.")
    if kind == "mlm" and "clm" in names:
        raise RecipeError(
            f"A phase asks for objective {settings.objective}, but the source is a masked model, which sees the tokens that it is to "
            "predict. Use objective = 'auto'."
        )
    if settings.batch % len(names) and not settings.in_turn:
        raise RecipeError(f"batch = {settings.batch} cannot be split between the objectives {' and '.join(names)}. Use an even one.")
    return names


@dataclass(frozen=True, slots=True)
class Data:
    """Text for a language model: in blocks, sentences or pairs of texts; and parallel text, where a phase trains on it: as blocks of both
    sides, or as a way from one to the other.

    answers: (2,) of each share since the last `measured`, how many of its pairs were judged rightly, of how many.
    """

    blocks: Blocks | Mixture | Pairs | Sentences | Spoken
    vocabulary: Vocabulary
    parallel: Translations | None = None
    crossing: Crossing | None = None
    answers: list[torch.Tensor] = field(default_factory=list, compare=False)

    @property
    def rows(self) -> Mapping[str, Ids]:
        """Part -> ids of its rows."""
        return self.vocabulary.rows

    @property
    def ragged(self) -> bool:
        """Sentences, and lines of parallel text."""
        return isinstance(self.blocks, Sentences) or self.parallel is not None or self.crossing is not None

    @property
    def skipped(self) -> int:
        """Documents that give no pair of texts, where pairs are asked for: those of one sentence."""
        parts = self.blocks.parts if isinstance(self.blocks, Mixture) else (self.blocks,)
        texts = [part.part if isinstance(part, Spoken) else part for part in parts]
        return sum(text.skipped for text in texts if isinstance(text, Pairs))

    def network(self, model: Any) -> nn.Module:
        """The model, predicting at chosen positions only."""
        return Predictor(model)

    def objectives(self, settings: Any) -> list[str]:
        """Names of the objectives. Raises RecipeError as `objectives_of` does."""
        return objectives_of(settings, "clm" if self.vocabulary.mask is None else "mlm")

    def of(self, objective: str) -> Any:
        """What an objective learns from."""
        if objective not in ON_PARALLEL:
            return self.blocks
        found = self.crossing if objective == "cdlm" else self.parallel
        assert found is not None
        return found

    def per_epoch(self, settings: Any) -> float:
        """Optimiser steps in which the first objective sees its text once."""
        return self.num_blocks(settings) * len(self.objectives(settings)) / settings.batch  # type: ignore[no-any-return]

    def num_blocks(self, settings: Any) -> int:
        """Blocks of the first objective's text."""
        return len(self.of(self.objectives(settings)[0]))

    def batch(self, settings: Any, step: int, seed: int) -> Example:
        """What the model sees in a step, and what it predicts."""
        names, generator = self.objectives(settings), np.random.default_rng([seed, step])
        if settings.in_turn:
            turn, number = divmod(step, len(names))
            return self._example(names[number], settings, turn, settings.batch, seed, generator)
        return joined([self._example(name, settings, step, settings.batch // len(names), seed, generator) for name in names])

    def _example(self, objective: str, settings: Any, step: int, size: int, seed: int, generator: np.random.Generator) -> Example:
        found = self.of(objective).batch(step, size, seed)
        inputs = shortest_first(found) if isinstance(found, Inputs) else Inputs(found)
        if inputs.answers is not None:
            return cross_lingual_language_model(inputs)
        made = OBJECTIVES[objective](inputs.ids, self.vocabulary, settings.mask_rate, settings.whole_words, generator)
        made = replace(made, more=inputs.more, follows=inputs.follows)
        return bridge_language_model(made, inputs.partners) if objective == "brlm" and inputs.partners is not None else made

    def size(self, batch: Example) -> int:
        """Tokens of a batch, without what fills blocks up."""
        mask = batch.more.get("attention_mask")
        return batch.inputs.size if mask is None else int(mask.sum())

    def loss(self, network: Any, batch: Example, index: int, shares: int, device: torch.device) -> torch.Tensor:
        """Cross entropy of a share, (): of tokens, and of whether texts follow each other, each a mean over the whole batch."""
        share = part_of(batch, index, shares)
        inputs, positions, targets = (torch.from_numpy(array).to(device) for array in (share.inputs, share.positions, share.targets))
        more = {name: torch.from_numpy(array).to(device) for name, array in share.more.items()}
        asked = batch.follows is not None
        found = network(inputs, positions, more, next_sentence=asked)
        logits, pairs = found if asked else (found, None)
        loss = torch.nn.functional.cross_entropy(logits.float(), targets, reduction="sum") / len(batch.positions)
        return loss if pairs is None else loss + self._pair_loss(pairs, share, batch)

    def _pair_loss(self, logits: torch.Tensor, share: Example, batch: Example) -> torch.Tensor:
        """Cross entropy of next-sentence logits (rows, 2) of a share, (), over the rows of the whole batch that have an answer."""
        assert share.follows is not None
        assert batch.follows is not None
        labels = np.where(share.follows == NOT_ASKED, NOT_ASKED, 1 - share.follows)  # BERT's class 0: it follows
        targets, count = torch.from_numpy(labels).to(logits.device), int(np.count_nonzero(batch.follows != NOT_ASKED))
        self.answers.append(torch.stack([(logits.argmax(1) == targets).sum(), (targets != NOT_ASKED).sum()]))
        return torch.nn.functional.cross_entropy(logits.float(), targets, reduction="sum", ignore_index=NOT_ASKED) / count

    def measured(self) -> Mapping[str, torch.Tensor]:
        """How well it was told what follows what."""
        found = {"next_sentence_accuracy": torch.stack(self.answers).sum(0)} if self.answers else {}
        self.answers.clear()
        return found

    def release(self, network: Any) -> None:
        """After the backward pass."""
        network.release()

    def remove(self, network: Any) -> None:
        """After the last step."""
        network.remove()
