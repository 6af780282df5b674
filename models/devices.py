"""Where a run trains and how: single precision on a CPU, bfloat16 on a GPU."""

from __future__ import annotations

import ctypes
import sys
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import nn

Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class Device:
    """A torch device and what suits it."""

    name: str

    @classmethod
    def choose(cls, wanted: str = "auto") -> Device:
        """``auto`` takes a GPU if there is one.

        Raises:
            ValueError: if the device asked for is not there.
        """
        if wanted == "auto":
            wanted = "cuda" if torch.cuda.is_available() else "cpu"
        if wanted.startswith("cuda") and not torch.cuda.is_available():
            raise ValueError(f"device {wanted}: no CUDA device is available, use cpu or auto")
        return cls(str(torch.device(wanted)))

    @property
    def gpu(self) -> bool:
        return self.name.startswith("cuda")

    @property
    def environment(self) -> dict[str, str]:
        """What, besides what is computed, the bits of a result depend on."""
        if self.gpu:
            name, precision = torch.cuda.get_device_name(self.name), "bfloat16"
        else:
            name, precision = f"cpu {torch.backends.cpu.get_cpu_capability()}", "float32"
        return {"torch": torch.__version__, "device": name, "precision": precision}

    def autocast(self) -> AbstractContextManager:
        """bfloat16 on a GPU. On the CPUs measured, the casts cost more than they save."""
        return torch.autocast(self.name.partition(":")[0], torch.bfloat16, enabled=self.gpu)

    def mixed_precision(self) -> AbstractContextManager:
        """bfloat16 on a GPU, and on a CPU that multiplies it (AVX-512 BF16 or AMX)."""
        kind = self.name.partition(":")[0]
        return torch.autocast(kind, torch.bfloat16, enabled=self.native_bfloat16)

    @property
    def native_bfloat16(self) -> bool:
        """Whether bfloat16 is multiplied in hardware."""
        return self.gpu or torch.cpu._is_avx512_bf16_supported()

    def place(self, network: Network) -> Network:
        """Move a network there, in channels-last order."""
        network.to(self.name)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return network


def keep_freed_memory() -> None:
    """Ask glibc to keep freed memory instead of giving it back after each layer.

    A feature map of tens of megabytes is otherwise mapped, zeroed by the kernel and unmapped again
    in every layer: 2.3 s against 1.3 s for a 256 px stage-one pass on one core.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):
            trim_threshold, mmap_max = -1, -4
            libc.mallopt(mmap_max, 0)
            libc.mallopt(trim_threshold, 2**31 - 1)
