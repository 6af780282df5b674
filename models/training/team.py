"""Processes that train one run together, started by ``torchrun``: each has a share of every batch.

Everything random is drawn for the whole batch by each process from its own, equal generator, and then
shared out; losses that look across the batch see all of it. So a run's result does not depend on the
number of processes but for the order in which floating point sums are taken.

Gradients are averaged here and not by DistributedDataParallel, whose hooks do not know second
derivatives (R1), nor two passes before one backward, nor networks that grow.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True)
class Team:
    """This process's ``rank`` among ``size``; alone, every method gives back what it was given."""

    rank: int = 0
    size: int = 1
    device: str = "cpu"  # where what is exchanged lies: NCCL takes it from a GPU only

    @classmethod
    def join(cls, device: str) -> Team:
        """The team that torchrun has started this process in, or a team of one."""
        size = int(os.environ.get("WORLD_SIZE", "1"))
        if size == 1:
            return cls()
        gpu = device.startswith("cuda")
        if gpu:
            torch.cuda.set_device(device)
        dist.init_process_group("nccl" if gpu else "gloo")
        return cls(dist.get_rank(), size, device)

    def leave(self) -> None:
        """Wait for the others, then go."""
        if self.size > 1:
            dist.barrier()
            dist.destroy_process_group()

    def wait(self) -> None:
        """Go on when all have come here."""
        if self.size > 1:
            dist.barrier()

    def share(self, batch: Tensor) -> Tensor:
        """This process's samples: every ``size``-th.

        So the groups of the minibatch deviation stay whole: sample i is in group i modulo their
        number, of which ``size`` is a divisor.
        """
        return batch[self.rank :: self.size]

    def gather(self, share: Tensor) -> Tensor:
        """The whole batch from the shares, in its order; gradients reach this process's own alone."""
        if self.size == 1:
            return share
        parts = [torch.empty_like(share.contiguous()) for _ in range(self.size)]
        dist.all_gather(parts, share.detach().contiguous())
        parts[self.rank] = share
        return torch.stack(parts, dim=1).flatten(0, 1)

    def average(self, value: Tensor) -> Tensor:
        """The mean over the processes; no gradient flows."""
        if self.size == 1:
            return value
        total = value.detach().clone()
        dist.all_reduce(total)
        return total / self.size

    def average_gradients(self, optimiser: torch.optim.Optimizer) -> None:
        """Replace each gradient by its mean over the processes."""
        if self.size == 1:
            return
        parameters = [p for group in optimiser.param_groups for p in group["params"]]
        gradients = [p.grad for p in parameters if p.grad is not None]
        means = self.average(torch.cat([g.flatten() for g in gradients]))
        for gradient, mean in zip(gradients, means.split(_sizes(gradients)), strict=True):
            gradient.copy_(mean.view_as(gradient))

    def means(self, values: Mapping[str, float]) -> dict[str, float]:
        """The mean of each value over the processes."""
        if self.size == 1:
            return dict(values)
        means = self.average(torch.tensor(list(values.values()), device=self.device))
        return dict(zip(values, means.tolist(), strict=True))

    def first(self, value: float) -> float:
        """The value that the first process has."""
        if self.size == 1:
            return value
        told = torch.tensor([value], dtype=torch.float64, device=self.device)
        dist.broadcast(told, 0)
        return told.item()

    def any(self, flag: bool) -> bool:
        """Whether it holds for any of the processes."""
        if self.size == 1:
            return flag
        flags = torch.tensor([float(flag)], device=self.device)
        dist.all_reduce(flags, dist.ReduceOp.MAX)
        return bool(flags.item())


def _sizes(tensors: Iterable[Tensor]) -> list[int]:
    return [tensor.numel() for tensor in tensors]


ALONE = Team()
