"""Several small BERTs of one shape trained as one program: their parameters are stacked, and every product is a batch of products.

A small model leaves most of a processor idle and its time goes into starting operations; m models stacked start as many as one. What
comes out is what each would become alone, but for the order in which numbers are summed, and for dropout, whose draws are others.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from lingraft.train.fast import fused_is_slow, products
from lingraft.train.objectives import NOT_ASKED, Example
from lingraft.train.optimise import learning_rate
from lingraft.train.settings import OptimiserSettings

WORDS = "bert.embeddings.word_embeddings.weight"
Parameters = Mapping[str, torch.Tensor]


class Stack:
    """m models' parameters and AdamW's moments: the rows of words (m, vocab, dim) apart, since they are looked up, all else (m, rest).

    Flat, so that an update is a few operations on two tensors, whatever the number of layers.
    """

    def __init__(self, models: Sequence[Any], device: torch.device) -> None:
        named = [dict(model.named_parameters()) for model in models]
        self.config = models[0].config
        self.shapes = {name: parameter.shape for name, parameter in named[0].items() if name != WORDS}
        rest = [torch.cat([own[name].detach().flatten() for name in self.shapes]) for own in named]
        self.words = torch.stack([own[WORDS].detach() for own in named]).to(device)
        self.rest = torch.stack(rest).to(device)
        self.decays = torch.cat([torch.full((math.prod(shape),), float(len(shape) > 1)) for shape in self.shapes.values()]).to(device)
        self.moments = [torch.zeros_like(held) for held in (self.words, self.words, self.rest, self.rest)]
        self.count = 0

    def parameters(self) -> Parameters:
        """Name -> (m, …), those of all models, as views."""
        parts = self.rest.split([math.prod(shape) for shape in self.shapes.values()], dim=1)
        return {WORDS: self.words} | {name: part.view(-1, *self.shapes[name]) for name, part in zip(self.shapes, parts, strict=True)}

    def keep(self, places: Sequence[int]) -> None:
        """Let go of all models but those at `places`."""
        self.words, self.rest = self.words[list(places)], self.rest[list(places)]
        self.moments = [held[list(places)] for held in self.moments]

    @torch.no_grad()
    def write(self, place: int, model: Any) -> Any:
        """`model` with the parameters of the one at `place`."""
        found = self.parameters()
        for name, parameter in model.named_parameters():
            parameter.copy_(found[name][place])
        return model

    @torch.no_grad()
    def update(self, gradients: Sequence[torch.Tensor], rates: torch.Tensor, settings: OptimiserSettings) -> None:
        """AdamW (Loshchilov & Hutter 2019) of every model at its own rate, (m,), each one's gradient clipped by its own norm."""
        self.count += 1
        if settings.clip:
            norms = torch.stack([gradient.flatten(1).norm(dim=1) for gradient in gradients]).norm(dim=0)
            factor = (settings.clip / (norms + 1e-6)).clamp(max=1)
            for gradient in gradients:
                gradient.mul_(factor.view(-1, *[1] * (gradient.ndim - 1)))
        first, second = settings.betas
        held = zip(
            (self.words, self.rest),
            gradients,
            self.moments[::2],
            self.moments[1::2],
            (torch.ones((), device=self.rest.device), self.decays),
            strict=True,
        )
        for values, gradient, mean, square, decays in held:
            rate = rates.view(-1, *[1] * (values.ndim - 1))
            values.mul_(1 - rate * settings.weight_decay * decays)
            mean.lerp_(gradient, 1 - first)
            square.mul_(second).addcmul_(gradient, gradient, value=1 - second)
            scale = square.sqrt().div_(math.sqrt(1 - second**self.count)).add_(settings.epsilon)
            values.sub_(mean.div(scale).mul_(rate / (1 - first**self.count)))


def linear(states: torch.Tensor, parameters: Parameters, name: str) -> torch.Tensor:
    """States (m, n, in) through each model's own layer: (m, n, out)."""
    return torch.baddbmm(parameters[f"{name}.bias"].unsqueeze(1), states, parameters[f"{name}.weight"].transpose(1, 2))


def normed(states: torch.Tensor, parameters: Parameters, name: str, epsilon: float) -> torch.Tensor:
    """LayerNorm of states (m, n, dim) with each model's own scale and shift."""
    plain = functional.layer_norm(states, states.shape[-1:], eps=epsilon)
    return plain * parameters[f"{name}.weight"].unsqueeze(1) + parameters[f"{name}.bias"].unsqueeze(1)


