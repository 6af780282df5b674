"""From two checkpoints to a model package with metrics, sample sheet and card."""

from __future__ import annotations

import io
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image

from models.data.field_of_view import away_from_edge
from models.evaluation.pair_arrays import real_pairs, rendered_pairs, vessel_shares
from models.loading import Sampler
from models.metrics import (
    map_measures,
    nearest_overlap,
    overlaps_among,
    shifted_contrast,
    small_loops,
    summaries,
    summary,
    vessel_contrast,
)
from models.package import MANIFEST, Eye, SamplingConfig, load_package, write_package
from models.pairs import PairSet
from models.sampling import Pair, PairSampler, pair_seed
from models.segmenter import Segmenter, probabilities
from models.texture import Texture, measure_texture
from models.training.card import write_card
from models.training.journal import contact_sheet
from models.training.stage_one import StageOne
from models.training.stage_two import StageTwo
from models.translator import VESSEL_FROM

BATCH = 4  # small enough for a laptop; the fixed shape is part of what makes bytes repeatable
DRAWN = 64  # pairs drawn for metrics and for the threshold
# A tracer that must count less probable pixels as vessel to find as many as real labels have does not see
# them: one of 1024 px had to go down to 0.07, and marked the rim of the field and not the disc's vessels; good
# ones of 256 and 512 px stop at 0.29 and 0.22.
LEAST_THRESHOLD = 0.15
SHEET_PAIRS = 12
# Of the side: up to here bridges look like vessels, and make the largest piece as large as a real one.
BRIDGE = 6 / 256
# Of the side: real photographs of cut fields are darker there, being part outside, generated ones are not, and
# tracers took the edge for a vessel (two rows at 512 px, in two of three pairs of HRF).
TRACING_MARGIN = 1 / 128
COMPARED_AT = 256  # pixels a side: layouts of maps
RENDERINGS = 3  # of each training label, in styles of their own, beside which texture is measured


@dataclass(frozen=True)
class Identity:
    """What a package is called, what it learned from (``about``: name, licence, attribution, url),
    and which eye its maps show if that is known."""

    name: str
    version: str
    about: dict[str, str]
    eye: Eye | None = None


