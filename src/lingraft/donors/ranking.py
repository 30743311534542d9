"""How well a model fills in the masked tokens of held-out sentences: Malkin et al. 2022, section 4.2, over all of them.

What is masked is drawn once for a language, and the same for every model.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from lingraft.donors.records import Ranks, Score
from lingraft.donors.settings import GridSettings
from lingraft.model.heads import Predictor
from lingraft.train.batches import Ids, Sentences
from lingraft.train.objectives import Vocabulary, masked_language_model

AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Questions:
    """A language's held-out sentences with what is masked of them.

    shown, mask: (num_sentences, longest) ids that the model sees, and 1 where there is text. rows, columns, targets: (n,) of the masked
    positions, in order.
    """

    shown: Ids
    mask: Ids
    rows: Ids
    columns: Ids
    targets: Ids

    def batches(self) -> Iterator[tuple[Ids, Ids, Ids, Ids]]:
        """Sentences of like length together: ids (batch, longest), mask alike, positions (n,) in the flattened ids, and which they are."""
        sizes = self.mask.sum(1)
        order = np.argsort(sizes, kind="stable")
        begins = np.searchsorted(self.rows, np.arange(len(sizes) + 1))
        for start in range(0, len(order), AT_ONCE):
            chosen = order[start : start + AT_ONCE]
            width = int(sizes[chosen].max())
            which = np.concatenate([np.arange(begins[row], begins[row + 1]) for row in chosen])
            places = np.repeat(np.arange(len(chosen)), begins[chosen + 1] - begins[chosen])
            if len(which):
                yield self.shown[chosen, :width], self.mask[chosen, :width], places * width + self.columns[which], which


def questions(held_out: Sentences, code: str, vocabulary: Vocabulary, settings: GridSettings) -> Questions:
    """Mask a language's held-out sentences, by its code and the settings' seed."""
    inputs = held_out.read(np.arange(len(held_out)))
    generator = np.random.default_rng([settings.masking_seed, int.from_bytes(code.encode(), "big")])
    example = masked_language_model(inputs.ids, vocabulary, settings.mask_rate, False, generator)
    rows, columns = np.divmod(example.positions, inputs.ids.shape[1])
    return Questions(example.inputs, inputs.more["attention_mask"], rows, columns, example.targets)


@torch.no_grad()
def answer(model: Any, asked: Questions) -> tuple[Score, Ranks]:
    """The mean reciprocal rank of the right token among all of the vocabulary, and its mean loss in nats; and the ranks by sentence.

    Of several tokens that are held equally likely, each has the mean of their ranks.
    """
    predictor, device = Predictor(model.eval()), next(model.parameters()).device
    reciprocal, nats = np.zeros(len(asked.rows)), np.zeros(len(asked.rows))
    try:
        for shown, mask, positions, which in asked.batches():
            ids, places, attention = (torch.from_numpy(array).to(device) for array in (shown, positions, mask))
            logits = predictor(ids, places, {"attention_mask": attention}).float()
            right = logits.gather(1, torch.from_numpy(asked.targets[which]).to(device).unsqueeze(1))
            rank = (logits > right).sum(1) + ((logits == right).sum(1) + 1) / 2
            reciprocal[which] = (1 / rank.double()).cpu().numpy()
            nats[which] = (torch.logsumexp(logits, 1) - right.squeeze(1)).double().cpu().numpy()
    finally:
        predictor.remove()
    size = len(asked.shown)
    ranks = np.bincount(asked.rows, reciprocal, size).astype(np.float32), np.bincount(asked.rows, minlength=size).astype(np.int32)
    return Score(mrr=float(reciprocal.mean()), loss=float(nats.mean()), positions=len(nats)), ranks


def score(model: Any, asked: Mapping[str, Questions]) -> tuple[dict[str, Score], dict[str, Ranks]]:
    """Of a model in several languages."""
    found = {code: answer(model, one) for code, one in asked.items()}
    return {code: one for code, (one, _) in found.items()}, {code: ranks for code, (_, ranks) in found.items()}
