"""From seeds to finished pairs: the one place where a package's networks meet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from models.bridging import bridge_gaps
from models.data.field_of_view import FieldOfView, away_from_edge
from models.devices import Device
from models.metrics import small_loops
from models.package import Eye, ModelPackage, SamplingConfig
from models.pairs import pad_to_square, resample
from models.seeds import noise_seed, pair_seed, redrawn_seed
from models.segmenter import probabilities
from models.texture import TexturePainter
from models.translator import VESSEL_FROM

Lesions = Literal["none", "mixed", "all"]
Member = TypeVar("Member")

__all__ = ["Pair", "PairSampler", "SamplingOptions", "VesselMap", "pair_seed"]


@dataclass(frozen=True)
class SamplingOptions:
    """What all pairs have in common, in place of what the seed of each would draw.

    style_seed: one style for all photographs, drawn from this seed. eye: the eye that all maps show.
    lesions: how many of the photographs show lesions: none, as many as in training, or all. A package that
    draws no lesions takes "mixed" for "none".
    """

    style_seed: int | None = None
    eye: Eye | None = None
    lesions: Lesions = "mixed"


DEFAULT_OPTIONS = SamplingOptions()
CANDIDATES = (
    8  # maps of one pair at most: where a third are turned away, one pair in 5,000 needs more
)
FIRST_VESSEL_LEVEL = math.floor(VESSEL_FROM * 255) + 1


@dataclass(frozen=True)
class VesselMap:
    """Stage one's half of a pair, and all that stage two needs to photograph it.

    label and field: vessels and field of view, uint8 [H, W], 0 or 1. style: code [S]. shares: how much
    of each pixel is vessel, [H, W], 0 to 1, above VESSEL_FROM on the label alone: a photograph shows
    vessels thinner than a pixel fainter than others, and edges that lie within one. drawn: by stage one;
    the label of a given map is the pair's, that of a drawn one may be traced anew in the photograph.
    """

    seed: int
    label: NDArray[np.uint8]
    field: NDArray[np.uint8]
    style: Tensor
    shares: NDArray[np.float32]
    drawn: bool = False

    @property
    def vessel_share(self) -> float:
        """Vessel pixels per pixel of the field of view."""
        return _vessel_share(self.label, self.field)


@dataclass(frozen=True)
class Pair:
    """One generated pair.

    image: RGB uint8 [H, W, 3], black outside the field of view. label: vessels, uint8 [H, W], 0 or
    255. mask: field of view, uint8 [H, W], 0 or 255. vessel_share: vessel pixels per pixel of the
    field of view. disc: optic disc, uint8 [H, W], 0 or 255. lesions: uint8 [H, W], 0 none, 1 dark, 2
    bright. The last two are None from packages that do not draw them.
    """

    seed: int
    image: NDArray[np.uint8]
    label: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    vessel_share: float
    disc: NDArray[np.uint8] | None = None
    lesions: NDArray[np.uint8] | None = None

    @property
    def field(self) -> NDArray[np.uint8]:
        """The mask, by the name that it has in a map."""
        return self.mask


@dataclass(frozen=True)
class _Noise:
    """All that is random about a pair, drawn on the CPU from its seed alone."""

    latent: Tensor
    mirrored: bool  # the other eye: mirrored maps are as real as those stage one was shown
    style: Tensor
    field: FieldOfView


@dataclass(eq=False)
class _MapSearch:
    """The search for the map of one pair, among latents that depend on its seed alone."""

    seed: int
    noise: _Noise
    asked: int = 0
    considered: int = 0
    best: VesselMap | None = None
    fewest: float = math.inf
    done: bool = False

    def next_latent(self) -> Tensor:
        """That of the pair's noise, then others."""
        self.asked += 1
        if self.asked == 1:
            return self.noise.latent
        generator = torch.Generator().manual_seed(redrawn_seed(self.seed, self.asked - 1))
        return torch.randn(self.noise.latent.shape, generator=generator)

    def consider(self, drawn: VesselMap, most_loops: int | None) -> None:
        """Take the map of the next latent in turn if it is better than those before."""
        self.considered += 1
        loops = 0 if most_loops is None else small_loops(drawn.label > 0)
        if loops < self.fewest:
            self.best, self.fewest = drawn, loops
        enough = most_loops is None or loops <= most_loops
        self.done = enough or self.considered == CANDIDATES


