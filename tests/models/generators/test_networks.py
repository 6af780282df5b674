"""The networks' parts: gradients that are written out, frozen weights, shapes."""

import pytest
import torch
from torch import nn

from models.networks.blocks import fold_batch_norm, scale_shift, upsample
from models.networks.discriminators import (
    ProjectedDiscriminator,
    SegmentationDiscriminator,
    class_loss,
)
from models.networks.efficientnet import LITE0, LITE2, load_efficientnet
from models.networks.map_denoiser import OFFSET, SCALE, DenoiserConfig, MapDenoiser
from models.networks.segmenter import Segmenter, standardise
from models.networks.upsamplers import MapUpsampler, UpsamplerConfig
from models.styles import StyleDensity


def test_written_out_gradients_are_right():
    x = torch.randn(2, 3, 4, 4, dtype=torch.double, requires_grad=True)
    scale, shift = (torch.randn(2, 3, dtype=torch.double, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(upsample, x)
    assert torch.autograd.gradcheck(scale_shift, (x, scale, shift))
    assert torch.equal(upsample(x)[:, :, 1::2, 1::2], x)


def test_folded_batch_norm_computes_the_same():
    torch.manual_seed(0)
    network = Segmenter(outputs=2, channels=(4, 8))
    network(torch.randn(4, 3, 16, 16))  # moves the running statistics
    network.eval()
    x = torch.randn(1, 3, 16, 16)
    before = network(x)
    fold_batch_norm(network)
    assert not any(isinstance(part, nn.BatchNorm2d) for part in network.modules())
    assert torch.allclose(network(x), before, atol=1e-4)


def test_standardising_a_saturated_channel_has_finite_gradients():
    photographs = torch.ones(1, 3, 8, 8, requires_grad=True)
    standardise(photographs, torch.ones(1, 1, 8, 8)).sum().backward()
    assert photographs.grad.isfinite().all()


@pytest.mark.parametrize("variant", [LITE0, LITE2], ids=lambda v: v.package)
def test_published_weights_fit_and_strides_double(variant):
    network = load_efficientnet(variant)
    tapped = network.tapped(torch.rand(1, 3, 64, 64))
    assert [t.shape[-1] for t in tapped] == [16, 8, 4, 2]
    assert not any(p.requires_grad for p in network.parameters())


def test_discriminators_judge_each_scale_and_each_pixel():
    torch.manual_seed(0)
    photographs = torch.rand(2, 3, 64, 64)
    scores = ProjectedDiscriminator()(photographs)
    assert len(scores) == 4 and all(len(s) == 2 for s in scores)
    logits = SegmentationDiscriminator(classes=5)(photographs)
    assert logits.shape == (2, 6, 64, 64)
    target = torch.zeros_like(logits)
    target[:, 2] = 1
    sure = torch.where(target > 0, 20.0, 0.0)
    weight, fields = torch.ones(6), torch.ones(2, 1, 64, 64)
    assert (
        class_loss(sure, target, weight, fields) < 1e-6 < class_loss(-sure, target, weight, fields)
    )


class Perfect(MapDenoiser):
    """Knows the clean map."""

    def __init__(self, clean):
        super().__init__(DenoiserConfig(size=8, steps=4, channels=(4, 4)))
        self.clean = clean

    def forward(self, noisy, fields, times):
        angle = times[:, None, None, None] * torch.pi / 2
        noise = (noisy - angle.cos() * self.clean) / angle.sin()
        return angle.cos() * noise - angle.sin() * self.clean


def test_denoising_ends_at_the_clean_map():
    maps = (torch.rand(2, 2, 8, 8) < 0.3).float()
    fields = torch.ones(2, 1, 8, 8)
    fields[..., :2, :] = 0
    drawn = Perfect((maps - OFFSET) * SCALE).draw(torch.randn(2, 2, 8, 8), fields)
    assert torch.allclose(drawn, maps * fields, atol=1e-4)


def test_an_untaught_doubling_leaves_a_map_as_it_is():
    upsampler = MapUpsampler(UpsamplerConfig(maps=2, style=2, channels=(4, 8)))
    maps, fields = torch.zeros(1, 2, 16, 16), torch.ones(1, 1, 32, 32)
    maps[..., 4:12], fields[..., :8] = 1, 0
    noise = [torch.randn(1, *shape) for shape in upsampler.config.noise_shapes(32)]
    doubled = upsampler(maps, fields, torch.randn(1, 2), noise)
    assert doubled.shape == (1, 2, 32, 32) and not doubled[..., :8].any()
    halved = nn.functional.avg_pool2d(doubled, 2)[..., 5:16]
    assert torch.allclose(halved[..., :6], maps[..., 5:11], atol=0.01)
    assert not doubled[..., 26:].any()


def test_a_density_of_styles_finds_its_clusters():
    generator = torch.Generator().manual_seed(0)
    centres = torch.tensor([[-4.0, 0.0], [4.0, 0.0]]).repeat(40, 1)
    encodings = centres + 0.3 * torch.randn(80, 2, generator=generator)
    density = StyleDensity.fit(encodings, 2, generator)
    assert sorted(density.means[:, 0].round().tolist()) == [-4.0, 4.0]
    drawn = density.sample(500, generator)
    assert (drawn[:, 0].abs() > 1.5).float().mean() > 0.95  # not between the clusters
    assert abs(float((drawn[:, 0] > 0).float().mean()) - 0.5) < 0.1
    again = density.sample(3, torch.Generator().manual_seed(1))
    assert torch.equal(again, density.sample(3, torch.Generator().manual_seed(1)))
    assert len(StyleDensity.fit(encodings[:5], 8, generator).weights) == 1  # too few for more
