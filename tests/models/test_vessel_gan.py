"""Stage one's networks: shapes at each size, growth, gradients, what makes them this method."""

import pytest
import torch

from models.layers import (
    EqualConv2d,
    EqualDownConv2d,
    EqualUpConv2d,
    append_minibatch_deviation,
    pixel_norm,
)
from models.vessel_gan import VesselConfig, VesselDiscriminator, VesselGenerator

CONFIG = VesselConfig((8, 8, 6, 4), latent=5)


@pytest.fixture
def generator():
    torch.manual_seed(0)
    return VesselGenerator(CONFIG)


@pytest.fixture
def discriminator():
    torch.manual_seed(1)
    return VesselDiscriminator(CONFIG)


@pytest.mark.parametrize("resolution", [4, 8, 16, 32])
def test_draws_and_scores_at_each_resolution(generator, discriminator, resolution):
    maps = generator(torch.randn(3, 5), resolution)
    assert maps.shape == (3, 1, resolution, resolution)
    assert discriminator(maps).shape == (3,)


def test_fade_starts_at_the_level_below_and_ends_at_the_new_one(generator):
    z = torch.randn(2, 5)
    below = generator(z, 8).repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert torch.allclose(generator(z, 16, fade=0.0), below, atol=1e-6)
    new = generator(z, 16, fade=1.0)
    assert not torch.allclose(new, below, atol=1e-3)
    assert torch.allclose(generator(z, 16, fade=0.25), below.lerp(new, 0.25), atol=1e-6)


def test_discriminator_at_fade_zero_sees_only_the_halved_map(discriminator):
    maps = torch.randn(4, 1, 16, 16)
    halved = torch.nn.functional.avg_pool2d(maps, 2)
    assert torch.allclose(discriminator(maps, fade=0.0), discriminator(halved), atol=1e-5)


def test_gradient_reaches_every_weight_of_the_largest_size(generator, discriminator):
    discriminator(generator(torch.randn(4, 5), 32, fade=0.5), fade=0.5).sum().backward()
    used = {"to_map.0", "to_map.1", "from_map.0", "from_map.1"}  # of sizes not on the way
    for network in (generator, discriminator):
        for name, parameter in network.named_parameters():
            if not name.startswith(tuple(used)):
                assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_only_the_direction_of_the_noise_matters(generator):
    z = torch.randn(2, 5)
    assert torch.allclose(generator(z, 8), generator(7 * z, 8), atol=1e-4)


def test_equalised_rate_keeps_the_scale_of_activations_at_any_width():
    torch.manual_seed(0)
    for width in (4, 64):
        out = EqualConv2d(width, 32, gain=1.0)(torch.randn(2, width, 32, 32))
        assert 0.8 < out[:, :, 1:-1, 1:-1].std() < 1.2


@pytest.mark.parametrize(("layer", "side"), [(EqualUpConv2d, 64), (EqualDownConv2d, 16)])
@pytest.mark.parametrize("width", [4, 64])
def test_layers_that_change_the_size_keep_the_scale_too(layer, side, width):
    torch.manual_seed(0)
    out = layer(width, 32)(torch.randn(2, width, 32, 32))
    assert out.shape == (2, 32, side, side)
    assert 0.8 < out[:, :, 2:-2, 2:-2].std() / 2**0.5 < 1.2  # their gain is the square root of 2


def test_pixel_norm_gives_unit_mean_square():
    x = pixel_norm(torch.randn(2, 7, 3, 3) * 40)
    assert torch.allclose(x.square().mean(dim=1), torch.ones(2, 3, 3), atol=1e-4)


def test_minibatch_deviation_tells_copies_from_variety():
    copies = torch.randn(1, 3, 4, 4).repeat(4, 1, 1, 1)
    varied = torch.randn(4, 3, 4, 4)
    assert append_minibatch_deviation(copies)[:, 3].max() < 1e-3
    assert append_minibatch_deviation(varied)[:, 3].min() > 0.5


def test_unknown_resolution_is_named(generator):
    with pytest.raises(ValueError, match=r"resolution 12 is not one of \(4, 8, 16, 32\)"):
        generator(torch.randn(1, 5), 12)
    with pytest.raises(ValueError, match="resolution 100"):
        VesselConfig.for_resolution(100)


def test_above_the_largest_level_maps_are_enlarged():
    torch.manual_seed(0)
    generator = VesselGenerator(VesselConfig((8, 8, 6, 4), latent=5, enlargements=2))
    assert generator.config.resolutions == (4, 8, 16, 32, 64, 128)
    z = torch.randn(2, 5)
    drawn, enlarged = generator(z, 32), generator(z)
    assert enlarged.shape == (2, 1, 128, 128) and enlarged.abs().max() <= 1
    assert torch.equal(enlarged, generator.enlargers[1](generator.enlargers[0](drawn)))
