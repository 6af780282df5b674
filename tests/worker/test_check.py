"""Uploads of every kind that hurts, each through the real check: refused by name, or put right."""

import io
import json
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.database import Database
from app.jobs.orders import create_upload, new_upload_id
from app.jobs.tables import Job
from app.settings import Settings
from app.storage import Storage
from app.uploads.pictures import Which, read_picture, read_record, report_key, zip_key
from app.uploads.schemas import Report
from tests.zips import SIDE, Pixels, disc, maps, pack, pairs, photograph, picture, vessels
from worker.check.archive import LARGEST_DIRECTORY, MOST_FILES, RATIO_FROM
from worker.item import Worker

# Every fault has a test; that databases and storages of both kinds carry uploads has one of its own.
embedded = pytest.mark.parametrize("parts", ["embedded"], indirect=True)


class Checked:
    """What became of an upload."""

    def __init__(self, db: Database, storage: Storage, upload_id: str) -> None:
        self._storage = storage
        with db.read() as session:
            self.job = session.get_one(Job, upload_id)
        self.report = Report.model_validate_json(storage.read(report_key(upload_id)))

    @property
    def refused(self) -> list[tuple[str, str]]:
        return [(each.file, each.code) for each in self.report.refused]

    def pixels(self, number: int, which: Which) -> Pixels:
        png = read_picture(self._storage, self.job.id, number, which)
        return np.asarray(Image.open(io.BytesIO(png), formats=["PNG"]))


Check = Callable[[str, bytes], Checked]


@pytest.fixture
def check(settings: Settings, db: Database, storage: Storage) -> Check:
    """Uploads a zip of ``maps`` or ``pairs`` and has a worker check it."""
    worker = Worker(settings, db, storage)

    def upload(kind: str, data: bytes) -> Checked:
        upload_id = new_upload_id()
        with storage.write(zip_key(upload_id)) as file:
            file.write(data)
        create_upload(db, upload_id, request={"kind": kind, "bytes": len(data)})
        assert worker.work()
        assert zip_key(upload_id) not in storage.list()
        return Checked(db, storage, upload_id)

    return upload


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


def named(name: str, mode: int = 0) -> tuple[zipfile.ZipInfo, bytes]:
    entry = zipfile.ZipInfo(name)
    entry.create_system, entry.external_attr = 3, mode << 16
    return entry, picture(vessels())


def entry_flags(data: bytes, flags: int) -> bytes:
    """The zip with these flags in the headers of its files."""
    changed = bytearray(data)
    for signature, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        start = -1
        while (start := data.find(signature, start + 1)) >= 0:
            struct.pack_into("<H", changed, start + place, flags)
    return bytes(changed)


def sharing(files: int) -> bytes:
    """A zip whose directory names the one file in it again and again."""
    data = pack({"000.png": picture(vessels())})
    directory = data.index(b"PK\1\2")
    end = data.index(b"PK\5\6")
    record = data[directory:end]
    records = b"".join(record.replace(b"000", b"%03d" % n) for n in range(files))
    counts = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, files, files, len(records), directory, 0)
    return data[:directory] + records + counts


