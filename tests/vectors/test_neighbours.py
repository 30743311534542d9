"""Nearest neighbours, in one product or in many."""

import pytest
import torch

from lingraft.vectors.neighbours import csls, unit


@pytest.mark.parametrize("at_once", [50, 1 << 24])
def test_csls_is_what_its_formula_says(at_once: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("lingraft.vectors.neighbours.AT_ONCE", at_once)
    x, y = (unit(torch.randn(size, 6, generator=torch.Generator().manual_seed(size))) for size in (30, 40))
    cosines = x @ y.T
    dense_x, dense_y = cosines.topk(10, dim=1).values.mean(dim=1), cosines.topk(10, dim=0).values.mean(dim=0)
    right = 2 * cosines - dense_x[:, None] - dense_y
    found = csls(x, y, 3)
    assert torch.allclose(found.forward, right.topk(3, dim=1).values, atol=1e-5)
    assert torch.equal(found.backward_ids, right.T.topk(3, dim=1).indices)
    assert torch.equal(found.mutual(), right.T.argmax(dim=1)[right.argmax(dim=1)] == torch.arange(30))
