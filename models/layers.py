"""Building blocks shared by the networks: equalised learning rate, pixel norm, minibatch deviation."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class EqualConv2d(nn.Conv2d):
    """Convolution whose weights are N(0, 1) and are scaled by ``gain / sqrt(fan_in)`` at run time.

    So every layer learns at the same speed under Adam (Karras et al. 2018, arXiv 1710.10196, 4.1).
    Same padding; [B, in, H, W] -> [B, out, H, W].
    """

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, gain: float = math.sqrt(2.0)):
        super().__init__(inputs, outputs, kernel, padding=kernel // 2)
        self.scale = gain / math.sqrt(inputs * kernel * kernel)

    def reset_parameters(self) -> None:
        nn.init.normal_(self.weight)
        assert self.bias is not None  # these layers always have one
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight * self.scale, self.bias, padding=self.padding)


class EqualUpConv2d(nn.ConvTranspose2d):
    """Transposed 4 x 4 convolution with an equalised learning rate; [B, in, H, W] -> [B, out, 2H, 2W]."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__(inputs, outputs, 4, stride=2, padding=1)
        self.scale = math.sqrt(2.0) / math.sqrt(inputs * 4)  # four taps meet in each output pixel

    def reset_parameters(self) -> None:
        nn.init.normal_(self.weight)
        assert self.bias is not None  # these layers always have one
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        return F.conv_transpose2d(x, self.weight * self.scale, self.bias, stride=2, padding=1)


class EqualDownConv2d(EqualConv2d):
    """Strided 4 x 4 convolution with an equalised learning rate; [B, in, 2H, 2W] -> [B, out, H, W]."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__(inputs, outputs, kernel=4)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight * self.scale, self.bias, stride=2, padding=1)


class EqualToMap(EqualConv2d):
    """1 x 1 convolution to one plane, written out; [B, in, H, W] -> [B, 1, H, W].

    oneDNN's rounds otherwise with another number of threads, and a pair is to be the same whatever draws it.
    """

    def __init__(self, inputs: int):
        super().__init__(inputs, 1, 1, gain=1.0)

    def forward(self, x: Tensor) -> Tensor:
        assert self.bias is not None  # these layers always have one
        return (x * (self.weight * self.scale)).sum(dim=1, keepdim=True) + self.bias


class EqualLinear(nn.Linear):
    """Fully connected layer with an equalised learning rate; [B, in] -> [B, out]."""

    def __init__(self, inputs: int, outputs: int, gain: float = math.sqrt(2.0)):
        super().__init__(inputs, outputs)
        self.scale = gain / math.sqrt(inputs)

    def reset_parameters(self) -> None:
        nn.init.normal_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * self.scale, self.bias)


def pixel_norm(x: Tensor) -> Tensor:
    """Scale the feature vector at each position to unit mean square (over dimension 1)."""
    # bfloat16 keeps 8 bits of mantissa: the mean of squares is taken in single precision.
    power = x.float().square().mean(dim=1, keepdim=True)
    return x * torch.rsqrt(power + 1e-8).to(x.dtype)


def append_minibatch_deviation(x: Tensor, group: int = 4) -> Tensor:
    """Append one constant map: the mean standard deviation over groups of samples.

    It lets the discriminator see that a batch lacks variety (arXiv 1710.10196, 3).
    [B, C, H, W] -> [B, C + 1, H, W]; a batch that ``group`` does not divide is one group.
    """
    b, _, h, w = x.shape
    group = group if b % group == 0 else b
    grouped = x.float().view(group, b // group, *x.shape[1:])
    deviation = (grouped.var(dim=0, unbiased=False) + 1e-8).sqrt().mean(dim=(1, 2, 3))
    plane = deviation.repeat(group).view(b, 1, 1, 1).expand(b, 1, h, w)
    return torch.cat([x, plane.to(x.dtype)], dim=1)
