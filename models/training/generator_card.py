"""The model card of a package whose label is its map."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from models.training.card import MEASURES


def write_generator_card(path: Path, facts: Mapping[str, Any]) -> None:
    """Write the card of a package's facts (see :func:`models.generator_package.write_generator_package`)."""
    data, metrics, training = facts["training_data"], facts["metrics"], facts["training"]
    rows = "\n".join(
        f"| {name} | {_of(metrics['maps_generated'][key])} | {_of(metrics['maps_real'][key])} |"
        for key, name in MEASURES.items()
    )
    sets = "\n".join(
        f"- {one['name']}. Licence {one['licence']}. {one['attribution']}. {one['url']}"
        for one in data["data_sets"]
    )
    stages = "\n".join(
        f"| {name} | {spent['images']:,} | {spent['steps']:,} | {spent['minutes']} |"
        for name, spent in training.items()
    )
    nearest = metrics["nearest_training_map_overlap"]
    path.write_text(
        f"""# {facts["name"]} {facts["version"]}

{facts["title"]}. A diffusion model (arXiv 2006.11239) draws a coarse map: vessels and
optic disc. Adversarial networks double its size. A translator of the pix2pixHD family (arXiv 1711.11585) renders
the photograph of exactly that map. The two stages are those of Andreini et al., arXiv 1907.12296.

The label is the map: the file in the zip is the thresholded map that conditioned the photograph. No label is read
back from a photograph. The model draws no lesions.

## Training data

{data["expert_labels"]} photographs with vessel labels by experts, {data["traced_labels"]} with vessel
pseudo-labels, which a segmenter trained on the expert labels gave to photographs without labels. That segmenter
also marked discs and lesions where no expert had. It is not part of this package.

{sets}

| stage | images | steps | minutes |
|---|---|---|---|
{stages}

## Measured

{metrics["pairs"]} pairs of the order with seed 0 beside the expert labels at the same size; mean and standard
deviation.

| maps | generated | real |
|---|---|---|
{rows}

Nearest expert label (F1 of vessel pixels within 2 pixels, mirror images counted; 1 would be a copy): generated
{_of(nearest["generated"])}, real ones among themselves {_of(nearest["real_among_themselves"])}.

## Use and limits

For training and testing vessel segmentation. Not for diagnosis, and not a stand-in for patients. Cameras,
diseases and anatomy that the training photographs do not show are missing. Whether a segmenter gains from these
pairs must be tried on real photographs. Synthetic does not mean anonymous.
"""
    )


def _of(value: Mapping[str, float]) -> str:
    return f"{value['mean']:.3g} ± {value['deviation']:.2g}"