def package_run(
    one: StageOne, two: StageTwo, pairs: PairSet, identity: Identity, folder: Path
) -> None:
    """Write the package of two trained runs; the folder is replaced when the package is whole."""
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    labels, fields = real_labels(pairs, one.config.resolution, two.settings.threshold)
    circles = np.array([(f.x, f.y, f.radius) for f in pairs.fields])
    sampling = SamplingConfig(
        batch_size=BATCH,
        threshold=matching_threshold(one, labels.mean()),
        smallest_piece=max(1, 8 * one.config.resolution**2 // 256**2),
        field_mean=tuple(circles.mean(axis=0)),
        field_deviation=tuple(circles.std(axis=0)),
        eye=identity.eye,
        longest_bridge=BRIDGE * one.config.resolution,
        # The camera's own: a photograph or two that are taken for whole must not move it.
        field_half_height=float(np.median([f.half_height for f in pairs.fields])),
        most_loops=max(small_loops(label) for label in labels),
    )
    facts: dict[str, Any] = {
        "name": identity.name,
        "version": identity.version,
        "title": f"Vessel maps and fundus photographs at {one.config.resolution} px",
        "created": datetime.now(UTC).date().isoformat(),
        "licence": identity.about["licence"],
        "training_data": {**identity.about, "images": list(pairs.names)},
        "training": {
            stage.stage: {
                "images": stage.budget.images_spent,
                "steps": stage.steps,
                "minutes": round(stage.budget.seconds_spent / 60, 1),
                "seed": stage.seed,
                "settings": asdict(stage.settings),
                "from": asdict(stage.origin) if stage.origin else None,
            }
            for stage in (one, two)
        },
        "expected": {"seconds_per_pair": 1.0, "bytes_per_pair": 1, "machine": "not measured"},
        "metrics": {},
    }

    style = two.style_statistics()

    def write(texture: Texture | None = None, tracer: Segmenter | None = None) -> None:
        write_package(partial, facts, one.average, two.average, style, sampling, texture, tracer)

    write()
    texture = texture_of(pairs, PairSampler(load_package(partial), one.device.name))
    write(texture)
    untraced = draw(PairSampler(load_package(partial), one.device.name), DRAWN)
    margin = round(TRACING_MARGIN * one.config.resolution)
    # Not the drawn maps' share, which is less: labels come nearer to real widths then, and segmenters that learn
    # from them find less (docs/reports/README.md, with what else was tried).
    share = float(labels[away_from_edge(fields, margin)].mean())
    threshold = tracing_threshold(two.tracing.average, untraced, share, margin)
    tracer = two.tracing.average if threshold >= LEAST_THRESHOLD else None
    if tracer:
        sampling = replace(sampling, tracing_threshold=threshold, tracing_margin=margin)
    else:
        print(f"labels stay as they are drawn: the tracer would need a threshold of {threshold}")
    write(texture, tracer)
    sampler = PairSampler(load_package(partial), one.device.name)
    started = time.perf_counter()
    drawn = draw(sampler, DRAWN)
    seconds = (time.perf_counter() - started) / DRAWN
    facts["expected"] = {
        "seconds_per_pair": round(seconds, 4),
        "bytes_per_pair": int(np.mean([png_bytes(pair) for pair in drawn])),
        "machine": f"{sampler.environment['device']}, {torch.get_num_threads()} threads",
    }
    facts["metrics"] = measure(drawn, labels, fields)
    save_samples(drawn[:SHEET_PAIRS], partial / "samples.png")
    write_card(
        partial / "CARD.md",
        facts,
        sampling,
        two.drawn,
        two.resolution,
        refined=one.config.refined,
        textured=texture is not None,
    )
    write(texture, tracer)
    load_package(partial)
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(partial, folder)
    print(f"wrote {folder / MANIFEST}")


def real_labels(
    pairs: PairSet, resolution: int, threshold: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """The training labels as stage two sees them, and their fields of view; [N, R, R] each."""
    fields = np.stack([field.draw(resolution) for field in pairs.fields])
    return (vessel_shares(pairs, resolution) > threshold) & fields, fields


def texture_of(pairs: PairSet, sampler: PairSampler) -> Texture | None:
    """What the training photographs have that the translator's renderings of their labels have not."""
    real = real_pairs(pairs, sampler.resolution)
    shares = vessel_shares(pairs, sampler.resolution)
    rendered = rendered_pairs(sampler, shares, real.fields, RENDERINGS * len(real), seed=0)
    return measure_texture(
        (real.photos, real.labels, real.fields),
        (rendered.photos, rendered.labels, rendered.fields),
    )


def matching_threshold(one: StageOne, share: float) -> float:
    """The threshold at which drawn maps hold as much vessel as the real labels do on average."""
    noise = torch.randn(DRAWN, one.config.latent, generator=torch.Generator().manual_seed(0)).to(
        one.device.name
    )
    with torch.inference_mode():
        maps = torch.cat([one.average(part) for part in noise.split(BATCH)])
    values = (maps.float().cpu().numpy() + 1) / 2
    return _exceeded_by(share, values)


def tracing_threshold(tracer: Segmenter, drawn: Sequence[Pair], share: float, margin: int) -> float:
    """The probability from which on this share of the pixels in drawn photographs' fields of view is vessel,
    ``margin`` pixels from their edges on."""
    inside = np.stack([pair.mask > 0 for pair in drawn])
    photos = np.stack([pair.image for pair in drawn])
    found = probabilities(tracer, photos, inside)
    return _exceeded_by(share, found[away_from_edge(inside, margin)])


def _exceeded_by(share: float, values: NDArray[np.floating[Any]]) -> float:
    """The threshold that a share of the values lies above."""
    return round(float(np.clip(np.quantile(values, 1 - share), 0.05, 0.95)), 3)


def draw(sampler: Sampler, count: int) -> list[Pair]:
    """The first pairs of the order with seed 0."""
    seeds = [pair_seed(0, i) for i in range(count)]
    batches = range(0, count, sampler.batch_size)
    return [pair for i in batches for pair in sampler.sample(seeds[i : i + sampler.batch_size])]


def png_bytes(pair: Pair) -> int:
    """Bytes of the pair's three pictures as PNG."""

    def size(picture: NDArray[np.uint8]) -> int:
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "png", compress_level=1)
        return file.tell()

    return size(pair.image) + size(pair.label) + size(pair.mask)


def measure(
    drawn: Sequence[Pair], labels: NDArray[np.bool_], fields: NDArray[np.bool_]
) -> dict[str, Any]:
    """Measures of generated pairs beside the training pairs."""
    made = [(pair.label > 0, pair.mask > 0) for pair in drawn]
    real = list(labels)
    # Layouts are compared at one size: it takes a sixteenth of the time at 1024 px, and a tolerance of
    # two pixels means the same.
    small, small_real = (
        [shrunk(label, COMPARED_AT) for label in them]
        for them in ([label for label, _ in made], real)
    )
    contrasts, chance = (
        [contrast(pair.image, *maps) for pair, maps in zip(drawn, made, strict=True)]
        for contrast in (vessel_contrast, shifted_contrast)
    )
    return {
        "pairs": len(drawn),
        "maps_generated": summaries([map_measures(*maps) for maps in made]),
        "maps_real": summaries([map_measures(*maps) for maps in zip(real, fields, strict=True)]),
        "nearest_training_map_overlap": {
            "generated": summary([nearest_overlap(label, small_real) for label in small]),
            "real_among_themselves": summary(overlaps_among(small_real)),
        },
        "nearest_generated_map_overlap": {
            # As many as there are real ones: the nearest of more would be nearer.
            "generated_among_themselves": summary(overlaps_among(small[: len(real)])),
        },
        "vessel_contrast": {"on_label": summary(contrasts), "label_shifted": summary(chance)},
        "share_with_dark_vessels": round(float(np.mean(np.array(contrasts) > 2)), 4),
    }


def shrunk(label: NDArray[np.bool_], side: int) -> NDArray[np.bool_]:
    """A label [S, S] at ``side`` pixels, of which S is a multiple, or as it is if it is smaller."""
    factor = max(1, len(label) // side)
    shares = label.reshape(len(label) // factor, factor, -1, factor).mean(axis=(1, 3))
    return np.asarray(shares > VESSEL_FROM)


def save_samples(drawn: Sequence[Pair], path: Path) -> None:
    """Photographs and their labels side by side, three pairs a row, at 512 px each at most."""
    pictures = []
    for pair in drawn:
        pictures += [pair.image, np.repeat(pair.label[:, :, None], 3, axis=2)]
    tensor = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1
    tensor = F.avg_pool2d(tensor, max(1, tensor.shape[-1] // 512))
    contact_sheet(tensor, 6).save(path)
