"""The judging networks of an earlier run, for a run that goes on from its package.

A package holds only what draws. A new discriminator has to learn from nothing what vessels are, and
meanwhile leads astray what draws them well already; that of the earlier run knows.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from models.training.checkpoint import CheckpointError

States = dict[str, dict[str, Tensor]]


def networks_of(checkpoint: Path) -> States:
    """The weights in a checkpoint: ``states[network][name]``.

    Raises:
        CheckpointError: if it is missing or damaged.
    """
    try:
        tensors = load_file(checkpoint)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{checkpoint}: cannot be gone on from ({error})") from error
    states: States = {}
    for key, value in tensors.items():
        kind, _, rest = key.partition(".")
        if kind == "network":
            network, _, name = rest.partition(".")
            states.setdefault(network, {})[name] = value
    return states


def take_over(network: nn.Module, weights: Mapping[str, Tensor]) -> bool:
    """Copy the weights whose names and shapes the network has, and say whether these were all.

    What the network has beyond them stays as it is: the levels it has yet to grow.
    """
    own = network.state_dict()
    fitting = {k: v for k, v in weights.items() if k in own and own[k].shape == v.shape}
    network.load_state_dict(fitting, strict=False)
    return len(fitting) == len(weights)
