"""Augmentation and losses."""

import torch

from models.augment import (
    ANATOMICAL,
    AdaptiveStrength,
    augment_some,
    change_light,
    move,
    random_affine,
)
from models.losses import feature_matching, kl_to_normal, r1_penalty, weighted_l1


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_anatomical_moves_keep_up_and_down():
    matrices = random_affine(500, ANATOMICAL, seeded())
    down = matrices[:, 1, 1]  # how far down in the source one step down in the result goes
    assert (down > 0.75).all() and (down < 1.3).all()
    mirrored = (matrices[:, 0, 0] < 0).float().mean()
    assert 0.4 < mirrored < 0.6


def test_probability_decides_how_many_maps_move():
    maps = torch.randn(64, 1, 16, 16, generator=seeded())
    assert torch.allclose(augment_some(maps, 0.0, seeded()), maps, atol=1e-4)
    moved = (augment_some(maps, 0.5, seeded()) - maps).abs().amax(dim=(1, 2, 3)) > 1e-2
    assert 20 <= moved.sum() <= 44


def test_what_comes_from_beyond_the_edge_is_background():
    full = torch.ones(1, 1, 8, 8)
    half_out = torch.tensor([[[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]])
    moved = move(full, half_out, outside=-1.0)
    assert torch.equal(moved[0, 0, :, :4], torch.ones(8, 4))
    assert torch.equal(moved[0, 0, :, 4:], -torch.ones(8, 4))


def test_moves_are_differentiable_in_the_maps():
    maps = torch.randn(2, 1, 8, 8, requires_grad=True)
    augment_some(maps, 1.0, seeded()).sum().backward()
    assert maps.grad.abs().sum() > 0


def test_light_changes_stay_in_range_and_differ_between_photographs():
    photos = torch.rand(1, 3, 8, 8, generator=seeded()).expand(6, -1, -1, -1) * 2 - 1
    changed = change_light(photos, seeded())
    assert changed.min() >= -1 and changed.max() <= 1
    assert changed.mean(dim=(1, 2, 3)).std() > 0.02


def test_strength_rises_while_the_discriminator_is_sure_and_falls_otherwise():
    strength = AdaptiveStrength(probability=0.4)
    for _ in range(400):
        strength.update(torch.ones(8))
    assert strength.probability > 0.45
    risen = strength.probability
    for _ in range(400):
        strength.update(torch.tensor([1.0, -1.0] * 4))
    assert strength.probability < risen
    for _ in range(20_000):
        strength.update(torch.ones(8))
    assert strength.probability == strength.most


def test_r1_is_the_squared_gradient_norm():
    real = torch.randn(3, 1, 2, 2, requires_grad=True)
    weights = torch.arange(4.0).view(1, 1, 2, 2)
    assert torch.isclose(r1_penalty(real, (real * weights).sum(dim=(1, 2, 3))), torch.tensor(14.0))


def test_feature_matching_ignores_the_scores_and_the_real_side():
    fake = [[torch.ones(1, requires_grad=True), torch.tensor([5.0])]]
    real = [[torch.tensor([3.0], requires_grad=True), torch.tensor([-5.0])]]
    loss = feature_matching(fake, real)
    loss.backward()
    assert loss.item() == 2.0
    assert real[0][0].grad is None


def test_errors_on_vessels_weigh_more():
    vessels = torch.zeros(1, 1, 9, 9)
    vessels[:, :, 4, 4] = 1
    real = torch.zeros(1, 3, 9, 9)
    on, off = real.clone(), real.clone()
    on[:, :, 4, 4], off[:, :, 0, 0] = 1, 1
    assert torch.isclose(weighted_l1(on, real, vessels), 5 * weighted_l1(off, real, vessels))


def test_divergence_is_zero_at_the_standard_normal_only():
    zero = torch.zeros(2, 3)
    assert kl_to_normal(zero, zero) == 0
    assert kl_to_normal(zero + 1, zero) == 1.5