def chosen(states: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """States (m, n, dim) at positions (m, k): (m, k, dim)."""
    return states.gather(1, positions.unsqueeze(2).expand(-1, -1, states.shape[2]))


def logits(parameters: Parameters, config: Any, ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """BERT's predictions (m, k, vocab) of m models in training, each of its own ids (m, rows, length) at its own positions (m, k)."""
    number, rows, length = ids.shape
    words = parameters[WORDS]
    offset = torch.arange(number, device=ids.device).view(-1, 1, 1) * words.shape[1]
    found = functional.embedding(ids + offset, words.flatten(0, 1))
    table = "bert.embeddings"
    found = found + parameters[f"{table}.token_type_embeddings.weight"][:, None, :1]
    found = (found + parameters[f"{table}.position_embeddings.weight"][:, None, :length]).flatten(1, 2)
    states = normed(found, parameters, f"{table}.LayerNorm", config.layer_norm_eps)
    states = functional.dropout(states, config.hidden_dropout_prob)
    seen = mask.bool().view(number * rows, 1, 1, length)
    for layer in range(config.num_hidden_layers):
        last = layer == config.num_hidden_layers - 1
        states = _layer(parameters, config, f"bert.encoder.layer.{layer}", states, seen, positions if last else None)
    head = "cls.predictions"
    states = functional.gelu(linear(states, parameters, f"{head}.transform.dense"))
    states = normed(states, parameters, f"{head}.transform.LayerNorm", config.layer_norm_eps)
    return torch.baddbmm(parameters[f"{head}.bias"].unsqueeze(1), states, words.transpose(1, 2))


def _layer(
    parameters: Parameters, config: Any, name: str, states: torch.Tensor, seen: torch.Tensor, positions: torch.Tensor | None
) -> torch.Tensor:
    """A layer's states (m, rows * length, dim); with positions, what comes after the attention at these only."""
    number, _, width = states.shape
    rows, length = seen.shape[0], seen.shape[-1]

    def heads(part: str) -> torch.Tensor:
        made = linear(states, parameters, f"{name}.attention.self.{part}")
        return made.view(rows, length, config.num_attention_heads, -1).transpose(1, 2)

    query = heads("query")
    attend = products if fused_is_slow(query) else functional.scaled_dot_product_attention
    mixed = attend(query, heads("key"), heads("value"), seen, config.attention_probs_dropout_prob)
    mixed = mixed.transpose(1, 2).reshape(number, -1, width)
    if positions is not None:
        mixed, states = chosen(mixed, positions), chosen(states, positions)
    for part, made in (("attention.output", mixed), ("output", None)):
        if made is None:
            made = functional.gelu(linear(states, parameters, f"{name}.intermediate.dense"))
        made = functional.dropout(linear(made, parameters, f"{name}.{part}.dense"), config.hidden_dropout_prob)
        states = normed(states + made, parameters, f"{name}.{part}.LayerNorm", config.layer_norm_eps)
    return states


def stacked_examples(examples: Sequence[Example], pad: int) -> tuple[torch.Tensor, ...]:
    """Ids, mask (m, rows, length), positions and targets (m, k) of m models' batches; what one has less of is filled up, and not asked."""
    rows, length = examples[0].inputs.shape[0], max(one.inputs.shape[1] for one in examples)
    most = max(len(one.positions) for one in examples)
    ids, mask = np.full((len(examples), rows, length), pad), np.zeros((len(examples), rows, length), dtype=np.int64)
    positions, targets = np.zeros((len(examples), most), dtype=np.int64), np.full((len(examples), most), NOT_ASKED)
    for number, one in enumerate(examples):
        own, count = one.inputs.shape[1], len(one.positions)
        ids[number, :, :own], mask[number, :, :own] = one.inputs, one.more["attention_mask"]
        positions[number, :count] = one.positions // own * length + one.positions % own
        targets[number, :count] = one.targets
    return tuple(torch.from_numpy(array) for array in (ids, mask, positions, targets))


def losses(stack: Stack, parameters: Parameters, arrays: Sequence[torch.Tensor]) -> torch.Tensor:
    """Mean cross entropy of each model, (m,)."""
    ids, mask, positions, targets = arrays
    found = logits(parameters, stack.config, ids, mask, positions).float()
    each = functional.cross_entropy(found.flatten(0, 1), targets.flatten(), reduction="none", ignore_index=NOT_ASKED)
    return each.view(targets.shape).sum(1) / (targets != NOT_ASKED).sum(1)


def train_together(
    models: Sequence[Any],
    data: Sequence[Any],
    seeds: Sequence[int],
    totals: Sequence[int],
    settings: Any,
    pad: int,
    device: torch.device,
    bfloat16: bool,
) -> Iterator[tuple[int, Any]]:
    """Train m models, each on its own data for its own number of steps; yield (number, model) as each is done, in place.

    data: of `lingraft.train.data`. pad: id that rows are filled up with. A model that is done leaves the stack, which goes on without it.
    """
    stack, there = Stack(models, device), list(range(len(models)))
    for step in range(max(totals)):
        torch.manual_seed(int(np.random.SeedSequence([*seeds, step]).generate_state(1, np.uint64)[0] >> 1))
        examples = [data[number].batch(settings, step, seeds[number]) for number in there]
        arrays = [array.to(device) for array in stacked_examples(examples, pad)]
        held = [stack.words.requires_grad_(), stack.rest.requires_grad_()]
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=bfloat16):
            loss = losses(stack, stack.parameters(), arrays).sum()
        gradients = torch.autograd.grad(loss, held)
        stack.words, stack.rest = (one.detach() for one in held)
        rates = torch.tensor([learning_rate(settings, step, totals[number]) for number in there], device=device)
        stack.update(gradients, rates, settings)
        done = [place for place, number in enumerate(there) if totals[number] == step + 1]
        for place in done:
            yield there[place], stack.write(place, models[there[place]])
        if done:
            kept = [place for place in range(len(there)) if place not in done]
            there = [there[place] for place in kept]
            stack.keep(kept)