GOOD = maps(1)
WHOLE = pack(maps(3))
REFUSED = {
    "zip slip": (pack([named("../../etc/cron.d/x.png")]), "unsafe_name", "../../etc/cron.d/x.png"),
    "zip slip within": (pack([named("a/../../x.png")]), "unsafe_name", "a/../../x.png"),
    "absolute name": (pack([named("/etc/x.png")]), "unsafe_name", "/etc/x.png"),
    "drive letter": (pack([named("C:/x.png")]), "unsafe_name", "C:/x.png"),
    "backslashes": (pack([named(r"..\x.png")]), "unsafe_name", "x.png"),
    "zero in the name": (
        pack(GOOD | {"a_b.png": b""}).replace(b"a_b", b"a\0b"),
        "unsafe_name",
        "a\\x00b.png",
    ),
    "symbolic link": (pack([named("x.png", stat.S_IFLNK | 0o777)]), "symbolic_link", "x.png"),
    "pipe": (pack([named("x.png", stat.S_IFIFO | 0o644)]), "special_file", "x.png"),
    "encrypted": (entry_flags(pack(GOOD), 1), "encrypted", "0.png"),
    "duplicate name": (pack([named("a.png"), named("./a.png")]), "duplicate_name", "a.png"),
    "bomb by ratio": (pack({"x.png": bytes(RATIO_FROM + 1)}), "zip_bomb", "x.png"),
    "bomb by shared bytes": (sharing(500), "zip_bomb", "share"),
    "bomb by number": (
        pack({f"{n}.png": b"" for n in range(MOST_FILES + 1)}),
        "too_many_files",
        str(MOST_FILES),
    ),
    "bomb by directory": (
        pack({f"{n}{'x' * 60_000}": b"" for n in range(LARGEST_DIRECTORY // 60_000 + 1)}),
        "directory_too_large",
        "directory",
    ),
    "file too large": (
        pack(GOOD).replace(
            struct.pack("<L", len(GOOD["0.png"])) + struct.pack("<2H", 5, 0),
            struct.pack("<L", 300 << 20) + struct.pack("<2H", 5, 0),
        ),
        "file_too_large",
        "0.png",
    ),
    "cut off": (WHOLE[: len(WHOLE) // 2], "zip_truncated", "cut off"),
    "cut off at the end": (WHOLE[:-10], "zip_truncated", "cut off"),
    "no zip": (b"\x1f\x8b tar", "not_a_zip", "not a zip"),
    "nothing sent": (b"", "not_a_zip", "not a zip"),
    "empty zip": (pack({}), "nothing_usable", "There are no maps"),
    "only a zip within": (pack({"all.zip": WHOLE}), "nothing_usable", "all.zip: an archive"),
    "no good picture": (pack({"a.png": b"x"}), "nothing_usable", "a.png: not a picture"),
}


@embedded
@pytest.mark.parametrize("case", REFUSED)
def test_an_upload_is_refused_as_a_whole(
    check: Check, storage: Storage, tmp_path: Path, case: str
) -> None:
    data, code, words = REFUSED[case]
    found = check("maps", data)
    assert (found.job.status, found.job.error["code"]) == ("failed", code)
    assert words in found.job.error["detail"]
    assert found.job.count == 0
    assert storage.list() == [report_key(found.job.id)]
    assert not list(tmp_path.rglob("x.png"))


def broken_crc(name: str) -> bytes:
    """Three maps, the bytes of one of them damaged within the zip."""
    data = bytearray(pack(maps(3)))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entry = archive.getinfo(name)
    data[entry.header_offset + 30 + len(name) + entry.compress_size // 2] ^= 0xFF
    return bytes(data)


def by_lzma(name: str) -> bytes:
    file = io.BytesIO(pack(GOOD))
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(name, picture(vessels(1)), zipfile.ZIP_LZMA)
    return file.getvalue()


def png_of_size(width: int, height: int) -> bytes:
    """A PNG that claims to be so large."""
    png = bytearray(picture(vessels()))
    struct.pack_into(">2L", png, 16, width, height)
    struct.pack_into(">L", png, 29, zlib.crc32(png[12:29]))
    return bytes(png)


def of_scans(scans: int) -> bytes:
    """A JPEG of so many scans, the last ones empty."""
    jpeg = picture(vessels(2), "JPEG")
    scan = jpeg.index(b"\xff\xda")
    return jpeg[:-2] + jpeg[scan : scan + 10] * (scans - 1) + jpeg[-2:]


def coloured() -> Pixels:
    pixels = np.zeros((SIDE, SIDE, 3), np.uint8)
    pixels[vessels()] = (255, 0, 0)
    return pixels


NOISE = np.random.default_rng(7).integers(0, 256, (SIDE, SIDE), np.uint8)
SURROUNDED = disc() & ~vessels(5)
BLACK = np.zeros((SIDE, SIDE, 3), np.uint8)
OTHER = maps(3)["2.png"]
FAULTS = {
    "cut off": ("x.png", OTHER[: len(OTHER) // 2], "damaged_picture"),
    "text": ("x.png", b"I am no picture", "not_a_picture"),
    "zip by another name": ("x.png", WHOLE, "not_a_picture"),
    "other format": ("x.png", picture(vessels(2), "BMP"), "not_a_picture"),
    "too many pixels": ("x.png", png_of_size(8192, 4097), "too_many_pixels"),
    "far too many pixels": ("x.png", png_of_size(100_000, 100_000), "too_many_pixels"),
    "too few pixels": ("x.png", picture(vessels()[:16]), "too_few_pixels"),
    "bomb by scans": ("x.jpg", of_scans(101), "jpeg_bomb"),
    "nested zip": ("x.zip", WHOLE, "nested_archive"),
    "nested tar": ("x.tar.gz", b"", "nested_archive"),
    "black": ("x.png", picture(np.zeros((SIDE, SIDE), bool)), "empty"),
    "white": ("x.png", picture(np.ones((SIDE, SIDE), bool)), "empty"),
    "in colour": ("x.png", picture(coloured()), "in_colour"),
    "photograph in colour": ("x.png", picture(photograph()), "in_colour"),
    "photograph in grey": ("x.png", picture(NOISE), "not_a_label"),
    "mask": ("x.png", picture(np.arange(SIDE) % 2 * np.ones((SIDE, 1)) > 0.5), "not_a_label"),
    "dark surround": ("x.png", picture(SURROUNDED), "dark_surround"),
    "floating point": ("x.tif", picture(vessels(2).astype(np.float32), "TIFF"), "float_picture"),
    "same picture": ("x.png", picture(vessels(1)), "duplicate"),
    "same picture, other format": ("x.tif", picture(vessels(1), "TIFF"), "duplicate"),
    "mask of no map": ("masks/x.png", picture(disc()), "missing_partner"),
}


@embedded
@pytest.mark.parametrize("case", FAULTS)
def test_a_map_at_fault_is_named_and_the_others_are_used(check: Check, case: str) -> None:
    name, data, code = FAULTS[case]
    found = check("maps", pack(maps(2) | {name: data}))
    assert found.refused == [(name, code)]
    assert found.report.refused[0].detail
    assert (found.job.status, found.job.count) == ("succeeded", 2)
    np.testing.assert_array_equal(found.pixels(1, "label"), 255 * vessels(1))


@embedded
@pytest.mark.parametrize(
    ("data", "file", "code"),
    [(broken_crc("1.png"), "1.png", "damaged"), (by_lzma("1.png"), "1.png", "compression")],
)
def test_a_file_that_cannot_be_unpacked_is_named(
    check: Check, data: bytes, file: str, code: str
) -> None:
    found = check("maps", data)
    assert found.refused == [(file, code)]
    assert found.job.count == len(zipfile.ZipFile(io.BytesIO(data)).namelist()) - 1


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


def turned(pixels: Pixels) -> bytes:
    """The picture as a camera held on its side stores it."""
    exif = Image.Exif()
    exif[0x0112] = 6  # the top is on the right: turn it clockwise
    return picture(np.rot90(pixels).copy(), exif=exif)


def rgb16(pixels: Pixels) -> bytes:
    """PPM with 16 bits a channel."""
    height, width, _ = pixels.shape
    values = pixels.astype(">u2") * 257
    return b"P6 %d %d 65535\n" % (width, height) + values.tobytes()


def of_mode(pixels: Pixels, mode: str, format: str = "PNG") -> bytes:
    return picture(Image.fromarray(pixels).convert(mode), format)


def transparent(pixels: Pixels) -> bytes:
    """White where the disc is not, but invisible there."""
    rgba = np.dstack([np.where(disc()[..., None], pixels, 255), 255 * disc()]).astype(np.uint8)
    return picture(rgba)


PHOTO = photograph()
GREY = np.asarray(Image.fromarray(PHOTO).convert("L"))
PHOTOS = {
    "EXIF rotation": ("png", turned(PHOTO), "EXIF rotation applied", PHOTO, 0),
    "16 bit RGB": ("ppm", rgb16(PHOTO), "16 bit a channel scaled to 8", PHOTO, 0),
    "16 bit grey": (
        "png",
        picture(GREY.astype(np.uint16) * 257),
        "16 bit, of which 16 are in use, scaled to 8",
        np.dstack([GREY] * 3),
        0,
    ),
    "12 of 16 bit": (
        "tif",
        picture((GREY * (4095 / 255)).round().astype(np.uint16), "TIFF"),
        "16 bit, of which 12 are in use, scaled to 8",
        np.dstack([GREY] * 3),
        0,
    ),
    "palette": (
        "gif",
        picture(Image.fromarray(PHOTO).quantize(8), "GIF"),
        "palette to RGB",
        PHOTO,
        0,
    ),
    "CMYK": ("jpg", of_mode(PHOTO, "CMYK", "JPEG"), "CMYK to RGB", PHOTO, 60),
    "grey": ("png", picture(GREY), "grey to RGB", np.dstack([GREY] * 3), 0),
    "alpha": ("png", transparent(PHOTO), "transparency composited on black", PHOTO, 0),
    "opaque alpha": ("png", of_mode(PHOTO, "RGBA"), "alpha channel dropped: opaque", PHOTO, 0),
}


@embedded
@pytest.mark.parametrize("case", PHOTOS)
def test_a_photograph_is_converted_and_that_is_told(check: Check, case: str) -> None:
    end, data, words, expected, error = PHOTOS[case]
    files = {f"images/a.{end}": data, "labels/a.png": picture(vessels())}
    found = check("pairs", pack(files | {"masks/a.png": picture(disc())}))
    assert found.refused == []
    told = [each.done for each in found.report.used[0].conversions]
    assert any(words in each for each in told), told
    image = found.pixels(0, "image")
    assert image.shape == expected.shape
    assert np.abs(image.astype(int) - expected).max() <= error


def soft(pixels: Pixels) -> Pixels:
    """The map with edges as drawing programs make them: larger, then made smaller again."""
    large = Image.fromarray(pixels.astype(np.uint8) * 255).resize((256, 256))
    return np.asarray(large.resize((SIDE, SIDE), Image.Resampling.BILINEAR))


VESSELS = vessels()
LABELS = {
    "0 and 1": (picture(VESSELS.astype(np.uint8)), "values 0 and 1 to 0 and 255"),
    "any two values": (picture(np.where(VESSELS, 90, 7).astype(np.uint8)), "values 7 and 90"),
    "soft edges": (picture(soft(VESSELS)), "cut at half"),
    "inverted": (picture(~VESSELS), "inverted"),
    "inverted 0 and 1": (picture((~VESSELS).astype(np.uint8)), "inverted"),
    "palette": (of_mode(255 * VESSELS.astype(np.uint8), "P"), "palette to grey"),
    "RGB": (picture(np.dstack([255 * VESSELS.astype(np.uint8)] * 3)), "RGB to grey"),
    "JPEG": (picture(VESSELS, "JPEG", quality=90), "cut at half"),
    "16 bit": (picture(VESSELS.astype(np.uint16) * 65535), "16 bit"),
    "16 bit 0 and 1": (picture(VESSELS.astype(np.uint16)), "values 0 and 1"),
    "EXIF rotation": (turned(VESSELS), "EXIF rotation applied"),
    "alpha": (
        picture(np.dstack([255 * VESSELS.astype(np.uint8)] * 3 + [255 * VESSELS.astype(np.uint8)])),
        "transparency composited on black",
    ),
}


@embedded
@pytest.mark.parametrize("case", LABELS)
def test_a_label_becomes_0_and_255_and_that_is_told(check: Check, case: str) -> None:
    data, words = LABELS[case]
    end = "jpg" if case == "JPEG" else "png"
    found = check("maps", pack({f"a.{end}": data}))
    assert found.refused == []
    told = [each.done for each in found.report.used[0].conversions]
    assert any(words in each for each in told), told
    np.testing.assert_array_equal(found.pixels(0, "label"), 255 * VESSELS)


@embedded
def test_a_1_bit_label_is_as_it_should_be(check: Check) -> None:
    found = check("maps", pack({"a.png": of_mode(255 * VESSELS.astype(np.uint8), "1")}))
    assert found.report.used[0].conversions == []
    np.testing.assert_array_equal(found.pixels(0, "label"), 255 * VESSELS)


@embedded
def test_a_check_can_be_repeated_to_the_byte(check: Check, storage: Storage) -> None:
    data = pack(pairs(2))
    one, other = (check("pairs", data).job for _ in range(2))
    assert one.manifest_sha256 == other.manifest_sha256
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
