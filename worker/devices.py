"""The device that a worker is to use."""

import os
from pathlib import Path

import torch

from models.devices import Device
from worker.metrics import DEVICE_MEMORY
from worker.model_cache import ModelUnavailable

STATM = Path("/proc/self/statm")
CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")


def choose_device(wanted: str) -> Device:
    """As :meth:`models.devices.Device.choose`. Raises ModelUnavailable if it is not there."""
    try:
        return Device.choose(wanted)
    except ValueError as error:
        raise ModelUnavailable(
            "device_missing", f"The worker cannot use its device: {error}."
        ) from error


def note_device_memory(wanted: str) -> None:
    """Sets the metrics of the memory of the device, the one that the worker is set to use; cheap."""
    if torch.cuda.is_initialized():  # asking would do it, and take memory of its own
        free, total = torch.cuda.mem_get_info(wanted if wanted.startswith("cuda") else None)
        used = total - free
    elif STATM.exists():
        page = os.sysconf("SC_PAGE_SIZE")
        used = int(STATM.read_text().split()[1]) * page
        total = os.sysconf("SC_PHYS_PAGES") * page
        limit = CONTAINER_LIMIT.read_text().strip() if CONTAINER_LIMIT.exists() else "max"
        total = total if limit == "max" else min(total, int(limit))
    else:  # macOS
        return
    DEVICE_MEMORY.labels("used").set(used)
    DEVICE_MEMORY.labels("total").set(total)
