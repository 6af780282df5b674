"""The model card that ships in a package."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from models.metrics import aside
from models.package import Eye, SamplingConfig

MEASURES = {
    "vessel_share": "vessel share of the field of view",
    "pieces": "connected pieces",
    "largest_piece_share": "share of vessel pixels in the largest piece",
    "calibre": "mean vessel width, pixels",
    "reach": "reach of the tree, radii of the field",
}

REFINED = (
    "; its vessels redrawn by a network that learned from parts of real maps, arXiv\n1612.07828"
)

TEXTURED = """
Photographs get random texture with the covariance, between pixels and colours, of what one of the training
photographs, drawn by lot, has more of than renderings have, and a strength that comes and goes as theirs does; no
photograph's own texture is kept.
"""

TRACED = """
Labels are traced in the finished photographs, by a segmenter (U-Net, arXiv 1505.04597) that has learned from the
training pairs alone: a photograph does not show all of its map. Along the edge of the field of
view they stay as drawn. The map given to an order stays its label.
"""


def write_card(
    path: Path,
    facts: Mapping[str, Any],
    sampling: SamplingConfig,
    drawn: int,
    side: int,
    *,
    refined: bool,
    textured: bool,
) -> None:
    """Write the card of a package's facts (see :func:`models.package.write_package`).

    ``sampling`` says how its pairs are drawn: at ``drawn`` pixels a side, maps ``refined`` or not, enlarged
    to ``side``; photographs ``textured`` or not.
    """
    data, metrics, training = facts["training_data"], facts["metrics"], facts["training"]
    rows = [
        f"| {name} | {_of(metrics['maps_generated'][key])} | {_of(metrics['maps_real'][key])} |"
        for key, name in MEASURES.items()
    ]
    variety = metrics["nearest_generated_map_overlap"]["generated_among_themselves"]
    nearest, contrast = metrics["nearest_training_map_overlap"], metrics["vessel_contrast"]
    budget = "; ".join(
        f"stage {stage}: {spent['images']:,} images in {spent['minutes']} minutes"
        + (f", started from {spent['from']['model']}" if spent["from"] else "")
        for stage, spent in training.items()
    )
    path.write_text(
        f"""# {facts["name"]} {facts["version"]}

{facts["title"]}. Stage one draws a vessel map from noise (progressively growing GAN, arXiv
1710.10196{REFINED if refined else ""}), stage two renders
the photograph that shows it (pix2pixHD family, arXiv 1711.11585, with a style code); the method is that of
Andreini et al., arXiv 1907.12296.

## Learned from

{data["name"]}: {len(data["images"])} pairs, licence {data["licence"]}. {data["attribution"]}. {data["url"]}

Files: {", ".join(data["images"])}.

Training: {budget}.
{_enlarged(drawn, side)}
A drawn vessel that breaks off is joined to the next piece where that lies ahead of it, up to
{sampling.longest_bridge:g} pixels away. A map whose vessels enclose more than {sampling.most_loops} small
regions, the most that a training label has, is drawn again: vessels side by side had closed into nets.
{TEXTURED if textured else ""}{TRACED if sampling.tracing_threshold else ""}
## Measured

{metrics["pairs"]} pairs of the order with seed 0 beside the training labels at the same size; mean and
standard deviation.

| maps | generated | real |
|---|---|---|
{chr(10).join(rows)}

Nearest training map (F1 of vessel pixels within 2 pixels, at 256 px, mirror images counted; 1 would be a copy):
generated {_of(nearest["generated"])}, real maps among the other real ones
{_of(nearest["real_among_themselves"])}. Generated maps among the other generated ones: {_of(variety)}.
Where that is well above the real ones' figure, stage one repeats itself.

Contrast of the label's vessels to their rim in the green channel, grey levels of 255: {_of(contrast["on_label"])};
with the label shifted by {aside(side)} pixels {_of(contrast["label_shifted"])}. Vessels are darker than their
rim by more than 2 levels in {metrics["share_with_dark_vessels"]:.0%} of the pairs.
{_about(sampling.eye)}
## Use and limits

For training and testing vessel segmentation. Not for diagnosis, and not a stand-in for patients:
{len(data["images"])} photographs are what these networks have seen, so pathology, cameras and rare anatomy that
those do not show are missing. Whether a segmenter gains from these pairs must be tried on real ones.
"""
    )


def _about(eye: Eye | None) -> str:
    if eye is None:
        return ""
    other = "left" if eye == "right" else "right"
    return (
        f"\nMaps are drawn as {eye} eyes; half of them, or those an order asks for, are mirrored to "
        f"{other} ones.\n"
    )


def _enlarged(drawn: int, side: int) -> str:
    if drawn == side:
        return ""
    return (
        f"\nMaps and photographs are drawn at {drawn} px and enlarged to {side} px by networks that have "
        "learned from the real pairs what the smaller ones leave open: the edges of vessels and fine "
        "detail.\n"
    )


def _of(value: Mapping[str, float]) -> str:
    return f"{value['mean']:.3g} ± {value['deviation']:.2g}"
