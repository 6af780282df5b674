"""From seeds to finished pairs, for packages whose label is the map that conditioned the photograph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from models.data.field_of_view import FieldOfView
from models.data.photographs import DISC, VESSELS
from models.devices import Device
from models.generator_package import GeneratorPackage
from models.pairs import pad_to_square, resample
from models.sampling import DEFAULT_OPTIONS, Pair, SamplingOptions
from models.seeds import doubling_seed, photograph_seed

Member = TypeVar("Member")
# Fraction of a pixel from which the disc counts in its mask.
PRESENT = 0.5


@dataclass(frozen=True)
class DrawnMap:
    """Stage one's half of a pair, and all that stage two needs to photograph it.

    label and field: vessels and field of view, uint8 [R, R], 0 or 1. maps: fractions of each pixel, [4, R, R],
    on the generator's device. style: [style]. given: whether a user brought the map, which shows vessels only.
    """

    seed: int
    label: NDArray[np.uint8]
    field: NDArray[np.uint8]
    maps: Tensor
    style: Tensor
    given: bool = False

    @property
    def vessel_share(self) -> float:
        """Vessel pixels per pixel of the field of view."""
        return _vessel_fraction(self.label, self.field)


@dataclass(frozen=True)
class _Random:
    """All that is random about a map, drawn on the CPU from its seed alone."""

    noise: Tensor
    upsampler_latents: dict[int, Tensor]
    upsampler_noise: dict[int, list[Tensor]]
    mirrored: bool
    field: FieldOfView
    style: Tensor


class PairGenerator:
    """Draws pairs; a pair depends on its seed, the package, the device class and the libraries.

    It does not depend on its neighbours: networks always run at the same padded batch shape, and nothing in
    them mixes samples.
    """

    traces = False

    def __init__(
        self, package: GeneratorPackage, device: str = "auto", resolution: int | None = None
    ):
        """Place the package's networks on a device, to draw pairs of one of its resolutions, in pixels; of the
        smallest if none is given.

        Raises:
            ValueError: if the device is not there; if the package does not have the resolution.
        """
        self.package = package
        self.resolution = package.check_resolution(resolution)
        self.batch_size = package.sampling.batch_size
        self._device = Device.choose(device)
        self._denoiser = self._placed(package.map_denoiser())
        self._upsamplers = {
            size: self._placed(upsampler) for size, upsampler in package.map_upsamplers().items()
        }
        self._translator = self._placed(package.translator())
        self._enhancers = {
            size: self._placed(enhancer) for size, enhancer in package.enhancers().items()
        }
        self._base = package.resolution
        self._threshold = package.sampling.thresholds[self.resolution]
        self._densities = package.style_densities()
        if self._device.gpu:
            torch.backends.cudnn.deterministic = True
            torch.backends.cudnn.benchmark = False
        # The first batch of a process is thrown away: it has been seen to differ from later ones under load.
        self.sample([0])

    def _placed(self, network: Any) -> Any:
        return self._device.place(network).eval().requires_grad_(False)

    @property
    def environment(self) -> dict[str, str]:
        """What, besides seed and package, the bytes of a pair depend on."""
        precision = "bfloat16" if self._device.native_bfloat16 else "float32"
        return self._device.environment | {"precision": precision}

    def sample(
        self, seeds: Sequence[int], options: SamplingOptions = DEFAULT_OPTIONS
    ) -> list[Pair]:
        """Draw the pairs of 1 to ``batch_size`` seeds.

        Raises:
            ValueError: for more seeds than a batch holds, or none; for lesions of a package that draws none.
        """
        return self.render(self.draw_maps(seeds, options))

    @torch.inference_mode()
    def draw_maps(
        self, seeds: Sequence[int], options: SamplingOptions = DEFAULT_OPTIONS
    ) -> list[DrawnMap]:
        """Stage one: the maps of 1 to ``batch_size`` seeds. Raises as :meth:`sample`."""
        if options.lesions == "all":
            raise ValueError("the package draws no lesions")
        drawn = [self._random(seed, options) for seed in seeds]
        batch = self._fill(drawn)
        fields = self._fields([each.field for each in batch])
        with self._device.mixed_precision():
            noise = self._on_device([each.noise for each in batch])
            maps = self._denoiser.draw(noise, at_size(fields, noise.shape[-1]))
            maps = self._doubled(maps, fields, batch, self._base)
            # The translator and finer doublings know lesions, too, which no network draws yet.
            maps = torch.cat([maps, torch.zeros_like(maps)], 1)
            maps = self._doubled(maps, fields, batch, self.resolution)
        mirrored = torch.tensor([each.mirrored for each in batch], device=maps.device)
        # Fields of view are symmetric: only what lies in them is mirrored.
        maps = torch.where(mirrored[:, None, None, None], maps.flip(-1), maps)
        return self._as_drawn(seeds, maps, fields, [each.style for each in batch])

    def _doubled(self, maps: Tensor, fields: Tensor, batch: Sequence[_Random], size: int) -> Tensor:
        """Maps [B, C, S, S] doubled as often as it takes to ``size``."""
        while maps.shape[-1] < size:
            side = 2 * maps.shape[-1]
            latents = self._on_device([each.upsampler_latents[side] for each in batch])
            planes = self._stacked([each.upsampler_noise[side] for each in batch])
            maps = self._upsamplers[side](maps, at_size(fields, side), latents, planes)
        return maps

    def _as_drawn(
        self, seeds: Sequence[int], maps: Tensor, fields: Tensor, styles: Sequence[Tensor]
    ) -> list[DrawnMap]:
        labels = ((maps[:, VESSELS] > self._threshold) & (fields[:, 0] > 0)).cpu()
        inside = fields[:, 0].to(torch.uint8).cpu().numpy()
        return [
            DrawnMap(seed, labels[i].numpy().astype(np.uint8), inside[i], maps[i], styles[i])
            for i, seed in enumerate(seeds)
        ]

    def place_map(
        self,
        seed: int,
        label: NDArray[np.uint8],
        field: NDArray[np.uint8] | None,
        options: SamplingOptions = DEFAULT_OPTIONS,
    ) -> DrawnMap:
        """A given map in the place of one that stage one draws; the style is still the seed's.

        label and field: vessels and field of view, uint8 [H, W] of any size, 0 or not. They are padded to a
        square and resampled by area. Without a field it is a whole circle, as large as the model's, or larger
        if vessels lie farther out. What lies outside is cut off.
        """
        fractions = self._fit(label)
        if field is None:
            y, x = np.nonzero(fractions > self._threshold)
            half = self.resolution / 2
            farthest = np.hypot(x + 0.5 - half, y + 0.5 - half).max(initial=0) / self.resolution
            radius = min(0.5, max(self.package.sampling.radius, float(farthest)))
            inside = FieldOfView(0.5, 0.5, radius).draw(self.resolution)
        else:
            inside = self._fit(field) > 0.5
        return self.place_shares(seed, fractions, inside, options)

    def place_shares(
        self,
        seed: int,
        shares: NDArray[np.floating[Any]],
        field: NDArray[np.bool_],
        options: SamplingOptions = DEFAULT_OPTIONS,
    ) -> DrawnMap:
        """As :meth:`place_map`, of a map that is known finer than its pixels: the fraction of each that is
        vessel, float [R, R] within [0, 1], and the field of view, bool [R, R]."""
        label = (shares > self._threshold) & field
        maps = torch.zeros(4, *label.shape)
        maps[VESSELS] = torch.from_numpy(np.where(field, shares, 0).astype(np.float32))
        style = self._random(seed, options).style
        maps = maps.to(self._device.name)
        return DrawnMap(seed, label.astype(np.uint8), field.astype(np.uint8), maps, style, True)

    def _fit(self, plane: NDArray[np.uint8]) -> NDArray[np.float64]:
        """The fraction of each pixel that is not 0, [R, R]."""
        whole = np.where(plane > 0, 255, 0).astype(np.uint8)
        return resample(pad_to_square(whole), self.resolution) / 255

    @torch.inference_mode()
    def render(self, maps: Sequence[DrawnMap]) -> list[Pair]:
        """Stage two: the pairs of 1 to ``batch_size`` maps.

        Raises:
            ValueError: for more maps than a batch holds, or none.
        """
        batch = self._fill(maps)
        stack = torch.stack([each.maps for each in batch])
        fields = self._on_device([torch.from_numpy(each.field).float()[None] for each in batch])
        styles = self._on_device([each.style for each in batch])
        with self._device.mixed_precision():
            photographs = self._photograph(stack, fields, styles, [each.seed for each in batch])
        levels = (photographs * 255).round().to(torch.uint8).permute(0, 2, 3, 1)
        pictures = levels.contiguous().cpu().numpy()
        present = (stack > PRESENT).to(torch.uint8).cpu().numpy()
        return [
            self._pair(each, picture, masks)
            for each, picture, masks in zip(maps, pictures, present, strict=False)
        ]

    def _photograph(
        self, maps: Tensor, fields: Tensor, styles: Tensor, seeds: Sequence[int]
    ) -> Tensor:
        """Photographs [B, 3, R, R] in [0, 1], coarse to fine."""

        def noise(shapes: list[tuple[int, int, int]], size: int) -> list[Tensor]:
            generators = (torch.Generator().manual_seed(photograph_seed(s, size)) for s in seeds)
            return self._stacked([_noise(shapes, generator) for generator in generators])

        size = self._base
        shapes = self.package.translator_config.unet.noise_shapes(size)
        given = _reduced(maps, size), at_size(fields, size)
        drawn = self._translator(*given, styles, noise(shapes, size))
        photographs, logits = drawn.photograph, drawn.logits
        while size < self.resolution:
            size *= 2
            shapes = self.package.enhancer_configs[size].noise_shapes(size)
            given = _reduced(maps, size), at_size(fields, size)
            photographs, logits = self._enhancers[size](logits, *given, styles, noise(shapes, size))
        return photographs

    def _pair(self, drawn: DrawnMap, picture: NDArray[np.uint8], masks: NDArray[np.uint8]) -> Pair:
        """``masks``: which pixels each channel of the map covers, uint8 [4, R, R], 0 or 1."""
        return Pair(
            seed=drawn.seed,
            image=picture,
            label=drawn.label * np.uint8(255),
            mask=drawn.field * np.uint8(255),
            vessel_share=drawn.vessel_share,
            disc=None if drawn.given else masks[DISC] * np.uint8(255),
        )

    def _random(self, seed: int, options: SamplingOptions) -> _Random:
        sampling = self.package.sampling
        generator = torch.Generator().manual_seed(seed)
        config = self.package.denoiser_config
        noise = torch.randn(config.maps, config.size, config.size, generator=generator)
        latents, planes = {}, {}
        for side, upsampler in self.package.upsampler_configs.items():
            if side <= self.resolution:
                # Of each size from a seed of its own: the same eye at every resolution.
                own = torch.Generator().manual_seed(doubling_seed(seed, side))
                latents[side] = torch.randn(upsampler.style, generator=own)
                planes[side] = _noise(upsampler.noise_shapes(side), own)
        mirrored, height = torch.rand(2, generator=generator).tolist()
        weights = torch.tensor([camera.weight for camera in sampling.cameras])
        styled = generator
        if options.style_seed is not None:
            styled = torch.Generator().manual_seed(options.style_seed)
        chosen = int(torch.multinomial(weights, 1, generator=styled))
        style = self._densities[chosen].sample(1, styled)[0]
        heights = sampling.cameras[chosen].half_heights
        field = FieldOfView.cut_above_and_below(
            0.5, 0.5, sampling.radius, heights[int(height * len(heights))]
        )
        return _Random(
            noise=noise,
            upsampler_latents=latents,
            upsampler_noise=planes,
            mirrored=options.eye != sampling.eye if options.eye else mirrored < 0.5,
            field=field,
            style=style,
        )

    def _fields(self, fields: Sequence[FieldOfView]) -> Tensor:
        drawn = np.stack([field.draw(self.resolution) for field in fields])
        return torch.from_numpy(drawn)[:, None].float().to(self._device.name)

    def _stacked(self, members: Sequence[list[Tensor]]) -> list[Tensor]:
        """Of each scale the noise of all members."""
        return [self._on_device(list(level)) for level in zip(*members, strict=True)]

    def _on_device(self, tensors: list[Tensor]) -> Tensor:
        return torch.stack(tensors).to(self._device.name)

    def _fill(self, members: Sequence[Member]) -> list[Member]:
        """A full batch: the last member stands in for those that are lacking.

        Raises:
            ValueError: for more members than a batch holds, or none.
        """
        if not 1 <= len(members) <= self.batch_size:
            raise ValueError(f"a batch of {len(members)}: give 1 to {self.batch_size}")
        return [*members, *[members[-1]] * (self.batch_size - len(members))]


def at_size(fields: Tensor, size: int) -> Tensor:
    """Fields of view [B, 1, R, R] at a smaller side, 1 where most of a pixel is within."""
    return (F.avg_pool2d(fields, fields.shape[-1] // size) > 0.5).float()


def _reduced(maps: Tensor, size: int) -> Tensor:
    return F.avg_pool2d(maps, maps.shape[-1] // size)


def _noise(shapes: Sequence[tuple[int, int, int]], generator: torch.Generator) -> list[Tensor]:
    return [torch.randn(shape, generator=generator) for shape in shapes]


def _vessel_fraction(label: NDArray[np.uint8], field: NDArray[np.uint8]) -> float:
    return round(float(label.sum() / max(1, int(field.sum()))), 6)
