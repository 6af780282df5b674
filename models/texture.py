"""The texture of a photograph that neither its vessel map nor its style tells: grain and mottling.

Stage two renders the same photograph whenever map and style are the same, so what differs from eye to
eye it can only average away, and backgrounds come out smooth. What is missing is measured on the
training photographs and put back as random fields with the same covariance between pixels and
between colours, as film grain is in video coding (Norkin and Birkbeck 2018, "Film Grain Synthesis
for AV1 Video Codec"). Each photograph has a covariance of its own, fine grain or coarse mottling, and
a pair takes after one of them. Within a photograph the strength comes and goes: a Gaussian scale
mixture (Wainwright and Simoncelli 1999, "Scale Mixtures of Gaussians and the Statistics of Natural
Images"). Only these statistics are kept: no photograph's own texture is.

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
WIDEST = 12 / 256  # of the side: what is wider than this is the rendering's own
# Photographs whose covariances are kept at 256 px, and fewer above: more would make packages large, not
# textures better.
KEPT = 24
DISC = 0.95  # the brightest share of the field is the optic disc, whose edge is no texture
# Of the side: deviation of the Gaussian window that local strength is measured in, and of that which
# makes a field of strengths as wide as those measured on CHASE_DB1.
WINDOW, PATCH = 5 / 256, 7 / 256
RINGS = 24  # of frequencies, in which powers are compared
Pictures = tuple[NDArray[np.uint8], NDArray[np.bool_], NDArray[np.bool_]]


@dataclass(frozen=True)
class Texture:
    """covariances: of the logarithm, one for each of N training photographs, between colours and at
    displacements of up to K // 2 pixels each way, float [N, 3, 3, K, K], K odd. patchiness: standard
    deviation of the logarithm of the strength within a photograph."""

    covariances: Tensor
    patchiness: float

    def __post_init__(self) -> None:
        shape = tuple(self.covariances.shape)
        if len(shape) != 5 or not shape[0] or shape[1:3] != (3, 3) or shape[3] != shape[4]:
            raise ValueError(f"texture covariances of shape {shape}, expected [N, 3, 3, K, K]")
        if shape[3] % 2 == 0:
            raise ValueError(f"texture covariances of shape {shape}: the last two must be odd")
        if not bool(torch.isfinite(self.covariances).all()) or not 0 <= self.patchiness < 2:
            raise ValueError("texture: covariances must be finite, patchiness within 0 and 2")


def measure_texture(real: Pictures, rendered: Pictures) -> Texture | None:
    """What real photographs have more of than rendered ones, away from vessels, disc and rim. None if most
    have less, as where the few that show lesions make up all the difference: as texture, these would be
    strewn over every pair.

    Each is photographs [N, S, S, 3], labels and fields of view [N, S, S]; rendered are the real labels
    in turn, as often as one likes.
    """
    typical = np.median([_variance(*one) for one in zip(*real, strict=True)])
    if typical <= np.mean([_variance(*one) for one in zip(*rendered, strict=True)]):
        return None
    size = real[0].shape[1]
    reach = round(4 * WIDEST * size)
    away = np.arange(-reach, reach + 1) / (reach / 2)
    window = np.exp(-(away**2) / 2)
    smooth = np.mean([_covariance(*one, reach) for one in zip(*rendered, strict=True)], axis=0)
    kept = min(KEPT, KEPT * 256 // size)
    chosen = np.unique(np.linspace(0, len(real[0]) - 1, kept).round().astype(int))
    photos, labels, fields = real
    more = np.stack([_covariance(photos[i], labels[i], fields[i], reach) - smooth for i in chosen])
    window = window[:, None] * window
    # Cut off at its reach without the second window, what can be painted is so no more: neighbouring pixels
    # of CHASE_DB1 then differed by 13 % more variance than in the photographs at 512 px, 24 % at 1024.
    paintable = np.stack([_paintable(one * window, size) * window for one in more])
    covariances = torch.from_numpy(paintable).float()
    even = TexturePainter(Texture(covariances, 0.0), size)
    painted = [
        even.add(photo.astype(np.float32), field.astype(np.uint8), seed)
        for seed, (photo, field) in enumerate(zip(rendered[0], rendered[2], strict=True))
    ]
    excess = _patch_variance(*real) - _patch_variance(np.stack(painted), *rendered[1:])
    return Texture(covariances, float(np.sqrt(max(0.0, excess))))


def _paintable(difference: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """A covariance [3, 3, K, K] that has, in each ring of frequencies, as much power as the difference.

    What is measured of one photograph is noisy from frequency to frequency, and what is below zero
    there cannot be painted: left at that, the rest would add up to more than the difference.
    """
    powers = _powers(difference, size)
    roots = _roots(powers)
    positive = roots @ roots
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size))
    edges = np.geomspace(1 / size, 0.5, RINGS)
    kinds, rings = np.unique(np.digitize(frequency, edges), return_inverse=True)

    def ring_means(spectrum: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of each colour, [3, R]."""
        own = np.diagonal(spectrum, axis1=-2, axis2=-1)
        return np.stack([ndimage.mean(own[..., c], rings, range(len(kinds))) for c in range(3)])

    gains = np.sqrt(ring_means(powers).clip(min=0) / ring_means(positive).clip(min=1e-12))
    each = gains[:, rings].transpose(1, 2, 0)
    painted = positive * each[..., :, None] * each[..., None, :]
    reach = difference.shape[-1] // 2
    near = np.arange(-reach, reach + 1)
    covariance = scipy.fft.irfft2(painted.transpose(2, 3, 0, 1), s=(size, size))
    return np.ascontiguousarray(covariance[..., near[:, None], near])


