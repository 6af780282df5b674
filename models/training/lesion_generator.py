"""Training of the lesion generator, on the photographs that show lesions."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from models.data.augmentation import Geometry, random_views
from models.data.photographs import BRIGHT, DARK, DISC, VESSELS, PhotographSet
from models.devices import Device
from models.networks.discriminators import PatchDiscriminator
from models.networks.lesion_generator import LesionConfig, LesionGenerator
from models.training.budget import Budget
from models.training.trainer import Trainer, ema_of, update_ema
from models.training.translator import map_colours
from models.training.upsamplers import patch_r1

GEOMETRY = Geometry(rotation=15, scale=(0.92, 1.06), shift=0.05, upside_down=True)
# Of the field of view: an eye with less than this of lesions counts as sound.
ILL = 0.002


@dataclass(frozen=True)
class LesionSettings:
    """Hyper-parameters of the lesion generator."""

    learning_rate: float = Field(
        default=2e-3, ge=1e-6, le=1e-1, description="of Adam, both networks"
    )
    batch: int = Field(default=8, ge=4, le=256, description="maps a step")
    labelled_weight: int = Field(
        default=3,
        ge=1,
        le=100,
        description="how much oftener lesions that experts have drawn are shown",
    )
    r1_weight: float = Field(default=1.0, ge=0, le=1000, description="gamma of R1, a score")
    r1_interval: int = Field(
        default=8, ge=1, le=64, description="steps from one R1 penalty to the next"
    )
    ema_decay: float = Field(
        default=0.998, ge=0.5, lt=1, description="of the averaged weights, a step"
    )


def lesion_fraction(data: PhotographSet) -> Tensor:
    """Fraction of the field of view that lesions cover, [N]."""
    lesions = data.maps[:, [DARK, BRIGHT]].float().sum((1, 2, 3)) / 255
    return lesions / data.fields.float().sum((1, 2, 3))


class LesionTrainer(Trainer):
    """Trains the lesion generator against a discriminator of parts of maps."""

    stage = "lesions"
    sheet_columns = 8

    def __init__(
        self,
        data: PhotographSet,
        config: LesionConfig,
        settings: LesionSettings,
        budget: Budget,
        device: Device,
        seed: int = 0,
    ):
        super().__init__(data.subset(lesion_fraction(data) >= ILL), budget, device, seed)
        self.config, self.settings = config, settings
        self.generator = device.place(LesionGenerator(config))
        self.discriminator = device.place(PatchDiscriminator(config.given + config.lesions + 1))
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
        expert = self.data.known[:, [DARK, BRIGHT]].any(1)
        self.sampling_weight = torch.where(expert, float(settings.labelled_weight), 1.0)

    def noise(self, count: int, generator: torch.Generator) -> list[Tensor]:
        """Noise of a batch, on the device."""
        shapes = self.config.unet.noise_shapes(self.data.size)
        planes = (torch.randn(count, *shape, generator=generator) for shape in shapes)
        return [plane.to(self.device.name) for plane in planes]

    def update(self) -> tuple[int, dict[str, float]]:
        settings = self.settings
        rate = settings.learning_rate * min(1.0, 0.1 + 3 * (1 - self.budget.progress))
        for optimiser in self.optimisers:
            self.set_learning_rate(optimiser, rate)
        places = torch.multinomial(
            self.sampling_weight, settings.batch, replacement=True, generator=self.random
        )
        views = random_views(self.data, places, self.data.size, GEOMETRY, self.random)
        maps, fields = (view.to(self.device.name) for view in views[1:])
        given = maps[:, [VESSELS, DISC]]
        latent = torch.randn(len(places), self.config.latent, generator=self.random)
        with self.device.mixed_precision():
            noise = self.noise(len(places), self.random)
            drawn = self.generator(given, fields, latent.to(self.device.name), noise)
            fake = torch.cat([given, drawn], 1)
            of_real = self.discriminator(torch.cat([maps, fields], 1))
            of_drawn = self.discriminator(torch.cat([fake.detach(), fields], 1))
        loss = F.softplus(-of_real).mean() + F.softplus(of_drawn).mean()
        if self.steps % settings.r1_interval == 0:
            penalty = patch_r1(self.discriminator, torch.cat([maps, fields], 1))
            loss = loss + settings.r1_weight / 2 * settings.r1_interval * penalty
        self.optimizer_step("discriminator", loss)
        self.discriminator.requires_grad_(False)
        with self.device.mixed_precision():
            scores = self.discriminator(torch.cat([fake, fields], 1))
        generator_loss = F.softplus(-scores).mean()
        self.optimizer_step("generator", generator_loss)
        self.discriminator.requires_grad_(True)
        update_ema(
            self.ema, self.generator, min(settings.ema_decay, 1 - 1 / (self.steps / 10 + 1.1))
        )
        return len(places), {
            "discriminator": float(loss.detach()),
            "generator": float(generator_loss.detach()),
            "dark drawn / real": _ratio(drawn[:, 0], maps[:, DARK]),
            "bright drawn / real": _ratio(drawn[:, 1], maps[:, BRIGHT]),
        }

    def samples(self) -> Tensor:
        """Maps with their real lesions, and three times with drawn ones."""
        places = torch.linspace(0, len(self.data) - 1, 8).long()
        stack = self.data.stack(places).to(self.device.name)
        maps, fields = stack[:, 3:-1], stack[:, -1:]
        given = maps[:, [VESSELS, DISC]]
        generator = torch.Generator().manual_seed(2)
        rows = [map_colours(maps, fields)]
        for _ in range(3):
            latent = torch.randn(len(places), self.config.latent, generator=generator)
            noise = self.noise(len(places), generator)
            with torch.inference_mode(), self.device.mixed_precision():
                drawn = self.ema(given, fields, latent.to(self.device.name), noise)
            rows.append(map_colours(torch.cat([given, drawn], 1), fields))
        return torch.cat(rows).cpu() * 2 - 1


def _ratio(drawn: Tensor, real: Tensor) -> float:
    return float(drawn.detach().mean() / real.mean().clamp(min=1e-6))
