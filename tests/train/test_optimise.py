"""Schedules against transformers', LAMB against its paper."""

import math

import numpy as np
import pytest
import torch
import transformers

from lingraft.train.optimise import Lamb, build_optimizer, learning_rate
from lingraft.train.settings import OptimiserSettings

SCHEDULES = {
    "linear": transformers.get_linear_schedule_with_warmup,
    "cosine": transformers.get_cosine_schedule_with_warmup,
    "constant": lambda optimizer, warmup, total: transformers.get_constant_schedule_with_warmup(optimizer, warmup),
}


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(("total", "warmup"), [(20, 0.0), (50, 0.06), (33, 0.5), (1, 0.0)])
def test_rates_are_those_of_transformers(schedule: str, total: int, warmup: float):
    settings = OptimiserSettings(learning_rate=3e-4, schedule=schedule, warmup=warmup)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=settings.learning_rate)
    theirs = SCHEDULES[schedule](optimizer, math.ceil(warmup * total), total)
    for step in range(total):
        assert learning_rate(settings, step, total) == pytest.approx(theirs.get_last_lr()[0], rel=1e-12, abs=1e-18)
        optimizer.step()
        theirs.step()


def test_lamb_is_the_papers_step():
    """You et al. 2020, algorithm 2, by hand; the steps of the bias are Adam's."""
    generator = np.random.default_rng(0)
    model = torch.nn.Linear(4, 3)
    settings = OptimiserSettings(optimizer="lamb", learning_rate=0.1, betas=(0.9, 0.99), epsilon=1e-6, weight_decay=0.05)
    optimizer = build_optimizer(model, settings)
    weights = {name: parameter.detach().double().numpy().copy() for name, parameter in model.named_parameters()}
    first, second = ({name: np.zeros_like(value) for name, value in weights.items()} for _ in range(2))
    for count in range(1, 4):
        for name, parameter in model.named_parameters():
            gradient = generator.normal(size=parameter.shape)
            parameter.grad = torch.tensor(gradient, dtype=torch.float32)
            first[name] = 0.9 * first[name] + 0.1 * gradient
            second[name] = 0.99 * second[name] + 0.01 * gradient**2
            update = (first[name] / (1 - 0.9**count)) / (np.sqrt(second[name] / (1 - 0.99**count)) + 1e-6)
            is_matrix = weights[name].ndim == 2
            update += (0.05 if is_matrix else 0.0) * weights[name]
            weights[name] -= 0.1 * (np.linalg.norm(weights[name]) / np.linalg.norm(update) if is_matrix else 1.0) * update
        optimizer.step()
        for name, parameter in model.named_parameters():
            np.testing.assert_allclose(parameter.detach().numpy(), weights[name], rtol=1e-4, atol=1e-6)


def test_lamb_leaves_weights_that_begin_at_zero_unscaled_steps():
    weight = torch.nn.Linear(2, 1, bias=False)
    torch.nn.init.zeros_(weight.weight)
    optimizer = build_optimizer(weight, OptimiserSettings(optimizer="lamb", learning_rate=0.1))
    for count in (1, 2):
        weight.weight.grad = torch.ones(1, 2)
        optimizer.step()
        torch.testing.assert_close(weight.weight.detach(), torch.full((1, 2), -0.1 * count))


def test_lamb_moves_rows_as_it_would_without_those_that_stay():
    moves = []
    for weight in (torch.ones(2, 3), torch.cat([torch.ones(2, 3), torch.full((50, 3), 9.0)])):
        parameter = torch.nn.Parameter(weight)
        optimizer = Lamb([parameter], lr=0.1, betas=(0.9, 0.99), eps=1e-6, weight_decay=0.1)
        optimizer.rows = {parameter: slice(0, 2)}
        parameter.grad = torch.zeros_like(weight)
        parameter.grad[:2] = torch.tensor([[1.0, 2.0, -3.0], [-1.0, 0.5, 2.0]])
        optimizer.step()
        moves.append(parameter.detach()[:2])
    torch.testing.assert_close(*moves)


@pytest.mark.parametrize("name", ["adamw", "lamb"])
def test_vectors_do_not_decay_and_frozen_ones_stay(name: str):
    model = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.LayerNorm(3))
    optimizer = build_optimizer(model, OptimiserSettings(optimizer=name, weight_decay=0.1))
    decay = {id(parameter): group["weight_decay"] for group in optimizer.param_groups for parameter in group["params"]}
    assert [decay[id(parameter)] for parameter in model.parameters()] == [0.1, 0.0, 0.0, 0.0]
    before = [parameter.detach().clone() for parameter in model.parameters()]
    optimizer.step()
    assert all(torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True))
