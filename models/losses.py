"""Losses of both stages."""

from __future__ import annotations

from collections.abc import Sequence

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


def layout_loss(refined: Tensor, drawn: Tensor, cell: int = 8) -> Tensor:
    """How much vessel has come or gone: mean absolute difference of the means of ``cell`` x ``cell``
    pixels of maps [B, 1, H, W]; a scalar. Where within a cell vessels run, it leaves open."""
    return (F.avg_pool2d(refined, cell) - F.avg_pool2d(drawn.clamp(-1, 1), cell)).abs().mean()


def enlarging_loss(half_log_odds: Tensor, maps: Tensor) -> Tensor:
    """Cross entropy of enlarged maps and real ones, soft and within [-1, 1]; a scalar."""
    return F.binary_cross_entropy_with_logits(2 * half_log_odds.float(), (maps + 1) / 2)


# --- stage two: of patches; feature matching, weighted L1, KL --------------------------------------

Features = list[list[Tensor]]


def patch_discriminator_loss(real: Features, fake: Features) -> Tensor:
    """Non-saturating loss of all patches, mean over the scales; features end with the scores."""
    losses = [discriminator_loss(r[-1], f[-1]) for r, f in zip(real, fake, strict=True)]
    return torch.stack(losses).mean()


def patch_generator_loss(fake: Features) -> Tensor:
    """The translator's side; a scalar."""
    return torch.stack([generator_loss(scale[-1]) for scale in fake]).mean()


def patch_r1_penalty(photos: Tensor, features: Features) -> Tensor:
    """R1 of the scores of patches: mean squared norm of a patch's gradient, summed over the scales.

    The gradients of patches that do not overlap are orthogonal, so that of their sum, divided by the
    root of their number, has the mean of their squares. ``photos`` must require a gradient and have
    led to ``features``. Weight by gamma / 2.
    """
    scores = [scale[-1].float() for scale in features]
    total = torch.stack([each.sum() / each[0].numel() ** 0.5 for each in scores]).sum()
    (gradient,) = torch.autograd.grad(total, photos, create_graph=True)
    return gradient.square().sum(dim=(1, 2, 3)).mean()


def feature_matching(fake: Features, real: Features) -> Tensor:
    """Mean absolute difference of the discriminator's features (pix2pixHD, 3.2), summed over layers.

    Means over scales; the scores are left out and no gradient flows through ``real``.
    """
    differences = [
        feature_difference(fake_scale[:-1], real_scale[:-1])
        for fake_scale, real_scale in zip(fake, real, strict=True)
    ]
    return torch.stack(differences).mean()


def feature_difference(fake: Sequence[Tensor], real: Sequence[Tensor]) -> Tensor:
    """Mean absolute difference of a network's features of drawn and real photographs, summed over them;
    no gradient flows through ``real``.

    A perceptual loss (Johnson et al. 2016, arXiv 1603.08155). Of a segmenter, which has learned nothing
    but where vessels are, it tells how well each is seen and where its edges lie. Texture it passes over.
    """
    return torch.stack(
        [(f.float() - r.float().detach()).abs().mean() for f, r in zip(fake, real, strict=True)]
    ).sum()


def vessel_weight(vessels: Tensor, emphasis: float = 4.0) -> Tensor:
    """How dear each pixel is: 1, and ``1 + emphasis`` on vessels and their rim.

    A tenth of the pixels are vessel and thin ones a hundredth: without the weight they are the last
    thing learned. vessels [B, 1, H, W] in {0, 1} -> the same shape.
    """
    return 1 + emphasis * F.max_pool2d(vessels, 3, stride=1, padding=1)


def weighted_l1(
    fake: Tensor, real: Tensor, weight: Tensor, mean_weight: Tensor, cell: int = 1
) -> Tensor:
    """Mean absolute difference of photographs [B, 3, H, W], weighted by [B, 1, H, W]; a scalar.

    Means of ``cell`` x ``cell`` pixels are compared: of what is finer, only the discriminator judges.
    ``mean_weight`` is that of the whole batch, of which this may be a share.
    """
    difference = F.avg_pool2d(fake - real, cell).abs()
    return (F.avg_pool2d(weight, cell) * difference).mean() / mean_weight


def kl_to_normal(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Kullback-Leibler divergence of N(mean, variance) from N(0, 1), summed over the code, mean over B."""
    return (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=1).mean() / 2
