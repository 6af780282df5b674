"""The label is the map; a pair depends on its seed alone."""

import json
import shutil

import numpy as np
import pytest
import torch

from models.generator_package import load_generator_package, write_tiny_generator_package
from models.package import PackageError, sha256_of
from models.pair_generator import PairGenerator
from models.sampling import SamplingOptions, pair_seed


def test_the_label_is_the_map_that_conditioned_the_photograph(generator):
    threshold = generator.package.sampling.thresholds[64]
    shares = []
    for first in range(0, 200, 4):
        maps = generator.draw_maps([pair_seed(0, first + i) for i in range(4)])
        for drawn, pair in zip(maps, generator.render(maps), strict=True):
            conditioned = drawn.maps[0].numpy() > threshold
            assert np.array_equal(pair.label, 255 * (conditioned & (pair.mask > 0)))
            assert not pair.image[pair.mask == 0].any()
            shares.append(pair.vessel_share)
    assert 0 < np.mean(shares) < 1 and np.std(shares) > 0


def test_a_pair_depends_on_its_seed_alone(generator):
    batch = generator.sample([1, 2, 3, 4])
    for seed, pair in zip([1, 2, 3, 4], batch, strict=True):
        (alone,) = generator.sample([seed])
        for part in ("image", "label", "mask"):
            assert np.array_equal(getattr(alone, part), getattr(pair, part))
    assert not np.array_equal(batch[0].image, batch[1].image)
    assert batch[0].lesions is None and set(np.unique(batch[0].disc)) <= {0, 255}
    with pytest.raises(ValueError, match="give 1 to 4"):
        generator.sample([1, 2, 3, 4, 5])
    with pytest.raises(ValueError, match="draws no lesions"):
        generator.sample([1], SamplingOptions(lesions="all"))


def test_a_seed_is_the_same_eye_at_each_resolution(tiny_generator_folder, generator):
    finer = PairGenerator(load_generator_package(tiny_generator_folder), "cpu", 128)
    coarse, fine = generator.draw_maps([5, 6]), finer.draw_maps([5, 6])
    for small, large in zip(coarse, fine, strict=True):
        assert large.maps.shape == (4, 128, 128) and large.label.shape == (128, 128)
        halved = torch.nn.functional.avg_pool2d(large.maps, 2)
        assert (halved[0] - small.maps[0]).abs().mean() < 0.1 < small.maps[0].std()
        assert torch.equal(small.style, large.style)
    assert finer.render(fine)[0].image.shape == (128, 128, 3)
    assert np.array_equal(finer.sample([6])[0].image, finer.render(fine)[1].image)
    with pytest.raises(ValueError, match="64, 128 px, not of 256"):
        PairGenerator(generator.package, "cpu", 256)


def test_threads_do_not_matter(generator):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    one = generator.sample([7, 8])
    torch.set_num_threads(2)
    two = generator.sample([7, 8])
    torch.set_num_threads(threads)
    for a, b in zip(one, two, strict=True):
        assert np.array_equal(a.image, b.image) and np.array_equal(a.label, b.label)


def test_an_order_can_fix_style_and_eye(generator):
    left, right = (
        generator.draw_maps([5], SamplingOptions(eye=eye))[0] for eye in ("left", "right")
    )
    assert np.array_equal(left.label, right.label[:, ::-1])
    one, other = generator.draw_maps([5, 6], SamplingOptions(style_seed=1))
    assert torch.equal(one.style, other.style)


def test_a_given_map_stays_the_label(generator):
    label = np.zeros((90, 120), np.uint8)
    label[40:50, 10:110] = 1
    drawn = generator.place_map(3, label, None)
    (pair,) = generator.render([drawn])
    assert np.array_equal(pair.label > 0, drawn.label > 0) and drawn.label[30].any()
    field = np.ones_like(label)
    assert generator.place_map(3, label, field).field.sum() > 64 * 64 // 2


@pytest.fixture
def folder(tiny_generator_folder, tmp_path):
    return shutil.copytree(tiny_generator_folder, tmp_path / "package")


def edit(folder, change):
    path = folder / "package.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.update(format="fundusmith-model/9"), "format"),
        (lambda m: m.update(resolutions=[64, 96]), "sizes that double"),
        (lambda m: m.update(resolutions=[64]), r"vessel_N: doublings to \[32, 64, 128\]"),
        (lambda m: m["sampling"]["thresholds"].update({"64": 2}), "thresholds"),
        (lambda m: m["sampling"]["thresholds"].pop("64"), "thresholds must have each"),
        (lambda m: m["sampling"].update(cameras=[]), "cameras"),
        (lambda m: m["networks"].pop("vessel"), "'vessel' is missing"),
        (lambda m: m["networks"]["translator"]["config"].update(channels=[4, 16]), "do not fit"),
        (lambda m: m["sampling"]["cameras"].append(m["sampling"]["cameras"][0]), r"style\.2"),
    ],
)
def test_what_is_wrong_with_a_package_is_named(folder, change, message):
    edit(folder, change)
    with pytest.raises(PackageError, match=message):
        load_generator_package(folder)


def test_a_package_is_read_as_it_was_written(tiny_generator_folder, tmp_path):
    package = load_generator_package(tiny_generator_folder)
    assert package.digest == sha256_of(tiny_generator_folder / "package.json")
    assert package.manifest["channels"] == ["vessels", "disc"]
    again = load_generator_package(write_tiny_generator_package(tmp_path / "again"))
    assert again.digest == package.digest
    (tmp_path / "again" / "vessel_32.safetensors").write_bytes(b"")
    with pytest.raises(PackageError, match=r"vessel_32\.safetensors"):
        load_generator_package(tmp_path / "again")