class PairSampler:
    """Draws pairs; a pair depends on its seed, the package, the device class and the libraries.

    It does not depend on its neighbours: networks always run at the same padded batch shape, and
    nothing in them mixes samples.
    """

    def __init__(self, package: ModelPackage, device: str = "auto", resolution: int | None = None):
        """Place the package's networks on a device, to draw pairs of one of its resolutions, in pixels; of
        the smallest if none is given.

        Raises:
            ValueError: if the device is not there; if the package does not have the resolution.
        """
        self.package = package
        self.resolution = package.check_resolution(resolution)
        self.batch_size = package.sampling.batch_size
        self._device = Device.choose(device)
        self._vessels = self._device.place(package.vessel_generator()).eval().requires_grad_(False)
        self._translator = self._device.place(package.translator()).eval().requires_grad_(False)
        self._style_mean, self._style_factor = package.style_statistics()
        texture = package.texture()
        self._painter = TexturePainter(texture, self.resolution) if texture else None
        tracer = package.tracer()
        # Not in channels-last order, for labels that are the same with any number of threads.
        self._tracer = tracer.to(self._device.name).eval().requires_grad_(False) if tracer else None
        if self._device.gpu:
            torch.backends.cudnn.deterministic = True
            torch.backends.cudnn.benchmark = False
        # The first batch of a process is thrown away. Under load it has been seen to differ from
        # every later one in a few values by one grey level, in the share of one thread.
        self.sample([0])

    @property
    def traces(self) -> bool:
        """Whether a drawn pair's label is traced in its photograph, and not the map as it was drawn."""
        return self._tracer is not None

    @property
    def environment(self) -> dict[str, str]:
        """What, besides seed and package, the bytes of a pair depend on."""
        return self._device.environment

    def sample(
        self, seeds: Sequence[int], options: SamplingOptions = DEFAULT_OPTIONS
    ) -> list[Pair]:
        """Draw the pairs of 1 to ``batch_size`` seeds.

        Raises:
            ValueError: for more seeds than a batch holds, or none; for options that the package
                cannot meet.
        """
        return self.render(self.draw_maps(seeds, options))

    def draw_maps(
        self, seeds: Sequence[int], options: SamplingOptions = DEFAULT_OPTIONS
    ) -> list[VesselMap]:
        """Stage one: the maps of 1 to ``batch_size`` seeds. Raises as :meth:`sample`.

        A map with more small loops than the package allows is drawn again; of CANDIDATES maps that all
        have, the one with the fewest is taken.
        """
        self._check_fits(seeds)
        searches = [_MapSearch(seed, self._noise(seed, options)) for seed in seeds]
        while open_searches := [search for search in searches if not search.done]:
            turns = list(islice(cycle(open_searches), self.batch_size))
            latents = torch.stack([search.next_latent() for search in turns])
            with torch.inference_mode():
                shares = (self._vessels(latents.to(self._device.name))[:, 0].float().cpu() + 1) / 2
            for search, share in zip(turns, shares.numpy(), strict=True):
                if not search.done:
                    drawn = self._drawn_map(search.seed, search.noise, share)
                    search.consider(drawn, self.package.sampling.most_loops)
        return [search.best for search in searches if search.best]

    def _drawn_map(self, seed: int, noise: _Noise, share: NDArray[np.float32]) -> VesselMap:
        """What stage one has drawn, [R, R], as the map of a pair."""
        config = self.package.sampling
        field = noise.field.draw(self.resolution)
        share = share[:, ::-1] if noise.mirrored else share
        label = _connected((share > config.threshold) & field, config)
        # Stage two has learned that vessels begin at VESSEL_FROM.
        told = np.interp(share, (0, config.threshold, 1), (0, VESSEL_FROM, 1))
        return _map(seed, label, field, noise.style, told, drawn=True)

    def place_map(
        self,
        seed: int,
        label: NDArray[np.uint8],
        field: NDArray[np.uint8] | None,
        options: SamplingOptions = DEFAULT_OPTIONS,
    ) -> VesselMap:
        """A given map in the place of one that stage one draws; the style is still the seed's.

        label and field: vessels and field of view, uint8 [H, W] of any size, 0 or not. They are padded
        to a square and resampled by area. Without a field it is a round one in the middle, of the
        package's mean radius, cut as the package's are, or larger if vessels lie farther out. What lies
        outside is cut off.
        """
        shares = self._fit(label)
        if field is None:
            vessels = np.nonzero(shares > VESSEL_FROM)
            y, x = (places + 0.5 - self.resolution / 2 for places in vessels)
            farthest = np.hypot(x, y).max(initial=0) / self.resolution
            highest = np.abs(y).max(initial=0) / self.resolution
            config = self.package.sampling
            radius = min(0.5, max(config.field_mean[2], float(farthest)))
            half_height = max(config.field_half_height, float(highest))
            field_of_view = FieldOfView.cut_above_and_below(0.5, 0.5, radius, half_height)
            inside = field_of_view.draw(self.resolution)
        else:
            inside = self._fit(field) > 0.5
        return self.place_shares(seed, shares, inside, options)

    def place_shares(
        self,
        seed: int,
        shares: NDArray[np.floating[Any]],
        field: NDArray[np.bool_],
        options: SamplingOptions = DEFAULT_OPTIONS,
    ) -> VesselMap:
        """As :meth:`place_map`, of a map that is known finer than its pixels: how much of each is vessel,
        float [R, R] within [0, 1], and the field of view, bool [R, R]."""
        style = self._noise(seed, options).style
        return _map(seed, (shares > VESSEL_FROM) & field, field, style, shares)

    def _fit(self, plane: NDArray[np.uint8]) -> NDArray[np.float64]:
        """The share of each pixel that is not 0, [R, R]."""
        whole = np.where(plane > 0, 255, 0).astype(np.uint8)
        return resample(pad_to_square(whole), self.resolution) / 255

    def render(self, maps: Sequence[VesselMap]) -> list[Pair]:
        """Stage two: the pairs of 1 to ``batch_size`` maps.

        Raises:
            ValueError: for more maps than a batch holds, or none.
        """
        batch, where = self._fill(maps), self._device.name
        styles = torch.stack([each.style for each in batch]).to(where)
        told = [
            each.shares if self.package.translator_config.shares else each.label for each in batch
        ]
        planes = torch.from_numpy(
            np.stack([(map_, each.field) for map_, each in zip(told, batch, strict=True)])
        )
        planes = planes.to(where).float().contiguous(memory_format=torch.channels_last)
        noise = torch.stack([self._planes_of_noise(each.seed) for each in batch]).to(where)
        with torch.inference_mode(), self._device.autocast():
            photos = self._translator(planes[:, :1], planes[:, 1:], styles, noise)
            levels = (photos.float() + 1) * 127.5
            if self._painter is None:
                levels = levels.round().to(torch.uint8)
        pictures = levels.permute(0, 2, 3, 1).contiguous().cpu().numpy()
        if self._painter is not None:
            pictures = [
                self._painter.add(picture, each.field, each.seed)
                for picture, each in zip(pictures, maps, strict=False)
            ]
        labels = self._labels(maps, pictures[: len(maps)])
        return [
            Pair(
                seed=each.seed,
                image=picture,
                label=label * np.uint8(255),
                mask=each.field * np.uint8(255),
                vessel_share=_vessel_share(label, each.field),
            )
            for each, picture, label in zip(maps, pictures, labels, strict=False)
        ]

    def _labels(
        self, maps: Sequence[VesselMap], pictures: Sequence[NDArray[np.uint8]]
    ) -> list[NDArray[np.uint8]]:
        """Those of given maps as they are, those of drawn ones as they are traced in the photographs."""
        config = self.package.sampling
        threshold = config.tracing_threshold
        if self._tracer is None or threshold is None or not any(each.drawn for each in maps):
            return [each.label for each in maps]
        filled = self._fill(maps)
        fields = np.stack([each.field > 0 for each in filled])
        found = probabilities(self._tracer, np.stack(self._fill(pictures)), fields)
        drawn = np.stack([each.label > 0 for each in filled])
        labels = np.where(away_from_edge(fields, config.tracing_margin), found >= threshold, drawn)
        return [
            _connected(label, config).astype(np.uint8) if each.drawn else each.label
            for each, label in zip(maps, labels, strict=False)
        ]

    def _planes_of_noise(self, seed: int) -> Tensor:
        """[N, H, W], drawn on the CPU, as all that is random about a pair."""
        generator = torch.Generator().manual_seed(noise_seed(seed))
        config = self.package.translator_config
        side = self.resolution >> config.enlargements
        shape = (config.noise, side, side)
        return torch.randn(shape, generator=generator)

    def _fill(self, members: Sequence[Member]) -> list[Member]:
        """A full batch: the last member stands in for those that are lacking."""
        self._check_fits(members)
        return [*members, *[members[-1]] * (self.batch_size - len(members))]

    def _check_fits(self, members: Sequence[object]) -> None:
        if not 1 <= len(members) <= self.batch_size:
            raise ValueError(f"a batch of {len(members)}: give 1 to {self.batch_size}")

    def _noise(self, seed: int, options: SamplingOptions) -> _Noise:
        config = self.package.sampling
        if options.eye and not config.eye:
            raise ValueError("the package does not know which eye its maps show")
        if options.lesions == "all" and not self.package.draws_lesions:
            raise ValueError("the package draws no lesions")
        generator = torch.Generator().manual_seed(seed)
        latent = torch.randn(self.package.vessel_config.latent, generator=generator)
        code = torch.randn(len(self._style_mean), generator=generator)
        place = torch.randn(3, generator=generator).clamp(-2, 2)
        # Drawn also where the options say otherwise: what comes after must not depend on it.
        mirrored = bool(torch.rand((), generator=generator) < 0.5)
        if options.eye:
            mirrored = options.eye != config.eye
        if options.style_seed is not None:
            generator = torch.Generator().manual_seed(options.style_seed)
            code = torch.randn(len(self._style_mean), generator=generator)
        x, y, radius = (
            mean + deviation * float(value)
            for mean, deviation, value in zip(
                config.field_mean, config.field_deviation, place, strict=True
            )
        )
        style = self._style_mean + self._style_factor @ code
        field = FieldOfView.cut_above_and_below(x, y, radius, config.field_half_height)
        return _Noise(latent, mirrored, style, field)


