"""Augmentation and losses."""

import pytest
import torch

from models.augment import (
    ANATOMICAL,
    DISCRIMINATOR,
    AdaptiveStrength,
    change_light,
    mirrors_to_one_eye,
    move,
    random_affine,
    random_affine_for_some,
    random_bend,
    random_light,
    random_parts,
)
from models.losses import (
    feature_matching,
    kl_to_normal,
    patch_r1_penalty,
    r1_penalty,
    spread_loss,
    vessel_weight,
    weighted_l1,
)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def augment_some(maps, probability):
    matrices = random_affine_for_some(len(maps), DISCRIMINATOR, probability, seeded())
    return move(maps, matrices, outside=-1.0)


def test_anatomical_moves_keep_up_and_down_and_the_eye():
    matrices = random_affine(500, ANATOMICAL, seeded())
    for across_or_down in (matrices[:, 0, 0], matrices[:, 1, 1]):
        assert (across_or_down > 0.75).all() and (across_or_down < 1.3).all()


def test_discriminator_moves_mirror_half_of_the_maps():
    a, b, c, d = random_affine(500, DISCRIMINATOR, seeded())[:, :, :2].flatten(1).T
    assert 0.4 < (a * d - b * c < 0).float().mean() < 0.6


def test_a_bend_displaces_smoothly_and_by_as_much_as_asked():
    across = torch.arange(64.0).expand(200, 1, 64, 64)
    bend = random_bend(200, ANATOMICAL, seeded())
    still = torch.eye(2, 3).expand(200, -1, -1)
    middle = slice(16, 48)  # at the edge, what comes from beyond mixes in
    moved = move(across, still, outside=0.0, bend=bend)[..., middle, middle]
    displacement = moved - across[..., middle, middle]
    assert 0.5 * 0.02 * 64 < displacement.std() < 1.5 * 0.02 * 64
    assert displacement.diff(dim=-1).abs().max() < 0.8  # never folds


def test_eyes_are_told_apart_by_their_maps():
    fans = torch.zeros(10, 1, 64, 64)
    for i in range(10):  # a trunk left of the middle, and a branch of another length to the left
        fans[i, :, :, 20:24] = 1
        fans[i, :, 20 + i : 24 + i, 4:20] = 1
    left = torch.arange(10) % 3 == 0
    shown = torch.where(left[:, None, None, None], fans.flip(-1), fans)
    assert torch.equal(mirrors_to_one_eye(shown), left)


def test_probability_decides_how_many_maps_move():
    maps = torch.randn(64, 1, 16, 16, generator=seeded())
    assert torch.allclose(augment_some(maps, 0.0), maps, atol=1e-4)
    moved = (augment_some(maps, 0.5) - maps).abs().amax(dim=(1, 2, 3)) > 1e-2
    assert 20 <= moved.sum() <= 44


def test_what_comes_from_beyond_the_edge_is_background():
    full = torch.ones(1, 1, 8, 8)
    half_out = torch.tensor([[[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]])
    moved = move(full, half_out, outside=-1.0)
    assert torch.equal(moved[0, 0, :, :4], torch.ones(8, 4))
    assert torch.equal(moved[0, 0, :, 4:], -torch.ones(8, 4))


def test_moves_are_differentiable_in_the_maps():
    maps = torch.randn(2, 1, 8, 8, requires_grad=True)
    augment_some(maps, 1.0).sum().backward()
    assert maps.grad.abs().sum() > 0


def test_light_changes_stay_in_range_and_differ_between_photographs():
    photos = torch.rand(1, 3, 8, 8, generator=seeded()).expand(6, -1, -1, -1) * 2 - 1
    changed = change_light(photos, *random_light(6, seeded()))
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
    assert strength.least <= strength.probability < risen
    for scores, end in ((torch.ones(8), strength.most), (-torch.ones(8), strength.least)):
        for _ in range(20_000):
            strength.update(scores)
        assert strength.probability == end


def test_r1_is_the_squared_gradient_norm():
    real = torch.randn(3, 1, 2, 2, requires_grad=True)
    weights = torch.arange(4.0).view(1, 1, 2, 2)
    assert torch.isclose(r1_penalty(real, (real * weights).sum(dim=(1, 2, 3))), torch.tensor(14.0))


def test_spread_loss_tells_copies_from_maps_as_varied_as_the_reals():
    real = torch.randn(8, 1, 32, 32, generator=seeded(0))
    copies = real[:1].repeat(8, 1, 1, 1)
    assert spread_loss(copies, real) > 0.95
    assert torch.isclose(spread_loss(real / 2, real), torch.tensor(0.5), atol=1e-3)
    assert spread_loss(2 * real, real) == 0  # more than the reals' spread is not asked for
    nearly = (copies + 0.01 * real).requires_grad_()
    spread_loss(nearly, real).backward()
    assert nearly.grad.abs().sum() > 0


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
    weight = vessel_weight(vessels)
    dear, cheap = (weighted_l1(fake, real, weight, weight.mean()) for fake in (on, off))
    assert torch.isclose(dear, 5 * cheap)


def test_divergence_is_zero_at_the_standard_normal_only():
    zero = torch.zeros(2, 3)
    assert kl_to_normal(zero, zero) == 0
    assert kl_to_normal(zero + 1, zero) == 1.5


def test_the_patch_penalty_is_a_patchs_squared_gradient_norm():
    photos = torch.rand(2, 3, 8, 8).requires_grad_()
    # Scores of patches of one pixel each, three times its value: a gradient of 3 in one colour.
    scores = 3 * photos[:, :1]
    assert patch_r1_penalty(photos, [[scores]]).item() == pytest.approx(9.0, rel=1e-5)
    assert patch_r1_penalty(photos, [[scores[:, :, ::2]]]).item() == pytest.approx(9.0, rel=1e-5)


def test_what_is_finer_than_a_cell_is_no_difference():
    real = torch.zeros(1, 3, 8, 8)
    fake, weight = real.clone(), torch.ones(1, 1, 8, 8)
    fake[..., ::2], fake[..., 1::2] = 1.0, -1.0
    assert weighted_l1(fake, real, weight, weight.mean()) == 1.0
    assert weighted_l1(fake, real, weight, weight.mean(), cell=2) == 0.0


def test_parts_are_cut_where_the_pictures_are_and_turned_exactly():
    pictures = torch.rand(3, 1, 16, 16)
    parts = random_parts(pictures, 8, 16, torch.Generator().manual_seed(0))
    views = [torch.rot90(p, k, (1, 2)) for p in pictures for k in range(4)]
    views += [view.flip(-1) for view in views]
    assert all(any(torch.equal(part, view) for view in views) for part in parts)
    assert random_parts(pictures, 8, 6, torch.Generator().manual_seed(0)).shape == (8, 1, 6, 6)
