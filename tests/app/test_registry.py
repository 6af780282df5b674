import json
from pathlib import Path
from typing import Any

import pytest

from app.access.caller import ANYBODY
from app.database import Database
from app.registry.service import Registry, RegistryError, UnknownModelError, read_package
from tests.app.packages import manifest, write_package


def test_a_package_is_read(tmp_path: Path) -> None:
    model = read_package(write_package(tmp_path / "eye"))
    assert model.id == "eye@1.0.0"
    assert model.manifest.resolutions == [64, 128]
    assert len(model.digest) == 64
    assert model.has("CARD.md") and not model.has("samples.png")


def test_models_are_found_by_name_and_by_version(tmp_path: Path, db: Database) -> None:
    for folder, name, version in (
        ("a", "eye", "1.9.0"),
        ("b", "eye", "1.10.0"),
        ("c", "disc", "2.0.0"),
    ):
        write_package(tmp_path / folder, name=name, version=version)
    registry = Registry(tmp_path)
    with db.read() as session:
        models = registry.models(session, ANYBODY)
        assert [model.id for model in models] == ["disc@2.0.0", "eye@1.10.0", "eye@1.9.0"]
        assert registry.find(session, ANYBODY, "eye").id == "eye@1.10.0"
        assert registry.find(session, ANYBODY, "eye@1.9.0").id == "eye@1.9.0"
        for unknown in ("eye@2.0.0", "ey", "", "@", "eye@", "eye\0"):
            with pytest.raises(UnknownModelError, match=r"there are: disc@2\.0\.0, eye@1\.10\.0"):
                registry.find(session, ANYBODY, unknown)


def test_the_default_model(tmp_path: Path, db: Database) -> None:
    def default(setting: str | None = None) -> str:
        with db.read() as session:
            return Registry(tmp_path, setting).default(session, ANYBODY).id

    with pytest.raises(UnknownModelError, match="none"):
        default()
    write_package(tmp_path / "a", name="eye")
    assert default() == "eye@1.0.0"
    write_package(tmp_path / "b", name="disc")
    with pytest.raises(UnknownModelError, match=r"disc@1\.0\.0, eye@1\.0\.0"):
        default()
    assert default("disc") == "disc@1.0.0"
    write_package(tmp_path / "c", name="chase-256")
    assert default() == "chase-256@1.0.0"


def test_a_new_package_is_seen_at_once(tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    assert registry.shipped() == []
    write_package(tmp_path / "eye")
    assert [model.id for model in registry.shipped()] == ["eye@1.0.0"]


def test_a_bad_package_is_left_out_and_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_package(tmp_path / "good")
    write_package(tmp_path / "bad", name="bad", version="one")
    write_package(tmp_path / "same")
    registry = Registry(tmp_path)
    for _ in range(3):
        assert [model.id for model in registry.shipped()] == ["eye@1.0.0"]
    assert len(caplog.records) == 2
    assert "bad/package.json: version:" in caplog.text
    assert "same/package.json" in caplog.text and "holds eye@1.0.0 already" in caplog.text


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"format": "fundusmith-model/9"}, "package.json: format: "),
        ({"name": "Eye of newt"}, "package.json: name: "),
        ({"version": "1"}, "package.json: version: "),
        ({"version": "1.0.01"}, "package.json: version: "),
        ({"metrics": {"dice": float("nan")}}, "package.json: is not JSON"),
        ({"title": "x" * 501}, "package.json: title: "),
        ({"expected": {"seconds_per_pair": 1e308}}, "package.json: expected.seconds_per_pair: "),
        (
            {"expected": {"seconds_per_pair": 1, "bytes_per_pair": 1e308}},
            "package.json: expected.bytes_per_pair: ",
        ),
        (
            {"training_data": {"name": "x", "licence": "y", "attribution": "z", "url": "data:x"}},
            "package.json: training_data.url: ",
        ),
        ({"resolutions": []}, "package.json: resolutions: "),
        ({"resolutions": [0]}, "package.json: resolutions.0: "),
        ({"expected": {"bytes_per_pair": 100, "machine": "x"}}, "expected.seconds_per_pair: "),
        ({"training_data": {"name": "x", "licence": "y"}}, "training_data.attribution: "),
        ({"files": {"CARD.md": {"sha256": "0" * 64, "bytes": 1}}}, "CARD.md: has 18 bytes, not 1"),
        ({"files": {"gone": {"sha256": "0" * 64, "bytes": 1}}}, "gone: is missing"),
        ({"files": {"../x": {"sha256": "0" * 64, "bytes": 1}}}, "'../x' lies outside"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, changes: dict[str, Any], named: str) -> None:
    folder = write_package(tmp_path / "eye", **changes)
    with pytest.raises(RegistryError) as caught:
        read_package(folder)
    assert named in str(caught.value)
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize("field", ["format", "name", "licence", "training_data", "files"])
def test_a_missing_field_is_named(tmp_path: Path, field: str) -> None:
    folder = write_package(tmp_path / "eye")
    fields = manifest()
    del fields[field]
    (folder / "package.json").write_text(json.dumps(fields))
    with pytest.raises(RegistryError, match=rf"package\.json: {field}: Field required"):
        read_package(folder)


@pytest.mark.parametrize(
    "content", [b"{", b"\xff", b"[]", b"null", b'{"metrics": 1e999}', b'["\\ud800"]', b"[" * 9999]
)
def test_a_manifest_that_is_none_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "package.json").write_bytes(content)
    with pytest.raises(RegistryError, match=r"package\.json"):
        read_package(tmp_path)


def test_a_folder_without_a_manifest_is_named(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match=r"package\.json: cannot be read"):
        read_package(tmp_path)
