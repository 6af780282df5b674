"""Segmenters trained on pairs: what they are shown, and how they are scored."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from models.evaluation.pair_arrays import EvaluationData, PairArrays
from models.evaluation.settings import Arm, EvaluationSettings, Network
from models.evaluation.useful.batches import BATCH, batches_of, to_planes
from models.evaluation.useful.fit import fit_arm
from models.evaluation.useful.scores import (
    area_under_curve,
    best_threshold,
    cl_dice,
    f1_score,
    pooled_scores,
)
from models.segmenter import standardise
from tests.models.made_pairs import made_pairs

SIZE = 64


def drawn(count: int, seed: int, brightness: int = 180) -> PairArrays:
    """Pictures of this brightness with dark lines across them, which are the labels."""
    random = np.random.default_rng(seed)
    labels = np.zeros((count, SIZE, SIZE), dtype=bool)
    for label in labels:
        for place in random.integers(4, SIZE - 4, 3):
            label[:, place : place + 2] = True
        label[random.integers(4, SIZE - 4)] = True
    photos = brightness - 60 * labels[..., None] + random.normal(0, 6, (count, SIZE, SIZE, 3))
    fields = np.ones_like(labels)
    fields[:, :, :4] = False
    photos = (photos * fields[..., None]).clip(0, 255).astype(np.uint8)
    return PairArrays(tuple(map(str, range(count))), photos, labels & fields, fields)


@pytest.fixture(scope="module")
def data() -> EvaluationData:
    return EvaluationData(
        train=drawn(6, 1), test=drawn(3, 2), synthetic=drawn(16, 3), rendered=drawn(16, 4)
    )


@pytest.mark.parametrize(
    ("arm", "progress", "synthetic"),
    [
        (Arm.REAL, 0.0, 0),
        (Arm.AUGMENTED, 0.0, 0),
        (Arm.SYNTHETIC, 0.9, BATCH),
        (Arm.MIXED, 0.9, BATCH // 2),
        (Arm.MIXED_AUGMENTED, 0.9, BATCH // 2),
        (Arm.FINE_TUNED, 0.4, BATCH),
        (Arm.FINE_TUNED, 0.6, 0),
    ],
)
def test_each_arm_sees_its_own_pairs(
    data: EvaluationData, arm: Arm, progress: float, synthetic: int
) -> None:
    # Of the synthetic pairs every pixel is called a vessel: the labels tell where a crop is from.
    marked = replace(data.synthetic, labels=np.ones_like(data.synthetic.labels))
    draw = batches_of(arm, replace(data, synthetic=marked), SIZE, torch.Generator().manual_seed(0))
    vessels, fields = draw(progress)[:, 3:].unbind(dim=1)  # what is moved leaves corners empty
    shares = (vessels * fields).sum(dim=(1, 2)) / fields.sum(dim=(1, 2))
    assert int((shares > 0.9).sum()) == synthetic


def test_exposure_and_colour_do_not_matter(data: EvaluationData) -> None:
    fields = torch.ones(1, 1, 32, 32)
    fields[..., :5] = 0
    photos = torch.rand(1, 3, 32, 32)
    other = photos * torch.tensor([0.5, 0.9, 0.3]).view(1, 3, 1, 1) + 0.2
    torch.testing.assert_close(
        standardise(photos, fields), standardise(other, fields), atol=2e-2, rtol=0
    )


def test_crops_of_large_pictures_are_lit_as_the_whole_picture_is() -> None:
    pairs = made_pairs(range(1), 128)
    data = EvaluationData(train=pairs, test=pairs, synthetic=pairs, rendered=None)
    planes = to_planes(pairs)
    whole = standardise(planes[:, :3], planes[:, 4:])
    crops = batches_of(Arm.MIXED, data, 64, torch.Generator().manual_seed(0))(0.0)
    assert crops.shape == (BATCH, 5, 64, 64)
    for channel in range(3):
        assert torch.isin(crops[:, channel], whole[:, channel]).all()


@pytest.mark.parametrize(
    ("network", "name"), [(Network.U_NET, "Segmenter"), (Network.ATTENTION, "ScaleAttention")]
)
def test_a_fit_finds_lines_and_can_be_repeated(
    data: EvaluationData, network: Network, name: str
) -> None:
    settings = EvaluationSettings(steps=16, network=network)
    told: list[float] = []
    result = fit_arm(Arm.SYNTHETIC, 1, data, settings, told.append)
    assert result.values["in_field"]["auc"] > 0.9
    assert result.values["network"]["class"] == name
    assert {row["name"] for row in result.values["per_image"]} == {"0", "1", "2"}
    assert told == sorted(told) and len(told) == settings.steps
    again = fit_arm(Arm.SYNTHETIC, 1, data, settings, lambda share: None)
    assert again.values["in_field"] == result.values["in_field"]


def test_segmenters_of_real_pairs_are_asked_about_generated_ones(data: EvaluationData) -> None:
    inverted = replace(data.rendered, photos=255 - data.rendered.photos)
    settings = EvaluationSettings(steps=16)
    result = fit_arm(Arm.REAL, 0, replace(data, rendered=inverted), settings, lambda share: None)
    found = result.values["found_again"]
    assert found["synthetic"]["auc"] > 0.8 > 0.5 > found["rendered"]["auc"]


def test_a_fit_can_be_stopped(data: EvaluationData) -> None:
    def stop(share: float) -> None:
        if share > 0.2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_arm(Arm.REAL, 0, data, EvaluationSettings(steps=10), stop)


def test_scores_by_hand() -> None:
    truth = np.array([[True, True, False, False]])
    shares = np.array([[0.9, 0.4, 0.6, 0.1]], dtype=np.float32)
    assert f1_score(shares >= 0.5, truth) == 0.5
    assert area_under_curve(shares.ravel(), truth.ravel()) == 0.75
    assert area_under_curve(np.full(4, 0.3, np.float32), truth.ravel()) == 0.5
    assert 0.1 < best_threshold(shares, truth) <= 0.4
    inside = np.array([[True, True, True, False]])
    scores = pooled_scores(shares[None], truth[None], inside[None], 0.5)
    assert (scores["sensitivity"], scores["specificity"]) == (0.5, 0.0)


def test_centrelines_forgive_width_but_not_gaps() -> None:
    thin = np.zeros((32, 32), dtype=bool)
    thin[15, 4:28] = True
    wide = np.zeros_like(thin)
    wide[14:17, 4:28] = True
    cut = wide.copy()
    cut[:, 10:22] = False
    assert cl_dice(wide, thin) > 0.95
    assert cl_dice(cut, thin) < 0.8
    assert cl_dice(np.zeros_like(thin), thin) == 0.0
