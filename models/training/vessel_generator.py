"""Training of stage one: the progressively growing GAN of maps."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from models.augment import AdaptiveStrength
from models.data.augmentation import Geometry, random_similarity, uniform
from models.data.photographs import DISC, VESSELS, PhotographSet
from models.devices import Device
from models.networks.vessel_generator import MapConfig, MapDiscriminator, MapGenerator
from models.training.budget import Budget
from models.training.trainer import Trainer, ema_of, update_ema

# Relative time of each resolution.
TIME = {4: 0.5, 8: 1.0, 16: 4.0, 32: 14.0, 64: 40.0, 128: 60.0, 256: 60.0}
# What counts as a real map: cameras are held a little askew. Mirrored maps are turned to one eye instead.
ANATOMICAL = Geometry(rotation=10, scale=(0.94, 1.04), shift=0.03)
# What the discriminator is shown, of some (ADA: Karras et al. 2020, arXiv 2006.06676).
DISCRIMINATOR = Geometry(rotation=180, scale=(0.8, 1.25), shift=0.2)

# Of whole maps [B], and of their parts [B, P, P] where maps are large enough.
Scores = tuple[Tensor, Tensor | None]


@dataclass(frozen=True)
class MapSettings:
    """Hyper-parameters of stage one."""

    learning_rate: float = Field(
        default=2e-3,
        ge=1e-6,
        le=1e-1,
        description="of Adam, both networks; falls to a fifth at the end",
    )
    batch: int = Field(
        default=16, ge=4, le=1024, description="maps a step up to 64 px; half at each doubling"
    )
    labelled_weight: int = Field(
        default=3, ge=1, le=100, description="how much oftener a map with expert labels is shown"
    )
    fade: float = Field(
        default=0.3, gt=0, le=1, description="of a resolution's time in which it fades in"
    )
    r1_per_pixel: float = Field(
        default=5e-5,
        ge=0,
        le=1e-2,
        description="gamma of R1 (arXiv 1801.04406) a pixel, from 32 px",
    )
    r1_interval: int = Field(
        default=8, ge=1, le=64, description="steps from one R1 penalty to the next"
    )
    patch_weight: float = Field(
        default=0.5, ge=0, le=10, description="of the scores of parts of a map"
    )
    ema_images: float = Field(
        default=2000.0, ge=1, description="half-life of the averaged weights, in maps"
    )


class MapTrainer(Trainer):
    """Trains the generator of vessels and optic disc."""

    stage = "vessel"
    sheet_columns = 8

    def __init__(
        self,
        data: PhotographSet,
        config: MapConfig,
        settings: MapSettings,
        budget: Budget,
        device: Device,
        seed: int = 0,
    ):
        super().__init__(data, budget, device, seed)
        self.config, self.settings = config, settings
        self.generator = device.place(MapGenerator(config))
        self.discriminator = device.place(MapDiscriminator(config))
        self.ema = ema_of(self.generator)
        self.networks = {
            "generator": self.generator,
            "discriminator": self.discriminator,
            "ema": self.ema,
        }
        rate, betas = settings.learning_rate, (0.0, 0.99)
        self.optimisers = {
            "generator": torch.optim.Adam(self.generator.parameters(), rate, betas),
            "discriminator": torch.optim.Adam(self.discriminator.parameters(), rate, betas),
        }
        self.augmentation = AdaptiveStrength(probability=0.3, least=0.1, images_to_one=30_000)
        self.maps = stacked_to_one_eye(data)
        self.sampling_weight = torch.where(data.traced, 1.0, float(settings.labelled_weight))
        fixed = torch.Generator().manual_seed(1)
        self.fixed_noise = torch.randn(16, config.latent, generator=fixed)
        self.fixed_places = torch.multinomial(self.sampling_weight, 16, True, generator=fixed)

    def extra_state(self) -> dict[str, Any]:
        return {
            "probability": self.augmentation.probability,
            "signal": self.augmentation.signal,
        }

    def restore_extra_state(self, state: dict[str, Any]) -> None:
        self.augmentation.probability = state["probability"]
        self.augmentation.probability = state["probability"]
        self.augmentation.signal = state["signal"]

    def schedule(self) -> tuple[int, float]:
        """The resolution that is learned now, and its fade."""
        time = {r: TIME[r] for r in self.config.resolutions}
        place = self.budget.progress * sum(time.values())
        for resolution, share in time.items():
            if place < share or resolution == self.config.resolution:
                fade = min(1.0, place / share / self.settings.fade)
                return resolution, 1.0 if resolution == 4 else fade
            place -= share
        raise AssertionError("the last resolution always returns")

    def batch(self, resolution: int) -> int:
        """Maps a step."""
        halvings = max(0, (resolution // 64).bit_length() - 1)
        return max(4, self.settings.batch >> halvings)

    def update(self) -> tuple[int, dict[str, float]]:
        settings, (resolution, fade) = self.settings, self.schedule()
        rate = settings.learning_rate * min(1.0, 0.2 + 4 * (1 - self.budget.progress))
        for optimiser in self.optimisers:
            self.set_learning_rate(optimiser, rate)
        count = self.batch(resolution)
        real, fields = self._real(count, resolution, fade)
        with self.device.mixed_precision():
            fake = self.generator(self._latents(count), fields, resolution, fade)
            real_scores = self._scores(real, fields, fade)
            fake_scores = self._scores(fake.detach(), fields, fade)
        loss = logistic_loss(-1, real_scores, settings.patch_weight)
        loss = loss + logistic_loss(1, fake_scores, settings.patch_weight)
        if self.steps % settings.r1_interval == 0:
            gamma = settings.r1_per_pixel * max(resolution, 32) ** 2
            loss = loss + gamma / 2 * settings.r1_interval * self._r1(real, fields, fade)
        self.optimizer_step("discriminator", loss)
        self.augmentation.update(real_scores[0])

        self.discriminator.requires_grad_(False)
        with self.device.mixed_precision():
            scores = self._scores(fake, fields, fade)
        generator_loss = logistic_loss(-1, scores, settings.patch_weight)
        self.optimizer_step("generator", generator_loss)
        self.discriminator.requires_grad_(True)
        decay = 0.5 ** (count / min(settings.ema_images, self.budget.images_spent / 10 + 100))
        update_ema(self.ema, self.generator, decay)
        return count, {
            "resolution": resolution,
            "discriminator": float(loss.detach()),
            "generator": float(generator_loss.detach()),
            "vessels drawn / real": float(
                fake[:, VESSELS].detach().mean() / real[:, VESSELS].mean()
            ),
            "augmentation": self.augmentation.probability,
        }

    def _latents(self, count: int) -> Tensor:
        z = torch.randn(count, self.config.latent, generator=self.random)
        return z.to(self.device.name)

    def _real(self, count: int, resolution: int, fade: float) -> tuple[Tensor, Tensor]:
        places = torch.multinomial(
            self.sampling_weight, count, replacement=True, generator=self.random
        )
        stack = self.maps[places].to(self.device.name).float() / 255
        # Moves are made at twice the size where there is one, then halved: less blur.
        stack = F.avg_pool2d(stack, max(1, stack.shape[-1] // (2 * resolution)))
        matrices = random_similarity(count, ANATOMICAL, self.random, mirror=False)
        stack = move(stack, matrices)
        stack = F.avg_pool2d(stack, stack.shape[-1] // resolution)
        maps, fields = stack[:, :-1], (stack[:, -1:] > 0.5).float()
        if fade < 1.0:
            # Reals are blended as what is drawn is, or sharpness alone would tell them apart.
            old = F.interpolate(F.avg_pool2d(maps, 2), scale_factor=2.0)
            maps = old.lerp(maps, fade)
        return maps * fields, fields

    def _scores(self, maps: Tensor, fields: Tensor, fade: float) -> Scores:
        count = len(maps)
        matrices = random_similarity(count, DISCRIMINATOR, self.random)
        chosen = uniform(self.random, 0, 1, count) < self.augmentation.probability
        matrices = torch.where(chosen[:, None, None], matrices, torch.eye(2, 3))
        stack = move(torch.cat([maps, fields], 1), matrices)
        scores: Scores = self.discriminator(stack[:, :-1], stack[:, -1:], fade)
        return scores

    def _r1(self, real: Tensor, fields: Tensor, fade: float) -> Tensor:
        """Mean squared norm of the gradient at real maps, of the whole's score and of the mean part's."""
        shown = real.clone().requires_grad_()
        whole, parts = self._scores(shown, fields, fade)
        total = whole.sum()
        if parts is not None:
            total = total + parts.sum() / parts[0].numel() ** 0.5
        (gradient,) = torch.autograd.grad(total, shown, create_graph=True)
        return gradient.square().sum((1, 2, 3)).mean()

    def samples(self) -> Tensor:
        """Sixteen drawn maps, the fields of view of real ones given: vessels white, disc green."""
        resolution, fade = self.schedule()
        fields = self.maps[self.fixed_places, -1:].to(self.device.name).float() / 255
        with torch.inference_mode(), self.device.mixed_precision():
            maps = self.ema(self.fixed_noise.to(self.device.name), fields, resolution, fade)
        maps = F.interpolate(maps.cpu(), size=(256, 256))
        fields = F.interpolate(fields.cpu(), size=(256, 256))
        vessels, disc = maps[:, VESSELS], maps[:, DISC]
        picture = torch.stack([vessels, torch.maximum(vessels, 0.6 * disc), vessels], 1)
        return (picture.clamp(0, 1) * 0.85 + 0.15 * fields) * 2 - 1


def move(stack: Tensor, matrices: Tensor) -> Tensor:
    """Apply similarity transforms; what comes from beyond the frame is 0."""
    grid = F.affine_grid(matrices.to(stack), list(stack.shape), align_corners=False)
    return F.grid_sample(stack, grid, align_corners=False)


def logistic_loss(sign: int, scores: Scores, patch_weight: float) -> Tensor:
    """softplus(sign * score) of the whole maps and, weighted, of their parts; a scalar."""
    whole, parts = scores
    loss = F.softplus(sign * whole).mean()
    return loss if parts is None else loss + patch_weight * F.softplus(sign * parts).mean()


def stacked_to_one_eye(data: PhotographSet) -> Tensor:
    """Vessels, disc and field of view, uint8 [N, 3, S, S] (255 at most), mirrored so that discs are on the
    left: shown both eyes, a generator would learn two anatomies from half of the maps each."""
    maps = data.maps[:, [VESSELS, DISC]]
    stack = torch.cat([maps, 255 * data.fields], 1)
    across = torch.linspace(-1, 1, data.size)
    discs = maps[:, 1].float()
    centre = (discs * across).sum((1, 2)) / discs.sum((1, 2)).clamp(min=1)
    return torch.where((centre > 0)[:, None, None, None], stack.flip(-1), stack)
