"""Photographs drawn with a field of view that is known: dim, in shadow, cut, noisy, dated, with a lit surround."""

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from models.data.field_of_view import FieldOfView

KINDS = (
    "plain",
    "dim",
    "below 40",
    "shadow",
    "dark rim",
    "noise",
    "date",
    "grey surround",
    "halo",
)
CUTS = ("whole", "above and below", "at one side", "nothing but field", "within the frame")


def drawn_photograph(number):
    """Photograph uint8 [H, W, 3], its true field bool [H, W], and what it is."""
    rng = np.random.default_rng([31, number])
    cut = rng.choice(CUTS, p=[0.4, 0.2, 0.15, 0.1, 0.15])
    kinds = {str(kind) for kind in rng.choice(KINDS, rng.integers(1, 4), replace=False)}
    if cut == "nothing but field":
        kinds -= {"grey surround", "date", "halo"}
    short = int(rng.integers(260, 420))
    height, width = short, int(short * rng.choice([1.0, 1.1, 1.33, 1.5]))
    if rng.random() < 0.15:
        height, width = width, height
    inside = _field(rng, cut, height, width)
    light = _light(rng, kinds, inside, height, width)
    retina = _retina(rng, height, width) * light[..., None]
    surround = np.zeros(3)
    if "grey surround" in kinds:
        surround[:] = rng.uniform(50, 120)
    soft = ndimage.gaussian_filter(inside.astype(float), rng.uniform(0.5, 1.2), mode="nearest")
    photo = retina * soft[..., None] + surround * (1 - soft[..., None])
    if "halo" in kinds:
        glow = ndimage.gaussian_filter(inside * light, short / 20)
        photo += (rng.uniform(8, 20) * glow)[..., None]
    noise = rng.uniform(2, 7) if "noise" in kinds else rng.uniform(0, 1.5)
    photo = np.abs(photo + rng.normal(0, noise, photo.shape))
    picture = Image.fromarray(photo.clip(0, 255).astype(np.uint8))
    if "date" in kinds:
        place = (4, 3) if rng.random() < 0.5 else (width - 66, height - 14)
        ImageDraw.Draw(picture).text(place, "2014-05-17", fill=(230, 230, 230))
    return np.asarray(picture), inside, f"{cut}: {', '.join(sorted(kinds))}"


def _field(rng, cut, height, width):
    side, short = max(height, width), min(height, width)
    x, y = (
        0.5 + rng.uniform(-0.02, 0.02) * (width - short * 0.9) / short,
        0.5 + rng.uniform(-0.01, 0.01),
    )
    radius = rng.uniform(0.4, 0.48) * short / side
    ends = {}
    if cut == "above and below":
        radius = rng.uniform(1.05, 1.25) * height / 2 / side
    elif cut == "at one side":
        shift = rng.uniform(0.3, 0.75) * radius
        if rng.random() < 0.5:
            x = (side - width) / 2 / side + shift
        else:
            y = (side - height) / 2 / side + shift
    elif cut == "nothing but field":
        radius = 2.0
    elif cut == "within the frame":
        depth = rng.uniform(0.55, 0.9) * radius
        ends = {"top": y - depth, "bottom": y + depth}
        if rng.random() < 0.4:
            ends.popitem()
    return FieldOfView(x, y, radius, **ends).draw_in(height, width)


def _light(rng, kinds, inside, height, width):
    rows, columns = np.indices((height, width)) / max(height, width)
    y, x = ndimage.center_of_mass(inside)
    y, x = y / max(height, width), x / max(height, width)
    reach = np.sqrt(inside.sum() / np.pi) / max(height, width)
    light = np.full((height, width), rng.uniform(0.6, 1.0))
    if "dim" in kinds:
        light *= rng.uniform(0.25, 0.4)
    if "below 40" in kinds:
        light[:] = rng.uniform(0.1, 0.16)
    if "shadow" in kinds:
        angle = rng.uniform(0, 2 * np.pi)
        along = ((columns - x) * np.cos(angle) + (rows - y) * np.sin(angle)) / reach
        light *= 1 - rng.uniform(0.7, 0.95) / (1 + np.exp(-(along - rng.uniform(0.1, 0.4)) * 8))
    if "dark rim" in kinds:
        away = np.hypot(columns - x, rows - y) / reach
        light *= np.exp(-rng.uniform(0.8, 1.8) * away**2)
    return light


def _retina(rng, height, width):
    """Orange with texture and dark lines."""
    retina = np.ones((height, width, 3)) * rng.uniform((180, 80, 30), (240, 130, 70))
    texture = ndimage.gaussian_filter(rng.normal(0, 1, (height, width)), 6)
    retina *= 1 + 0.1 * (texture / texture.std())[..., None]
    lines = Image.new("L", (width, height))
    pen = ImageDraw.Draw(lines)
    for _ in range(8):
        points = [tuple(point) for point in rng.uniform(0, (width, height), (4, 2))]
        pen.line(points, fill=255, width=int(rng.integers(1, 5)))
    return retina * np.where(np.asarray(lines) > 0, 0.55, 1.0)[..., None]
