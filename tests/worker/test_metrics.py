"""A worker's main process serves what its pool processes count."""

import os
import subprocess
import sys
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

# Two pool processes in turn; the first is killed. Then the main process serves.
WORKER = """
import os, signal
from worker import celery_app, metrics
from prometheus_client import generate_latest

for number, end in enumerate((signal.SIGKILL, None)):
    child = os.fork()
    if child == 0:
        metrics.PAIRS.inc(3)
        metrics.ITEMS.labels("shard", "finished").inc()
        metrics.DEVICE_MEMORY.labels("used").set(5 - number)
        if end:
            os.kill(os.getpid(), end)
        os._exit(0)
    os.waitpid(child, 0)
print(generate_latest().decode())
"""


def test_counts_of_pool_processes_add_up_and_outlive_them(tmp_path: Path) -> None:
    environment = {**os.environ, "FUNDUSMITH_DATA_DIR": str(tmp_path / "data")}
    text = subprocess.run(
        [sys.executable, "-c", WORKER],
        env={**environment, "TMPDIR": str(tmp_path)},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    families = list(text_string_to_metric_families(text))
    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }
    assert samples["fundusmith_pairs_total",] == 6
    assert samples["fundusmith_items_ended_total", ("kind", "shard"), ("outcome", "finished")] == 2
    assert samples["fundusmith_items_ended_total", ("kind", "shard"), ("outcome", "lost")] == 0
    assert samples["fundusmith_device_memory_bytes", ("state", "used")] == 4
    names = [family.name for family in families]
    assert len(set(names)) == len(names)
    assert "process_resident_memory_bytes" in names
    ours = {name for name in names if name.startswith("fundusmith_")}
    assert ours == {
        "fundusmith_items_ended",
        "fundusmith_item_seconds",
        "fundusmith_pairs",
        "fundusmith_stage_seconds",
        "fundusmith_training_images",
        "fundusmith_model_loads",
        "fundusmith_model_load_seconds",
        "fundusmith_device_memory_bytes",
    }
    assert not list(tmp_path.glob("fundusmith-metrics-*"))  # the folder goes with the worker
