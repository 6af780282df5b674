"""The last part of stage two: learning to trace vessels in photographs, from the real pairs."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor

from models.augment import random_parts
from models.devices import Device
from models.segmenter import (
    AVERAGE_STEPS,
    Segmenter,
    SegmenterConfig,
    learning_rate,
    segmentation_loss,
    standardise,
)
from models.training.checkpoint import average_into
from models.training.run import Run

OPTIMISER = "tracer"  # what it is called among the run's


class Tracing:
    """The tracer while it learns, and the average of its weights, which packages hold."""

    def __init__(self, device: Device, resolution: int):
        self.tracer = device.place(Segmenter(SegmenterConfig.for_side(resolution)))
        self.average = copy.deepcopy(self.tracer).requires_grad_(False)
        self.optimiser = torch.optim.Adam(self.tracer.parameters())

    def start_from(self, tracer: Segmenter) -> None:
        """Begin with the weights of another one, if it has the same shape: those of before patches have
        not, where pictures are larger than models.segmenter.SIDE."""
        if tracer.config != self.tracer.config:
            return
        for network in (self.tracer, self.average):
            network.load_state_dict(tracer.state_dict())

    def update(self, run: Run, pairs: Tensor, count: int, progress: float) -> dict[str, float]:
        """Learn from so many parts of pairs (see :func:`pairs_to_trace`), shared by the run's processes."""
        crop = self.tracer.config.crop
        parts = run.team.share(random_parts(pairs, count, crop, run.random))
        photos, vessels, fields = parts.split([3, 1, 1], dim=1)
        with run.device.autocast():
            logits = self.tracer(photos.contiguous(memory_format=torch.channels_last)).float()
        whole = (run.team.gather(each) for each in (logits, vessels, fields))
        loss = segmentation_loss(*whole)
        run.set_learning_rate(OPTIMISER, learning_rate(progress))
        # Of the loss of the whole batch each process has the gradient of its own share.
        run.descend(OPTIMISER, loss * run.team.size)
        average_into(self.average, self.tracer, 0.5 ** (1 / AVERAGE_STEPS))
        return {"tracing loss": loss.item()}


def pairs_to_trace(stacks: Tensor, resolution: int, threshold: float) -> Tensor:
    """Standardised photographs, vessels and fields of view, [N, 5, R, R], of photographs in [-1, 1], shares
    of vessel and fields, [N, 5, S, S], of whose size R is a divisor. Pixels are vessel above a share."""
    factor = stacks.shape[-1] // resolution
    pairs = []
    # One by one: each is looked at whole, and at 1024 px all of them take gigabytes.
    for stack in stacks.split(1):
        photos, shares, fields = F.avg_pool2d(stack, factor).split([3, 1, 1], dim=1)
        fields = (fields > 0.5).float()
        vessels = (shares > threshold).float() * fields
        pairs.append(torch.cat([standardise(photos, fields), vessels, fields], dim=1))
    return torch.cat(pairs)
