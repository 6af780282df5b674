"""Checkpoints that a run resumes from exactly: one safetensors file, replaced atomically.

Tensors hold the networks, the averaged copies, both optimisers and the random state; the header
holds the counters as JSON. No pickle.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

RANDOM = "random.state"


class CheckpointError(ValueError):
    """A checkpoint that cannot be resumed from; the message names the file and what is wrong."""


def save_checkpoint(
    path: Path,
    networks: Mapping[str, nn.Module],
    optimisers: Mapping[str, torch.optim.Optimizer],
    generator: torch.Generator,
    counters: Mapping[str, Any],
) -> None:
    """Write everything a run needs to go on; the old file stays until the new one is whole."""
    tensors: dict[str, Tensor] = {RANDOM: generator.get_state()}
    for name, network in networks.items():
        for key, value in network.state_dict().items():
            tensors[f"network.{name}.{key}"] = value
    groups: dict[str, Any] = {}
    for name, optimiser in optimisers.items():
        state = optimiser.state_dict()
        groups[name] = state["param_groups"]
        for parameter, values in state["state"].items():
            for key, value in values.items():
                tensors[f"optimiser.{name}.{parameter}.{key}"] = value
    header = {"counters": json.dumps(dict(counters)), "groups": json.dumps(groups)}
    # A moment kept in channels-last order is not contiguous, and safetensors stores plain order.
    tensors = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
    partial = path.with_suffix(".partial")
    save_file(tensors, partial, metadata=header)
    os.replace(partial, path)


def load_checkpoint(
    path: Path,
    networks: Mapping[str, nn.Module],
    optimisers: Mapping[str, torch.optim.Optimizer],
    generator: torch.Generator,
) -> dict[str, Any]:
    """Restore what :func:`save_checkpoint` wrote; returns the counters.

    Raises:
        CheckpointError: if the file is damaged or of other networks.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata()
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        for name, network in networks.items():
            prefix = f"network.{name}."
            network.load_state_dict(
                {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
            )
        groups = json.loads(header["groups"])
        for name, optimiser in optimisers.items():
            states: dict[int, dict[str, Tensor]] = {}
            for key, value in tensors.items():
                if key.startswith(f"optimiser.{name}."):
                    parameter, field = key.removeprefix(f"optimiser.{name}.").split(".", 1)
                    states.setdefault(int(parameter), {})[field] = value
            optimiser.load_state_dict({"state": states, "param_groups": groups[name]})
        generator.set_state(tensors[RANDOM])
        return json.loads(header["counters"])
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"{path}: cannot be resumed from ({error})") from error


def load_network(path: Path, name: str, network: nn.Module) -> None:
    """Fill one network from a checkpoint.

    Raises:
        CheckpointError: if the file is missing, damaged or of another network.
    """
    prefix = f"network.{name}."
    try:
        with safe_open(path, framework="pt") as file:
            keys = [key for key in file.keys() if key.startswith(prefix)]  # noqa: SIM118
            network.load_state_dict({k.removeprefix(prefix): file.get_tensor(k) for k in keys})
    except (SafetensorError, OSError, RuntimeError) as error:
        raise CheckpointError(f"{path}: cannot be read ({error})") from error


def average_into(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Exponential moving average of the weights, in place."""
    with torch.no_grad():
        for mean, value in zip(average.parameters(), network.parameters(), strict=True):
            mean.lerp_(value, 1 - decay)
