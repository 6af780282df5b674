"""The teacher: a segmenter of vessels, disc and lesions that gives pseudo-labels to unlabelled photographs.

It belongs to training only: nothing reads a label from a photograph when pairs are made.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from pydantic.dataclasses import dataclass
from scipy import ndimage
from torch import Tensor

from models.data.augmentation import Geometry, photometric, random_views
from models.data.photographs import CHANNELS, DISC, VESSELS, PhotographSet
from models.devices import Device
from models.networks.segmenter import Segmenter, standardise
from models.training.budget import Budget
from models.training.trainer import Trainer, ema_of, update_ema

# Of a pixel: annotators draw vessels thinner than a pixel of the reduced photograph.
PRESENT = 0.4
# Probabilities that become the fractions 0 and 1 of a pseudo-label; between them it is linear.
CERTAIN = (0.15, 0.75)


@dataclass(frozen=True)
class TeacherSettings:
    """Hyper-parameters of the teacher."""

    learning_rate: float = Field(
        default=2e-3, ge=1e-6, le=1e-1, description="of AdamW; a cosine to zero"
    )
    batch: int = Field(
        default=8, ge=2, le=256, description="crops a step, half of them with vessel labels"
    )
    crop: int = Field(
        default=256, ge=64, le=1024, multiple_of=16, description="side of a crop in pixels"
    )
    smallest_scale: float = Field(
        default=0.5, gt=0, le=1, description="source pixels a pixel, least"
    )
    largest_scale: float = Field(default=2.0, ge=1, le=4, description="source pixels a pixel, most")


class TeacherTrainer(Trainer):
    """Trains a segmenter on the channels that are known of each photograph."""

    stage = "teacher"
    sheet_columns = 6

    def __init__(
        self,
        data: PhotographSet,
        settings: TeacherSettings,
        budget: Budget,
        device: Device,
        seed: int = 0,
    ):
        super().__init__(data, budget, device, seed)
        self.settings = settings
        self.segmenter = device.place(Segmenter(outputs=len(CHANNELS)))
        self.ema = ema_of(self.segmenter)
        self.networks = {"segmenter": self.segmenter, "ema": self.ema}
        self.optimisers = {
            "segmenter": torch.optim.AdamW(self.segmenter.parameters(), weight_decay=1e-4)
        }
        with_vessels = data.known[:, VESSELS]
        self.pools = [p for p in (with_vessels, data.known[:, 1:].any(1)) if bool(p.any())]
        self.pools = [pool.nonzero()[:, 0] for pool in self.pools]

    def random_places(self, count: int) -> Tensor:
        """Half with vessels, half with disc or lesions, as far as there are both."""
        parts = []
        for i, pool in enumerate(self.pools):
            share = count // len(self.pools) + (i < count % len(self.pools))
            parts.append(pool[torch.randint(len(pool), (share,), generator=self.random)])
        return torch.cat(parts)

    def update(self) -> tuple[int, dict[str, float]]:
        settings, places = self.settings, self.random_places(self.settings.batch)
        frame = settings.crop / self.data.size
        geometry = Geometry(
            rotation=180,
            scale=(frame * settings.smallest_scale, frame * settings.largest_scale),
            shift=0.75,
        )
        photographs, maps, fields = random_views(
            self.data, places, settings.crop, geometry, self.random
        )
        seen = standardise(photometric(photographs, self.random) * fields, fields)
        present = (maps > PRESENT).float()
        known = self.data.known[places].float()[:, :, None, None] * fields
        progress = self.budget.progress
        warm_up = min(1.0, (self.steps + 1) / 100)
        rate = settings.learning_rate * warm_up * (1 + math.cos(math.pi * progress)) / 2
        self.set_learning_rate("segmenter", rate)
        self.segmenter.train()
        where = self.device.name
        with self.device.mixed_precision():
            logits = self.segmenter(seen.to(where).contiguous(memory_format=torch.channels_last))
        losses = segmentation_loss(logits.float(), present.to(where), known.to(where))
        self.optimizer_step("segmenter", losses.sum())
        update_ema(self.ema, self.segmenter, min(0.998, 1 - 1 / (self.steps / 10 + 1.1)))
        return len(places), dict(zip(CHANNELS, losses.tolist(), strict=True))

    def samples(self) -> Tensor:
        """Photographs above the vessels (red), disc (green) and lesions (blue) found in them."""
        places = torch.linspace(0, len(self.data) - 1, 6).long()
        stack = self.data.stack(places)
        photographs, fields = stack[:, :3], stack[:, -1:]
        found = probabilities(self.ema, photographs, fields, self.device)
        colours = torch.stack([found[:, 0], found[:, 1], found[:, 2:].amax(1)], 1)
        return torch.cat([photographs, colours]) * 2 - 1


def segmentation_loss(logits: Tensor, present: Tensor, known: Tensor) -> Tensor:
    """Binary cross entropy plus soft Dice loss of each channel where it is known.

    All are [B, C, H, W]; returns [C].
    """
    over = (0, 2, 3)
    entropy = F.binary_cross_entropy_with_logits(logits, present, reduction="none") * known
    probability = logits.sigmoid() * known
    overlap = 2 * (probability * present).sum(over) + 1
    total = probability.sum(over) + (present * known).sum(over) + 1
    return entropy.sum(over) / known.sum(over).clamp(min=1) + 1 - overlap / total


@torch.no_grad()
def probabilities(
    segmenter: torch.nn.Module, photographs: Tensor, fields: Tensor, device: Device
) -> Tensor:
    """Probability of each channel, the mean over four views: turned by half and mirrored.

    Photographs [B, 3, H, W] and fields [B, 1, H, W] in [0, 1] -> [B, C, H, W] on the CPU.
    """
    seen = standardise(photographs, fields).to(device.name)
    total: Tensor | None = None
    for dims in ((), (-1,), (-2,), (-2, -1)):
        view = seen.flip(dims).contiguous(memory_format=torch.channels_last)
        with device.mixed_precision():
            found = segmenter(view).float().sigmoid().flip(dims)
        total = found if total is None else total + found
    assert total is not None
    return (total / 4).cpu() * fields


def disc_piece(disc: Tensor, vessels: Tensor) -> Tensor:
    """Which pixels [H, W] belong to the one disc, of probabilities [H, W]: the connected piece with most vessel
    on it. The bright rims that some photographs have look like discs, but no vessel starts there."""
    pieces, count = ndimage.label(disc.numpy() > 0.3)
    on_disc = (disc * vessels).numpy()
    totals = ndimage.sum_labels(on_disc, pieces, range(1, count + 1)) if count else np.zeros(1)
    if totals.max() < 1:
        return torch.zeros_like(disc)
    chosen = torch.from_numpy(pieces == 1 + int(totals.argmax())).float()
    return F.max_pool2d(chosen[None, None], 9, stride=1, padding=4)[0, 0]


def pseudo_label(
    data: PhotographSet,
    segmenter: torch.nn.Module,
    device: Device,
    rim: int = 7,
    dropped: float = 0.07,
) -> PhotographSet:
    """Fill the channels that are not known with the teacher's, and drop photographs it is least sure of.

    Args:
        rim: pixels from the edge of the field of view in which nothing is traced: the edge looks like a
            vessel.
        dropped: fraction of the photographs without vessel labels that is left out, by the mean uncertainty
            of their vessels.
    """
    low, high = CERTAIN
    maps, uncertainty = data.maps.clone(), torch.zeros(len(data))
    for place in range(len(data)):
        stack = data.stack(torch.tensor([place]))
        photograph, field = stack[:, :3], stack[:, -1:]
        within = -F.max_pool2d(-F.pad(field, [rim] * 4), 2 * rim + 1, stride=1)
        found = probabilities(segmenter, photograph, field, device)
        found[:, VESSELS] *= within[:, 0]
        vessels = found[0, VESSELS]
        uncertainty[place] = (vessels * (1 - vessels)).sum() / (vessels.sum() + 1)
        found[0, DISC] *= disc_piece(found[0, DISC], found[0, VESSELS])
        fractions = ((found[0] - low) / (high - low)).clamp(0, 1)
        unknown = ~data.known[place]
        maps[place, unknown] = (fractions[unknown] * 255).round().to(torch.uint8)
    traced = ~data.known[:, VESSELS]
    limit = uncertainty[traced].quantile(1 - dropped) if bool(traced.any()) else torch.inf
    labelled = replace(data, maps=maps, traced=traced)
    return labelled.subset(~traced | (uncertainty <= limit))
