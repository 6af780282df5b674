"""Labels traced in photographs: which pairs have them, and who learns to trace."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage

from models.data.field_of_view import away_from_edge
from models.devices import Device
from models.evaluation.useful.scores import f1_score
from models.package import load_package
from models.sampling import PairSampler, pair_seed
from models.segmenter import probabilities, standardise
from models.training.budget import Budget
from models.training.loop import train
from models.training.packaging import Identity, package_run, tracing_threshold
from models.training.settings import StageTwoSettings
from models.training.stage_two import StageTwo
from models.training.transfer import TransferError
from models.translator import VESSEL_FROM
from tests.models.runs import stage_one, weights

CPU = Device.choose("cpu")


@pytest.fixture(scope="module")
def package(traced_folder):
    return load_package(traced_folder)


@pytest.fixture(scope="module")
def sampler(package):
    return PairSampler(package, "cpu")


def from_package(pairs, package, resolution=64, images=8):
    shape = replace(package.translator_config, enlargements=resolution // 64 - 1)
    run = StageTwo(pairs, resolution, shape, StageTwoSettings(), Budget(images=images), CPU)
    run.start_from(package)
    return run


def test_a_drawn_label_is_what_is_found_in_the_photograph(sampler, package):
    (drawn,) = sampler.draw_maps([3])
    (pair,) = sampler.render([drawn])
    network, field = package.tracer(), torch.from_numpy(pair.mask > 0)[None, None].float()
    photo = torch.from_numpy(pair.image).permute(2, 0, 1)[None] / 127.5 - 1
    with torch.no_grad():
        found = network(standardise(photo, field)).sigmoid()[0, 0].numpy() >= 0.5
    label = pair.label > 0
    assert not np.array_equal(label, drawn.label > 0)
    assert f1_score(label, found & (pair.mask > 0)) > 0.9  # gaps are closed, and specks dropped
    assert pair.vessel_share == round(label.sum() / (pair.mask > 0).sum(), 6)


def test_along_the_edge_a_label_stays_as_drawn(package, sampler, monkeypatch):
    """There a tracer takes the edge for a vessel."""
    (drawn,), (traced,) = sampler.draw_maps([3]), sampler.sample([3])
    monkeypatch.setattr(package, "sampling", replace(package.sampling, tracing_margin=6))
    (pair,) = sampler.sample([3])
    inner = ndimage.binary_erosion(pair.mask > 0, np.ones((3, 3)), iterations=6)
    edge = (pair.mask > 0) & ~inner

    def alike(one, other, where):  # gaps are closed, and specks dropped
        return f1_score(one.label[where] > 0, other.label[where] > 0)

    assert alike(pair, drawn, edge) > 0.9 > alike(traced, drawn, edge)
    assert alike(pair, traced, inner) > 0.9 > alike(drawn, traced, inner)


def test_the_label_of_a_given_map_stays(sampler):
    given = np.eye(64, dtype=np.uint8)
    placed = sampler.place_map(1, given, None)
    (pair,) = sampler.render([placed])
    assert np.array_equal(pair.label > 0, placed.label > 0)
    assert pair.vessel_share == placed.vessel_share


def test_a_traced_label_does_not_depend_on_its_neighbours(sampler):
    together, (alone,) = sampler.sample([1, 2, 3]), sampler.sample([2])
    assert np.array_equal(together[1].label, alone.label)


def test_the_threshold_gives_drawn_labels_the_share_of_real_ones(sampler, package):
    drawn = [
        pair
        for i in range(4)
        for pair in sampler.sample([pair_seed(0, 4 * i + k) for k in range(4)])
    ]
    threshold = tracing_threshold(package.tracer(), drawn, 0.1, 2)
    images, fields = (np.stack([getattr(pair, n) for pair in drawn]) for n in ("image", "mask"))
    found = probabilities(package.tracer(), images, fields > 0) >= threshold
    assert found[away_from_edge(fields > 0, 2)].mean() == pytest.approx(0.1, abs=0.02)


def test_what_hardly_finds_a_vessel_traces_no_labels(pairs, package, tmp_path):
    two = from_package(pairs, package)
    with torch.no_grad():
        two.tracing.average.last.bias.fill_(-8)
    about = {"name": "eyes", "licence": "CC0-1.0", "attribution": "", "url": ""}
    folder = tmp_path / "eyes-64"
    package_run(stage_one(pairs), two, pairs, Identity("eyes-64", "1.0.0", about), folder)
    made = load_package(folder)
    assert made.tracer() is None and made.sampling.tracing_threshold is None
    assert "Labels are traced" not in (folder / "CARD.md").read_text()


def test_tracing_alone_leaves_what_draws_as_it_is(large_pairs, package, tmp_path):
    """And learns to find the dark lines of real photographs."""
    run = from_package(large_pairs, package, images=960)
    run.only_trace()
    before = weights(run)
    assert train(run, tmp_path)
    changed = {
        key.split(".")[0]
        for key, value in weights(run).items()
        if not torch.equal(value, before[key])
    }
    assert changed == {"tracer", "tracer_average"}
    stacks = run.stacks[64]
    photos = ((torch.nn.functional.avg_pool2d(stacks[:, :3], 2) + 1) * 127.5).round().byte()
    shares, fields = (torch.nn.functional.avg_pool2d(stacks[:, i], 2).numpy() for i in (3, 4))
    found = probabilities(
        run.tracing.average, photos.permute(0, 2, 3, 1).contiguous().numpy(), fields > 0.5
    )
    assert f1_score((found >= 0.5) & (fields > 0.5), (shares > VESSEL_FROM) & (fields > 0.5)) > 0.7


def test_a_run_from_a_package_starts_with_its_tracer(large_pairs, package):
    run = from_package(large_pairs, package)
    theirs = package.tracer().state_dict()
    assert all(torch.equal(theirs[k], v) for k, v in run.tracing.average.state_dict().items())


def test_tracing_alone_wants_a_package_that_draws_it_all(large_pairs, package):
    run = from_package(large_pairs, package, resolution=128)
    with pytest.raises(TransferError, match="wants a package that draws 128 px, this one has 64"):
        run.only_trace()
