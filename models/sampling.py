"""From seeds to finished pairs: the one place where a package's two networks meet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from models.devices import Device
from models.field_of_view import FieldOfView
from models.package import ModelPackage, SamplingConfig
from models.seeds import pair_seed

__all__ = ["Pair", "PairSampler", "pair_seed"]


@dataclass(frozen=True)
class Pair:
    """One generated pair.

    image: RGB uint8 [H, W, 3], black outside the field of view. label: vessels, uint8 [H, W], 0 or
    255. mask: field of view, uint8 [H, W], 0 or 255. vessel_share: vessel pixels per pixel of the
    field of view.
    """

    seed: int
    image: NDArray[np.uint8]
    label: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    vessel_share: float


@dataclass(frozen=True)
class _Noise:
    """All that is random about a pair, drawn on the CPU from its seed alone."""

    latent: Tensor
    mirrored: bool  # the other eye: mirrored maps are as real as those stage one was shown
    style: Tensor
    field: FieldOfView


class PairSampler:
    """Draws pairs; a pair depends on its seed, the package, the device class and the libraries.

    It does not depend on its neighbours: networks always run at the same padded batch shape, and
    nothing in them mixes samples.
    """

    def __init__(self, package: ModelPackage, device: str = "auto"):
        """Place the package's networks on a device.

        Raises:
            ValueError: if the device is not there.
        """
        self.package = package
        self.resolution = package.resolution
        self.batch_size = package.sampling.batch_size
        self._device = Device.choose(device)
        self._vessels = self._device.place(package.vessel_generator()).eval().requires_grad_(False)
        self._translator = self._device.place(package.translator()).eval().requires_grad_(False)
        self._style_mean, self._style_factor = package.style_statistics()
        if self._device.gpu:
            torch.backends.cudnn.deterministic = True
            torch.backends.cudnn.benchmark = False
        # The first batch of a process is thrown away. Under load it has been seen to differ from
        # every later one in a few values by one grey level, in the share of one thread.
        self.sample([0])

    @property
    def environment(self) -> dict[str, str]:
        """What, besides seed and package, the bytes of a pair depend on."""
        return self._device.environment

    def sample(self, seeds: Sequence[int]) -> list[Pair]:
        """Draw the pairs of 1 to ``batch_size`` seeds.

        Raises:
            ValueError: for more seeds than a batch holds, or none.
        """
        noises = self._draw(seeds)
        labels, fields = self.draw_labels(noises)
        photos = self.render(labels, fields, noises)
        return [
            Pair(
                seed=seed,
                image=photo,
                label=label * np.uint8(255),
                mask=field * np.uint8(255),
                vessel_share=round(float(label.sum() / field.sum()), 6),
            )
            for seed, photo, label, field in zip(seeds, photos, labels, fields, strict=False)
        ]

    def _draw(self, seeds: Sequence[int]) -> list[_Noise]:
        if not 1 <= len(seeds) <= self.batch_size:
            raise ValueError(f"{len(seeds)} seeds: give 1 to {self.batch_size}")
        padded = [*seeds, *[seeds[-1]] * (self.batch_size - len(seeds))]
        return [self._noise(seed) for seed in padded]

    def _noise(self, seed: int) -> _Noise:
        generator = torch.Generator().manual_seed(seed)
        latent = torch.randn(self.package.vessel_config.latent, generator=generator)
        code = torch.randn(len(self._style_mean), generator=generator)
        place = torch.randn(3, generator=generator).clamp(-2, 2)
        mirrored = bool(torch.rand((), generator=generator) < 0.5)
        config = self.package.sampling
        x, y, radius = (
            mean + deviation * float(value)
            for mean, deviation, value in zip(
                config.field_mean, config.field_deviation, place, strict=True
            )
        )
        style = self._style_mean + self._style_factor @ code
        return _Noise(latent, mirrored, style, FieldOfView(x, y, radius))

    def draw_labels(self, noises: Sequence[_Noise]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Stage one for a full batch: labels and fields of view, uint8 [B, H, W] of 0 and 1."""
        with torch.inference_mode():
            latents = torch.stack([noise.latent for noise in noises]).to(self._device.name)
            shares = (self._vessels(latents)[:, 0].float().cpu().numpy() + 1) / 2
        shares = np.stack(
            [s[:, ::-1] if n.mirrored else s for s, n in zip(shares, noises, strict=True)]
        )
        fields = np.stack([noise.field.draw(self.resolution) for noise in noises])
        labels = (shares > self.package.sampling.threshold) & fields
        cleaned = [without_specks(label, self.package.sampling) for label in labels]
        return np.stack(cleaned).astype(np.uint8), fields.astype(np.uint8)

    def render(
        self, labels: NDArray[np.uint8], fields: NDArray[np.uint8], noises: Sequence[_Noise]
    ) -> NDArray[np.uint8]:
        """Stage two for a full batch: photographs, RGB uint8 [B, H, W, 3]."""
        where = self._device.name
        styles = torch.stack([noise.style for noise in noises]).to(where)
        maps = torch.from_numpy(np.stack([labels, fields], axis=1)).to(where).float()
        maps = maps.contiguous(memory_format=torch.channels_last)
        with torch.inference_mode(), self._device.autocast():
            photos = self._translator(maps[:, :1], maps[:, 1:], styles)
            levels = ((photos.float() + 1) * 127.5).round().to(torch.uint8)
        return levels.permute(0, 2, 3, 1).contiguous().cpu().numpy()


def without_specks(label: NDArray[np.bool_], config: SamplingConfig) -> NDArray[np.bool_]:
    """Drop 8-connected pieces of fewer than ``config.smallest_piece`` pixels from a label [H, W]."""
    pieces, _ = ndimage.label(label, structure=np.ones((3, 3), dtype=int))
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0  # the background is no piece
    return (sizes >= config.smallest_piece)[pieces]
