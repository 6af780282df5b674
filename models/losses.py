"""Losses of both stages."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

# --- stage one: non-saturating, with R1 ---------------------------------------------------------


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Non-saturating loss (Goodfellow et al. 2014) of scores [B] each; a scalar."""
    return (F.softplus(-real) + F.softplus(fake)).mean()


def generator_loss(fake: Tensor) -> Tensor:
    """The generator's side; a scalar."""
    return F.softplus(-fake).mean()


def r1_penalty(real: Tensor, scores: Tensor) -> Tensor:
    """Mean squared gradient norm at real samples (Mescheder et al. 2018, arXiv 1801.04406).

    ``real`` must require a gradient and have led to ``scores``. Weight by gamma / 2.
    """
    (gradient,) = torch.autograd.grad(scores.sum(), real, create_graph=True)
    return gradient.square().sum(dim=(1, 2, 3)).mean()


def mean_distance(maps: Tensor, side: int = 16) -> Tensor:
    """Mean root-mean-square distance of the maps of a batch [B, 1, R, R] from each other, a scalar.

    Taken at ``side`` pixels (R a multiple of it, or smaller), where layouts differ and noise does not.
    """
    coarse = F.avg_pool2d(maps.float(), max(1, maps.shape[-1] // side)).flatten(1)
    squares = (coarse[:, None] - coarse[None]).square().mean(dim=2)
    return (squares + 1e-8).sqrt().sum() / (len(maps) * (len(maps) - 1))


def spread_loss(fake: Tensor, real: Tensor) -> Tensor:
    """How much less a batch of drawn maps varies than a batch of real ones, as a share; a scalar.

    Zero once they vary as much. Minibatch deviation lets the discriminator see a lack of variety,
    but on 20 maps the generator had collapsed to one layout all the same; this tells it directly
    (the idea of mode-seeking GANs, arXiv 1903.05628, with the reals' own spread as the bound).
    """
    return F.relu(1 - mean_distance(fake) / mean_distance(real).detach())


# --- stage two: least squares, feature matching, weighted L1, KL ---------------------------------

Features = list[list[Tensor]]


def least_squares(features: Features, target: float) -> Tensor:
    """LSGAN (Mao et al. 2017) summed over the scales; features end with the scores."""
    return torch.stack([(scale[-1].float() - target).square().mean() for scale in features]).sum()


def feature_matching(fake: Features, real: Features) -> Tensor:
    """Mean absolute difference of the discriminator's features (pix2pixHD, 3.2), summed over layers.

    Means over scales; the scores are left out and no gradient flows through ``real``.
    """
    differences = [
        (f.float() - r.detach().float()).abs().mean()
        for fake_scale, real_scale in zip(fake, real, strict=True)
        for f, r in zip(fake_scale[:-1], real_scale[:-1], strict=True)
    ]
    return torch.stack(differences).sum() / len(fake)


def vessel_weight(vessels: Tensor, emphasis: float = 4.0) -> Tensor:
    """How dear each pixel is: 1, and ``1 + emphasis`` on vessels and their rim.

    A tenth of the pixels are vessel and thin ones a hundredth: without the weight they are the last
    thing learned. vessels [B, 1, H, W] in {0, 1} -> the same shape.
    """
    return 1 + emphasis * F.max_pool2d(vessels, 3, stride=1, padding=1)


def weighted_l1(fake: Tensor, real: Tensor, weight: Tensor, mean_weight: Tensor) -> Tensor:
    """Mean absolute difference of photographs [B, 3, H, W], weighted by [B, 1, H, W]; a scalar.

    ``mean_weight`` is that of the whole batch, of which this may be a share.
    """
    return (weight * (fake - real).abs()).mean() / mean_weight


def kl_to_normal(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Kullback-Leibler divergence of N(mean, variance) from N(0, 1), summed over the code, mean over B."""
    return (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=1).mean() / 2
