"""Uploads from zip to pictures: data sets as they are given out, and pairs whose parts do not fit."""

import json
from pathlib import Path

import numpy as np
import pytest

from app.storage import Storage
from app.uploads.pictures import read_record
from tests.worker.checked import Check, embedded
from tests.zips import SIDE, disc, maps, pack, pairs, photograph, picture, vessels


def test_good_pairs_are_kept_as_they_are(check: Check, storage: Storage) -> None:
    files = pairs(3) | {"masks/1.png": picture(disc())}
    found = check("pairs", pack(files))
    assert (found.job.status, found.job.count, found.refused) == ("succeeded", 3, [])
    for number in range(3):
        np.testing.assert_array_equal(found.pixels(number, "image"), photograph(number))
        np.testing.assert_array_equal(found.pixels(number, "label"), 255 * vessels(number))
    np.testing.assert_array_equal(found.pixels(1, "mask"), 255 * disc())
    record = read_record(storage, found.job.id, 1)
    assert (record.number, record.file, record.width) == (1, "images/1.png", SIDE)
    assert record.vessel_share == pytest.approx(vessels(1)[disc()].mean())
    assert found.report.used[1].conversions == []


def test_maps_have_a_field_only_where_a_mask_gives_one(check: Check, storage: Storage) -> None:
    found = check("maps", pack(maps(2) | {"masks/1_mask.png": picture(disc())}))
    assert found.job.count == 2
    bare, masked = (read_record(storage, found.job.id, number) for number in range(2))
    assert (bare.image, bare.mask, masked.image) == (None, None, None)
    assert bare.vessel_share == pytest.approx(vessels(0).mean())
    assert masked.vessel_share == pytest.approx(vessels(1)[disc()].mean())
    np.testing.assert_array_equal(found.pixels(1, "mask"), 255 * disc())


def given_out() -> dict[str, dict[str, bytes]]:
    """A pair in the files and formats of each data set."""
    photo, label, mask = photograph(), picture(vessels(), "GIF"), picture(disc(), "GIF")
    return {
        "DRIVE": {
            "DRIVE/training/images/21_training.tif": picture(photo, "TIFF"),
            "DRIVE/training/1st_manual/21_manual1.gif": label,
            "DRIVE/training/mask/21_training_mask.gif": mask,
        },
        "HRF": {
            "images/01_dr.JPG": picture(photo, "JPEG"),
            "manual1/01_dr.tif": picture(vessels(), "TIFF"),
            "mask/01_dr_mask.tif": picture(np.dstack([255 * disc().astype(np.uint8)] * 3), "TIFF"),
        },
        "CHASE_DB1": {
            "Image_01L.jpg": picture(photo, "JPEG"),
            "Image_01L_1stHO.png": picture(vessels()),
            "Image_01L_2ndHO.png": picture(vessels(3)),
        },
        "STARE": {
            "im0001.ppm": picture(photo, "PPM"),
            "im0001.ah.ppm": picture(vessels(), "PPM"),
            "im0001.vk.ppm": picture(vessels(3), "PPM"),
        },
    }


@embedded
@pytest.mark.parametrize("data_set", given_out())
def test_data_sets_are_taken_as_they_are_given_out(check: Check, data_set: str) -> None:
    found = check("pairs", pack(given_out()[data_set]))
    assert (found.job.count, found.refused) == (1, [])
    np.testing.assert_array_equal(found.pixels(0, "label"), 255 * vessels())
    lossy = np.abs(found.pixels(0, "image").astype(int) - photograph())
    assert lossy.mean() < 8


@embedded
def test_litter_and_notes_are_ignored_and_told(check: Check) -> None:
    litter = {
        "__MACOSX/._0.png": b"x",
        ".DS_Store": b"x",
        "a/.hidden.png": b"x",
        "README.md": b"# Hello",
        "a/notes.csv": b"1,2",
    }
    found = check("maps", pack(litter | maps(1)))
    assert (found.job.count, found.refused) == (1, [])
    assert {each.file for each in found.report.ignored} == set(litter)


BLACK = np.zeros((SIDE, SIDE, 3), np.uint8)
SMALL = picture(vessels()[:, :60])
IN_PAIRS = {
    "label of another size": ({"labels/1.png": SMALL}, "labels/1.png", "size_mismatch"),
    "mask of another size": ({"masks/1.png": SMALL}, "masks/1.png", "size_mismatch"),
    "mask of nothing": ({"masks/1.png": picture(BLACK)}, "masks/1.png", "empty"),
    "photograph cut off": (
        {"images/1.png": pairs()["images/1.png"][:99]},
        "images/1.png",
        "damaged_picture",
    ),
    "black photograph": ({"images/1.png": picture(BLACK)}, "images/1.png", "no_field_of_view"),
    "same photograph": ({"images/1.png": picture(photograph(0))}, "images/1.png", "duplicate"),
    "same label": ({"labels/1.png": picture(vessels(0))}, "labels/1.png", "duplicate"),
}


@embedded
@pytest.mark.parametrize("case", IN_PAIRS)
def test_a_pair_at_fault_is_named_and_the_others_are_used(check: Check, case: str) -> None:
    changes, file, code = IN_PAIRS[case]
    found = check("pairs", pack(pairs(3) | changes))
    assert found.refused == [(file, code)]
    assert [each.image for each in found.report.used] == ["images/0.png", "images/2.png"]


@embedded
def test_both_sizes_are_told(check: Check) -> None:
    found = check("pairs", pack(pairs(2) | {"labels/1.png": SMALL}))
    (fault,) = found.report.refused
    assert fault.detail == "60 x 64 pixels, its photograph has 64 x 64"


@embedded
def test_missing_partners_are_named(check: Check) -> None:
    files = pairs(3)
    del files["labels/1.png"], files["images/2.png"]
    found = check("pairs", pack(files))
    assert found.refused == [
        ("images/1.png", "missing_partner"),
        ("labels/2.png", "missing_partner"),
    ]
    assert found.job.count == 1


@embedded
def test_a_check_can_be_repeated_to_the_byte(check: Check, storage: Storage) -> None:
    data = pack(pairs(2))
    one, other = (check("pairs", data).job for _ in range(2))
    assert one.index_sha256 == other.index_sha256
    for name in ("pictures.segment", "pictures.index"):
        assert storage.read(f"jobs/{one.id}/{name}") == storage.read(f"jobs/{other.id}/{name}")


DATA = Path(__file__).parents[3] / "shared" / "data"


@embedded
@pytest.mark.skipif(not DATA.is_dir(), reason="the real pairs are not here")
@pytest.mark.parametrize(
    ("folder", "first", "masked"), [("CHASE_DB1", "Image_01", False), ("HRF", "01_h", True)]
)
def test_real_pairs(check: Check, folder: str, first: str, masked: bool) -> None:
    files = {
        f"{folder}/{path.relative_to(DATA / folder).as_posix()}": path.read_bytes()
        for path in (DATA / folder).rglob(f"{first}*")
    }
    found = check("pairs", pack(files))
    assert found.refused == []
    assert found.job.count == len(files) / (3 if masked else 2)
    for each in found.report.used:
        assert 0.05 < each.vessel_share < 0.15, json.dumps(each.model_dump())
