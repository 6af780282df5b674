"""The package format: what is written is read, and every kind of damage is named."""

import json
import shutil

import pytest
from safetensors.torch import load_file, save_file

from models.package import PackageError, load_package, sha256_of, write_tiny_package
from models.segmenter import SegmenterConfig


@pytest.fixture
def folder(tiny_folder, tmp_path):
    return shutil.copytree(tiny_folder, tmp_path / "tiny")


def edit(folder, change):
    path = folder / "package.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


def relist(folder, name):
    """List a changed file as if it belonged there."""
    facts = {"sha256": sha256_of(folder / name), "bytes": (folder / name).stat().st_size}
    edit(folder, lambda manifest: manifest["files"].update({name: facts}))


def test_what_is_written_is_read(tiny_folder):
    package = load_package(tiny_folder)
    assert (package.name, package.version, package.resolution) == ("tiny-64", "0.0.1", 64)
    assert package.digest == sha256_of(tiny_folder / "package.json")
    assert package.translator().config == package.translator_config
    mean, factor = package.style_statistics()
    assert mean.shape == (4,) and factor.shape == (4, 4)
    # Not written where no field is cut, so that such packages are what they were before it was known.
    assert package.sampling.field_half_height == 1
    assert "field_half_height" not in package.manifest["sampling"]


def test_a_package_may_have_a_tracer(tiny_folder, tmp_path):
    assert load_package(tiny_folder).tracer() is None
    folder = write_tiny_package(tmp_path / "traced", traced=True)
    package = load_package(folder)
    assert package.tracer().config == SegmenterConfig()
    assert package.manifest["networks"]["tracer"]["class"] == "Segmenter"
    assert package.sampling.tracing_threshold == 0.5
    edit(folder, lambda m: m["sampling"].pop("tracing_threshold"))
    with pytest.raises(PackageError, match=r"tracer\.safetensors and .* need each other"):
        load_package(folder)
    edit(folder, lambda m: m["networks"].pop("tracer"))
    with pytest.raises(PackageError, match=r"networks\.tracer: 'tracer'"):
        load_package(folder)


def test_writing_twice_gives_the_same_digest(tiny_folder, tmp_path):
    assert (
        load_package(write_tiny_package(tmp_path / "b")).digest == load_package(tiny_folder).digest
    )


def test_a_flipped_bit_in_the_weights_is_found(folder):
    path = folder / "vessel.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(
        PackageError, match=r"vessel\.safetensors: its SHA-256 is not the one listed"
    ):
        load_package(folder)


def test_a_truncated_file_is_found(folder):
    path = folder / "translator.safetensors"
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(PackageError, match=r"translator\.safetensors: \d+ bytes, listed with"):
        load_package(folder)


def test_a_missing_file_is_named(folder):
    (folder / "CARD.md").unlink()
    with pytest.raises(PackageError, match=r"CARD\.md: missing"):
        load_package(folder)


def test_weights_that_do_not_fit_the_configuration_are_refused(folder):
    edit(folder, lambda m: m["networks"]["translator"]["config"].update(channels=[4, 16]))
    with pytest.raises(PackageError, match=r"translator\.safetensors: weights do not fit"):
        load_package(folder)


def test_a_file_that_is_not_safetensors_is_refused(folder):
    (folder / "vessel.safetensors").write_bytes(b"\x80\x04not safetensors")
    relist(folder, "vessel.safetensors")
    with pytest.raises(PackageError, match=r"vessel\.safetensors: not a safetensors file"):
        load_package(folder)


def test_missing_style_statistics_are_named(folder):
    path = folder / "translator.safetensors"
    tensors = load_file(path)
    del tensors["style.factor"]
    save_file(tensors, path)
    relist(folder, path.name)
    with pytest.raises(PackageError, match=r"style\.factor must have shape \(4, 4\)"):
        load_package(folder)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m.pop("networks"), "'networks' is missing"),
        (lambda m: m.update(format="other/9"), 'field "format" must be'),
        (lambda m: m.pop("files"), 'field "files" must list both'),
        (lambda m: m.update(resolutions=[128]), 'field "resolutions" must be \\[64\\]'),
        (lambda m: m["sampling"].update(batch_size=0), "batch_size must lie"),
        (lambda m: m["sampling"].update(threshold=1.5), "threshold must lie"),
        (lambda m: m["sampling"].update(tracing_threshold=0), "tracing_threshold must lie"),
        (lambda m: m["sampling"].update(tracing_threshold=0.5), "need each other"),
        (lambda m: m["sampling"].update(tracing_margin=-1), "tracing_margin must lie"),
        (lambda m: m["sampling"].update(most_loops=-1), "most_loops must not"),
        (lambda m: m["sampling"].update(field_mean=[0.5, 0.5]), "field_mean must be three"),
        (lambda m: m["sampling"].update(field_half_height=0), "field_half_height must be above"),
        (lambda m: m["sampling"].update(eye="both"), 'eye must be "left" or "right"'),
        (lambda m: m["sampling"].update(surprise=1), "surprise"),
        (lambda m: m["networks"]["vessel"]["config"].update(latent=-3), "must be positive"),
        (lambda m: m["files"].update({"../x": {"bytes": 1}}), "must not have folders"),
    ],
)
def test_a_bad_manifest_is_refused_by_field(folder, change, words):
    edit(folder, change)
    with pytest.raises(PackageError, match=words):
        load_package(folder)


def test_a_manifest_that_is_not_json_is_refused(folder):
    (folder / "package.json").write_text("{")
    with pytest.raises(PackageError, match=r"package\.json: not readable as JSON"):
        load_package(folder)
