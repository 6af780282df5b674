"""Each stage goes on exactly where it stopped, and only with the settings and data that it began with."""

from dataclasses import replace

import pytest
import torch

from models.data.photographs import CHANNELS, VESSELS
from models.devices import Device
from models.networks.map_denoiser import DenoiserConfig
from models.networks.segmenter import Segmenter
from models.networks.translator import TranslatorConfig
from models.networks.upsamplers import UpsamplerConfig
from models.training.budget import Budget
from models.training.checkpoint import CheckpointError
from models.training.loop import train
from models.training.map_denoiser import DenoiserSettings, DenoiserTrainer, stacked_to_one_eye
from models.training.teacher import TeacherSettings, TeacherTrainer, pseudo_label
from models.training.translator import TranslatorSettings, TranslatorTrainer
from models.training.upsamplers import (
    EnhancerSettings,
    EnhancerTrainer,
    MapUpsamplerSettings,
    MapUpsamplerTrainer,
)

CPU = Device("cpu")


def teacher(data, images, **settings):
    chosen = TeacherSettings(**{"batch": 4, "crop": 64} | settings)
    return TeacherTrainer(data, chosen, Budget(images=images), CPU)


def translator(data, images, **settings):
    torch.manual_seed(5)
    segmenter = Segmenter(len(CHANNELS), channels=(4, 8))
    config = TranslatorConfig(style=4, channels=(8, 8))
    chosen = TranslatorSettings(**settings)
    return TranslatorTrainer(data, segmenter, config, chosen, Budget(images=images), CPU)


def vessel(data, images, **settings):
    chosen = DenoiserSettings(**{"batch": 4} | settings)
    config = DenoiserConfig(size=16, steps=2, channels=(8, 8))
    return DenoiserTrainer(data, config, chosen, Budget(images=images), CPU)


def doubling(data, images, **settings):
    chosen = MapUpsamplerSettings(**{"batch": 4, "r1_interval": 2} | settings)
    config = UpsamplerConfig(maps=2, style=2, channels=(4, 8))
    return MapUpsamplerTrainer(data, config, chosen, Budget(images=images), CPU)


def enhancer(data, images, **settings):
    coarser = translator(data, 8)
    planes = {name: getattr(data, name) for name in ("photographs", "maps", "fields")}
    doubled = {
        name: plane.repeat_interleave(2, 2).repeat_interleave(2, 3)
        for name, plane in planes.items()
    }
    coarser.step()
    coarser.step()
    chosen = EnhancerSettings(**{"crop": 32, "batch": 2} | settings)
    config = UpsamplerConfig(style=4, channels=(4, 8))
    return EnhancerTrainer(
        replace(data, **doubled), coarser, config, chosen, Budget(images=images // 2), CPU
    )


STAGES = [teacher, translator, vessel, doubling, enhancer]


@pytest.mark.parametrize("stage", STAGES, ids=lambda make: make.__name__)
def test_a_run_that_is_cut_ends_with_the_same_weights(stage, complete, tmp_path):
    (tmp_path / "whole").mkdir(), (tmp_path / "cut").mkdir()
    whole, count = stage(complete, 24), {"seconds": 0.0}
    assert train(whole, tmp_path / "whole")
    for _ in range(12):
        cut = stage(complete, 24)
        if train(cut, tmp_path / "cut", **count):
            break
    assert cut.steps == whole.steps
    for name, network in whole.networks.items():
        for key, value in network.state_dict().items():
            assert torch.equal(value, cut.networks[name].state_dict()[key]), (name, key)
    assert whole.samples().shape[2] in (32, 128, 256)


@pytest.mark.parametrize("stage", STAGES, ids=lambda make: make.__name__)
def test_other_settings_or_data_are_refused(stage, complete, tmp_path):
    path = tmp_path / "stage.safetensors"
    stage(complete, 8).save(path)
    with pytest.raises(CheckpointError, match=r"other settings \(learning_rate\)"):
        stage(complete, 8, learning_rate=1e-5).load(path)
    other = complete.subset(torch.arange(12).flip(0))
    with pytest.raises(CheckpointError, match="other data"):
        stage(other, 8).load(path)


def test_settings_out_of_bounds_are_named():
    with pytest.raises(ValueError, match="disc_dropout"):
        TranslatorSettings(disc_dropout=1.5)


def test_pseudo_labels_fill_what_is_not_known_and_nothing_else(labelled, unlabelled):
    both = labelled + unlabelled
    torch.manual_seed(0)
    segmenter = Segmenter(len(CHANNELS), channels=(4, 8)).eval()
    traced = pseudo_label(both, segmenter, CPU, rim=3, dropped=0.0)
    assert traced.traced.tolist() == [False] * 4 + [True] * 6
    known = both.known[:, :, None, None].expand_as(both.maps)
    assert torch.equal(traced.maps[known], both.maps[known])
    assert traced.maps[4:, VESSELS].any()
    edge = traced.fields.float() - (
        -torch.nn.functional.max_pool2d(-traced.fields.float(), 3, 1, 1)
    )
    assert not traced.maps[4:, VESSELS][edge[4:, 0] > 0].any()
    # The half of the photographs without labels that the teacher is least sure of is left out.
    fewer = pseudo_label(both, segmenter, CPU, rim=3, dropped=0.5)
    assert fewer.names[:4] == both.names[:4] and len(fewer) == 7


def test_maps_are_turned_to_one_eye(complete):
    right = complete.subset(torch.tensor([0]))
    right.maps[:] = right.maps.flip(-1)
    both = complete.subset(torch.tensor([0])) + right
    stack = stacked_to_one_eye(both)
    assert torch.equal(stack[0], stack[1])
