"""From trained networks to a model package with metrics, sample sheet and card."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models.data.photographs import FRAME, VESSELS, PhotographSet
from models.generator_package import (
    Camera,
    GeneratorSampling,
    load_generator_package,
    write_generator_package,
)
from models.pair_generator import PairGenerator, at_size
from models.training.generator_card import write_generator_card
from models.training.map_denoiser import DenoiserTrainer
from models.training.packaging import draw, measure, png_bytes, save_samples
from models.training.trainer import Trainer
from models.training.translator import TranslatorTrainer
from models.training.upsamplers import EnhancerTrainer, MapUpsamplerTrainer

BATCH = 4  # small enough for a laptop; the fixed shape is part of what makes bytes repeatable
DRAWN = 96  # pairs drawn for metrics
# Fraction of a reduced pixel from which a label counts as vessel. At this the vessel fraction at 256 px is that
# of the full-size label; at a half, vessels thinner than a pixel vanish.
VESSEL_FROM = 0.35


def release(
    maps: DenoiserTrainer,
    upsamplers: Sequence[MapUpsamplerTrainer],
    translator: TranslatorTrainer,
    finer: Sequence[MapUpsamplerTrainer | EnhancerTrainer],
    data: PhotographSet,
    about: Sequence[Mapping[str, str]],
    name: str,
    version: str,
    folder: Path,
) -> None:
    """Write a package; the folder is replaced when the package is whole.

    Args:
        data: all that the stages learned from.
        about: name, licence, attribution and url of each data set that the teacher or a stage learned from.
    """
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    networks: dict[str, torch.nn.Module] = {"vessel": maps.ema, "translator": translator.ema}
    networks |= {stage.stage: stage.ema for stage in (*upsamplers, *finer)}
    densities = translator.fit_styles()
    cameras = cameras_of(data, translator.sampling_weight, list(densities))
    thresholds = {data.size: matching_threshold(maps, upsamplers, data)}
    # What doubles a map keeps its halves, so that one threshold suits both sizes.
    thresholds |= {one.data.size: thresholds[data.size] for one in finer}
    sampling = GeneratorSampling(
        batch_size=BATCH,
        thresholds=thresholds,
        radius=0.5 / FRAME,
        cameras=cameras,
    )
    stages: list[Trainer] = [maps, *upsamplers, translator, *finer]
    traced = int(data.traced.sum())
    facts: dict[str, Any] = {
        "name": name,
        "version": version,
        "title": f"Vessel maps and fundus photographs at {' and '.join(map(str, thresholds))} px",
        "created": datetime.now(UTC).date().isoformat(),
        "licence": about[0]["licence"],
        "training_data": {
            "name": "; ".join(one["name"] for one in about),
            "licence": ", ".join(dict.fromkeys(one["licence"] for one in about)),
            "attribution": "; ".join(one["attribution"] for one in about),
            "url": about[0]["url"],
            "images": list(data.names),
            "expert_labels": len(data) - traced,
            "traced_labels": traced,
            "data_sets": [dict(one) for one in about],
        },
        "training": {
            stage.stage: {
                "images": stage.budget.images_spent,
                "steps": stage.steps,
                "minutes": round(stage.budget.seconds_spent / 60, 1),
                "seed": stage.seed,
                "settings": asdict(stage.settings),
            }
            for stage in stages
        },
        "expected": {"seconds_per_pair": 1.0, "bytes_per_pair": 1000, "machine": "not measured"},
        "metrics": {},
    }
    styles = list(densities.values())
    write_generator_package(partial, facts, networks, styles, sampling)
    generator = PairGenerator(load_generator_package(partial), maps.device.name)
    started = time.perf_counter()
    drawn = draw(generator, DRAWN)
    seconds = (time.perf_counter() - started) / DRAWN
    facts["expected"] = {
        "seconds_per_pair": round(seconds, 4),
        "bytes_per_pair": int(np.mean([png_bytes(pair) for pair in drawn])),
        "machine": f"{generator.environment['device']}, {torch.get_num_threads()} threads",
    }
    labels, fields = real_maps(data)
    facts["metrics"] = measure(drawn, labels, fields)
    save_samples(drawn[:12], partial / "samples.png")
    write_generator_card(partial / "CARD.md", facts)
    write_generator_package(partial, facts, networks, styles, sampling)
    load_generator_package(partial)
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(partial, folder)


def real_maps(data: PhotographSet) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Labels of vessels and fields of view of the photographs that experts have labelled, [N, S, S] each; of
    all photographs if there are none."""
    chosen = data.subset(~data.traced) if not bool(data.traced.all()) else data
    fields = chosen.fields[:, 0].numpy() > 0
    return (chosen.maps[:, VESSELS].numpy() > VESSEL_FROM * 255) & fields, fields


def matching_threshold(
    maps: DenoiserTrainer, upsamplers: Sequence[MapUpsamplerTrainer], data: PhotographSet
) -> float:
    """The fraction from which drawn maps hold as much vessel as the training maps do above ``VESSEL_FROM``."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.where(data.traced, 1.0, float(maps.settings.labelled_weight))
    places = torch.multinomial(weight, DRAWN, True, generator=generator)
    fields = data.fields[places].float()
    real = data.maps[places, VESSELS].float() / 255
    share = float((real > VESSEL_FROM).float().sum() / fields.sum())
    drawn = []
    for part in fields.split(BATCH):
        coarse = maps.draw(at_size(part, maps.config.size), generator)
        for upsampler in upsamplers:
            given = at_size(part, upsampler.data.size).to(coarse)
            with torch.no_grad():
                coarse = upsampler.draw(coarse, given, generator)
        drawn.append(coarse[:, VESSELS].cpu())
    within = torch.cat(drawn)[fields[:, 0] > 0]
    return round(float(np.clip(np.quantile(within.numpy(), 1 - share), 0.05, 0.95)), 3)


def cameras_of(
    data: PhotographSet, weight: torch.Tensor, sources: Sequence[str]
) -> tuple[Camera, ...]:
    """Of each source how often it is drawn, and the half heights of its fields of view."""
    found = []
    for source in sources:
        places = [i for i, one in enumerate(data.sources) if one == source]
        rows = data.fields[places, 0].any(2).sum(1).float() / data.size / 2
        whole = rows >= 0.97 * 0.5 / FRAME
        heights = torch.where(whole, 1.0, rows)
        distinct = tuple(round(float(h), 3) for h in heights.sort().values)
        found.append(Camera(source, round(float(weight[places].sum()), 3), distinct))
    return tuple(found)
