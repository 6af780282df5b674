"""What kubectl renders is what Kubernetes takes, and its parts refer to one another rightly."""

import json
from functools import cache
from ipaddress import ip_address, ip_network
from typing import Any

import kubernetes_validate
import pytest
from kubernetes_validate import utils

from app import __version__
from app.webhooks.targets import is_public
from tests.k8s.manifests import (
    COMPONENT,
    OVERLAYS,
    WORKLOADS,
    Manifest,
    container_of,
    name_of,
    of_kind,
    overlay,
    own_overlay,
    own_workloads,
    pod_of,
    ports_of,
    selects,
)

OLDEST, NEWEST = "1.30", "1.37"  # as docs/kubernetes.md has it
OF_OTHERS = {"ScaledObject", "TriggerAuthentication", "PodMonitor"}  # no schema of Kubernetes' own


def all_objects() -> list[Manifest]:
    """Of all overlays, each once."""
    objects = [each for name in OVERLAYS for each in overlay(name)] + own_overlay()
    return list({json.dumps(each, sort_keys=True): each for each in objects}.values())


@pytest.fixture(params=OVERLAYS)
def objects(request: pytest.FixtureRequest) -> list[Manifest]:
    return overlay(request.param)


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_kubernetes_knows_each_field(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # It reads all of its schemas anew for each object.
    monkeypatch.setattr(utils, "schema_contents", cache(utils.schema_contents))
    for manifest in all_objects():
        if manifest["kind"] not in OF_OTHERS:
            kubernetes_validate.validate(manifest, version, strict=True)


def test_what_selects_finds_something(objects: list[Manifest]) -> None:
    workloads = of_kind(objects, *WORKLOADS)
    for each in of_kind(objects, "PodDisruptionBudget"):
        assert [w for w in workloads if selects(each["spec"]["selector"], w)], name_of(each)
    for service in of_kind(objects, "Service"):
        selector = {"matchLabels": service["spec"]["selector"]}
        [workload] = [w for w in workloads if selects(selector, w)]
        for port in service["spec"]["ports"]:
            assert port["targetPort"] in ports_of(workload)
    for workload in of_kind(objects, "Deployment", "StatefulSet"):
        assert selects(workload["spec"]["selector"], workload)
        for constraint in pod_of(workload)["spec"].get("topologySpreadConstraints", []):
            assert selects(constraint["labelSelector"], workload)
    names = {(w["kind"], name_of(w)) for w in workloads}
    for scaler in of_kind(objects, "HorizontalPodAutoscaler", "ScaledObject"):
        target = scaler["spec"]["scaleTargetRef"]
        assert (target.get("kind", "Deployment"), target["name"]) in names
        # What Kubernetes counts must not be set anew by each apply.
        [scaled] = [w for w in workloads if name_of(w) == target["name"]]
        assert "replicas" not in scaled["spec"]


@pytest.mark.parametrize("name", ["cpu", "gpu"])
def test_keda_gets_what_its_scaler_reads(name: str) -> None:
    objects = overlay(name)
    [authentication] = of_kind(objects, "TriggerAuthentication")
    # pkg/scalers/postgresql_scaler.go of kedacore/keda
    assert {each["parameter"] for each in authentication["spec"]["secretTargetRef"]} == {
        "host", "port", "dbName", "userName", "password", "sslmode",
    }  # fmt: skip
    scaled = of_kind(objects, "ScaledObject")
    assert {name_of(each) for each in scaled} == {"worker-generate", "worker-train"}
    for each in scaled:
        assert each["spec"]["minReplicaCount"] < each["spec"]["maxReplicaCount"]
        [trigger] = each["spec"]["triggers"]
        assert trigger["type"] == "postgresql"
        assert trigger["metricType"] == "AverageValue"
        assert trigger["authenticationRef"] == {"name": name_of(authentication)}
        assert set(trigger["metadata"]) == {
            "query",
            "targetQueryValue",
            "activationTargetQueryValue",
        }
        assert all(isinstance(value, str) for value in trigger["metadata"].values())


def test_each_worker_can_go_and_the_api_stays(objects: list[Manifest]) -> None:
    budgets = {name_of(b): b["spec"] for b in of_kind(objects, "PodDisruptionBudget")}
    assert budgets["api"]["minAvailable"] == 1
    assert {n for n, b in budgets.items() if b.get("maxUnavailable") == 1} == {
        "worker-generate", "worker-train",
    }  # fmt: skip
    [api] = [w for w in of_kind(objects, "Deployment") if name_of(w) == "api"]
    assert api["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


def test_pods_may_do_nothing_they_need_not(objects: list[Manifest]) -> None:
    [namespace] = of_kind(objects, "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert not of_kind(objects, "Secret", "Role", "RoleBinding", "ClusterRoleBinding")
    for workload in of_kind(objects, *WORKLOADS):
        pod, container = pod_of(workload)["spec"], container_of(workload)
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] > 0
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"cpu", "memory"} <= set(container["resources"]["requests"])
        assert "memory" in container["resources"]["limits"]
    for workload in own_workloads(objects):
        context = pod_of(workload)["spec"]["securityContext"]
        assert (context["runAsUser"], context["runAsGroup"]) == (10001, 10001)
        mounts = {m["mountPath"] for m in container_of(workload)["volumeMounts"]}
        assert mounts == {"/tmp", "/var/lib/fundusmith"}
        assert "ephemeral-storage" in container_of(workload)["resources"]["limits"]


def test_a_busy_worker_is_not_restarted(objects: list[Manifest]) -> None:
    for workload in own_workloads(objects):
        if workload["kind"] == "Job":
            continue
        container = container_of(workload)
        for kind in ("startupProbe", "livenessProbe"):
            assert container[kind]["httpGet"]["path"] == "/healthz"  # asks no other part
            assert container[kind]["httpGet"]["port"] in ports_of(workload)
            assert container[kind]["timeoutSeconds"] >= 5
        alive = container["livenessProbe"]
        if name_of(workload).startswith("worker-"):
            assert alive["periodSeconds"] * alive["failureThreshold"] >= 180
            assert pod_of(workload)["spec"]["terminationGracePeriodSeconds"] >= 60
    [api] = [w for w in own_workloads(objects) if name_of(w) == "api"]
    assert container_of(api)["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}


def test_only_what_is_listed_passes(objects: list[Manifest]) -> None:
    policies = {name_of(p): p["spec"] for p in of_kind(objects, "NetworkPolicy")}
    assert policies["default-deny"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    workloads = of_kind(objects, *WORKLOADS)

    def reached(name: str) -> set[str]:
        found = [w for w in workloads if selects(policies[name]["podSelector"], w)]
        for rule in policies[name].get("ingress", []):
            for port in {port["port"] for port in rule["ports"]}:
                assert any(port in ports_of(workload) for workload in found), (name, port)
        return {name_of(workload) for workload in found}

    users = {"api", "worker-generate", "worker-train", "sweeper"}
    assert {name: reached(name) for name in policies if policies[name]["podSelector"]} == {
        "requests": {"api"},
        "scraping": users | {"webhooks"},
        "database": users | {"webhooks", "migrate"},
        "broker": users,
        "storage": users,
        "receivers": {"webhooks"},
        **(
            {
                "to-parts": users | {"webhooks", "migrate"},
                "from-users-of-parts": {"postgresql", "valkey", "s3"},
            }
            if "to-parts" in policies
            else {}
        ),
    }


def test_receivers_of_webhooks_are_public_addresses() -> None:
    [policy] = [p for p in of_kind(overlay("cpu"), "NetworkPolicy") if name_of(p) == "receivers"]
    blocks = [to["ipBlock"] for to in policy["spec"]["egress"][0]["to"]]

    def passes(address: str) -> bool:
        return any(
            ip_address(address) in ip_network(block["cidr"])
            and not any(ip_address(address) in ip_network(e) for e in block.get("except", []))
            for block in blocks
        )

    inside = (
        "0.0.0.1 10.255.255.255 100.64.0.1 100.127.255.255 127.0.0.1 169.254.169.254 172.16.0.1 "
        "172.31.255.255 192.0.0.1 192.0.2.1 192.168.255.255 198.18.0.1 198.19.255.255 198.51.100.1 "
        "203.0.113.1 224.0.0.1 240.0.0.1 255.255.255.255 ::1 fd00::1 fe80::1 ff02::1"
    )
    outside = "8.8.8.8 11.0.0.1 100.128.0.1 172.32.0.1 192.169.0.1 198.20.0.1 2001:4860:4860::8888"
    for addresses, public in ((inside, False), (outside, True)):
        for address in addresses.split():
            assert passes(address) == is_public(ip_address(address)) == public, address


def test_gpus_are_asked_for_in_limits() -> None:
    objects = overlay("gpu")
    for workload in own_workloads(objects):
        resources, pod = container_of(workload)["resources"], pod_of(workload)["spec"]
        assert "nvidia.com/gpu" not in resources["requests"]
        is_worker = name_of(workload).startswith("worker-")
        assert resources["limits"].get("nvidia.com/gpu") == ("1" if is_worker else None)
        tolerated = [toleration["key"] for toleration in pod.get("tolerations", [])]
        assert tolerated == (["nvidia.com/gpu"] if is_worker else [])
        assert container_of(workload)["image"].endswith("-cuda") == is_worker
        if is_worker:  # a GPU more would be needed
            assert workload["spec"]["strategy"]["rollingUpdate"]["maxSurge"] == 0


def test_images_are_of_this_version(objects: list[Manifest]) -> None:
    tags = {container_of(w)["image"].partition(":")[2] for w in own_workloads(objects)}
    assert {tag.removesuffix("-cuda") for tag in tags} == {__version__}


def test_the_migration_can_be_applied_first(objects: list[Manifest]) -> None:
    """What carries the label needs nothing that does not."""
    first = [o for o in objects if o["metadata"].get("labels", {}).get("apply") == "first"]
    [job] = of_kind(first, "Job")
    there = {(each["kind"], name_of(each)) for each in first}
    [maps] = container_of(job)["envFrom"]
    assert {
        ("Namespace", job["metadata"]["namespace"]),
        ("ServiceAccount", pod_of(job)["spec"]["serviceAccountName"]),
        ("ConfigMap", maps["configMapRef"]["name"]),
        ("NetworkPolicy", "dns"),
        ("NetworkPolicy", "database"),
    } <= there
    assert not of_kind(first, "Deployment")


def test_the_overlay_of_the_page() -> None:
    objects = own_overlay()
    images = {container_of(w)["image"] for w in own_workloads(objects)}
    assert {image.rpartition("/")[0] for image in images} == {"registry.example.org"}
    [settings] = of_kind(objects, "ConfigMap")
    assert settings["data"]["FUNDUSMITH_STORAGE_URL"] == "s3://my-bucket/fundusmith"
    assert settings["data"]["FUNDUSMITH_DEVICE"] == "cuda"
    assert settings["metadata"]["labels"]["apply"] == "first"
    policies = {name_of(p): p["spec"] for p in of_kind(objects, "NetworkPolicy")}
    for name in ("database", "broker"):
        assert policies[name]["egress"][0]["to"] == [{"ipBlock": {"cidr": "10.20.0.0/16"}}]
    workloads = of_kind(objects, *WORKLOADS)
    scraped: list[Any] = []
    for monitor in of_kind(objects, "PodMonitor"):
        found = [w for w in workloads if selects(monitor["spec"]["selector"], w)]
        [endpoint] = monitor["spec"]["podMetricsEndpoints"]
        assert endpoint["path"] == "/metrics"
        assert all(endpoint["port"] in ports_of(workload) for workload in found)
        scraped += [pod_of(w)["metadata"]["labels"][COMPONENT] for w in found]
    assert sorted(scraped) == ["api", "sweeper", "webhooks", "worker-generate", "worker-train"]