def _map(
    seed: int,
    label: NDArray[np.bool_],
    field: NDArray[np.bool_],
    style: Tensor,
    shares: NDArray[np.floating[Any]],
    drawn: bool = False,
) -> VesselMap:
    """A map with shares that agree with its label: what bridges gaps is vessel from edge to edge, and
    of what was dropped nothing is left. Whole levels of 255, as a given map's are: what differs in a last
    digit, as two runs of a network under load may, is photographed alike."""
    near = ndimage.binary_dilation(label, np.ones((3, 3)))
    levels = (shares.clip(0, 1) * 255).round()
    faint = np.where(near & field, levels.clip(max=FIRST_VESSEL_LEVEL - 1), 0)
    full = np.where(shares > VESSEL_FROM, levels.clip(min=FIRST_VESSEL_LEVEL), 255)
    agreeing = (np.where(label, full, faint) / 255).astype(np.float32)
    return VesselMap(seed, label.astype(np.uint8), field.astype(np.uint8), style, agreeing, drawn)


def _vessel_share(label: NDArray[np.uint8], field: NDArray[np.uint8]) -> float:
    return round(float(label.sum() / field.sum()), 6)


def _connected(label: NDArray[np.bool_], config: SamplingConfig) -> NDArray[np.bool_]:
    """The drawn label with its gaps closed, then without what is still alone and small."""
    if config.longest_bridge:
        label = bridge_gaps(label, config.longest_bridge)
    return without_specks(label, config)


def without_specks(label: NDArray[np.bool_], config: SamplingConfig) -> NDArray[np.bool_]:
    """Drop 8-connected pieces of fewer than ``config.smallest_piece`` pixels from a label [H, W]."""
    pieces, _ = ndimage.label(label, structure=np.ones((3, 3), dtype=int))
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0  # the background is no piece
    return (sizes >= config.smallest_piece)[pieces]
