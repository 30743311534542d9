"""Factorised word matrices: in every family the same function as their product, and plain modules again at the end."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import FAMILIES

from lingraft.embeddings import ROWS, NewRows, Vocabularies
from lingraft.model.factorised import multiply_out, primitive_of
from lingraft.model.load import AUTO, load_source
from lingraft.model.parts import parameters_of, primitives, set_trainable, word_matrices
from lingraft.model.surgery import graft

Pico = Callable[[str], Path]
families = pytest.mark.parametrize("family", sorted(FAMILIES))
RANK, NEW = 6, 150


def new_rows(num_old: int) -> NewRows:
    """Rows 20-119 copied, 120-129 mixed of two, the rest drawn."""
    vocabularies = Vocabularies(NEW, num_old, np.array([[7, 3]]), np.ones(num_old, dtype=bool))
    pieces = [np.array([i, i + 1]) if 120 <= i < 130 else np.zeros(0, dtype=np.int64) for i in range(NEW)]
    overlap = np.full(NEW, -1)
    overlap[20:120] = np.arange(200, 300)
    return ROWS["pieces"](vocabularies, overlap=overlap, old_pieces=pieces)


def grafted(pico: Pico, family: str, rank: int | None, rows: NewRows | None = None) -> Any:
    model = load_source(str(pico(family)), seed=0).model
    graft(model, rows or new_rows(len(model.get_input_embeddings().weight)), {"pad": 9, "begin": 6, "end": 7}, seed=3, rank=rank)
    return model


def is_tied(model: Any) -> bool:
    return model.get_input_embeddings().weight is model.get_output_embeddings().weight


@families
def test_factors_are_the_function_of_their_product_and_what_comes_out_is_a_stock_folder(pico: Pico, family: str, tmp_path: Path):
    plain, model = grafted(pico, family, None), grafted(pico, family, RANK)
    assert list(word_matrices(model)) == list(word_matrices(plain)) and is_tied(model) == is_tied(plain)
    assert len(primitives(model)) == len(word_matrices(model))
    for (name, coordinates), primitive in zip(word_matrices(model).items(), primitives(model).values(), strict=True):
        whole = word_matrices(plain)[name].detach()
        assert coordinates.shape == (NEW, RANK) and primitive.shape == (RANK, whole.shape[1])
        expected = whole[20:130] @ primitive.T @ primitive
        torch.testing.assert_close(coordinates[20:130] @ primitive, expected, atol=1e-5, rtol=1e-4, msg="copies and mixes, nearest in rank")
    config, ids = copy.deepcopy(model.config), torch.randint(10, NEW, (2, 16))
    with torch.no_grad():
        logits = model(input_ids=ids).logits
        multiply_out(model)
        assert not primitives(model) and is_tied(model) == is_tied(plain)
        assert [p.shape for p in model.parameters()] == [p.shape for p in plain.parameters()]
        product = model(input_ids=ids).logits
        model.save_pretrained(tmp_path)
        reloaded = AUTO[load_source(str(pico(family)), seed=0).kind].from_pretrained(tmp_path).eval()
        assert torch.equal(reloaded(input_ids=ids).logits, product) and is_tied(reloaded) == is_tied(plain)
    torch.testing.assert_close(logits, product, atol=1e-5, rtol=1e-4)
    assert reloaded.config.to_diff_dict() == config.to_diff_dict()


@families
def test_both_factors_train_as_embeddings_and_only_coordinates_as_words(pico: Pico, family: str):
    model = grafted(pico, family, RANK)
    parts = {part: set(parameters_of(model, part)) for part in ("all", "embeddings", "body", "head", "words")}
    assert parts["embeddings"] | parts["body"] | parts["head"] == parts["all"]
    assert set(primitives(model)) <= parts["embeddings"] - parts["head"] - parts["body"] - parts["words"]
    set_trainable(model, ["embeddings"])
    model(input_ids=torch.randint(10, NEW, (2, 16))).logits.logsumexp(-1).sum().backward()
    for parameter in [*word_matrices(model).values(), *primitives(model).values()]:
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0


@families
def test_a_rank_as_wide_as_the_matrix_leaves_it_whole(pico: Pico, family: str):
    plain, model = grafted(pico, family, None), grafted(pico, family, 32)
    assert not primitives(model)
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), plain.parameters(), strict=True))


def test_the_primitive_is_the_best_of_its_rank():
    matrix = torch.randn(50, 12, generator=torch.Generator().manual_seed(0))
    primitive = primitive_of(matrix, 5)
    torch.testing.assert_close(primitive @ primitive.T, torch.eye(5), atol=1e-5, rtol=0)
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    torch.testing.assert_close(matrix @ primitive.T @ primitive, left[:, :5] * values[:5] @ right[:5], atol=1e-4, rtol=1e-4)


def test_direct_rows_become_coordinates(pico: Pico):
    rows = new_rows(len(load_source(str(pico("bert")), seed=0).model.get_input_embeddings().weight))
    direct = np.random.default_rng(0).normal(size=(2, 32)).astype(np.float32)
    model = grafted(pico, "bert", RANK, NewRows(rows.mix, rows.group, rows.groups, np.array([30, 140]), direct))
    (coordinates,), (primitive,) = word_matrices(model).values(), primitives(model).values()
    torch.testing.assert_close(coordinates[[30, 140]].detach(), torch.from_numpy(direct) @ primitive.T.detach(), atol=1e-5, rtol=1e-4)


def test_draws_have_the_spread_of_the_coordinates(pico: Pico):
    model = grafted(pico, "llama", RANK)
    old = load_source(str(pico("llama")), seed=0).model.get_input_embeddings().weight.detach()
    coordinates, primitive = next(iter(word_matrices(model).values())).detach(), next(iter(primitives(model).values())).detach()
    ratio = coordinates[130:].std(dim=0) / (old @ primitive.T).std(dim=0)
    assert ((ratio > 0.5) & (ratio < 2)).all()
