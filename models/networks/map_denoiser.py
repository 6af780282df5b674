"""Stage one: a small diffusion model of coarse maps, vessels and optic disc (Ho et al. 2020, arXiv 2006.11239).

It settles where disc and vessels lie; what is finer is added by adversarial doublings
(:mod:`models.networks.upsamplers`). It predicts velocities (Salimans and Ho 2022, arXiv 2202.00512) and is sampled
without noise (DDIM: Song et al. 2021, arXiv 2010.02502), so that a map depends on its first noise alone.
"""

from __future__ import annotations

import math

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from models.networks.conditional_unet import ConditionalUNet, UNetConfig

TIME_FEATURES = 8  # sines and cosines each
# Maps are sparse: without these their variance is a tenth of the noise's, and most times would teach nothing.
OFFSET, SCALE = 0.1, 5.0


@dataclass(frozen=True)
class DenoiserConfig:
    """Shape of the denoiser."""

    maps: int = Field(default=2, ge=1, description="channels that are drawn: vessels and disc")
    size: int = Field(default=64, ge=8, description="side of the maps in pixels")
    steps: int = Field(default=10, ge=1, le=1000, description="denoising steps of a drawn map")
    channels: tuple[int, ...] = Field(
        default=(64, 96, 128, 160), min_length=2, description="feature maps at 1/2, 1/4, ..."
    )

    @property
    def unet(self) -> UNetConfig:
        """Of noisy maps, the field of view and the time to velocities; noise enters as a map."""
        return UNetConfig(self.maps + 2, self.maps, 2 * TIME_FEATURES, 0, self.channels)


class MapDenoiser(nn.Module):
    """Noisy maps to the velocity of their denoising.

    Times lie within [0, 1]: at t a map is ``cos(t pi / 2) * clean + sin(t pi / 2) * noise``, clean maps being
    fractions less ``OFFSET``, times ``SCALE``.
    """

    def __init__(self, config: DenoiserConfig):
        super().__init__()
        self.config = config
        self.unet = ConditionalUNet(config.unet)

    def forward(self, noisy: Tensor, fields: Tensor, times: Tensor) -> Tensor:
        """Predict velocities, ``alpha * noise - sigma * clean``.

        Args:
            noisy: [B, maps, S, S]. fields: [B, 1, S, S], 1 within the field of view. times: [B].
        """
        plane = times[:, None, None, None].expand(-1, 1, *noisy.shape[2:])
        condition = torch.cat([noisy, fields, plane], 1)
        size = noisy.shape[-1]
        shapes = self.config.unet.noise_shapes(size)
        none = [noisy.new_zeros(len(noisy), *shape) for shape in shapes]
        velocity, _ = self.unet(condition, _time_features(times), none)
        return velocity

    @torch.no_grad()
    def draw(self, noise: Tensor, fields: Tensor) -> Tensor:
        """Denoise in ``config.steps`` steps: noise [B, maps, S, S] and fields [B, 1, S, S] to maps in [0, 1],
        0 outside the field of view."""
        steps, x = self.config.steps, noise
        for step in range(steps, 0, -1):
            now, after = step / steps, (step - 1) / steps
            times = torch.full((len(x),), now, device=x.device)
            velocity = self(x, fields, times)
            alpha, sigma = math.cos(now * math.pi / 2), math.sin(now * math.pi / 2)
            clean = (alpha * x - sigma * velocity).clamp(-OFFSET * SCALE, (1 - OFFSET) * SCALE)
            noise = (x - alpha * clean) / sigma
            alpha, sigma = math.cos(after * math.pi / 2), math.sin(after * math.pi / 2)
            x = alpha * clean + sigma * noise
        return (x / SCALE + OFFSET) * fields


def _time_features(times: Tensor) -> Tensor:
    frequencies = 2.0 ** torch.arange(TIME_FEATURES, device=times.device) * math.pi / 2
    angles = times[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], 1)
