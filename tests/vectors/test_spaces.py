"""Closed forms between two spaces."""

import torch

from lingraft.vectors.spaces import procrustes, reweighted


def random(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_procrustes_finds_a_rotation_exactly():
    x, rotation = random(50, 8, seed=0), torch.linalg.qr(random(8, 8, seed=1)).Q
    assert torch.allclose(procrustes(x, x @ rotation), rotation, atol=1e-5)


def test_reweighting_leaves_spaces_that_agree_as_they_are_but_for_a_common_rotation():
    x, rotation = random(200, 8, seed=0), torch.linalg.qr(random(8, 8, seed=1)).Q
    source, target = reweighted(x, x @ rotation)
    assert torch.allclose(x @ source, x @ rotation @ target, atol=1e-3)
    assert torch.allclose((x @ source).norm(dim=1), x.norm(dim=1), atol=1e-3)


def test_fewer_pairs_than_directions_keep_all_directions():
    x = random(4, 8, seed=0)
    assert int(torch.linalg.matrix_rank(reweighted(x, x)[0])) == 8


def test_a_direction_that_one_side_does_not_have_counts_little():
    x, y = random(500, 8, seed=0), random(500, 8, seed=0)
    y[:, 7] = random(500, seed=1)
    lengths = reweighted(x, y)[0].norm(dim=1)
    assert lengths[7] < 0.5
    assert lengths[:7].min() > 0.9
