"""Pieces that several networks share.

On a CPU with bfloat16 multipliers, convolutions are nearly free and memory traffic is what costs. So some
backward passes are written out: PyTorch's own are several times slower in channels-last memory.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def activate(x: Tensor) -> Tensor:
    """Leaky ReLU, in place."""
    return F.leaky_relu_(x, 0.2)


class Activation(nn.Module):
    """:func:`activate`, as part of a sequence."""

    def forward(self, x: Tensor) -> Tensor:
        return activate(x)


class _Upsample(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return F.interpolate(x, scale_factor=2.0)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return 4 * F.avg_pool2d(gradients[0], 2)


def upsample(x: Tensor) -> Tensor:
    """Nearest neighbour, [B, C, H, W] -> [B, C, 2H, 2W]."""
    up: Tensor = _Upsample.apply(x)
    return up


class _ScaleShift(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        ctx.save_for_backward(x, scale)
        return torch.addcmul(shift[..., None, None], x, scale[..., None, None])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        (gradient,) = gradients
        x, scale = ctx.saved_tensors
        return gradient * scale[..., None, None], _total(gradient * x), _total(gradient)


def _total(x: Tensor) -> Tensor:
    """Sum over positions, [B, C, H, W] -> [B, C], as a product with ones: its sums are in single precision."""
    b, c, h, w = x.shape
    rows = x.permute(0, 2, 3, 1).reshape(b, h * w, c)
    return torch.bmm(rows.new_ones(b, 1, h * w), rows)[:, 0]


def scale_shift(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """x * scale + shift of each feature map: x [B, C, H, W], scale and shift [B, C]."""
    changed: Tensor = _ScaleShift.apply(x, scale.to(x.dtype), shift.to(x.dtype))
    return changed


def fold_batch_norm(network: nn.Module) -> None:
    """Put each batch norm of a frozen network's sequences into the convolution before it."""
    for part in network.modules():
        if not isinstance(part, nn.Sequential):
            continue
        for i in range(len(part) - 1):
            convolution, norm = part[i], part[i + 1]
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                part[i] = nn.utils.fuse_conv_bn_eval(convolution, norm)
                part[i + 1] = nn.Identity()
