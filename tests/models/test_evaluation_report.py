"""The report: what is concluded from fits, and the files that show it."""

import json
import re

import pytest

from models.evaluation.html import to_html
from models.evaluation.report import FORMAT, build_report
from models.evaluation.results import StepResult
from models.evaluation.settings import EvaluationSettings
from models.evaluation.table import markdown

F1 = {  # of three seeds
    "real": (0.800, 0.802, 0.798),
    "synthetic": (0.760, 0.764, 0.756),  # 0.04 below, whatever the seed
    "mixed": (0.801, 0.795, 0.805),  # above, but no more than the seeds differ
}
PICTURE = b"\x89PNG, made up"
FACTS = {
    "created": "2026-11-23T12:00:00+00:00",
    "model": {"name": "tiny <64>", "version": "1.0.0", "digest": "d1", "learned_from": "eyes"},
    "order": None,
    "size": 64,
    "pairs": {"train": ["a", "b"], "test": ["c", "d"], "synthetic": 9, "rendered": 0},
    "libraries": {"torch": "2"},
    "machine": {"threads": 1},
}


def fit(arm, seed):
    f1 = F1[arm][seed]
    scores = {"f1": f1, "auc": 0.9, "sensitivity": 0.7, "specificity": 0.95, "cl_dice": 0.75}
    values = {"arm": arm, "seed": seed, "threshold": 0.5, "steps": 10, "seconds": 2.0}
    values |= {"in_field": scores, "whole_image": scores, "network": {"class": "Segmenter"}}
    if arm == "real":
        values["found_again"] = {"synthetic": scores}
    values["per_image"] = [{"name": "c", "f1": f1 + 0.05}, {"name": "d", "f1": 0.75}]
    return StepResult(values, {f"{arm}-{seed}.png": PICTURE} if seed == 0 else {})


def report_of(seeds):
    fits = {f"fit:{arm}:{seed}": fit(arm, seed) for arm in F1 for seed in range(seeds)}
    report = build_report(EvaluationSettings(seeds=seeds), FACTS, fits)
    return json.loads(json.dumps(report)), fits


def test_differences_are_weighed_against_the_seeds():
    report, _ = report_of(seeds=3)
    assert report["format"] == FORMAT
    arms = report["useful"]["arms"]
    assert list(arms) == ["real", "synthetic", "mixed"]
    assert arms["synthetic"]["in_field"]["f1"] == {"mean": 0.76, "deviation": 0.004}
    assert arms["synthetic"]["ratio"] == 0.95
    assert report["useful"]["found_again"]["synthetic"]["f1"] == {"mean": 0.8, "deviation": 0.002}
    below, above = (arms[arm]["beside_real"] for arm in ("synthetic", "mixed"))
    assert below["difference"] == {"mean": -0.04, "deviation": 0.002}
    assert below["beyond_seeds"] and "more than the seeds differ" in below["sentence"]
    assert (below["images_better"], below["images"]) == (0, 2)
    assert not above["beyond_seeds"] and "no more than the seeds differ" in above["sentence"]
    assert report["real"] is report["private"] is None
    assert any("Not evaluated" in line for line in report["caveats"])


def test_one_seed_proves_nothing():
    report, _ = report_of(seeds=1)
    beside = report["useful"]["arms"]["synthetic"]["beside_real"]
    assert beside["difference"]["deviation"] is beside["beyond_seeds"] is None
    assert "one seed" in beside["sentence"]
    assert any(line.startswith("1 seed:") for line in report["caveats"])
    assert "| 0.800 | 1.000 |" in markdown([report])  # no deviation


def test_tables_for_the_readme():
    report, _ = report_of(seeds=3)
    assert "| tiny <64>@1.0.0 | synthetic | 0.760 ± 0.004 | 0.950 | 0.900 |" in markdown([report])


@pytest.mark.parametrize("shown", [True, False])
def test_the_page_needs_nothing_from_outside(shown):
    report, fits = report_of(seeds=3)
    pictures = {name: png for result in fits.values() for name, png in result.pictures.items()}
    page = to_html(report, pictures if shown else {})
    assert "found in" in page
    assert not re.search(r"https?:|<script|<link|@import|url\(", page)
    sources = re.findall(r'src="([^"]+)', page)
    assert len(sources) == (3 if shown else 0)
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert "tiny &lt;64&gt;@1.0.0" in page and "<64>" not in page
    assert "prefers-color-scheme:dark" in page and 'name="viewport"' in page
