"""Texture: what is measured on photographs comes back in the ones it is added to."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from models.package import PackageError, load_package, write_package
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


def painted(painter: TexturePainter, photos: np.ndarray, fields: np.ndarray) -> np.ndarray:
    """Photographs with a texture each."""
    return np.stack(
        [
            painter.add(photo.astype(np.float32), field.astype(np.uint8), seed)
            for seed, (photo, field) in enumerate(zip(photos, fields, strict=True))
        ]
    )


@pytest.fixture(scope="module")
def texture() -> Texture:
    return measure_texture(photographs(6, 1, 0.05), photographs(6, 2, 0.0))


def test_what_is_measured_comes_back(texture: Texture) -> None:
    painter = TexturePainter(texture, SIZE)
    plain, labels, fields = photographs(6, 3, 0.0)
    textured = painted(painter, plain, fields)
    again = measure_texture((textured, labels, fields), (plain, labels, fields))
    middle = texture.covariances.shape[-1] // 2
    for step in (0, 1):  # strength, and likeness of neighbours
        want = float(texture.covariances[:, 1, 1, middle, middle + step].mean())
        found = float(again.covariances[:, 1, 1, middle, middle + step].mean())
        assert found == pytest.approx(want, rel=0.25)
    assert (textured[:, :4] == 0).all()


def test_patches_and_photographs_differ_as_they_did() -> None:
    """Photographs of fine and of coarse mottling, strong on one side: what is painted has all of it."""
    fine, labels, fields = photographs(6, 1, 0.05)
    random = np.random.default_rng(4)
    coarse = ndimage.gaussian_filter(random.normal(0, 1, fine.shape), (0, 2, 2, 0))
    rough = 100 * np.exp(0.08 * coarse / coarse.std()) * fields[..., None]
    both = np.concatenate([fine, rough.clip(0, 255).astype(np.uint8)])
    maps = np.concatenate([labels, labels]), np.concatenate([fields, fields])
    even, _, _ = photographs(12, 2, 0.0)
    measured = measure_texture((both, *maps), (even, *maps))
    middle = measured.covariances.shape[-1] // 2
    near = measured.covariances[:, 1, 1, middle, middle + 2]
    alike = near / measured.covariances[:, 1, 1, middle, middle]
    assert alike[:6].max() < alike[6:].min()

    ramp = np.exp(np.linspace(-1.5, 1.5, SIZE))[None, None, :, None]
    light = np.full(fine.shape, 100.0) * fields[..., None]
    patchy = light * (fine / np.maximum(fine.mean(axis=(1, 2, 3), keepdims=True), 1)) ** ramp
    uneven = measure_texture(
        (patchy.clip(0, 255).astype(np.uint8), labels, fields), (even[:6], labels, fields)
    )
    assert uneven.patchiness > measured.patchiness + 0.1


def test_grain_that_renderings_have_is_not_painted_again() -> None:
    """Real photographs have more of the coarse mottling alone: steps between pixels stay as they are."""
    fine, labels, fields = photographs(6, 1, 0.05)
    random = np.random.default_rng(4)
    coarse = ndimage.gaussian_filter(random.normal(0, 1, fine.shape), (0, 3, 3, 0))
    real = (fine * np.exp(0.05 * coarse / coarse.std())).clip(0, 255).astype(np.uint8)
    rendered, *maps = photographs(12, 2, 0.05)
    painter = TexturePainter(measure_texture((real, labels, fields), (rendered, *maps)), SIZE)

    def steps(photos: np.ndarray) -> float:
        inside = photos[:, 8:].astype(float)
        return float(np.abs(np.diff(inside, axis=2)).mean() / inside.mean())

    assert steps(painted(painter, rendered, maps[1])) == pytest.approx(steps(real), rel=0.03)


def test_smooth_mottling_brings_no_grain_of_its_own() -> None:
    """As at 1024 px, where a pixel is like its neighbours: what was measured over a bounded reach has a spectrum
    that is rough, and what is below zero there cannot be painted."""
    size = 192
    even, fields = np.full((6, size, size, 3), 140.0), np.ones((6, size, size), bool)
    noise = np.random.default_rng(4).normal(0, 1, even.shape)
    coarse, grain = (ndimage.gaussian_filter(noise, (0, width, width, 0)) for width in (4, 0.7))
    real = even * np.exp(0.1 * coarse / coarse.std() + 0.01 * grain / grain.std())
    maps = np.zeros_like(fields), fields
    photos = real.clip(0, 255).astype(np.uint8), even.astype(np.uint8)
    texture = measure_texture((photos[0], *maps), (photos[1], *maps))
    drawn = painted(TexturePainter(texture, size), photos[1], fields)

    def fine(pictures: np.ndarray) -> float:
        levels = pictures.astype(float)
        return float((levels - ndimage.gaussian_filter(levels, (0, 1, 1, 0))).std())

    assert fine(drawn) == pytest.approx(fine(photos[0]), rel=0.15)


def test_a_texture_is_its_seeds_own(texture: Texture) -> None:
    painter = TexturePainter(texture, SIZE)
    grey, field = np.full((SIZE, SIZE, 3), 100, np.float32), np.ones((SIZE, SIZE), np.uint8)
    first, again, other = (painter.add(grey, field, seed) for seed in (5, 5, 6))
    assert np.array_equal(first, again)
    assert np.abs(first.astype(int) - other).mean() > 1


def test_there_is_no_texture_where_only_a_few_photographs_have_more_of_it() -> None:
    same = photographs(1, 1, 0.05)
    assert measure_texture(same, same) is None
    smooth, labels, fields = photographs(6, 1, 0.02)
    rough, _, _ = photographs(6, 1, 0.2)
    rendered = photographs(6, 2, 0.05)
    few = np.concatenate([smooth[:4], rough[4:]]), labels, fields
    many = np.concatenate([smooth[:2], rough[2:]]), labels, fields
    assert measure_texture(few, rendered) is None
    assert measure_texture(many, rendered) is not None


def test_a_package_keeps_it(tiny_folder, tmp_path, texture: Texture) -> None:
    """A pair's texture does not depend on what it is drawn with, and photographs alone change."""
    plain = load_package(tiny_folder)
    folder = tmp_path / "textured"
    networks = plain.vessel_generator(), plain.translator(), plain.style_statistics()
    small = Texture(texture.covariances[..., 5:14, 5:14], texture.patchiness)
    write_package(folder, plain.manifest, *networks, plain.sampling, small)
    textured = load_package(folder)
    kept = textured.texture()
    assert kept is not None
    assert torch.allclose(kept.covariances, small.covariances, rtol=5e-3, atol=0)
    sampler = PairSampler(textured, "cpu")
    together, alone = sampler.sample([1, 2, 3])[1], sampler.sample([2])[0]
    assert np.array_equal(together.image, alone.image)
    before = PairSampler(plain, "cpu").sample([2])[0]
    assert np.array_equal(before.label, alone.label)
    assert not np.array_equal(before.image, alone.image)


def test_a_texture_of_another_shape_is_refused(tiny_folder, tmp_path, texture: Texture) -> None:
    plain = load_package(tiny_folder)
    networks = plain.vessel_generator(), plain.translator(), plain.style_statistics()
    bad = Texture(texture.covariances, 0.1)
    object.__setattr__(bad, "covariances", texture.covariances[:, :2])
    write_package(tmp_path / "bad", plain.manifest, *networks, plain.sampling, bad)
    with pytest.raises(PackageError, match="texture covariances of shape"):
        load_package(tmp_path / "bad")
