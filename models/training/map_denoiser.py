"""Training of stage one: the diffusion model of coarse maps."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from models.data.augmentation import Geometry, random_similarity
from models.data.photographs import DISC, VESSELS, PhotographSet
from models.devices import Device
from models.networks.map_denoiser import OFFSET, SCALE, DenoiserConfig, MapDenoiser
from models.training.budget import Budget
from models.training.trainer import Trainer, ema_of, update_ema
from models.training.translator import map_colours

# What counts as a real map: cameras are held a little askew. Mirrored maps are turned to one eye instead.
ANATOMICAL = Geometry(rotation=12, scale=(0.92, 1.05), shift=0.04)


@dataclass(frozen=True)
class DenoiserSettings:
    """Hyper-parameters of stage one."""

    learning_rate: float = Field(
        default=1e-2, ge=1e-6, le=1e-1, description="of Adam; a cosine to a twentieth"
    )
    batch: int = Field(default=24, ge=1, le=1024, description="maps a step")
    labelled_weight: int = Field(
        default=3, ge=1, le=100, description="how much oftener a map with expert labels is shown"
    )
    ema_decay: float = Field(
        default=0.999, ge=0.5, lt=1, description="of the averaged weights, a step"
    )


class DenoiserTrainer(Trainer):
    """Trains the denoiser on the vessels and discs of photographs with complete maps.

    Args:
        data: at twice the size of the maps that are learned: moves are made there, then halved.
    """

    stage = "vessel"
    sheet_columns = 8

    def __init__(
        self,
        data: PhotographSet,
        config: DenoiserConfig,
        settings: DenoiserSettings,
        budget: Budget,
        device: Device,
        seed: int = 0,
    ):
        super().__init__(data, budget, device, seed)
        self.config, self.settings = config, settings
        self.denoiser = device.place(MapDenoiser(config))
        self.ema = ema_of(self.denoiser)
        self.networks = {"denoiser": self.denoiser, "ema": self.ema}
        self.optimisers = {
            "denoiser": torch.optim.Adam(self.denoiser.parameters(), betas=(0.9, 0.99))
        }
        self.maps = stacked_to_one_eye(data)
        self.sampling_weight = torch.where(data.traced, 1.0, float(settings.labelled_weight))

    def update(self) -> tuple[int, dict[str, float]]:
        settings = self.settings
        fall = 0.05 + 0.95 * (1 + math.cos(math.pi * self.budget.progress)) / 2
        warm_up = min(1.0, (self.steps + 1) / 100)
        self.set_learning_rate("denoiser", settings.learning_rate * fall * warm_up)
        clean, fields = self._real(settings.batch)
        # Evenly spread times: less noise in the loss than independent ones.
        offset = torch.rand((), generator=self.random)
        times = ((torch.arange(len(clean)) + offset) / len(clean)).to(clean)
        noise = torch.randn(clean.shape, generator=self.random).to(clean)
        alpha = torch.cos(times * math.pi / 2)[:, None, None, None]
        sigma = torch.sin(times * math.pi / 2)[:, None, None, None]
        with self.device.mixed_precision():
            found = self.denoiser(alpha * clean + sigma * noise, fields, times)
        error = (found - (alpha * noise - sigma * clean)).square() * fields
        loss = error.sum((0, 2, 3)) / fields.sum()
        self.optimizer_step("denoiser", loss.sum())
        update_ema(
            self.ema, self.denoiser, min(settings.ema_decay, 1 - 1 / (self.steps / 10 + 1.1))
        )
        return len(clean), {"vessels": float(loss[0].detach()), "disc": float(loss[1].detach())}

    def _real(self, count: int) -> tuple[Tensor, Tensor]:
        """Maps, less OFFSET and times SCALE, and their fields of view."""
        places = torch.multinomial(self.sampling_weight, count, True, generator=self.random)
        stack = self.maps[places].to(self.device.name).float() / 255
        matrices = random_similarity(count, ANATOMICAL, self.random, mirror=False)
        grid = F.affine_grid(matrices.to(stack), list(stack.shape), align_corners=False)
        stack = F.avg_pool2d(F.grid_sample(stack, grid, align_corners=False), 2)
        fields = (stack[:, -1:] > 0.5).float()
        return (stack[:, :-1] * fields - OFFSET) * SCALE, fields

    def draw(self, fields: Tensor, generator: torch.Generator) -> Tensor:
        """Maps of fields of view [B, 1, S, S], [B, 2, S, S] in [0, 1]."""
        shape = (len(fields), self.config.maps, self.config.size, self.config.size)
        noise = torch.randn(shape, generator=generator).to(self.device.name)
        with self.device.mixed_precision():
            drawn: Tensor = self.ema.draw(noise, fields.to(self.device.name))  # type: ignore[operator]
        return drawn

    def samples(self) -> Tensor:
        """Eight real maps above sixteen drawn ones."""
        generator = torch.Generator().manual_seed(1)
        places = torch.multinomial(self.sampling_weight, 16, True, generator=generator)
        stack = F.avg_pool2d(self.maps[places].float() / 255, 2)
        real, fields = stack[:, :-1], (stack[:, -1:] > 0.5).float()
        drawn = self.draw(fields, generator).cpu()
        pictures = map_colours(torch.cat([real[:8], drawn]), torch.cat([fields[:8], fields]))
        return F.interpolate(pictures, size=(256, 256)) * 2 - 1


def stacked_to_one_eye(data: PhotographSet) -> Tensor:
    """Vessels, disc and field of view, uint8 [N, 3, S, S] (255 at most), mirrored so that discs are on the
    left: shown both eyes, a generator would learn two anatomies from half of the maps each."""
    maps = data.maps[:, [VESSELS, DISC]]
    stack = torch.cat([maps, 255 * data.fields], 1)
    across = torch.linspace(-1, 1, data.size)
    discs = maps[:, 1].float()
    centre = (discs * across).sum((1, 2)) / discs.sum((1, 2)).clamp(min=1)
    return torch.where((centre > 0)[:, None, None, None], stack.flip(-1), stack)
