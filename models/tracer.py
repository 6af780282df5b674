"""Labels of drawn photographs: what a segmenter of the real pairs finds in them.

A translator does not show every vessel of its map, nor each as wide as it is there; what its
photographs show is traced as the real ones were. As in DatasetGAN (arXiv 2104.06490), who labels has
learned from the few labelled pictures there are.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from models.devices import Device
from models.segmenter import Segmenter, standardise

PIXELS_AT_ONCE = 4 * 256**2  # feature maps take 1.5 kB a pixel


class Tracer:
    """Finds the vessels of photographs, each by itself and always in the same way.

    threshold: probability, in (0, 1), from which a pixel counts as vessel.
    """

    def __init__(self, segmenter: Segmenter, threshold: float, device: Device):
        self._segmenter = device.place(segmenter).eval().requires_grad_(False)
        self._threshold = threshold
        self._device = device

    def trace(self, photos: NDArray[np.uint8], fields: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """The vessels [B, S, S] of RGB photographs [B, S, S, 3], within their fields of view [B, S, S].

        The last bit depends on how many they are: give as many each time.
        """
        return (self.probabilities(photos, fields) >= self._threshold) & fields

    def probabilities(
        self, photos: NDArray[np.uint8], fields: NDArray[np.bool_]
    ) -> NDArray[np.float32]:
        """The probability of vessel of each pixel, [B, S, S]."""
        at_once = max(1, PIXELS_AT_ONCE // photos.shape[1] ** 2)
        parts = range(0, len(photos), at_once)
        return np.concatenate(
            [self._found(photos[i : i + at_once], fields[i : i + at_once]) for i in parts]
        )

    def _found(self, photos: NDArray[np.uint8], fields: NDArray[np.bool_]) -> NDArray[np.float32]:
        with torch.inference_mode():
            planes = torch.from_numpy(photos).to(self._device.name).permute(0, 3, 1, 2)
            inside = torch.from_numpy(fields).to(self._device.name)[:, None].float()
            shown = standardise(planes.float() / 127.5 - 1, inside)
            shown = shown.contiguous(memory_format=torch.channels_last)
            features, last = self._segmenter.features(shown)[-1], self._segmenter.last
            assert last.bias is not None  # the layer has one
            # Written out, as in layers.EqualToMap: oneDNN's rounds otherwise with other threads.
            logits = (features * last.weight).sum(dim=1) + last.bias
            return logits.sigmoid().cpu().numpy()
