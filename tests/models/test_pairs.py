"""Reading real pairs: partners, padding, the field of view, and faults named by file."""

import shutil
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from models.field_of_view import FieldOfView, find_field_of_view
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
    assert load_pairs(find_pairs(folder), 50).fields[3].radius == pytest.approx(0.2)


def test_a_missing_label_is_named(folder):
    (folder / "labels" / "eye_03_expert.png").unlink()
    with pytest.raises(PairError, match=r"eye_03\.png: no label"):
        find_pairs(folder)


def test_a_missing_folder_is_named(folder):
    shutil.rmtree(folder / "labels")
    with pytest.raises(PairError, match="images/ and labels/"):
        find_pairs(folder)


def test_a_truncated_file_is_named(folder):
    path = folder / "images" / "eye_01.png"
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(PairError, match=r"eye_01\.png: not a readable picture"):
        load_pairs(find_pairs(folder), 50)


def test_a_label_of_another_size_is_named(folder):
    Image.new("L", (96, 100)).save(folder / "labels" / "eye_02_expert.png")
    with pytest.raises(PairError, match=r"eye_02_expert\.png: 96 x 100 pixels.*100 x 96"):
        load_pairs(find_pairs(folder), 50)


def test_an_empty_label_is_named(folder):
    Image.new("L", (100, 96)).save(folder / "labels" / "eye_02_expert.png")
    with pytest.raises(PairError, match=r"eye_02_expert\.png: one value only"):
        load_pairs(find_pairs(folder), 50)


def test_the_field_found_is_the_one_drawn():
    field = FieldOfView(0.48, 0.52, 0.4)
    photo = np.repeat(field.draw(400)[:, :, None] * np.uint8(180), 3, axis=2)
    photo[:60, :60] = 0
    found = find_field_of_view(photo)
    assert abs(found.x - field.x) < 0.01
    assert abs(found.y - field.y) < 0.01
    assert abs(found.radius - field.radius) < 0.01


@pytest.mark.parametrize("size", [100, 401])
def test_a_circle_that_the_frame_cuts_is_found_and_drawn(size):
    field = FieldOfView(0.48, 0.5, 0.46, 1 / 3)
    drawn = field.draw(size)
    rows = np.flatnonzero(drawn.any(axis=1))
    assert rows[0] == pytest.approx(size / 6, abs=1) and len(rows) == pytest.approx(
        size * 2 / 3, abs=1
    )
    assert drawn[rows].sum(axis=1).min() > size / 2  # wide to its ends
    photo = np.repeat(drawn[:, :, None] * np.uint8(180), 3, axis=2)
    found = find_field_of_view(photo)
    assert found.half_height == pytest.approx(1 / 3, abs=1 / size)
    assert found.radius == pytest.approx(0.46, abs=0.01)
    assert (found.draw(size) == drawn).mean() > 0.98


@pytest.mark.parametrize("darkest", [0.2, 0.3])
def test_a_circle_in_shadow_is_not_taken_for_a_cut_one(darkest):
    lit = FieldOfView(0.5, 0.5, 0.46).draw(400)
    lit[: int(darkest * 400)] = False  # a straight shadow above: as wide as a cut, at one end only
    one_end = np.repeat(lit[:, :, None] * np.uint8(180), 3, axis=2)
    # A pupil's shadow above and below: the lit part is the lens where two circles meet.
    lens = FieldOfView(0.5, 0.4, 0.5).draw(400) & FieldOfView(0.5, 0.6, 0.5).draw(400)
    both_ends = np.repeat(lens[:, :, None] * np.uint8(180), 3, axis=2)
    for photo in (one_end, both_ends):
        found = find_field_of_view(photo)
        assert found.half_height == 1 and found.radius == pytest.approx(0.46, abs=0.04)


def test_a_black_photograph_has_no_field(black_photo):
    with pytest.raises(ValueError, match="photograph is black"):
        find_field_of_view(black_photo)
