"""Training of the doublings, on crops of real maps and photographs of the finer size."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from models.data.augmentation import random_views, uniform
from models.data.photographs import PhotographSet
from models.devices import Device
from models.networks.discriminators import PatchDiscriminator
from models.networks.upsamplers import Enhancer, MapUpsampler, UpsamplerConfig
from models.training.budget import Budget
from models.training.judges import PhotographJudges, weighted_sum
from models.training.trainer import Trainer, ema_of, update_ema
from models.training.translator import GEOMETRY, TranslatorTrainer, map_colours


@dataclass(frozen=True)
class MapUpsamplerSettings:
    """Hyper-parameters of the doubling of maps."""

    learning_rate: float = Field(
        default=2e-3, ge=1e-6, le=1e-1, description="of Adam, both networks"
    )
    batch: int = Field(default=8, ge=2, le=256, description="crops a step")
    crop: int = Field(default=128, ge=32, le=1024, multiple_of=16, description="side in pixels")
    labelled_weight: int = Field(
        default=10, ge=1, le=100, description="how much oftener a map with expert labels is shown"
    )
    coarse_weight: float = Field(
        default=20.0,
        ge=0,
        le=1000,
        description="of the difference of the halved map from the given",
    )
    entropy_weight: float = Field(
        default=0.5, ge=0, le=100, description="of the cross entropy to the real finer map"
    )
    r1_weight: float = Field(default=2.0, ge=0, le=1000, description="gamma of R1, a score")
    r1_interval: int = Field(default=8, ge=1, le=64, description="steps from one R1 to the next")
    ema_decay: float = Field(default=0.998, ge=0.5, lt=1, description="of the weights, a step")


class MapUpsamplerTrainer(Trainer):
    """Trains the doubling of maps to the size of the data."""

    sheet_columns = 6

    def __init__(
        self,
        data: PhotographSet,
        config: UpsamplerConfig,
        settings: MapUpsamplerSettings,
        budget: Budget,
        device: Device,
        seed: int = 0,
    ):
        super().__init__(data, budget, device, seed)
        self.stage = f"vessel_{data.size}"
        self.config, self.settings = config, settings
        self.upsampler = device.place(MapUpsampler(config))
        self.discriminator = device.place(PatchDiscriminator(2 * config.maps + 1))
        self.ema = ema_of(self.upsampler)
        self.networks = {
            "upsampler": self.upsampler,
            "discriminator": self.discriminator,
            "ema": self.ema,
        }
        rate, betas = settings.learning_rate, (0.0, 0.99)
        self.optimisers = {
            "generator": torch.optim.Adam(self.upsampler.parameters(), rate, betas),
            "discriminator": torch.optim.Adam(self.discriminator.parameters(), rate, betas),
        }
        self.sampling_weight = torch.where(data.traced, 1.0, float(settings.labelled_weight))

    def update(self) -> tuple[int, dict[str, float]]:
        settings = self.settings
        rate = settings.learning_rate * min(1.0, 0.1 + 3 * (1 - self.budget.progress))
        for optimiser in self.optimisers:
            self.set_learning_rate(optimiser, rate)
        places = torch.multinomial(
            self.sampling_weight, settings.batch, True, generator=self.random
        )
        real, fields = self._crops(places, self.random)
        coarse = F.avg_pool2d(real, 2)
        given = flawed(coarse, self.random)
        drawn = self._draw(self.upsampler, given, fields, self.random)
        context = torch.cat([F.interpolate(coarse, scale_factor=2.0), fields], 1)
        with self.device.mixed_precision():
            of_real = self.discriminator(torch.cat([real, context], 1))
            of_drawn = self.discriminator(torch.cat([drawn.detach(), context], 1))
        loss = F.softplus(-of_real).mean() + F.softplus(of_drawn).mean()
        if self.steps % settings.r1_interval == 0:
            penalty = patch_r1(self.discriminator, torch.cat([real, context], 1))
            loss = loss + settings.r1_weight / 2 * settings.r1_interval * penalty
        self.optimizer_step("discriminator", loss)
        self.discriminator.requires_grad_(False)
        with self.device.mixed_precision():
            scores = self.discriminator(torch.cat([drawn, context], 1))
        adversarial = F.softplus(-scores).mean()
        moved = (F.avg_pool2d(drawn, 2) - coarse).abs().mean()
        entropy = F.binary_cross_entropy(drawn.clamp(1e-4, 1 - 1e-4), real)
        weighted = settings.coarse_weight * moved + settings.entropy_weight * entropy
        self.optimizer_step("generator", adversarial + weighted)
        self.discriminator.requires_grad_(True)
        update_ema(
            self.ema, self.upsampler, min(settings.ema_decay, 1 - 1 / (self.steps / 10 + 1.1))
        )
        return len(places), {
            "discriminator": loss.item(),
            "adversarial": adversarial.item(),
            "coarse": moved.item(),
            "entropy": entropy.item(),
        }

    def _crops(self, places: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Crops of maps and fields, mirrored and turned by right angles: exact, no resampling."""
        size, channels = self.data.size, self.config.maps
        side = min(self.settings.crop, size)
        # Corners are even, so that halves of crops are crops of halves.
        corners = 2 * torch.randint((size - side) // 2 + 1, (len(places), 2), generator=generator)
        turns = torch.randint(8, (len(places),), generator=generator)
        crops = []
        for place, (y, x), turn in zip(
            places.tolist(), corners.tolist(), turns.tolist(), strict=True
        ):
            window = (slice(y, y + side), slice(x, x + side))
            planes = [
                self.data.maps[place][:channels, *window],
                255 * self.data.fields[place][:, *window],
            ]
            crop = torch.rot90(torch.cat(planes), turn, (1, 2))
            crops.append(crop.flip(-1) if turn >= 4 else crop)
        stack = (torch.stack(crops).float() / 255).to(self.device.name)
        return stack[:, :-1], stack[:, -1:]

    def draw(self, coarse: Tensor, fields: Tensor, generator: torch.Generator) -> Tensor:
        """Maps [B, maps, S, S] doubled with the averaged weights, in fields of view [B, 1, 2S, 2S]."""
        return self._draw(self.ema, coarse, fields, generator)

    def _draw(
        self, upsampler: torch.nn.Module, coarse: Tensor, fields: Tensor, generator: torch.Generator
    ) -> Tensor:
        shapes = self.config.noise_shapes(fields.shape[-1])
        noise = [torch.randn(len(coarse), *shape, generator=generator) for shape in shapes]
        latent = torch.randn(len(coarse), self.config.style, generator=generator)
        with self.device.mixed_precision():
            drawn: Tensor = upsampler(
                coarse,
                fields,
                latent.to(coarse),
                [planes.to(self.device.name) for planes in noise],
            )
        return drawn

    def samples(self) -> Tensor:
        """Crops of coarse maps, of two draws at twice the size, and of the real ones."""
        generator = torch.Generator().manual_seed(2)
        places = torch.multinomial(self.sampling_weight, 6, True, generator=generator)
        real, fields = self._crops(places, generator)
        coarse = F.avg_pool2d(real, 2)
        rows = [F.interpolate(coarse, scale_factor=2.0)]
        with torch.inference_mode():
            rows += [self.draw(coarse, fields, generator) for _ in range(2)]
        pictures = [map_colours(row, fields) for row in (*rows, real)]
        size = (self.settings.crop, self.settings.crop)
        return F.interpolate(torch.cat(pictures).cpu(), size=size) * 2 - 1


def patch_r1(discriminator: torch.nn.Module, real: Tensor) -> Tensor:
    """R1 (arXiv 1801.04406) of the scores of parts: the mean squared norm of a score's gradient at real samples.

    The gradients of parts that do not overlap are orthogonal, so that of their sum, divided by the root of
    their number, has the mean of their squares.
    """
    shown = real.clone().requires_grad_()
    scores = discriminator(shown)
    total = scores.sum() / scores[0].numel() ** 0.5
    (gradient,) = torch.autograd.grad(total, shown, create_graph=True)
    return gradient.square().sum((1, 2, 3)).mean()


def flawed(coarse: Tensor, generator: torch.Generator) -> Tensor:
    """Coarse maps as a generator draws them: some less sharp than real ones, some a little grainy."""
    count = len(coarse)
    blurred = F.avg_pool2d(coarse, 3, stride=1, padding=1, count_include_pad=False)
    share = 0.5 * uniform(generator, 0, 1, count, 1, 1, 1).to(coarse)
    grain = torch.randn(coarse.shape, generator=generator).to(coarse)
    strength = 0.05 * uniform(generator, 0, 1, count, 1, 1, 1).to(coarse)
    return (coarse.lerp(blurred, share) + strength * grain * (coarse > 0)).clamp(0, 1)


@dataclass(frozen=True)
class EnhancerSettings:
    """Hyper-parameters of the doubling of photographs."""

    learning_rate: float = Field(default=2.5e-3, ge=1e-6, le=1e-1, description="of Adam, enhancer")
    discriminator_learning_rate: float = Field(
        default=3e-4, ge=1e-6, le=1e-1, description="of Adam, both discriminators"
    )
    batch: int = Field(default=4, ge=2, le=256, description="crops a step; half in their own style")
    crop: int = Field(default=256, ge=32, le=1024, multiple_of=32, description="side in pixels")
    labelled_weight: int = Field(
        default=3,
        ge=1,
        le=100,
        description="how much oftener photographs with expert labels are shown",
    )
    segmentation_weight: float = Field(
        default=1.5, ge=0, le=100, description="of each pixel's class"
    )
    realism_weight: float = Field(default=0.4, ge=0, le=100, description="of realism")
    consistency_weight: float = Field(
        default=3.0, ge=0, le=100, description="of the teacher's view"
    )
    l1_weight: float = Field(default=2.0, ge=0, le=100, description="of the difference, own styles")
    low_frequency_weight: float = Field(
        default=8.0, ge=0, le=1000, description="the same of the means of 8 x 8 pixels"
    )
    ema_decay: float = Field(default=0.998, ge=0.5, lt=1, description="of the weights, a step")


class EnhancerTrainer(Trainer):
    """Trains the doubling of photographs to the size of the data; the coarser level is frozen.

    Args:
        data: photographs with complete maps, at the finer size.
        coarser: the trained stage that draws photographs of half that size.
    """

    sheet_columns = 6

    def __init__(
        self,
        data: PhotographSet,
        coarser: TranslatorTrainer,
        config: UpsamplerConfig,
        settings: EnhancerSettings,
        budget: Budget,
        device: Device,
        seed: int = 0,
    ):
        super().__init__(data, budget, device, seed)
        self.stage = f"translator_{data.size}"
        self.config, self.settings = config, settings
        self.coarser, self.translator_config = coarser.ema, coarser.config
        self.encoder = coarser.encoder.eval().requires_grad_(False)
        self.densities = coarser.fit_styles()
        self.enhancer = device.place(Enhancer(config))
        self.ema = ema_of(self.enhancer)
        self.judges = PhotographJudges(coarser.judges.teacher, device, self.random)
        self.networks = {"enhancer": self.enhancer, "ema": self.ema, **self.judges.networks}
        betas = (0.0, 0.99)
        judges = self.judges.parameters()
        self.optimisers = {
            "generator": torch.optim.Adam(
                self.enhancer.parameters(), settings.learning_rate, betas
            ),
            "discriminator": torch.optim.Adam(judges, settings.discriminator_learning_rate, betas),
        }
        self.sampling_weight = torch.where(data.traced, 1.0, float(settings.labelled_weight))

    def update(self) -> tuple[int, dict[str, float]]:
        settings = self.settings
        decay = min(1.0, 0.1 + 3 * (1 - self.budget.progress))
        self.set_learning_rate("generator", decay * settings.learning_rate)
        self.set_learning_rate("discriminator", decay * settings.discriminator_learning_rate)
        places = torch.multinomial(
            self.sampling_weight, settings.batch, True, generator=self.random
        )
        own = settings.batch // 2
        photographs, maps, fields, logits, style = self._crops(places, own, self.random)
        drawn = self._draw(self.enhancer, logits, maps, fields, style, self.random)
        losses = self.judges.generator_losses(drawn, photographs, maps, fields, own)
        self.optimizer_step("generator", weighted_sum(losses, settings))
        judged = self.judges.discriminator_losses(drawn, photographs, maps, fields)
        self.optimizer_step("discriminator", torch.stack(list(judged.values())).sum())
        update_ema(
            self.ema, self.enhancer, min(settings.ema_decay, 1 - 1 / (self.steps / 10 + 1.1))
        )
        return len(places), {name: loss.item() for name, loss in (losses | judged).items()}

    @torch.no_grad()
    def _crops(
        self, places: Tensor, own: int, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Crops of photographs, maps and fields at the finer size, of the coarser level's logits at the same
        place, and the styles that those were drawn in: of the first ``own`` their photographs' own."""
        size = self.data.size
        side = min(self.settings.crop, size)
        views = random_views(self.data, places, size, GEOMETRY, generator)
        whole = [view.to(self.device.name) for view in views]
        coarse = [F.avg_pool2d(plane, 2) for plane in whole]
        fields = (coarse[2] > 0.5).float()
        with self.device.mixed_precision():
            style, _ = self.encoder(coarse[0])
            sources = [self.data.sources[place] for place in places.tolist()]
            drawn = [self.densities[source].sample(1, generator) for source in sources]
            style = torch.cat([style[:own], torch.cat(drawn)[own:].to(style)])
            shapes = self.translator_config.unet.noise_shapes(size // 2)
            noise = [torch.randn(len(places), *shape, generator=generator) for shape in shapes]
            logits = self.coarser(
                coarse[1], fields, style, [planes.to(self.device.name) for planes in noise]
            ).logits
        corners = torch.randint((size - side) // 2 + 1, (len(places), 2), generator=generator)

        def crop(planes: Tensor, scale: int) -> Tensor:
            parts = [
                plane[
                    :,
                    scale * y : scale * y + scale * side // 2,
                    scale * x : scale * x + scale * side // 2,
                ]
                for plane, (y, x) in zip(planes, corners.tolist(), strict=True)
            ]
            return torch.stack(parts).contiguous(memory_format=torch.channels_last)

        fine = [crop(plane, 2) for plane in whole]
        return fine[0], fine[1], fine[2], crop(logits, 1), style

    def _draw(
        self,
        enhancer: torch.nn.Module,
        logits: Tensor,
        maps: Tensor,
        fields: Tensor,
        style: Tensor,
        generator: torch.Generator,
    ) -> Tensor:
        shapes = self.config.noise_shapes(fields.shape[-1])
        noise = [torch.randn(len(maps), *shape, generator=generator) for shape in shapes]
        with self.device.mixed_precision():
            drawn: Tensor
            drawn, _ = enhancer(
                logits, maps, fields, style, [planes.to(self.device.name) for planes in noise]
            )
        return drawn

    def samples(self) -> Tensor:
        """Crops of real photographs, of their maps, of what the coarser level draws, and of the finer."""
        generator = torch.Generator().manual_seed(2)
        places = torch.multinomial(self.sampling_weight, 6, True, generator=generator)
        photographs, maps, fields, logits, style = self._crops(places, 3, generator)
        with torch.inference_mode():
            drawn = self._draw(self.ema, logits, maps, fields, style, generator)
        coarse = F.interpolate(logits.sigmoid(), scale_factor=2.0) * fields
        rows = (photographs, map_colours(maps, fields), coarse, drawn)
        return torch.cat([row.float().cpu() for row in rows]) * 2 - 1
