"""An upload, training and an evaluation read the same drawn pairs alike: same verdict, words and arrays."""

import gzip

import numpy as np
import pytest

from models.data.field_of_view import fit_mask
from models.data.labels import LabelOptions
from models.data.photographs import read_labelled
from models.pairs import PairError, find_pairs, load_pairs, read_files
from tests.models.drawn_pairs import PAIRS, PHOTO, VESSELS
from tests.worker.checked import Check, embedded
from tests.zips import maps, pack, picture


@embedded
@pytest.mark.parametrize("case", PAIRS)
def test_all_readers_agree(check: Check, case: str, tmp_path) -> None:
    pair = PAIRS[case]
    found = check("pairs", pack(pair.files), **pair.options)
    for name, data in pair.files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    values = tuple(pair.options.get("vessel_values", ()))
    options = LabelOptions(values, pair.options.get("ignore_value"))
    if pair.code:
        fault = found.report.refused[0]
        assert fault.code == pair.code and pair.says in fault.detail
        with pytest.raises(PairError) as error:
            load_pairs(find_pairs(tmp_path), 48, options)
        assert str(error.value).endswith(fault.detail)
        return
    (used,) = found.report.used
    assert not found.refused
    assert [each.code for each in used.warnings] == [pair.warning] * bool(pair.warning)
    (files,) = find_pairs(tmp_path)
    read = read_files(files, options)
    np.testing.assert_array_equal(read.vessels, pair.vessels)
    np.testing.assert_array_equal(found.pixels(0, "image"), read.photograph)
    np.testing.assert_array_equal(found.pixels(0, "label"), 255 * read.vessels)
    np.testing.assert_array_equal(found.pixels(0, "mask"), 255 * read.field)
    loaded = load_pairs([files], 48, options)
    assert loaded.fields[0] == fit_mask(read.field)
    trained = read_labelled([files], 48, "drawn", options)
    assert trained.maps[0, 0].max() > 200


@embedded
def test_each_file_of_a_zip_is_named_once(check: Check) -> None:
    files = {
        "images/1.png": picture(PHOTO),
        "labels/1.png": picture(VESSELS),
        "labels/1_2nd.png": picture(VESSELS),
        "images/2.png": b"damaged",
        "labels/2.png": picture(VESSELS),
        "masks/2.png": picture(VESSELS),
        "images/3.png": picture(PHOTO[::-1].copy()),
        "labels/4.png": picture(VESSELS),
        "other/5.png": picture(PHOTO),
        "images/6.png": picture(PHOTO),
        "labels/6_a.png": picture(VESSELS),
        "labels/6_b.png": picture(VESSELS),
        "masks/6.png": picture(VESSELS),
        "notes.txt": b"x",
        "inner.zip": b"x",
        "__MACOSX/._1.png": b"x",
    }
    for wanted in ({}, {"unlabelled": True}):
        report = check("pairs", pack(files), **wanted).report
        told = [
            name for each in report.used for name in (each.image, each.label, each.mask) if name
        ]
        told += [each.image for each in report.unlabelled]
        told += [name for each in report.refused for name in (each.file, *each.partners)]
        told += [each.file for each in report.ignored]
        assert sorted(told) == sorted(files)


@embedded
def test_photographs_without_labels_are_taken_if_they_are_wanted(check: Check) -> None:
    files = {
        "images/1.png": picture(PHOTO),
        "labels/1.png": picture(VESSELS),
        "photographs/a.png": picture(PHOTO[::-1].copy()),
        "images/b.png": picture(PHOTO[:, ::-1].copy()),
    }
    refused = check("pairs", pack(files))
    assert [file for file, _ in refused.refused] == ["images/b.png", "photographs/a.png"]
    found = check("pairs", pack(files), unlabelled=True)
    assert (found.job.count, found.refused) == (1, [])
    assert [each.image for each in found.report.unlabelled] == ["images/b.png", "photographs/a.png"]
    assert [each.number for each in found.report.unlabelled] == [1, 2]
    np.testing.assert_array_equal(found.pixels(2, "image"), PHOTO[::-1])
    assert found.pixels(2, "mask").any()


@embedded
def test_a_map_compressed_by_gzip_is_read(check: Check) -> None:
    ppm = gzip.compress(picture(VESSELS, "PPM"))
    found = check("maps", pack(maps(1) | {"x.ppm.gz": ppm}))
    np.testing.assert_array_equal(found.pixels(1, "label"), 255 * VESSELS)
    assert found.report.used[1].conversions[0].done == "unpacked from gzip"


@embedded
def test_label_values_hold_for_maps_too(check: Check) -> None:
    two = np.where(VESSELS, 2, 0).astype(np.uint8)
    two[:10] = 1
    assert check("maps", pack({"x.png": picture(two)})).refused == [("x.png", "label_values")]
    found = check("maps", pack({"x.png": picture(two)}), vessel_values=[2])
    np.testing.assert_array_equal(found.pixels(0, "label"), 255 * VESSELS)
