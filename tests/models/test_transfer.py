"""Runs that start from a model package: its weights, where both have them, and a note of it."""

from dataclasses import replace

import pytest
import torch

from models.devices import Device
from models.package import SamplingConfig, load_package, write_package
from models.training.budget import Budget
from models.training.checkpoint import CheckpointError
from models.training.command import main
from models.training.loop import checkpoint_path, train
from models.training.settings import StageOneSettings, StageTwoSettings
from models.training.stage_one import Phase, StageOne
from models.training.stage_two import StageTwo
from models.training.stages import make_stages
from models.training.transfer import TransferError, take_over_vessel
from models.translator import VESSEL_FROM
from models.vessel_gan import VesselConfig, VesselGenerator
from tests.models.runs import stage_two, weights

CPU = Device.choose("cpu")
SMALL = {"vessel": {"width": 0.125, "latent": 8}, "photo": {"width": 0.125, "style": 4}}


@pytest.fixture(scope="module")
def package(tiny_folder):
    return load_package(tiny_folder)


def from_package(pairs, package, channels, images=400, seed=5):
    config = VesselConfig(channels, latent=8)
    run = StageOne(pairs, config, StageOneSettings(), Budget(images=images), CPU, seed)
    run.start_from(package)
    return run


def equal(first, second):
    return all(torch.equal(first[key], second[key]) for key in first.keys() & second.keys())


def test_a_run_of_the_same_size_starts_from_the_packages_weights(large_pairs, pairs, package):
    run = from_package(large_pairs, package, (8,) * 5)
    for network in (run.generator, run.average):
        assert equal(package.vessel_generator().state_dict(), network.state_dict())
    assert run.schedule() == Phase("drawing", 64, 1.0, 0.0)
    photo = stage_two(pairs)
    photo.start_from(package)
    for network in (photo.translator, photo.average):
        assert equal(package.translator().state_dict(), network.state_dict())
    # Its own encoder has learned nothing yet.
    assert torch.equal(photo.style_statistics()[1], package.style_statistics()[1])


def test_at_twice_the_size_shared_levels_are_kept_and_the_new_one_fades_in(large_pairs, package):
    run = from_package(large_pairs, package, (8,) * 6)
    theirs, ours = package.vessel_generator().state_dict(), run.average.state_dict()
    assert equal(theirs, ours)
    assert {key for key in ours if key not in theirs} == {
        *(f"levels.4.{i}.{kind}" for i in (0, 1) for kind in ("weight", "bias")),
        *("to_map.5.weight", "to_map.5.bias"),
    }
    with torch.inference_mode():
        noise = torch.randn(4, 8)
        assert torch.allclose(run.average(noise, 64), package.vessel_generator()(noise), atol=1e-5)
    seen = []
    while run.budget.progress < 1:
        seen.append(run.schedule())
        run.budget.spend(1, 0.01)
    assert sorted({now.resolution for now in seen}) == [64, 128]
    assert {now.fade for now in seen if now.resolution == 64} == {1.0}
    assert next(now.fade for now in seen if now.resolution == 128) < 0.1


def test_a_refiner_is_taken_over_with_what_it_refines(large_pairs, package):
    config = replace(package.vessel_config, refined=True)
    taught, fresh = VesselGenerator(config), VesselGenerator(config)
    take_over_vessel(fresh, taught, 64)
    assert equal(taught.state_dict(), fresh.state_dict())
    # To what has levels above those that were refined it is of no use.
    larger = VesselGenerator(VesselConfig((8,) * 6, latent=8, refined=True))
    before = larger.refiner.enter[0].weight.clone()
    take_over_vessel(larger, taught, 64)
    assert torch.equal(before, larger.refiner.enter[0].weight)
    # One that is not refined leaves the run's own as it is: untaught.
    take_over_vessel(fresh, package.vessel_generator(), 64)
    assert torch.equal(taught.refiner.enter[0].weight, fresh.refiner.enter[0].weight)


def test_levels_of_another_width_start_anew(large_pairs, package):
    run = from_package(large_pairs, package, (8, 8, 8, 4, 4))
    assert run.first_resolution == 16
    with pytest.raises(TransferError, match=r"8 feature maps at 4 px.*set vessel\.width"):
        from_package(large_pairs, package, (16, 8))


def test_the_generator_waits_for_the_new_discriminator(large_pairs, package):
    run = from_package(large_pairs, package, (8,) * 5, images=400)
    run.step()
    assert equal(package.vessel_generator().state_dict(), run.generator.state_dict())
    while run.budget.progress <= 0.1:
        run.step()
    assert not equal(package.vessel_generator().state_dict(), run.generator.state_dict())


def test_a_transferred_run_resumes_to_the_bit_and_in_no_other_runs_folder(
    large_pairs, package, tmp_path
):
    whole = from_package(large_pairs, package, (8,) * 6, images=64)
    assert train(whole, tmp_path)
    folder = tmp_path / "cut"
    folder.mkdir()
    while not train(run := from_package(large_pairs, package, (8,) * 6, 64), folder, seconds=0.01):
        pass
    assert equal(weights(whole), weights(run))
    with pytest.raises(CheckpointError, match=r"has started from noise, not from tiny-64@0\.0\.1"):
        stranger = StageOne(large_pairs, run.config, StageOneSettings(), Budget(images=64), CPU)
        stranger.save(checkpoint_path(tmp_path, "vessel"))
        train(whole, tmp_path)


