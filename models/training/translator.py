"""Training of stage two: the translator from maps to photographs.

What judges the photographs is in :mod:`models.training.judges`.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from models.data.augmentation import Geometry, random_views, uniform
from models.data.photographs import CHANNELS, DISC, PhotographSet
from models.devices import Device
from models.networks.segmenter import Segmenter
from models.networks.translator import (
    StyleEncoder,
    Translator,
    TranslatorConfig,
    gaussian_sample,
    kl_to_standard_normal,
)
from models.styles import StyleDensity
from models.training.budget import Budget
from models.training.judges import PhotographJudges, weighted_sum
from models.training.trainer import Trainer, ema_of, update_ema

# Cameras are held a little askew, and a photograph is of a part of an eye.
GEOMETRY = Geometry(rotation=20, scale=(0.88, 1.06), shift=0.05, upside_down=True)


@dataclass(frozen=True)
class TranslatorSettings:
    """Hyper-parameters of stage two."""

    learning_rate: float = Field(
        default=2.5e-3,
        ge=1e-6,
        le=1e-1,
        description="of Adam, translator and encoder; falls to a tenth at the end, as the other",
    )
    discriminator_learning_rate: float = Field(
        default=3e-4, ge=1e-6, le=1e-1, description="of Adam, both discriminators"
    )
    batch: int = Field(
        default=4, ge=2, le=256, description="photographs a step; half with their own style"
    )
    labelled_weight: int = Field(
        default=3,
        ge=1,
        le=100,
        description="how much oftener a photograph with expert labels is drawn",
    )
    segmentation_weight: float = Field(
        default=1.5, ge=0, le=100, description="of the segmentation discriminator"
    )
    realism_weight: float = Field(
        default=0.4, ge=0, le=100, description="of the projected discriminator"
    )
    consistency_weight: float = Field(
        default=3.0, ge=0, le=100, description="of what the teacher sees in drawn photographs"
    )
    l1_weight: float = Field(
        default=2.0,
        ge=0,
        le=100,
        description="of the difference from the real photograph, own styles only",
    )
    low_frequency_weight: float = Field(
        default=8.0, ge=0, le=1000, description="the same of the means of 8 x 8 pixels"
    )
    kl_weight: float = Field(
        default=0.003, ge=0, le=10, description="of the styles' divergence from N(0, 1)"
    )
    style_components: int = Field(
        default=8, ge=1, le=100, description="Gaussians in the density of a data set's styles"
    )
    disc_dropout: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="of maps whose disc is not given, as in vessel maps that users bring",
    )
    ema_decay: float = Field(
        default=0.998, ge=0.5, lt=1, description="of the averaged weights, a step"
    )


class TranslatorTrainer(Trainer):
    """Trains the translator and its style encoder on photographs with complete maps."""

    stage = "translator"
    sheet_columns = 8
    refit_steps = 100  # between fits of the density of styles

    def __init__(
        self,
        data: PhotographSet,
        teacher: Segmenter,
        config: TranslatorConfig,
        settings: TranslatorSettings,
        budget: Budget,
        device: Device,
        seed: int = 0,
    ):
        super().__init__(data, budget, device, seed)
        self.config, self.settings = config, settings
        self.translator = device.place(Translator(config))
        self.encoder = device.place(StyleEncoder(config.style))
        self.ema = ema_of(self.translator)
        self.judges = PhotographJudges(teacher, device, self.random)
        # The latest encoding of each photograph; the density of styles is fitted to them.
        self.encodings = torch.nn.ParameterList([torch.zeros(len(data), config.style)])
        self.encodings.requires_grad_(False)
        self.densities: dict[str, StyleDensity] = {}
        self.networks = {
            "translator": self.translator,
            "encoder": self.encoder,
            "ema": self.ema,
            **self.judges.networks,
            "encodings": self.encodings,
        }
        judges = self.judges.parameters()
        drawn = [*self.translator.parameters(), *self.encoder.parameters()]
        betas = (0.0, 0.99)
        self.optimisers = {
            "generator": torch.optim.Adam(drawn, settings.learning_rate, betas),
            "discriminator": torch.optim.Adam(judges, settings.discriminator_learning_rate, betas),
        }
        weight = torch.where(data.traced, 1.0, float(settings.labelled_weight))
        self.sampling_weight = weight
        fixed = torch.Generator().manual_seed(1)
        self.sheet_places = torch.multinomial(weight, 8, True, generator=fixed)

    def extra_state(self) -> dict[str, Any]:
        return {
            source: {part: values.tolist() for part, values in asdict(density).items()}
            for source, density in self.densities.items()
        }

    def restore_extra_state(self, state: dict[str, Any]) -> None:
        self.densities = {
            source: StyleDensity(**{part: torch.tensor(values) for part, values in parts.items()})
            for source, parts in state.items()
        }

    def random_places(self, count: int) -> Tensor:
        return torch.multinomial(
            self.sampling_weight, count, replacement=True, generator=self.random
        )

    def noise(self, count: int, generator: torch.Generator) -> list[Tensor]:
        """Noise of a batch, on the device."""
        shapes = self.config.unet.noise_shapes(self.data.size)
        planes = (torch.randn(count, *shape, generator=generator) for shape in shapes)
        return [plane.to(self.device.name) for plane in planes]

    def update(self) -> tuple[int, dict[str, float]]:
        settings = self.settings
        decay = min(1.0, 0.1 + 3 * (1 - self.budget.progress))
        self.set_learning_rate("generator", decay * settings.learning_rate)
        self.set_learning_rate("discriminator", decay * settings.discriminator_learning_rate)
        places = self.random_places(settings.batch)
        views = random_views(self.data, places, self.data.size, GEOMETRY, self.random)
        photographs, maps, fields = (
            view.to(self.device.name).contiguous(memory_format=torch.channels_last)
            for view in views
        )
        own = settings.batch // 2  # the first half keep their own style
        with self.device.mixed_precision():
            mean, log_variance = self.encoder(photographs)
        normal = torch.randn(mean.shape, generator=self.random).to(mean)
        encoded = gaussian_sample(mean, log_variance, normal)
        self.encodings[0][places] = encoded.detach().cpu()
        style = torch.cat([encoded[:own], self._other_styles(encoded.detach())[own:]])
        with self.device.mixed_precision():
            noise = self.noise(len(places), self.random)
            drawn = self.translator(self._given(maps), fields, style, noise).photograph
        losses = self.judges.generator_losses(drawn, photographs, maps, fields, own)
        losses["kl"] = kl_to_standard_normal(mean, log_variance)
        self.optimizer_step("generator", weighted_sum(losses, settings))
        judged = self.judges.discriminator_losses(drawn, photographs, maps, fields)
        self.optimizer_step("discriminator", torch.stack(list(judged.values())).sum())
        decay = min(settings.ema_decay, 1 - 1 / (self.steps / 10 + 1.1))
        update_ema(self.ema, self.translator, decay)
        return len(places), {name: loss.item() for name, loss in (losses | judged).items()}

    def _given(self, maps: Tensor) -> Tensor:
        """Maps as the translator sees them: of some the disc is not given."""
        kept = uniform(self.random, 0, 1, len(maps), 1, 1) >= self.settings.disc_dropout
        given = maps.clone()
        given[:, DISC] *= kept.to(maps)
        return given

    def _other_styles(self, encoded: Tensor) -> Tensor:
        """Of each: a draw from the density, or a mixture with the style of another in the batch."""
        count = len(encoded)
        share = uniform(self.random, 0, 1, count, 1).to(encoded)
        mixed = encoded.roll(1, 0).lerp(encoded, share)
        if self.steps % self.refit_steps == 0 and self.steps >= len(self.data) // count:
            self.densities = self.fit_styles()
        if not self.densities:
            return mixed
        sampled = self.sample_styles(self.random_places(count), self.random).to(encoded)
        return torch.where(uniform(self.random, 0, 1, count, 1).to(encoded) < 0.6, sampled, mixed)

    def fit_styles(self) -> dict[str, StyleDensity]:
        """The density of each source's encodings."""
        generator = torch.Generator().manual_seed(self.seed)
        encodings, found = self.encodings[0], {}
        for source in dict.fromkeys(self.data.sources):
            of_source = torch.tensor([one == source for one in self.data.sources])
            seen = encodings[of_source & encodings.any(1)]
            if len(seen):
                components = self.settings.style_components
                found[source] = StyleDensity.fit(seen, components, generator)
        return found

    def sample_styles(self, places: Tensor, generator: torch.Generator) -> Tensor:
        """Styles of the sources of the photographs at ``places``, [B, style]."""
        sources = [self.data.sources[place] for place in places.tolist()]
        return torch.cat([self.densities[source].sample(1, generator) for source in sources])

    def samples(self) -> Tensor:
        """Photographs, their maps, and three photographs drawn of each map in styles of the density."""
        stack = self.data.stack(self.sheet_places).to(self.device.name)
        photographs, maps, fields = stack.split([3, len(CHANNELS), 1], 1)
        generator = torch.Generator().manual_seed(2)
        rows = [photographs * 2 - 1, map_colours(maps, fields) * 2 - 1]
        self.densities = self.densities or self.fit_styles()
        for _ in range(3):
            noise = self.noise(len(stack), generator)
            style = self.sample_styles(self.sheet_places, generator).to(self.device.name)
            with torch.inference_mode(), self.device.mixed_precision():
                rows.append(self.ema(maps, fields, style, noise).photograph * 2 - 1)
        return torch.cat([row.cpu() for row in rows])


def map_colours(maps: Tensor, fields: Tensor) -> Tensor:
    """Maps [B, 2 or 4, H, W] as pictures: vessels white, disc green, dark lesions red, bright lesions yellow on
    grey; [B, 3, H, W] in [0, 1]."""
    missing = torch.zeros_like(maps[:, :1]).expand(-1, len(CHANNELS) - maps.shape[1], -1, -1)
    vessels, disc, dark, bright = torch.cat([maps, missing], 1).split(1, 1)
    red = torch.maximum(vessels, torch.maximum(dark, bright))
    green = torch.maximum(vessels, torch.maximum(0.6 * disc, bright))
    return torch.cat([red, green, vessels], 1) * 0.85 + 0.15 * fields
