"""Which files belong together, from names alone: each data set as it is given out."""

import unicodedata

import pytest

from models.data.layouts import PairNames, Role, advice, recognise_maps, recognise_pairs

GIVEN_OUT = {
    "DRIVE": PairNames(
        "training/images/21_training.tif",
        "training/1st_manual/21_manual1.gif",
        "training/mask/21_training_mask.gif",
    ),
    "HRF": PairNames("images/01_dr.JPG", "manual1/01_dr.tif", "mask/01_dr_mask.tif"),
    "CHASE_DB1": PairNames("Image_01L.jpg", "Image_01L_1stHO.png"),
    "STARE": PairNames("im0001.ppm", "im0001.ah.ppm"),
    "STARE in folders": PairNames("stare-images/im0001.ppm.gz", "labels-ah/im0001.ah.ppm.gz"),
    "LES-AV": PairNames("images/276.png", "vessel-segmentations/276.png", "masks/276.png"),
    "FIVES": PairNames("train/Original/1_A.png", "train/Ground truth/1_A.png"),
    "ARIA": PairNames("aria_a_markups/aria_a_10_1.tif", "aria_a_markup_vessel/aria_a_10_1_BDP.tif"),
    "ORVS": PairNames("train/images/12.png", "train/labels/12.png"),
    "DR-HAGIS": PairNames(
        "DRHAGIS/Fundus_Images/1.jpg",
        "DRHAGIS/Manual_Segmentations/1_manual_orig.png",
        "DRHAGIS/Mask_images/1_mask_orig.png",
    ),
    "AV-WIDE": PairNames("images/1.jpg", "manual/1_vessels.png"),
    "nnU-Net": PairNames("imagesTr/eye_12_0000.png", "labelsTr/eye_12.png"),
    "one folder": PairNames("12.jpg", "12_vessel.png", "12_mask.png"),
    "Image and gt": PairNames("Image/12.bmp", "gt/12.bmp"),
    "annotations": PairNames("image/12.jfif", "annotations/12.pgm"),
    "plain": PairNames("images/a.png", "labels/a.png", "masks/a.png"),
    "plain, longer names": PairNames("images/a.jpg", "labels/a_expert.png", "masks/a-mask.gif"),
    "as our own archives": PairNames(
        "train/images/000000.png", "train/labels/000000.png", "train/masks/000000.png"
    ),
}


@pytest.mark.parametrize("wrap", ["", "my data/v1/"])
@pytest.mark.parametrize("layout", GIVEN_OUT)
def test_a_data_set_is_recognised_as_it_is_given_out(layout: str, wrap: str) -> None:
    names = [wrap + name for name in GIVEN_OUT[layout].files]
    found = recognise_pairs([*reversed(names), f"{wrap}README.txt"])
    assert [pair.files for pair in found.pairs] == [names]
    assert not any((found.photos_alone, found.ambiguous, found.alone, found.spare))
    assert not found.pairs[0].label_may_be_field


@pytest.mark.parametrize(
    ("pair", "other"),
    [
        ("DRIVE", "training/2nd_manual/21_manual2.gif"),
        ("CHASE_DB1", "Image_01L_2ndHO.png"),
        ("STARE", "im0001.vk.ppm"),
        ("STARE in folders", "labels-vk/im0001.vk.ppm.gz"),
        ("LES-AV", "arteries-and-veins/276.png"),
        ("ARIA", "aria_a_markupdiscfovea/aria_a_10_1_dfs.tif"),
        ("plain", "labels/a_other.png"),
        ("plain", "labels/a_disc.png"),
        ("plain", "discs/a.png"),
        ("one folder", "12_artery.png"),
        ("one folder", "12_disc.png"),
        ("nnU-Net", "imagesTr/eye_12_0001.png"),
    ],
)
def test_known_words_decide_which_label_counts(pair: str, other: str) -> None:
    found = recognise_pairs([other, *GIVEN_OUT[pair].files])
    assert found.pairs == (GIVEN_OUT[pair],)
    assert [name for name, _ in found.spare] == [other]