def _powers(covariance: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """Spectrum of a covariance [3, 3, K, K]: symmetric matrices of the colours, [S, S // 2 + 1, 3, 3]."""
    reach = covariance.shape[-1] // 2
    near = np.arange(-reach, reach + 1) % size
    around = np.zeros((3, 3, size, size))
    around[:, :, near[:, None], near] = covariance
    powers = scipy.fft.fft2(around).real[..., : size // 2 + 1].transpose(2, 3, 0, 1)
    return (powers + powers.swapaxes(2, 3)) / 2


def _roots(powers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Symmetric square roots of symmetric matrices [..., 3, 3], of which what is below zero is left out."""
    values, vectors = np.linalg.eigh(powers)
    return np.sqrt(values.clip(min=0))[..., None, :] * vectors @ vectors.swapaxes(-2, -1)


def _patch_variance(
    photos: NDArray[np.uint8], labels: NDArray[np.bool_], fields: NDArray[np.bool_]
) -> float:
    """Mean over photographs of the variance, within each, of the logarithm of its local deviation."""
    width = WINDOW * photos.shape[1]
    variances = []
    for one in zip(photos, labels, fields, strict=True):
        residual, ground = _background(*one)
        near = ndimage.gaussian_filter(ground.astype(np.float64), width)
        power = ndimage.gaussian_filter((residual.mean(axis=0) * ground) ** 2, width)
        enough = ground & (near > 0.5)
        if enough.any():
            local = power[enough] / near[enough]
            variances.append(float((np.log(local + 1e-8) / 2).var()))
    return float(np.mean(variances)) if variances else 0.0


def _variance(
    photo: NDArray[np.uint8], label: NDArray[np.bool_], field: NDArray[np.bool_]
) -> float:
    """Of the background's residuals, summed over the colours."""
    residual, ground = _background(photo, label, field)
    return float((residual**2).sum(axis=0)[ground].sum() / max(1, ground.sum()))


def _covariance(
    photo: NDArray[np.uint8], label: NDArray[np.bool_], field: NDArray[np.bool_], reach: int
) -> NDArray[np.float64]:
    """Mean product of the background's residuals at each displacement, [3, 3, 2 reach + 1, ...]."""
    residual, ground = _background(photo, label, field)
    shape = (2 * len(photo), 2 * len(photo))
    spectra = scipy.fft.rfft2(residual * ground, s=shape)
    products = scipy.fft.irfft2(spectra[:, None] * spectra.conj()[None], s=shape)
    pairs = scipy.fft.irfft2(np.abs(scipy.fft.rfft2(ground.astype(float), s=shape)) ** 2, s=shape)
    means = products / np.maximum(pairs.round(), 1)
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
        reach = texture.covariances.shape[-1] // 2
        if 2 * reach >= size:
            raise ValueError(f"a texture that reaches {reach} pixels does not fit {size} px")
        self._size, self._texture = size, texture
        self._filters: dict[int, NDArray[np.float32]] = {}  # made when a pair first asks for one

    def add(
        self, photo: NDArray[np.float32], field: NDArray[np.uint8], seed: int
    ) -> NDArray[np.uint8]:
        """Photograph of levels 0 to 255 [S, S, 3] with the texture of a pair's seed, in the field
        [S, S] of 0 or 1; black stays black outside it."""
        random = torch.Generator().manual_seed(texture_seed(seed))
        like = int(torch.randint(len(self._texture.covariances), (), generator=random))
        noise = torch.randn(4, self._size, self._size, generator=random).numpy()
        spectra = scipy.fft.rfft2(noise[:3])
        drawn = scipy.fft.irfft2(
            np.stack([(row * spectra).sum(axis=0) for row in self._filter(like)]),
            s=noise.shape[1:],
        )
        drawn *= self._strengths(noise[3])
        levels = (photo + DARK) * np.exp(drawn.transpose(1, 2, 0)) - DARK
        return (levels.clip(0, 255).round() * field[..., None]).astype(np.uint8)

    def _strengths(self, noise: NDArray[np.float32]) -> NDArray[np.float32]:
        """Strength of each pixel [S, S], log-normal, with a mean square of 1."""
        width, patchiness = PATCH * self._size, self._texture.patchiness
        field = ndimage.gaussian_filter(noise, width, mode="wrap")
        # White noise under a Gaussian window of deviation w has a deviation of 1 / (2 w sqrt(pi)).
        field *= 2 * width * np.sqrt(np.pi)
        return np.exp(patchiness * field - patchiness**2).astype(np.float32)

    def _filter(self, like: int) -> NDArray[np.float32]:
        """Colours to colours at each frequency, [3, 3, S, S // 2 + 1], for one of the covariances."""
        if like not in self._filters:
            covariance = self._texture.covariances[like].double().numpy()
            # Noise filtered with the roots has the powers as its spectrum.
            roots = _roots(_powers(covariance, self._size))
            self._filters[like] = roots.transpose(2, 3, 0, 1).astype(np.float32)
        return self._filters[like]
