import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from models.data.photographs import PhotographSet, read_labelled, read_unlabelled
from models.generator_package import load_generator_package, write_tiny_generator_package
from models.pair_generator import PairGenerator
from models.pairs import find_pairs


def draw_eye(i, pen, marker=None):
    """A lit disc with dark lines; the lines are the label too."""
    pen.ellipse((5, 3, 94, 92), fill=(200 - 10 * i, 90 + 5 * i, 40))
    for line in (((50, 15 + i), (50, 80)), ((20 + i, 48), (80, 30 + 4 * i))):
        pen.line(line, fill=(90, 30, 20), width=4)
        if marker:
            marker.line(line, fill=255, width=4)


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory):
    """Four photographs with vessel labels in pairs/, six without in photographs/, of which three have a disc and
    lesions beside them."""
    root = tmp_path_factory.mktemp("data")
    names = ("pairs/images", "pairs/labels", "other/photographs", "other/discs")
    for name in (*names, "other/lesions/haemorrhages", "other/lesions/hard_exudates"):
        (root / name).mkdir(parents=True)
    for i in range(10):
        photo, label = Image.new("RGB", (100, 96)), Image.new("L", (100, 96))
        pen, marker = ImageDraw.Draw(photo), ImageDraw.Draw(label)
        draw_eye(i, pen, marker)
        if i < 4:
            photo.save(root / "pairs/images" / f"eye_{i:02d}.png")
            label.save(root / "pairs/labels" / f"eye_{i:02d}_expert.png")
            continue
        disc, dark = Image.new("L", (100, 96)), Image.new("L", (100, 96))
        for canvas, place, colour in (
            (disc, (30, 40, 44, 54), (250, 220, 120)),
            (dark, (60, 60, 66, 66), (80, 10, 10)),
        ):
            pen.ellipse(place, fill=colour)
            ImageDraw.Draw(canvas).ellipse(place, fill=255)
        photo.save(root / "other/photographs" / f"A_{i:02d}.png")
        if i < 7:
            disc.save(root / "other/discs" / f"A_{i:02d}.png")
            dark.save(root / "other/lesions/haemorrhages" / f"A_{i:02d}.png")
        Image.new("L", (100, 96)).save(root / "other/lesions/hard_exudates" / f"B_{i:02d}.png")
    return root


@pytest.fixture(scope="session")
def labelled(data_folder):
    return read_labelled(find_pairs(data_folder / "pairs"), 64, "pairs")


@pytest.fixture(scope="session")
def unlabelled(data_folder):
    return read_unlabelled(data_folder / "other/photographs", 64, "other")


@pytest.fixture(scope="session")
def complete():
    """Twelve made-up photographs of 32 px whose maps are complete; half of them are traced."""
    dice = np.random.default_rng(0)
    size, count = 32, 12
    across = np.linspace(-1, 1, size)
    field = (across[None] ** 2 + across[:, None] ** 2 < 0.96).astype(np.uint8)
    fields = np.broadcast_to(field, (count, 1, size, size)).copy()
    maps = np.zeros((count, 4, size, size), np.uint8)
    maps[:, 0, 10:12], maps[:, 1, 8:14, 4:10] = 255, 255
    for i in range(count):
        y, x = dice.integers(12, 24, 2)
        maps[i, 2 + i % 2, y : y + 3, x : x + 3] = 255
    photographs = dice.integers(60, 200, (count, 3, size, size)).astype(np.uint8) * fields
    return PhotographSet(
        names=tuple(f"eye_{i:02d}.png" for i in range(count)),
        sources=("one",) * 6 + ("two",) * 6,
        photographs=torch.from_numpy(photographs),
        maps=torch.from_numpy(maps * fields),
        known=torch.ones(count, 4, dtype=torch.bool),
        fields=torch.from_numpy(fields),
        traced=torch.arange(count) >= 6,
    )


@pytest.fixture(scope="session")
def tiny_generator_folder(tmp_path_factory):
    return write_tiny_generator_package(tmp_path_factory.mktemp("packages") / "tiny")


@pytest.fixture(scope="session")
def generator(tiny_generator_folder):
    return PairGenerator(load_generator_package(tiny_generator_folder), "cpu")
