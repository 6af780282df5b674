"""The network that finds vessels: what it is for pictures of which size, and what it can tell apart."""

import numpy as np
import pytest
import torch

from models.evaluation.useful.scores import f1_score
from models.segmenter import (
    DILATED_CHANNELS,
    ScaleAttention,
    Segmenter,
    SegmenterConfig,
    probabilities,
    segmentation_loss,
    standardise,
)
from tests.models.runs import threads


@pytest.mark.parametrize(("side", "patch", "crop"), [(64, 1, 128), (256, 1, 128), (1024, 4, 512)])
def test_larger_photographs_are_looked_at_in_patches(side, patch, crop):
    config = SegmenterConfig.for_side(side)
    assert (config.patch, config.crop) == (patch, crop)


def test_a_patch_is_at_least_a_pixel():
    with pytest.raises(ValueError, match="patch must be at least 1"):
        SegmenterConfig(patch=0)


@pytest.mark.parametrize("patch", [1, 2])
@pytest.mark.parametrize(
    ("kind", "channels"),
    [(Segmenter, SegmenterConfig().channels), (ScaleAttention, DILATED_CHANNELS)],
)
def test_probabilities_are_those_of_the_network_whatever_the_threads(kind, channels, patch):
    if kind is Segmenter and torch.cpu._is_amx_tile_supported():
        pytest.skip("on CPUs with AMX the probabilities differ in the last digits with the threads")
    torch.manual_seed(0)
    network = kind(SegmenterConfig(channels, patch)).eval()
    random = np.random.default_rng(0)
    photos = random.integers(0, 256, (5, 64, 64, 3), dtype=np.uint8)
    fields = np.ones((5, 64, 64), dtype=bool)
    planes = torch.from_numpy(photos).permute(0, 3, 1, 2) / 127.5 - 1
    with torch.no_grad():
        asked = network(standardise(planes, torch.ones(5, 1, 64, 64))).sigmoid()[:, 0]
    found = []
    for count in (1, 2):
        with threads(count):
            found.append(probabilities(network, photos, fields))
    np.testing.assert_allclose(found[0], asked, atol=1e-5)
    assert np.array_equal(*found)


def test_vessels_thinner_than_a_patch_are_told_from_their_neighbours():
    torch.manual_seed(0)
    network = Segmenter(SegmenterConfig((32, 32), patch=4))
    optimiser = torch.optim.Adam(network.parameters(), 1e-2)
    vessels = torch.zeros(2, 1, 64, 64)
    vessels[0, 0, :, 3::9] = 1
    vessels[1, 0, 4::11] = 1
    photos = 0.1 * torch.randn(2, 3, 64, 64) - vessels
    for _ in range(60):
        loss = segmentation_loss(network(photos), vessels, torch.ones_like(vessels))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    found = (network(photos) > 0).numpy()
    assert f1_score(found, vessels.numpy() > 0) > 0.9  # of whole patches: 0.4
