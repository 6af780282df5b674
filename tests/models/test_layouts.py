"""Which files belong together, from names alone: each data set as it is given out."""

import pytest

from models.layouts import MapNames, PairNames, Role, recognise_maps, recognise_pairs

GIVEN_OUT = {
    "DRIVE": PairNames(
        "training/images/21_training.tif",
        "training/1st_manual/21_manual1.gif",
        "training/mask/21_training_mask.gif",
    ),
    "HRF": PairNames("images/01_dr.JPG", "manual1/01_dr.tif", "mask/01_dr_mask.tif"),
    "CHASE_DB1": PairNames("Image_01L.jpg", "Image_01L_1stHO.png", None),
    "STARE": PairNames("im0001.ppm", "im0001.ah.ppm", None),
    "STARE in folders": PairNames("stare-images/im0001.ppm", "labels-ah/im0001.ah.ppm", None),
    "plain": PairNames("images/a.png", "labels/a.png", "masks/a.png"),
    "plain, longer names": PairNames("images/a.jpg", "labels/a_expert.png", "masks/a-mask.gif"),
    "as our own archives": PairNames(
        "train/images/000000.png", "train/labels/000000.png", "train/masks/000000.png"
    ),
}


def names_of(pair: PairNames, wrap: str = "") -> list[str]:
    return [wrap + name for name in (pair.photo, pair.label, pair.mask) if name]


@pytest.mark.parametrize("wrap", ["", "my data/v1/"])
@pytest.mark.parametrize("layout", GIVEN_OUT)
def test_a_data_set_is_recognised_as_it_is_given_out(layout: str, wrap: str) -> None:
    names = names_of(GIVEN_OUT[layout], wrap)
    found = recognise_pairs([*reversed(names), f"{wrap}README.txt"])
    assert names_of(found.pairs[0]) == names
    assert (len(found.pairs), found.photos_alone, found.alone, found.spare) == (1, (), (), ())


@pytest.mark.parametrize(
    ("pair", "second"),
    [
        ("DRIVE", "training/2nd_manual/21_manual2.gif"),
        ("CHASE_DB1", "Image_01L_2ndHO.png"),
        ("STARE", "im0001.vk.ppm"),
        ("plain", "labels/a_other.png"),
    ],
)
def test_a_second_observers_label_is_spare(pair: str, second: str) -> None:
    found = recognise_pairs([second, *names_of(GIVEN_OUT[pair])])
    assert found.pairs == (GIVEN_OUT[pair],)
    assert found.spare == ((second, Role.SECOND),)


@pytest.mark.parametrize(
    ("disc", "lesions"),
    [
        ("train/discs/000000.png", "train/lesions/000000.png"),
        ("training/disc/000000_training_disc.png", "training/lesions/000000_training_lesions.png"),
    ],
)
def test_masks_of_disc_and_lesions_are_no_photographs(disc: str, lesions: str) -> None:
    found = recognise_pairs([disc, lesions, *names_of(GIVEN_OUT["as our own archives"])])
    assert (len(found.pairs), found.photos_alone, found.alone) == (1, (), ())
    assert found.spare == ((disc, Role.DISC), (lesions, Role.LESIONS))


def test_what_has_no_partner_is_told() -> None:
    found = recognise_pairs(["images/a.png", "labels/b.png", "masks/c.png"])
    assert found.photos_alone == ("images/a.png",)
    assert found.alone == (("labels/b.png", Role.LABEL), ("masks/c.png", Role.MASK))


def test_the_longest_name_that_fits_decides() -> None:
    found = recognise_pairs(
        ["images/1.png", "images/1_2.png", "labels/1_2_x.png", "labels/1_x.png"]
    )
    assert [pair.label for pair in found.pairs] == ["labels/1_x.png", "labels/1_2_x.png"]


def test_numbers_of_two_splits_do_not_mix() -> None:
    names = [f"{split}/images/01_{split}.tif" for split in ("training", "test")]
    found = recognise_pairs([*names, "training/1st_manual/01_manual1.gif"])
    assert [pair.photo for pair in found.pairs] == ["training/images/01_training.tif"]
    assert found.photos_alone == ("test/images/01_test.tif",)


def test_maps_lie_in_any_folders() -> None:
    names = ["a.png", "x/images/b.png", "x/masks/b_mask.png", "x/masks/c.png", "notes.txt"]
    maps, alone = recognise_maps(names)
    assert maps == (MapNames("a.png", None), MapNames("x/images/b.png", "x/masks/b_mask.png"))
    assert alone == ("x/masks/c.png",)
