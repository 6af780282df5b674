"""One fit: a segmenter trained in one arm, tested on the held-out real pairs."""

from __future__ import annotations

import copy
import io
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from models.devices import Device
from models.evaluation.pair_arrays import EvaluationData, PairArrays
from models.evaluation.results import StepResult
from models.evaluation.settings import Arm, EvaluationSettings, Network
from models.evaluation.useful.batches import batches_of
from models.evaluation.useful.scores import best_threshold, f1_score, pooled_scores
from models.segmenter import (
    AVERAGE_STEPS,
    DILATED_CHANNELS,
    ScaleAttention,
    Segmenter,
    SegmenterConfig,
    VesselNetwork,
    learning_rate,
    probabilities,
    segmentation_loss,
)
from models.training.checkpoint import average_into

THRESHOLD_PAIRS = 20  # training pairs that the threshold is chosen on
FOUND_PAIRS = 40  # generated pairs in which a segmenter of real pairs looks for the labels
SHEET_PAIRS = 4
SHEET_SIDE = 256  # pixels: larger pictures are shown smaller
SMALLER = Image.Resampling.BOX


def fit_arm(
    arm: Arm,
    seed: int,
    data: EvaluationData,
    settings: EvaluationSettings,
    report: Callable[[float], None],
) -> StepResult:
    """Train ``settings.steps`` steps and score what comes out; the same seed gives the same scores on
    one kind of machine. ``report`` is told the share that is done, and may raise to stop it."""
    started = time.perf_counter()
    segmenter = train_segmenter(arm, seed, data, settings, report)
    known = _training_pairs(arm, data)
    threshold = best_threshold(
        probabilities_of(segmenter, known)[known.fields], known.labels[known.fields]
    )
    truth, fields = data.test.labels, data.test.fields
    # Outside the field of view there is nothing to find, and nothing there was trained on.
    shares = probabilities_of(segmenter, data.test) * fields
    per_image = [
        {"name": name, "f1": round(f1_score((share >= threshold)[field], label[field]), 5)}
        for name, share, label, field in zip(data.test.names, shares, truth, fields, strict=True)
    ]
    values: dict[str, Any] = {
        "arm": arm.value,
        "seed": seed,
        "threshold": threshold,
        "steps": settings.steps,
        "seconds": round(time.perf_counter() - started, 1),
        "in_field": pooled_scores(shares, truth, fields, threshold),
        "whole_image": pooled_scores(shares, truth, np.ones_like(fields), threshold),
        "per_image": per_image,
        "network": {"class": type(segmenter).__name__, "config": asdict(segmenter.config)},
    }
    if arm is Arm.REAL:
        values["found_again"] = _found_again(segmenter, data, threshold)
    sheet = _sheet(data.test, shares >= threshold)
    return StepResult(values, {f"{arm.value}-{seed}.png": sheet} if seed == 0 else {})


def train_segmenter(
    arm: Arm,
    seed: int,
    data: EvaluationData,
    settings: EvaluationSettings,
    report: Callable[[float], None],
) -> VesselNetwork:
    """The averaged segmenter after all steps, ready to be asked."""
    random = torch.Generator().manual_seed(settings.seed * 1_000_003 + seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed * 1_000_003 + seed)
        segmenter = Device("cpu").place(_untaught(settings.network, data.train.size))
    average = copy.deepcopy(segmenter).requires_grad_(False)
    optimiser = torch.optim.Adam(segmenter.parameters())
    draw = batches_of(arm, data, segmenter.config.crop, random)
    for step in range(settings.steps):
        progress = step / settings.steps
        optimiser.param_groups[0]["lr"] = learning_rate(progress)
        planes = draw(progress).contiguous(memory_format=torch.channels_last)
        loss = segmentation_loss(segmenter(planes[:, :3]), planes[:, 3:4], planes[:, 4:])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        average_into(average, segmenter, 0.5 ** (1 / AVERAGE_STEPS))
        report(progress)
    return average.eval()


def _untaught(network: Network, side: int) -> VesselNetwork:
    config = SegmenterConfig.for_side(side)
    match network:
        case Network.U_NET:
            return Segmenter(config)
        case Network.ATTENTION:
            return ScaleAttention(replace(config, channels=DILATED_CHANNELS))


def probabilities_of(segmenter: VesselNetwork, pairs: PairArrays) -> NDArray[np.float32]:
    """The probability of vessel of each pixel, [N, S, S]."""
    return probabilities(segmenter, pairs.photos, pairs.fields)


def _training_pairs(arm: Arm, data: EvaluationData) -> PairArrays:
    """Some pairs that the arm was trained on, as they are."""
    if arm is Arm.SYNTHETIC:
        pairs = data.synthetic
    elif arm is Arm.RENDERED and data.rendered is not None:
        pairs = data.rendered
    else:
        pairs = data.train
    return pairs.span(0, THRESHOLD_PAIRS)


def _found_again(
    segmenter: VesselNetwork, data: EvaluationData, threshold: float
) -> dict[str, dict[str, float]]:
    """What a segmenter that has learned from real pairs finds of the labels in generated photographs:
    whether these show their labels as real photographs show theirs."""
    found = {}
    for name, pairs in (("synthetic", data.synthetic), ("rendered", data.rendered)):
        if pairs is not None:
            some = pairs.span(0, FOUND_PAIRS)
            shares = probabilities_of(segmenter, some)
            found[name] = pooled_scores(shares, some.labels, some.fields, threshold)
    return found


def _sheet(test: PairArrays, found: NDArray[np.bool_]) -> bytes:
    """The first test pairs, a row each: photograph, label, what was found: white hits, red false alarms,
    blue misses. PNG."""
    side = min(SHEET_SIDE, test.size)
    rows = []
    for photo, label, drawn in list(zip(test.photos, test.labels, found, strict=True))[
        :SHEET_PAIRS
    ]:
        colours = np.stack([drawn, drawn & label, label], axis=-1).astype(np.uint8) * 255
        pictures = (photo, np.repeat(label[..., None] * np.uint8(255), 3, 2), colours)
        tiles = (Image.fromarray(each).resize((side, side), SMALLER) for each in pictures)
        rows.append(np.hstack([np.asarray(tile) for tile in tiles]))
    file = io.BytesIO()
    Image.fromarray(np.vstack(rows)).save(file, "png")
    return file.getvalue()
