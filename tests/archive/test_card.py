"""The data set card and how Hugging Face datasets loads the unpacked archive."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from app.archive.contents import card, manifest_head
from app.storage import Storage
from tests.archive.loading import load
from tests.archive.orders import PACKAGE, make_archive, order, picture_of, png


@pytest.fixture
def unpacked(storage: Storage, tmp_path: Path) -> Path:
    archive = make_archive(storage, "job", count=5, shard_pairs=2)
    folder = tmp_path / "unpacked"
    with zipfile.ZipFile(io.BytesIO(storage.read(archive.key))) as opened:
        opened.extractall(folder)
    return folder


@pytest.mark.parametrize("by", ["imagefolder", "card"])
def test_load_dataset(unpacked: Path, by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = load(unpacked, by, monkeypatch, split="train")
    assert sorted(pairs.column_names) == [
        "image", "index", "label", "mask", "seed", "vessel_share",
    ]  # fmt: skip
    assert pairs.num_rows == 5
    for index, row in enumerate(pairs):
        for place, which in enumerate(("image", "label", "mask")):
            expected = Image.open(io.BytesIO(png(index, place)))
            assert row[which].mode == expected.mode
            np.testing.assert_array_equal(np.asarray(row[which]), np.asarray(expected))
        assert row["seed"] == 2**62 + index


def head_of(text: str) -> dict:
    _, head, _ = text.split("---\n", 2)
    return yaml.safe_load(head)


@pytest.mark.parametrize(
    ("count", "category"),
    [
        (1, "n<1K"),
        (999, "n<1K"),
        (1_000, "1K<n<10K"),
        (10_000, "10K<n<100K"),
        (100_000, "100K<n<1M"),
        (1_000_000, "1M<n<10M"),
    ],
)
def test_size_category(count: int, category: str) -> None:
    assert head_of(card(order(count), PACKAGE, count, ["train"]))["size_categories"] == [category]


def test_licence_and_attribution() -> None:
    text = card(order(3), PACKAGE, 3, ["train"])
    assert head_of(text)["license"] == "cc-by-4.0"
    assert PACKAGE["training_data"]["attribution"] in text
    assert "Not for diagnosis" in text


def test_each_data_set_is_named_with_its_licence() -> None:
    sets = [
        {"name": name, "licence": licence, "attribution": f"By {name}.", "url": f"https://{name}"}
        for name, licence in (("one", "CC-BY-4.0"), ("two", "CC0-1.0"))
    ]
    data = {
        **PACKAGE["training_data"],
        "data_sets": sets,
        "expert_labels": 20,
        "traced_labels": 531,
    }
    package = {**PACKAGE, "training_data": data}
    text = card(order(3), package, 3, ["train"])
    assert (
        "- one (https://one), licence CC-BY-4.0. By one.\n- two (https://two), licence CC0" in text
    )
    assert "20 by experts, 531 pseudo-labels" in text
    head = json.loads(manifest_head(order(3), package, "d" * 64, [], {"train": 3}) + b"}")
    assert head["package"]["data_sets"] == sets


def test_licence_that_the_hub_does_not_know() -> None:
    head = head_of(card(order(3), PACKAGE | {"licence": 'In-house: "research only"'}, 3, ["train"]))
    assert head["license"] == "other"
    assert head["license_name"] == 'In-house: "research only"'


@pytest.mark.parametrize("image_format", ["jpeg", "tiff"])
def test_other_formats_load_too(
    storage: Storage, image_format: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def picture(index: int, which: int) -> bytes:
        return picture_of(index, which, image_format)

    archive = make_archive(storage, "job", 3, 2, picture, image_format=image_format)
    with zipfile.ZipFile(io.BytesIO(storage.read(archive.key))) as opened:
        opened.extractall(tmp_path / "unpacked")
    pairs = load(tmp_path / "unpacked", "imagefolder", monkeypatch, split="train")
    assert pairs.num_rows == 3
    for which, place in (("image", 0), ("label", 1)):
        expected = np.asarray(Image.open(io.BytesIO(picture(2, place))))
        np.testing.assert_array_equal(np.asarray(pairs[2][which]), expected)
    names = {"jpeg": "JPEG (quality 95, 4:4:4)", "tiff": "TIFF (lossless)"}
    text = (tmp_path / "unpacked" / "README.md").read_text()
    assert f"the photographs, RGB, 8 bit, {names[image_format]}." in text