def test_all_vessels_come_before_arteries_and_veins() -> None:
    names = [f"labels/1_{part}.png" for part in ("artery", "vein", "vessel")]
    found = recognise_pairs(["images/1.png", *names])
    assert found.pairs == (PairNames("images/1.png", "labels/1_vessel.png"),)
    assert [name for name, _ in found.spare] == names[:2]


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        (["labels/1_x.png", "labels/1_y.png"], "no name tells"),
        (["labels/1_artery.png", "labels/1_vein.png"], "no label of all vessels"),
        (["discs/1.png"], "no label of all vessels"),
    ],
)
def test_labels_of_which_none_is_known_to_count_are_ambiguous(
    labels: list[str], reason: str
) -> None:
    found = recognise_pairs(["images/1.png", *labels])
    assert not found.pairs
    assert found.ambiguous[0].photo == "images/1.png"
    assert list(found.ambiguous[0].labels) == labels
    assert reason in found.ambiguous[0].reason


def test_masks_alone_may_be_vessels() -> None:
    found = recognise_pairs(["images/1.png", "masks/1.png"])
    assert found.pairs == (PairNames("images/1.png", "masks/1.png", None, True),)
    found = recognise_pairs(["images/1.png", "masks/1.png", "fov/1.png"])
    assert found.pairs == (PairNames("images/1.png", "masks/1.png", "fov/1.png", True),)


def test_composed_and_decomposed_names_and_backslashes_pair() -> None:
    names = ["images\\Auge_ä.png", unicodedata.normalize("NFD", "labels/Auge_ä.png")]
    assert recognise_pairs(names).pairs == (PairNames(*names),)


def test_names_of_another_encoding_pair_though_they_look_odd() -> None:
    odd = "眼.png".encode("shift-jis").decode("cp437")
    found = recognise_pairs([f"images/{odd}", f"labels/{odd}"])
    assert found.pairs == (PairNames(f"images/{odd}", f"labels/{odd}"),)


def test_what_operating_systems_leave_is_no_picture() -> None:
    names = ["images/1.png", "labels/1.png"]
    found = recognise_pairs([*names, "__MACOSX/images/._1.png", "images/.2.png"])
    assert found.pairs == (PairNames(*names),) and not found.photos_alone


def test_unknown_folders_are_named() -> None:
    found = recognise_pairs(["images/1.png", "tracings/1.png"])
    assert found.photos_alone == ("images/1.png", "tracings/1.png")
    assert "rename it to labels/" in advice(found, "tracings/1.png")
    assert "if tracings/ holds the labels" in advice(found, "images/1.png")


@pytest.mark.parametrize(
    ("disc", "lesions"),
    [
        ("train/discs/000000.png", "train/lesions/000000.png"),
        ("training/disc/000000_training_disc.png", "training/lesions/000000_training_lesions.png"),
    ],
)
def test_masks_of_disc_and_lesions_are_no_photographs(disc: str, lesions: str) -> None:
    pair = GIVEN_OUT["as our own archives"].files
    if disc.startswith("training"):
        pair = ["training/images/000000_training.png", "training/1st_manual/000000_manual1.png"]
    found = recognise_pairs([disc, lesions, *pair])
    assert ([each.files for each in found.pairs], found.photos_alone, found.alone) == (
        [pair],
        (),
        (),
    )
    assert [name for name, _ in found.spare] == [disc, lesions]


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


def test_each_picture_is_named_once() -> None:
    names = ["images/1.png", "images/2.png", "images/3.png", "labels/1.png", "labels/1_2nd.png",
             "labels/2_a.png", "labels/2_b.png", "masks/1.png", "masks/2.png", "labels/9.png"]  # fmt: skip
    found = recognise_pairs(names)
    told = [name for pair in found.pairs for name in pair.files]
    told += [name for each in found.ambiguous for name in (each.photo, *each.labels)]
    told += [*found.photos_alone, *(name for name, _ in (*found.alone, *found.spare))]
    assert sorted(told) == sorted(names)


def test_maps_lie_in_any_folders() -> None:
    names = ["a.png", "x/images/b.png", "x/masks/b_mask.png", "x/masks/c.png", "notes.txt"]
    maps, alone = recognise_maps(names)
    assert maps == (
        PairNames(None, "a.png"),
        PairNames(None, "x/images/b.png", "x/masks/b_mask.png"),
    )
    assert alone == ("x/masks/c.png",)
