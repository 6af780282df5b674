import numpy as np
import pytest
from PIL import Image, ImageDraw

from models.package import write_tiny_package
from models.pairs import find_pairs, load_pairs


@pytest.fixture(scope="session")
def pair_folder(tmp_path_factory):
    """Six drawn pairs of 100 x 96 pixels: a lit disc, a cross of dark vessels, the cross as label."""
    root = tmp_path_factory.mktemp("pairs")
    (root / "images").mkdir(), (root / "labels").mkdir()
    for i in range(6):
        photo, label = Image.new("RGB", (100, 96)), Image.new("L", (100, 96))
        pen, marker = ImageDraw.Draw(photo), ImageDraw.Draw(label)
        pen.ellipse((5, 3, 94, 92), fill=(200 - 10 * i, 90 + 5 * i, 40))
        for line in (((50, 15 + i), (50, 80)), ((20 + i, 48), (80, 30 + 4 * i))):
            pen.line(line, fill=(90, 30, 20), width=4)
            marker.line(line, fill=255, width=4)
        photo.save(root / "images" / f"eye_{i:02d}.png")
        label.save(root / "labels" / f"eye_{i:02d}_expert.png")
    return root


@pytest.fixture(scope="session")
def pairs(pair_folder):
    return load_pairs(find_pairs(pair_folder), 64)


@pytest.fixture(scope="session")
def large_pairs(pair_folder):
    return load_pairs(find_pairs(pair_folder), 256)


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory):
    """A package of untrained networks, 64 px, 8 feature maps at each size; to read only."""
    return write_tiny_package(tmp_path_factory.mktemp("packages") / "tiny-64")


@pytest.fixture(scope="session")
def traced_folder(tmp_path_factory):
    """Another, whose labels are traced in the photographs."""
    return write_tiny_package(tmp_path_factory.mktemp("packages") / "traced-64", traced=True)


@pytest.fixture
def black_photo():
    return np.zeros((50, 50, 3), np.uint8)
