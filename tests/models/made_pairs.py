"""Made-up eyes: trees of lines on lit discs, each from its seed."""

import math
import random
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from models.data.field_of_view import FieldOfView
from models.evaluation.pair_arrays import PairArrays

SIZE = 128


def made_pairs(seeds, size=SIZE):
    pairs = [made_pair(seed, size) for seed in seeds]
    names = tuple(f"eye_{seed:03d}.png" for seed in seeds)
    return PairArrays(names, *(np.stack(part) for part in zip(*pairs, strict=True)))


def made_pair(seed, size=SIZE):
    dice = random.Random(seed)
    field = FieldOfView(0.5, 0.5, 0.46).draw(size)
    map_, photo = Image.new("L", (size, size)), Image.new("RGB", (size, size), (190, 110, 40))
    marker, pen = ImageDraw.Draw(map_), ImageDraw.Draw(photo)
    for _ in range(40):
        x, y = dice.uniform(0, size), dice.uniform(0, size)
        shade = dice.randrange(90, 130)
        pen.ellipse((x, y, x + size / 12, y + size / 12), fill=(190, shade, 40))

    def grow(x, y, angle, width, left):
        for _ in range(left):
            angle += dice.gauss(0, 0.25)
            to = x + size / 14 * math.cos(angle), y + size / 14 * math.sin(angle)
            marker.line((x, y, *to), fill=255, width=width)
            pen.line((x, y, *to), fill=(140, 70, 30), width=width)
            x, y = to
            if dice.random() < 0.3 and width > 1:
                grow(x, y, angle + dice.choice((-0.8, 0.8)), width - 1, left // 2)

    for _ in range(6):
        grow(size * dice.uniform(0.4, 0.6), size / 2, dice.uniform(0, 2 * math.pi), 3, 8)
    return np.array(photo) * field[..., None], (np.array(map_) > 0) & field, field


def moved(pairs, i, angle, mirrored, shift):
    """Pair ``i`` turned by degrees, mirrored and shifted by pixels, and made a little noisy."""
    planes = pairs.photos[i], pairs.labels[i] * np.uint8(255), pairs.fields[i] * np.uint8(255)
    result = []
    for plane in planes:
        picture = Image.fromarray(plane)
        if mirrored:
            picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        result.append(np.array(picture.rotate(angle, Image.Resampling.BILINEAR, translate=shift)))
    photo, label, field = result
    noise = np.random.default_rng(0).normal(0, 3, photo.shape)
    inside = field > 127
    noisy = (photo + noise).clip(0, 255).astype(np.uint8) * inside[..., None]
    return PairArrays(("moved",), noisy[None], (label > 127)[None] & inside, inside[None])


def joined(*sets):
    return PairArrays(
        tuple(name for pairs in sets for name in pairs.names),
        *(
            np.concatenate([getattr(pairs, part) for pairs in sets])
            for part in ("photos", "labels", "fields")
        ),
    )


def save_pairs(pairs, folder: Path) -> Path:
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    for name, photo, label in zip(pairs.names, pairs.photos, pairs.labels, strict=True):
        Image.fromarray(photo).save(folder / "images" / name)
        Image.fromarray(label * np.uint8(255)).save(folder / "labels" / name)
    return folder
