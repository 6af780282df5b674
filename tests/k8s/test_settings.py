"""Pods get settings that the service takes, and run what ``fundusmith up`` runs."""

import json
import re
import sys
from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
import yaml
from sqlalchemy import make_url

from app import __version__
from app.settings import SOURCE_TREE, Access, Settings
from app.supervisor import _children
from tests.k8s.manifests import (
    OVERLAYS,
    WORKLOADS,
    Manifest,
    container_of,
    documented_secrets,
    environment,
    name_of,
    of_kind,
    overlay,
    own_overlay,
    own_workloads,
    ports_of,
)

# Read by boto3 and by OpenMP.
OF_OTHERS = {
    "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION", "OMP_NUM_THREADS",
}  # fmt: skip
OF_DATABASE = {"webhooks", "migrate"}  # they know neither broker nor bucket


def secret_for(name: str) -> Mapping[str, str]:
    """What the page has for the overlay: managed parts first, those of the try-out second."""
    managed, tried = documented_secrets()["fundusmith"]
    return tried if name == "local" else managed


def settings_of(values: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> Settings:
    with monkeypatch.context() as patch:
        for name, value in values.items():
            patch.setenv(name, value)
        return Settings()


@pytest.mark.parametrize("name", OVERLAYS)
def test_settings_are_taken(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    objects, used = overlay(name), set()
    for workload in own_workloads(objects):
        values = environment(workload, objects, secret_for(name))
        used |= set(values)
        named = {n.removeprefix("FUNDUSMITH_").lower() for n in set(values) - OF_OTHERS}
        assert named <= set(Settings.model_fields)
        settings = settings_of(values, monkeypatch)
        assert settings.resolved_access is Access.REQUIRED
        assert str(settings.data_dir) == "/var/lib/fundusmith"
        assert settings.database_url and settings.storage_url
        assert (settings.broker_url is None) == (name_of(workload) in OF_DATABASE)
        if workload["kind"] == "Deployment":
            is_api = name_of(workload) == "api"
            port = settings.port if is_api else settings.health_port
            assert ports_of(workload) == {"http" if is_api else "health": port}
            signs = name_of(workload) in ("api", "webhooks")
            assert (settings.webhook_secret is not None) == signs
    assert used >= OF_OTHERS


@pytest.mark.parametrize("name", OVERLAYS)
def test_each_key_of_a_secret_is_documented_and_used(name: str) -> None:
    used = {
        (
            variable["valueFrom"]["secretKeyRef"]["name"],
            variable["valueFrom"]["secretKeyRef"]["key"],
        )
        for workload in of_kind(overlay(name), "Deployment", "StatefulSet", "Job")
        for variable in container_of(workload).get("env", [])
        if "secretKeyRef" in variable.get("valueFrom", {})
    }
    assert used == {("fundusmith", key) for key in secret_for(name)}


def test_keys_for_keda_and_prometheus_are_documented() -> None:
    objects = own_overlay()
    [authentication] = of_kind(objects, "TriggerAuthentication")
    [keda] = documented_secrets()["fundusmith-keda"]
    references = authentication["spec"]["secretTargetRef"]
    assert {(r["name"], r["key"]) for r in references} == {("fundusmith-keda", k) for k in keda}
    [metrics] = documented_secrets()["fundusmith-metrics"]
    [credentials] = [
        endpoint["authorization"]["credentials"]
        for monitor in of_kind(objects, "PodMonitor")
        for endpoint in monitor["spec"]["podMetricsEndpoints"]
        if "authorization" in endpoint
    ]
    assert (credentials["name"], [credentials["key"]]) == ("fundusmith-metrics", list(metrics))


def test_policies_let_through_to_the_documented_ports() -> None:
    secret = secret_for("cpu")
    ports = {
        "database": make_url(secret["database-url"]).port,
        "broker": make_url(secret["broker-url"]).port,
        "storage": 443,
    }
    for policy in of_kind(overlay("cpu"), "NetworkPolicy"):
        if name_of(policy) in ports:
            [rule] = policy["spec"]["egress"]
            assert [port["port"] for port in rule["ports"]] == [ports.pop(name_of(policy))]
            for to in rule["to"]:  # never the cloud's service of credentials and the like
                block = to["ipBlock"]
                inside = ip_address("169.254.169.254") in ip_network(block["cidr"])
                assert not inside or "169.254.0.0/16" in block["except"]
    assert not ports


def test_names_of_the_servers_of_the_try_out() -> None:
    objects, secret = overlay("local"), secret_for("local")
    services = {name_of(s): s["spec"]["ports"][0]["port"] for s in of_kind(objects, "Service")}
    [api] = [w for w in own_workloads(objects) if name_of(w) == "api"]
    values = environment(api, objects, secret)
    urls = [values[f"FUNDUSMITH_{name}_URL"] for name in ("DATABASE", "BROKER", "S3_ENDPOINT")]
    for url in map(make_url, urls):
        assert services[str(url.host)] == url.port
    servers = {name_of(w): w for w in of_kind(objects, "StatefulSet")}
    database = make_url(values["FUNDUSMITH_DATABASE_URL"])
    made = environment(servers["postgresql"], objects, secret)
    assert (made["POSTGRES_USER"], made["POSTGRES_PASSWORD"], made["POSTGRES_DB"]) == (
        database.username, database.password, database.database,
    )  # fmt: skip
    bucket = values["FUNDUSMITH_STORAGE_URL"].removeprefix("s3://")
    assert f"-bucket={bucket}" in container_of(servers["s3"])["command"]


def command_of(deployment: Manifest) -> list[str]:
    container = container_of(deployment)
    return [*container["command"], *container.get("args", [])]


def test_pods_run_what_up_runs(tmp_path: Path) -> None:
    settings = Settings(
        data_dir=tmp_path,
        host="0.0.0.0",
        broker_url="redis://127.0.0.1:1/0",
        webhook_secret=secret_for("cpu")["webhook-secret"],
    )
    up = {child.name: child._command for child in _children(settings, port=8000)}
    names = {"worker": "worker-generate", "trainer": "worker-train"}
    expected = {names.get(name, name): command for name, command in up.items()}
    deployments = of_kind(overlay("cpu"), "Deployment")
    assert {name_of(each) for each in deployments} == set(expected)
    for deployment in deployments:
        command = command_of(deployment)
        if command[0] != "python":  # a program of that name that does the same
            command = ["python", "-m", *command]
        assert [sys.executable, *command[1:]] == expected[name_of(deployment)]


def test_pods_run_what_containers_run() -> None:
    folder = SOURCE_TREE / "docker"
    services = yaml.safe_load((folder / "compose.yaml").read_text(encoding="utf-8"))["services"]
    services["postgresql"] = services.pop("postgres")
    text = (folder / "Dockerfile").read_text(encoding="utf-8")
    api, generate = map(json.loads, re.findall(r"^CMD (\[.*\])$", text, re.MULTILINE))
    own = {name_of(workload): workload for workload in own_workloads(overlay("local"))}
    for name, workload in own.items():
        default = {"api": api, "worker-generate": generate}.get(name)
        assert command_of(workload) == services[name].get("command", default)
    for workload in of_kind(overlay("local"), *WORKLOADS):
        image = (
            services[name_of(workload)]["image"].removeprefix("docker.io/").removeprefix("library/")
        )
        tag = f":{__version__}" if name_of(workload) in own else ""
        assert container_of(workload)["image"] == image + tag
