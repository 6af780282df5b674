"""The texture of a photograph that neither its vessel map nor its style tells: grain and mottling.

Stage two renders the same photograph whenever map and style are the same, so what differs from eye to
eye it can only average away, and backgrounds come out smooth. What is missing is measured on the
training photographs and put back as random fields with the same covariance between pixels and
between colours, as film grain is in video coding (Norkin and Birkbeck 2018, "Film Grain Synthesis
for AV1 Video Codec"). Only the covariance is kept: no photograph's own texture is.

Texture is proportional to light: it is measured in, and added to, the logarithm of the level.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from models.seeds import texture_seed

DARK = 12.0  # grey levels, added before the logarithm: at the black end noise no longer falls with light
# Of the side. What is wider than this is the rendering's own.
WIDEST = 6 / 256
DISC = 0.95  # the brightest share of the field is the optic disc, whose edge is no texture
Pictures = tuple[NDArray[np.uint8], NDArray[np.bool_], NDArray[np.bool_]]


@dataclass(frozen=True)
class Texture:
    """covariance: of the logarithm, between colours and at displacements of up to K // 2 pixels each
    way, float [3, 3, K, K], K odd. spread: standard deviation of the logarithm of its strength from
    photograph to photograph."""

    covariance: Tensor
    spread: float

    def __post_init__(self) -> None:
        shape = tuple(self.covariance.shape)
        if len(shape) != 4 or shape[:2] != (3, 3) or shape[2] != shape[3] or shape[2] % 2 == 0:
            raise ValueError(f"texture covariance of shape {shape}, expected [3, 3, K, K], K odd")
        if not bool(torch.isfinite(self.covariance).all()) or not 0 <= self.spread < 2:
            raise ValueError("texture: covariance must be finite, spread within 0 and 2")


def measure_texture(real: Pictures, rendered: Pictures) -> Texture:
    """What real photographs have more of than rendered ones, away from vessels, disc and rim.

    Each is photographs [N, S, S, 3], labels and fields of view [N, S, S].
    """
    size = real[0].shape[1]
    reach = round(4 * WIDEST * size)
    more = _covariance(*real, reach) - _covariance(*rendered, reach)
    away = np.arange(-reach, reach + 1) / (reach / 2)
    window = np.exp(-(away**2) / 2)
    strengths = [
        residual[1][ground].std()
        for residual, ground in (_background(*one) for one in zip(*real, strict=True))
    ]
    covariance = more * window[:, None] * window
    return Texture(torch.from_numpy(covariance).float(), float(np.log(strengths).std()))


def _covariance(
    photos: NDArray[np.uint8], labels: NDArray[np.bool_], fields: NDArray[np.bool_], reach: int
) -> NDArray[np.float64]:
    """Mean product of the background's residuals at each displacement, [3, 3, 2 reach + 1, ...]."""
    size = photos.shape[1]
    products, pairs = np.zeros((3, 3, 2 * size, 2 * size)), np.zeros((2 * size, 2 * size))
    for one in zip(photos, labels, fields, strict=True):
        residual, ground = _background(*one)
        spectra = scipy.fft.fft2(residual * ground, s=pairs.shape)
        products += scipy.fft.ifft2(spectra[:, None] * spectra.conj()[None]).real
        pairs += scipy.fft.ifft2(np.abs(scipy.fft.fft2(ground, s=pairs.shape)) ** 2).real
    means = products / np.maximum(pairs, 1)
    near = np.arange(-reach, reach + 1)
    return means[:, :, near[:, None], near]


def _background(
    photo: NDArray[np.uint8], label: NDArray[np.bool_], field: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Residual of the logarithm from its smooth course, [3, S, S], and where there is background."""
    width = WIDEST * len(photo)
    levels = np.log(photo.astype(np.float64) + DARK).transpose(2, 0, 1)
    inside = ndimage.gaussian_filter(field.astype(np.float64), width) + 1e-6
    residual = np.stack(
        [(one - ndimage.gaussian_filter(one * field, width) / inside) * field for one in levels]
    )
    bright = ndimage.gaussian_filter(photo[:, :, 1].astype(np.float64), width)
    ground = ndimage.binary_erosion(field, iterations=round(1.7 * width))
    ground &= ~ndimage.binary_dilation(label, iterations=max(1, round(width / 2)))
    return residual, ground & (bright < np.quantile(bright[field], DISC))


class TexturePainter:
    """Draws textures of one size and adds them to photographs."""

    def __init__(self, texture: Texture, size: int):
        reach = texture.covariance.shape[-1] // 2
        if 2 * reach >= size:
            raise ValueError(f"a texture that reaches {reach} pixels does not fit {size} px")
        self._size, self._spread = size, texture.spread
        near = np.arange(-reach, reach + 1) % size
        around = np.zeros((3, 3, size, size))
        around[:, :, near[:, None], near] = texture.covariance.double().numpy()
        powers = scipy.fft.fft2(around).real[..., : size // 2 + 1].transpose(2, 3, 0, 1)
        values, vectors = np.linalg.eigh((powers + powers.swapaxes(2, 3)) / 2)
        # The symmetric root: noise filtered with it has the powers as its spectrum.
        roots = np.sqrt(values.clip(min=0))[..., None, :] * vectors @ vectors.swapaxes(2, 3)
        self._filter = roots.transpose(2, 3, 0, 1).astype(np.float32)

    def add(
        self, photo: NDArray[np.float32], field: NDArray[np.uint8], seed: int
    ) -> NDArray[np.uint8]:
        """Photograph of levels 0 to 255 [S, S, 3] with the texture of a pair's seed, in the field
        [S, S] of 0 or 1; black stays black outside it."""
        random = torch.Generator().manual_seed(texture_seed(seed))
        noise = torch.randn(3, self._size, self._size, generator=random).numpy()
        strength = float(torch.exp(self._spread * torch.randn((), generator=random)))
        spectra = scipy.fft.rfft2(noise)
        drawn = scipy.fft.irfft2(
            np.stack([(row * spectra).sum(axis=0) for row in self._filter]), s=noise.shape[1:]
        )
        levels = (photo + DARK) * np.exp(strength * drawn.transpose(1, 2, 0)) - DARK
        return (levels.clip(0, 255).round() * field[..., None]).astype(np.uint8)
