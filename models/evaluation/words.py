"""What each figure of a report means, in plain words."""

from __future__ import annotations

# Title and explanation of each measure of models/evaluation/vessel_trees.py.
MAPS = {
    "vessel_share": ("Vessel share", "Vessel pixels per pixel of the field of view."),
    "pieces": ("Pieces", "Vessels that hang together count as one. Many pieces: broken trees."),
    "largest_piece_share": ("Largest piece", "Share of the vessel pixels in the largest piece."),
    "calibre": ("Calibre", "Mean width of the vessels, in pixels."),
    "branch_points": ("Branch points", "Where centre lines part or cross."),
    "end_points": ("End points", "Where centre lines end. Gaps in a vessel make two more."),
    "small_loops": ("Small loops", "Regions that vessels enclose. Many: vessels close into nets."),
    "tortuosity": ("Tortuosity", "Length of a vessel over the straight way. 1 is straight."),
    "thin": ("Thin vessels", "Fraction of centre lines where a vessel is at most a pixel wide."),
    "fractal_dimension": ("Fractal dimension", "How a tree fills the plane, by counting boxes."),
}

# The same of models/evaluation/photo_measures.py.
PHOTOGRAPHS = {
    "red": ("Red", "Mean grey level in the field of view, of 255."),
    "green": ("Green", "Mean grey level in the field of view, of 255."),
    "blue": ("Blue", "Mean grey level in the field of view, of 255."),
    "red_spread": ("Red, spread", "Deviation within a photograph: lighting, disc, vessels."),
    "green_spread": ("Green, spread", "Deviation within a photograph: lighting, disc, vessels."),
    "blue_spread": ("Blue, spread", "Deviation within a photograph: lighting, disc, vessels."),
    "saturation": ("Saturation", "How far colours are from grey, 0 to 1."),
    "local_contrast": ("Local contrast", "Deviation of green within a window of 3 % of the side."),
    "sharpness": ("Sharpness", "Mean step of green from one pixel to the next."),
    "fine_detail": ("Fine detail", "Deviation above a quarter of a cycle a pixel, grey levels."),
    "spectrum_slope": ("Spectrum slope", "How detail fades towards the finest. Lower is smoother."),
    "vessel_contrast": (
        "Contrast on the label",
        "Grey levels by which the vessels of the label are darker than their rim.",
    ),
    "shifted_contrast": (
        "Contrast of a shifted label",
        "The same after the label was moved aside: what chance would give.",
    ),
}

ARMS = {
    "real": "real pairs alone",
    "augmented": "control: real pairs, strongly augmented",
    "synthetic": "generated pairs alone",
    "fine-tuned": "generated pairs, then real ones",
    "mixed": "generated and real pairs, half of each batch",
    "mixed-augmented": "generated and real pairs, strongly augmented",
    "rendered": "control: real labels photographed by stage two",
}

NETWORKS = {"Segmenter": "a U-Net", "ScaleAttention": "attention between two scales"}

FOUND_AGAIN = {
    "synthetic": "generated pairs",
    "rendered": "real labels photographed by stage two",
    "held out": "real pairs held out",
}

FOUND = """\
Does a photograph show its label? Segmenters that have learned from real pairs alone were asked about generated
photographs. Where they find far less of the label than in real ones, the photograph does not show it; where
they find far more, generated photographs are too easy."""

USEFUL = """\
The same segmentation network ({network}) was trained from scratch on each of these, with as many steps, and
tested on real pairs that were held out. F1 weighs vessels found against false alarms; AUC does so for all
thresholds; clDice asks whether centre lines are found and hang together. The threshold was chosen on
training pairs. Figures are of the pixels in the field of view, mean and deviation over seeds; a difference
smaller than that deviation may be chance."""

REAL = """\
Bars are generated pairs, the line real ones. The distance between them (Wasserstein-1, in deviations of the
real values) stands beside that of two random halves of the real pairs, as far as it goes in 95 of 100
draws. A larger distance than that is beyond chance: the generated pairs differ. One measure in ten may do
so by accident."""

KID = """\
Kernel inception distance: how far two sets of photographs lie apart in the eyes of a fixed network. About 0
where both come from one source. The rows without generated photographs say what to expect of real ones."""

NEAREST = """\
Each generated picture was laid on every real one, turned, mirrored and shifted as it fits best. A point is
one picture: across, how near the nearest training picture comes, up, the nearest one held out; 1 is the
same picture. Where there are more training pictures than held-out ones, points lie a little below the
slanted line by that alone. A model that keeps its training pictures has points far below it, and copies
right of the upright line."""

NEARER = """\
Share of generated pictures that are nearer to a training picture than to a held-out one, with as many of
each. Beside it the same share for real pictures, each left out in turn, and the shares when the real
pictures are dealt out to the two sides at random (the middle 90 of 100). A model that draws from memory
lies above both."""

SHEETS = {
    "nearest-maps.png": "The six generated maps that come nearest to a training map. Left to right: generated, the "
    "training map laid on it, both (white: the same; red: generated only; blue: training only).",
    "nearest-photographs.png": "The six generated photographs that come nearest to a training photograph. Left to "
    "right: generated, the training photograph laid on it, half of each.",
}
FIT_SHEET = """\
{arm}: held-out pairs, a row each: photograph, label, what the segmenter found (white hits, red false alarms, blue
misses)."""