def test_the_command_starts_from_a_package_and_says_so_in_its_own(
    large_pairs, pair_folder, tmp_path
):
    one, two = make_stages(large_pairs, 64, CPU, images=8, settings=SMALL)
    facts = {"name": "first-64", "version": "1.2.0", "title": "", "created": "2026-11-23"}
    facts |= {"licence": "CC0-1.0", "training_data": {}, "expected": {}, "metrics": {}}
    sampling = SamplingConfig(4, 0.5, 2, (0.5, 0.5, 0.46), (0.002, 0.004, 0.005))
    style = (torch.zeros(4), torch.eye(4))
    write_package(tmp_path / "first-64", facts, one.average, two.average, style, sampling)
    given = [f"--set={stage}.{k}={v}" for stage, fields in SMALL.items() for k, v in fields.items()]
    command = [
        *("--pairs", str(pair_folder), "--run", str(tmp_path / "run"), "--resolution", "64"),
        *("--images", "8", "--device", "cpu", "--package", str(tmp_path / "second-64"), *given),
        *("--from-package", str(tmp_path / "first-64")),
    ]
    # Only photographs are learned anew; maps are the package's own.
    main([*command, "--stage", "photo"])
    first, second = load_package(tmp_path / "first-64"), load_package(tmp_path / "second-64")
    assert equal(first.vessel_generator().state_dict(), second.vessel_generator().state_dict())
    assert not equal(first.translator().state_dict(), second.translator().state_dict())
    training = second.manifest["training"]
    for stage, images in (("vessel", 0), ("photo", 8)):
        assert training[stage]["from"] == {"model": "first-64@1.2.0", "digest": first.digest}
        assert training[stage]["images"] == images
    assert "started from first-64@1.2.0" in (tmp_path / "second-64" / "CARD.md").read_text()
    with pytest.raises(SystemExit, match=r"set photo\.width"):
        main([*command, "--set", "photo.blocks=2"])


def test_new_noise_has_no_say_before_it_is_learned(pairs, package):
    config = replace(package.translator_config, noise=2, shares=True)
    run = StageTwo(pairs, 64, config, StageTwoSettings(), Budget(images=8), CPU)
    run.start_from(package)
    _, shares, field = run.batch(2)
    vessels = (shares > VESSEL_FROM).float()
    style = torch.randn(2, 4)
    with torch.inference_mode():
        ours = run.average(vessels, field, style, torch.randn(2, 2, 64, 64))
        assert torch.allclose(ours, package.translator()(vessels, field, style), atol=1e-5)


def test_the_run_of_a_package_gives_its_judges_and_only_enlarging_is_left(
    large_pairs, package, tmp_path
):
    """A 128 px run from a 64 px package and the run that it was made of."""
    earlier = from_package(large_pairs, package, (8,) * 5)
    earlier.step()
    earlier.save(checkpoint_path(tmp_path, "vessel"))
    config = VesselConfig((8,) * 5, latent=8, enlargements=1)
    run = StageOne(large_pairs, config, StageOneSettings(), Budget(images=64), CPU)
    run.start_from(package)
    run.judge_as(checkpoint_path(tmp_path, "vessel"))
    assert equal(earlier.discriminator.state_dict(), run.discriminator.state_dict())
    assert run.schedule().resolution == 128 and not run.complete
    with pytest.raises(CheckpointError, match=r"none\.safetensors: cannot be gone on from"):
        run.judge_as(checkpoint_path(tmp_path, "none"))

    shape, settings = package.translator_config, StageTwoSettings()
    first = StageTwo(large_pairs, 64, shape, settings, Budget(images=8), CPU)
    first.step()
    first.save(checkpoint_path(tmp_path, "photo"))
    larger = replace(shape, enlargements=1)
    second = StageTwo(large_pairs, 128, larger, settings, Budget(images=64), CPU)
    second.start_from(package)
    assert second.phase()[0] == 64
    second.judge_as(checkpoint_path(tmp_path, "photo"))
    assert second.phase()[0] == 128
    assert equal(first.encoder.state_dict(), second.encoder.state_dict())
    (tmp_path / "second").mkdir()
    assert train(second, tmp_path / "second")


def test_a_package_alone_can_be_enlarged_and_what_it_draws_stays(large_pairs, package, tmp_path):
    """A 128 px run from a 64 px package whose run is gone."""
    config = VesselConfig((8,) * 5, latent=8, enlargements=1)
    one = StageOne(large_pairs, config, StageOneSettings(), Budget(images=64), CPU)
    larger = replace(package.translator_config, enlargements=1)
    two = StageTwo(large_pairs, 128, larger, StageTwoSettings(), Budget(images=64), CPU)
    for run, theirs in ((one, package.vessel_generator()), (two, package.translator())):
        run.start_from(package)
        run.only_enlarge()
        untaught = weights(run)
        assert train(run, tmp_path)
        average = run.networks["average"].state_dict()
        assert equal(theirs.state_dict(), average)
        learned = [
            key for key in average if not torch.equal(average[key], untaught[f"average.{key}"])
        ]
        assert learned and all(key.startswith("enlargers.") for key in learned)
    # Its own encoder has seen nothing: styles are the package's.
    assert all(map(torch.equal, two.style_statistics(), package.style_statistics()))
    with pytest.raises(TransferError, match="has 64 px already: ask for a larger resolution"):
        from_package(large_pairs, package, (8,) * 5).only_enlarge()
    with pytest.raises(TransferError, match="wants a package that draws 128 px, this one has 64"):
        from_package(large_pairs, package, (8,) * 6).only_enlarge()
