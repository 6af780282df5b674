"""Dashboard, alerts and their page name the metrics that there are, with the labels that they have."""

import json
import re
from collections.abc import Iterator
from types import ModuleType

import pytest
import yaml
from prometheus_client.metrics import MetricWrapperBase

from app.health import readiness
from app.observability import backlog, requests
from app.settings import SOURCE_TREE
from app.webhooks import sender
from worker import metrics, sweeper

FOLDER = SOURCE_TREE / "docker" / "observability"
RULES = yaml.safe_load((FOLDER / "alerts.yaml").read_text(encoding="utf-8"))["groups"][0]["rules"]
PANELS = json.loads((FOLDER / "dashboard.json").read_text(encoding="utf-8"))["panels"]
PAGE = (SOURCE_TREE / "docs" / "observability.md").read_text(encoding="utf-8")
ALERTS = {
    "FundusmithQueueOld",
    "FundusmithNothingConsumed",
    "FundusmithLeasesExpire",
    "FundusmithNoSweep",
    "FundusmithItemsFail",
    "FundusmithWebhooksFail",
    "FundusmithApiErrors",
    "FundusmithApiSlow",
    "FundusmithNotReady",
    "FundusmithDeviceMemory",
}
OF_SCRAPES = {"instance"}  # which Prometheus adds
BUCKET = {"le"}


def exposed() -> dict[str, tuple[str, tuple[str, ...]]]:
    """Type and labels of each metric, by the name that it is asked for by."""
    found = {}
    for module in (requests, backlog, readiness, metrics, sweeper, sender):
        for name, kind, labels in defined_in(module):
            found[f"{name}_total" if kind == "counter" else name] = (kind, labels)
    return found


def defined_in(module: ModuleType) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    for each in vars(module).values():
        if isinstance(each, MetricWrapperBase):
            (family,) = each.collect()
            yield family.name, family.type, tuple(each._labelnames)


EXPOSED = exposed()


def expressions() -> Iterator[tuple[str, str]]:
    """Each expression, and what else is said of its result."""
    for rule in RULES:
        yield rule["expr"], json.dumps(rule)
    for panel in PANELS:
        for target in panel["targets"]:
            yield target["expr"], target["legendFormat"]


@pytest.mark.parametrize(("expression", "said"), list(expressions()))
def test_whatever_is_asked_for_is_there(expression: str, said: str) -> None:
    labels = set(OF_SCRAPES)
    asked = re.findall(r"(fundusmith_\w+)(?:{([^}]*)})?", expression)
    assert asked
    for name, matchers in asked:
        family, part = re.fullmatch(r"(\w+?)(_bucket|_sum|_count)?", name).groups()
        kind, has = EXPOSED[family]
        assert (part is None) == (kind not in ("histogram", "summary")), name
        assert set(re.findall(r"(\w+)(?:=~|!~|!=|=)", matchers)) <= set(has), name
        labels |= set(has) | (BUCKET if part == "_bucket" else set())
    for grouping in re.findall(r"(?:by|ignoring|without|on) \(([^)]*)\)", expression):
        assert set(re.findall(r"\w+", grouping)) <= labels, expression
    assert set(re.findall(r"{{ ?(?:\$labels\.)?(\w+) ?}}", said)) <= labels, said


def test_each_alert_has_its_place_in_the_runbook() -> None:
    assert {rule["alert"] for rule in RULES} == ALERTS
    for rule in RULES:
        anchor = rule["alert"].lower()
        assert rule["annotations"]["runbook"] == f"docs/runbook.md#{anchor}"
        assert rule["annotations"]["summary"]
    runbook = (SOURCE_TREE / "docs" / "runbook.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^## (Fundusmith\w+)$", runbook, re.M)) == ALERTS


def test_the_page_has_each_metric_with_its_type_and_labels() -> None:
    rows = re.findall(r"^\| `(fundusmith_\w+)` \| (\w+) \| ([^|]*) \| ", PAGE, re.MULTILINE)
    told = {name: (kind, tuple(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
    assert told == EXPOSED
    assert len(rows) == len(told)
