"""The fixed features that KID compares: of EfficientNet-Lite2, which nothing is trained against."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from models.networks.efficientnet import LITE2, EfficientNetLite

NETWORK = "EfficientNet-Lite2, ImageNet weights, 1280 features before the classes"
RESIZE = f"Pillow bicubic, antialiased, to {LITE2.side} px"
BATCH = 16


def prepare(photos: NDArray[np.uint8]) -> Tensor:
    """Photographs uint8 [N, H, W, 3] at the size that the network was trained at, [N, 3, S, S] in [0, 1]."""
    side = LITE2.side
    resized = [
        np.asarray(Image.fromarray(photo).resize((side, side), Image.Resampling.BICUBIC))
        for photo in photos
    ]
    return torch.from_numpy(np.stack(resized)).permute(0, 3, 1, 2).float() / 255


def features(network: EfficientNetLite, photos: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Features [N, 1280] of photographs uint8 [N, H, W, 3]."""
    with torch.inference_mode():
        parts = [
            network(prepare(photos[i : i + BATCH])).double().numpy()
            for i in range(0, len(photos), BATCH)
        ]
    return np.concatenate(parts)
