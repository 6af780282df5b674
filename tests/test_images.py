"""docker/: the files agree with the service that they run. `make images` builds and tries them."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from app.settings import SOURCE_TREE, Settings
from app.supervisor import _children
from docker.build import base_image, pip_configuration

FOLDER = SOURCE_TREE / "docker"
DOCKERFILE = (FOLDER / "Dockerfile").read_text()
COMPOSE_TEXT = (FOLDER / "compose.yaml").read_text()
SERVICES = yaml.safe_load(COMPOSE_TEXT)["services"]
OURS = {name: each for name, each in SERVICES.items() if each["image"].startswith("fundusmith")}
EXAMPLE = (FOLDER / ".env.example").read_text()
SETTINGS = {f"FUNDUSMITH_{name.upper()}" for name in Settings.model_fields}


def stage(name: str) -> str:
    """The lines of the Dockerfile's stage."""
    return re.split(rf"^FROM .* AS {name}$", DOCKERFILE, flags=re.MULTILINE)[1].split("\nFROM ")[0]


def command(name: str) -> list[str]:
    """What the service runs: its own command, or its image's."""
    service = OURS[name]
    target = service["image"].removeprefix("fundusmith-")
    of_image = re.findall(r"^CMD (\[.*\])$", stage(target), re.MULTILINE)[-1]
    return service.get("command", json.loads(of_image))


def test_hadolint_finds_nothing():
    linter = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([linter, FOLDER / "Dockerfile"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_containers_run_what_the_supervisor_runs():
    settings = Settings(
        host="0.0.0.0", broker_url="redis://broker", webhook_secret="whsec_" + "A" * 32
    )
    started = {child.name: child._command[2:] for child in _children(settings, 8000)}
    assert command("api") == started["api"]
    assert command("worker-generate") == command("worker-generate-gpu") == started["worker"]
    assert command("worker-train") == command("worker-train-gpu") == started["trainer"]
    assert command("sweeper") == ["python", "-m", *started["sweeper"]]
    assert command("webhooks") == ["python", "-m", *started["webhooks"]]
    assert command("migrate") == ["fundusmith", "migrate"]


def test_each_process_is_asked_where_it_answers():
    assert SERVICES["api"]["ports"] == ["127.0.0.1:${PORT:-8000}:8000"]
    assert "ENV FUNDUSMITH_PORT=8000\nEXPOSE 8000\n" in stage("api")
    assert "ENV FUNDUSMITH_HEALTH_PORT=9000\nEXPOSE 9000\n" in stage("worker")
    assert SERVICES["webhooks"]["environment"]["FUNDUSMITH_HEALTH_PORT"] == 9000
    assert "FUNDUSMITH_HEALTH_PORT" not in SERVICES["api"]["environment"]


def test_every_setting_exists():
    named = re.findall(r"\bFUNDUSMITH_[A-Z0-9_]+", DOCKERFILE + COMPOSE_TEXT)
    assert named
    assert not set(named) - SETTINGS


def test_the_example_has_every_variable_and_no_secret():
    variables = re.findall(r"\$\{(\w+)", COMPOSE_TEXT)
    assert set(variables) | {"COMPOSE_PROFILES"} == set(re.findall(r"^#?(\w+)=", EXAMPLE, re.M))
    secret = {name for name in variables if re.search("PASSWORD|KEY|SECRET", name)}
    assert secret == set(re.findall(r"^(\w+)=$", EXAMPLE, re.M)) - {"TORCH_INDEX"}


@pytest.mark.parametrize("name", OURS)
def test_containers_may_do_little(name: str):
    service = OURS[name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["restart"] in ("unless-stopped", "on-failure")


def test_the_files_that_are_copied_are_sent_to_the_builder():
    sent = re.findall(r"^!(\S+)$", (SOURCE_TREE / ".dockerignore").read_text(), re.M)
    copied = " ".join(re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.M)).split()
    assert copied
    for path in copied:
        assert (SOURCE_TREE / path).exists(), path
        assert any(path == each or path.startswith(f"{each}/") for each in sent), path


def test_the_torch_of_the_images_is_the_one_that_the_project_pins():
    project = tomllib.loads((SOURCE_TREE / "pyproject.toml").read_text())["project"]
    (pin,) = (
        each for each in project["optional-dependencies"]["worker"] if each.startswith("torch==")
    )
    (version,) = re.findall(r"^ARG TORCH_VERSION=(\S+)\+cpu$", DOCKERFILE, re.M)
    assert pin == f"torch=={version}"
    assert f"${{TORCH_VERSION:-{version}+cpu}}" in COMPOSE_TEXT
    assert f"\nTORCH_VERSION={version}+cpu\n" in EXAMPLE
    assert base_image().startswith("docker.io/library/debian:")


def test_docker_takes_the_compose_file(tmp_path: Path):
    if (
        shutil.which("docker") is None
        or subprocess.run(["docker", "compose", "version"], capture_output=True).returncode
    ):
        pytest.skip("no Docker Compose here")
    filled = tmp_path / "env"
    filled.write_text(re.sub(r"^(\w+)=$", r"\1=filled", EXAMPLE, flags=re.M))
    compose = ["docker", "compose", "--env-file", filled, "--file", FOLDER / "compose.yaml"]
    done = subprocess.run([*compose, "config", "--quiet"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("told", "lines", "mounted"),
    [
        ("", [], []),
        ("global.timeout='9'", [], []),
        (
            "global.find-links='/a'\n:env:.find-links='/b/wheels'",
            ["find-links = /host/b/wheels"],
            ["/b/wheels"],
        ),
        (
            "global.extra-index-url='file:///c/simple https://user@example.org/simple'",
            ["extra-index-url = file:///host/c/simple https://user@example.org/simple"],
            ["/c"],
        ),
    ],
)
def test_the_build_gets_pips_configuration(told: str, lines: list[str], mounted: list[str]):
    configuration, mounts = pip_configuration(told)
    assert configuration.splitlines() == ["[global]", *lines]
    assert {str(here): str(there) for here, there in mounts.items()} == {
        path: f"/host{path}" for path in mounted
    }
