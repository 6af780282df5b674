"""Texture: what is measured on photographs comes back in the ones it is added to."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from models.package import PackageError, load_package, write_package, write_tiny_package
from models.sampling import PairSampler
from models.texture import Texture, TexturePainter, measure_texture

SIZE = 96


def photographs(count: int, seed: int, mottling: float):
    """Even light with mottling of a pixel' width, as a share of the light."""
    random = np.random.default_rng(seed)
    fields = np.ones((count, SIZE, SIZE), dtype=bool)
    fields[:, :4] = False
    noise = ndimage.gaussian_filter(random.normal(0, 1, (count, SIZE, SIZE, 3)), (0, 0.6, 0.6, 0))
    light = random.uniform(80, 200, (count, 1, 1, 1))
    photos = light * np.exp(mottling * noise / noise.std()) * fields[..., None]
    return photos.clip(0, 255).astype(np.uint8), np.zeros_like(fields), fields


@pytest.fixture(scope="module")
def texture() -> Texture:
    return measure_texture(photographs(6, 1, 0.05), photographs(6, 2, 0.0))


def test_what_is_measured_comes_back(texture: Texture) -> None:
    painter = TexturePainter(texture, SIZE)
    plain, labels, fields = photographs(6, 3, 0.0)
    textured = np.stack(
        [
            painter.add(photo.astype(np.float32), field.astype(np.uint8), seed)
            for seed, (photo, field) in enumerate(zip(plain, fields, strict=True))
        ]
    )
    again = measure_texture((textured, labels, fields), (plain, labels, fields))
    middle = texture.covariance.shape[-1] // 2
    for step in (0, 1):  # strength, and likeness of neighbours
        want = float(texture.covariance[1, 1, middle, middle + step])
        assert float(again.covariance[1, 1, middle, middle + step]) == pytest.approx(want, rel=0.25)
    assert (textured[:, :4] == 0).all()


def test_a_texture_is_its_seeds_own(texture: Texture) -> None:
    painter = TexturePainter(texture, SIZE)
    grey, field = np.full((SIZE, SIZE, 3), 100, np.float32), np.ones((SIZE, SIZE), np.uint8)
    first, again, other = (painter.add(grey, field, seed) for seed in (5, 5, 6))
    assert np.array_equal(first, again)
    assert np.abs(first.astype(int) - other).mean() > 1


def test_nothing_is_added_to_photographs_that_lack_nothing() -> None:
    same = photographs(6, 1, 0.05)
    none = measure_texture(same, same)
    grey, field = np.full((SIZE, SIZE, 3), 100, np.float32), np.ones((SIZE, SIZE), np.uint8)
    assert (TexturePainter(none, SIZE).add(grey, field, 1) == 100).all()


def test_a_package_keeps_it(tmp_path, texture: Texture) -> None:
    """A pair's texture does not depend on what it is drawn with, and photographs alone change."""
    plain = load_package(write_tiny_package(tmp_path / "plain"))
    folder = tmp_path / "textured"
    networks = plain.vessel_generator(), plain.translator(), plain.style_statistics()
    small = Texture(texture.covariance[:, :, 5:14, 5:14], texture.spread)
    write_package(folder, plain.manifest, *networks, plain.sampling, small)
    textured = load_package(folder)
    kept = textured.texture()
    assert kept is not None and torch.equal(kept.covariance, small.covariance)
    sampler = PairSampler(textured, "cpu")
    together, alone = sampler.sample([1, 2, 3])[1], sampler.sample([2])[0]
    assert np.array_equal(together.image, alone.image)
    before = PairSampler(plain, "cpu").sample([2])[0]
    assert np.array_equal(before.label, alone.label)
    assert not np.array_equal(before.image, alone.image)


def test_a_texture_of_another_shape_is_refused(tmp_path, texture: Texture) -> None:
    plain = load_package(write_tiny_package(tmp_path / "plain"))
    networks = plain.vessel_generator(), plain.translator(), plain.style_statistics()
    bad = Texture(texture.covariance, 0.1)
    object.__setattr__(bad, "covariance", texture.covariance[:2])
    write_package(tmp_path / "bad", plain.manifest, *networks, plain.sampling, bad)
    with pytest.raises(PackageError, match="texture covariance of shape"):
        load_package(tmp_path / "bad")
