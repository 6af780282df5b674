"""Hyper-parameters: bounds that name the field, defaults by device, one table for all."""

from dataclasses import asdict, fields

import pytest

from models.training.command import parser, read_settings
from models.training.settings import SettingsError, StageOneSettings, StageTwoSettings
from models.translator import TranslatorConfig
from models.vessel_gan import VesselConfig

KINDS = [StageOneSettings, StageTwoSettings]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("gpu", [False, True])
def test_defaults_lie_within_their_bounds_and_the_bounds_hold(kind, gpu):
    described = kind.describe(gpu)
    assert [one["name"] for one in described] == [field.name for field in fields(kind)]
    assert asdict(kind.choose(gpu)) == {one["name"]: one["default"] for one in described}
    for one in described:
        for value in (one["least"] - 1, one["most"] + 1, float("nan"), "1", True, None):
            with pytest.raises(SettingsError, match=rf"^{kind.stage}\.{one['name']}: "):
                kind.choose(gpu, {one["name"]: value})


def test_the_batch_is_larger_on_a_gpu():
    assert StageOneSettings.choose(True).batch > StageOneSettings.choose(False).batch
    assert StageOneSettings.choose(True, {"batch": 12}).batch == 12


def test_whole_numbers_are_asked_for_where_they_are_meant():
    with pytest.raises(SettingsError, match=r"vessel\.batch: 8\.5, must be a whole number"):
        StageOneSettings(batch=8.5)
    assert StageOneSettings(spread=2).spread == 2


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"pace": 1}, r"vessel\.pace: no such setting"),
        ({"augmentation_least": 0.9}, r"vessel\.augmentation_least: 0\.9, must not be above"),
    ],
)
def test_what_cannot_be_is_named(given, words):
    with pytest.raises(SettingsError, match=words):
        StageOneSettings.choose(False, given)


def test_the_default_width_is_the_networks_own():
    assert StageOneSettings().config(256) == VesselConfig.for_resolution(256)
    assert StageTwoSettings().config(256) == TranslatorConfig(noise=2, shares=True)


def test_above_256_px_maps_and_photographs_are_enlarged():
    vessel, photo = StageOneSettings().config(1024), StageTwoSettings().config(1024)
    assert (vessel.resolution, vessel.drawn, vessel.enlargements) == (1024, 256, 2)
    assert photo == TranslatorConfig(noise=2, enlargements=2, shares=True, anchored=True)
    assert StageOneSettings(width=0.5).config(64).channels == (48, 48, 48, 48, 32)


def test_the_command_reads_settings_and_explains_each():
    assert read_settings(["vessel.batch=16", "photo.width=0.5"]) == {
        "vessel": {"batch": 16},
        "photo": {"width": 0.5},
    }
    with pytest.raises(SettingsError, match=r"vessel\.batch=many"):
        read_settings(["vessel.batch=many"])
    text = parser().format_help()
    assert all(f"{kind.stage}.{field.name} (" in text for kind in KINDS for field in fields(kind))
