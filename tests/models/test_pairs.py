"""Reading real pairs: partners, padding, the field of view, and faults named by file."""

import shutil
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from models.pairs import PairError, find_pairs, load_pairs


@pytest.fixture
def folder(pair_folder, tmp_path):
    return shutil.copytree(pair_folder, tmp_path / "pairs")


def test_pairs_are_padded_to_a_square_and_resampled_by_area(pair_folder):
    pairs = load_pairs(find_pairs(pair_folder), 50)
    assert pairs.photos.shape == (6, 3, 50, 50) and pairs.vessels.shape == (6, 1, 50, 50)
    assert pairs.names[0] == "eye_00.png"
    assert pairs.vessels.unique().numel() > 2  # shares of a pixel, not just vessel or not
    assert pairs.photos[:, :, 0].max() == 0  # two rows of padding, then the black above the disc
    field = pairs.fields[0]
    assert abs(field.radius - 0.45) < 0.01 and abs(field.x - 0.5) < 0.01


def test_pairs_are_not_held_twice_while_they_are_read(pair_folder):
    files = find_pairs(pair_folder)
    tracemalloc.start()
    try:
        pairs = load_pairs(files, 1024)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1.6 * (pairs.photos.nbytes + pairs.vessels.nbytes)


def test_the_first_pairs_in_name_order_can_be_asked_for(pair_folder):
    assert [f.photo.name for f in find_pairs(pair_folder, 2)] == ["eye_00.png", "eye_01.png"]
    with pytest.raises(PairError, match="6 photographs found, 9 wanted"):
        find_pairs(pair_folder, 9)


def test_drive_names_find_their_partners(folder):
    (folder / "labels").rename(folder / "1st_manual")
    for old in sorted((folder / "images").iterdir()):
        number = int(old.stem[-2:]) + 21
        old.rename(folder / "images" / f"{number}_training.png")
        label = folder / "1st_manual" / f"{old.stem}_expert.png"
        label.rename(folder / "1st_manual" / f"{number}_manual1.png")
    found = find_pairs(folder)
    assert next((p.photo.name, p.label.name) for p in found) == (
        "21_training.png",
        "21_manual1.png",
    )


def test_a_mask_file_decides_the_field_of_view(folder):
    (folder / "masks").mkdir()
    mask = np.zeros((96, 100), np.uint8)
    mask[28:68, 30:70] = 255
    for i in range(6):
        Image.fromarray(mask).save(folder / "masks" / f"eye_{i:02d}_mask.png")
    drawn = load_pairs(find_pairs(folder), 50).fields[3].draw(50)
    assert drawn[15:35, 15:35].all() and drawn.sum() == 400


def test_a_missing_label_is_named(folder):
    (folder / "labels" / "eye_03_expert.png").unlink()
    with pytest.raises(PairError, match=r"eye_03\.png: a photograph, but no label"):
        find_pairs(folder)


def test_a_missing_folder_is_named(folder):
    shutil.rmtree(folder / "labels")
    with pytest.raises(PairError, match="images/ and labels/"):
        find_pairs(folder)


def test_a_truncated_file_is_named(folder):
    path = folder / "images" / "eye_01.png"
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(PairError, match=r"eye_01\.png: cannot be decoded"):
        load_pairs(find_pairs(folder), 50)


def test_a_label_of_another_size_is_named(folder):
    Image.new("L", (96, 100)).save(folder / "labels" / "eye_02_expert.png")
    with pytest.raises(PairError, match=r"eye_02_expert\.png: 96 x 100 pixels.*100 x 96"):
        load_pairs(find_pairs(folder), 50)


def test_an_empty_label_is_named(folder):
    Image.new("L", (100, 96)).save(folder / "labels" / "eye_02_expert.png")
    with pytest.raises(PairError, match=r"eye_02_expert\.png: one value only"):
        load_pairs(find_pairs(folder), 50)
