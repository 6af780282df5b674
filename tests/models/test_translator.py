"""Stage two's networks: shapes, exact black, the style's effect, gradients."""

import pytest
import torch

from models.translator import (
    MultiScaleDiscriminator,
    PhotoEnlarger,
    StyleEncoder,
    Translator,
    TranslatorConfig,
    _halve,
    fine_detail,
    guide,
)

CONFIG = TranslatorConfig((4, 6, 8), blocks=1, style=3)


def order(count=2, side=32):
    generator = torch.Generator().manual_seed(0)
    vessels = (torch.rand(count, 1, side, side, generator=generator) > 0.8).float()
    field = torch.zeros_like(vessels)
    field[:, :, 4:-4, 4:-4] = 1
    return vessels * field, field, torch.randn(count, 3, generator=generator)


@pytest.fixture
def translator():
    torch.manual_seed(0)
    return Translator(CONFIG)


def test_photograph_is_in_range_and_exactly_black_outside_the_field(translator):
    vessels, field, style = order()
    photo = translator(vessels, field, style)
    assert photo.shape == (2, 3, 32, 32)
    assert (photo[(field == 0).expand_as(photo)] == -1).all()
    assert photo.min() >= -1 and photo.max() <= 1
    assert photo[(field == 1).expand_as(photo)].min() > -1


def test_one_map_gives_other_photographs_in_other_styles(translator):
    vessels, field, style = order()
    assert not torch.allclose(
        translator(vessels, field, style), translator(vessels, field, style + 1), atol=1e-3
    )


def test_a_sample_does_not_depend_on_its_neighbours(translator):
    vessels, field, style = order()
    both = translator(vessels, field, style)
    other = translator(
        torch.stack([vessels[0], 1 - vessels[1]]), field, torch.stack([style[0], -style[1]])
    )
    assert torch.equal(both[0], other[0])


def test_gradient_reaches_every_weight(translator):
    discriminator = MultiScaleDiscriminator(width=4)
    encoder = StyleEncoder(3, width=4)
    vessels, field, _ = order(side=64)
    mean, log_variance = encoder(torch.rand(2, 3, 64, 64), field)
    photo = translator(vessels, field, mean + log_variance)
    features = discriminator(vessels, field, photo, vessels)
    sum(scale[-1].square().mean() for scale in features).backward()
    for network in (translator, discriminator, encoder):
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None and parameter.grad.isfinite().all(), name
    assert all(p.grad.abs().sum() > 0 for p in encoder.parameters())


def test_a_thin_vessel_survives_every_halving():
    vessels = torch.zeros(1, 1, 64, 64)
    vessels[:, :, 31] = 1
    noise = torch.randn(1, 2, 64, 64, generator=torch.Generator().manual_seed(0))
    guides = guide(vessels, torch.ones_like(vessels), noise)
    for _ in range(4):
        guides = _halve(guides)
    assert guides.shape == (1, 7, 4, 4)
    assert guides[0, 1].max(dim=0).values.eq(1).all()  # the strongest pixel, not the mean
    assert 0.7 < guides[0, 5:].std() < 1.3  # noise stays noise, not a sixteenth of it


def test_sides_must_fit_the_halvings(translator):
    vessels = torch.zeros(1, 1, 30, 32)
    with pytest.raises(ValueError, match="multiples of 4"):
        translator(vessels, vessels, torch.zeros(1, 3))


def test_noise_makes_another_photograph_of_the_same_map_and_style():
    torch.manual_seed(0)
    translator = Translator(TranslatorConfig((4, 6, 8), blocks=1, style=3, noise=2))
    vessels, field, style = order()
    first, second = (translator(vessels, field, style, torch.randn(2, 2, 32, 32)) for _ in "ab")
    assert not torch.allclose(first, second, atol=1e-3)
    with pytest.raises(ValueError, match="0 planes of noise, expected 2"):
        translator(vessels, field, style)


def test_enlarged_photographs_are_those_drawn_and_black_outside_the_larger_field():
    torch.manual_seed(0)
    translator = Translator(TranslatorConfig((4, 6, 8), blocks=1, style=3, enlargements=2))
    vessels, field, style = order(side=64)
    photo = translator(vessels, field, style)
    assert photo.shape == (2, 3, 64, 64)
    assert (photo[(field == 0).expand_as(photo)] == -1).all()
    small = (torch.nn.functional.avg_pool2d(vessels, 4) > 0.35).float()
    drawn = translator.drawn(small, torch.nn.functional.max_pool2d(field, 4), style)
    assert drawn.shape == (2, 3, 16, 16)
    shrunk, inside = (
        torch.nn.functional.avg_pool2d(photo, 4)[:, :, 2:-2, 2:-2],
        drawn[:, :, 2:-2, 2:-2],
    )
    assert (shrunk - inside).abs().mean() < 0.5 * (inside - inside.mean()).abs().mean() + 0.1
    with pytest.raises(ValueError, match="multiples of 16"):
        translator(vessels[..., :24], field[..., :24], style)


def test_an_anchored_enlarger_leaves_the_light_of_what_it_enlarges():
    torch.manual_seed(0)
    photo = torch.linspace(-0.5, 0.5, 16).expand(1, 3, 16, 16)
    vessels = (torch.rand(1, 1, 32, 32) > 0.8).float()
    free, anchored = PhotoEnlarger(), PhotoEnlarger(anchored=True)
    with torch.no_grad():
        free.quarters.bias.copy_(torch.tensor([0.2, 0.1, 0.3, 0.2]).repeat(3))
    anchored.load_state_dict(free.state_dict())

    def changed(enlarger):
        return (torch.nn.functional.avg_pool2d(enlarger(photo, vessels), 2) - photo).abs().mean()

    assert changed(free) > 0.1 > 0.01 > changed(anchored)
    detail = [each(photo, vessels).diff(dim=3).abs().mean() for each in (free, anchored)]
    assert detail[1] > 0.8 * detail[0] > 0


def test_fine_detail_is_blind_to_light_and_to_the_rim():
    photo = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    field = torch.zeros(1, 1, 64, 64)
    field[:, :, 8:-8, 8:-8] = 1
    detail = fine_detail(photo * field, field)
    assert torch.allclose(detail, fine_detail((photo + 0.3) * field, field), atol=1e-4)
    assert detail[:, :, :12].abs().max() == 0 and detail[:, :, 20:-20, 20:-20].std() > 1
