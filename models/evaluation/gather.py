"""What an evaluation compares: real pairs split into learned from and held out, and generated ones."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models.data.labels import LabelOptions
from models.devices import Device
from models.evaluation.orders import order_facts, ordered_pairs
from models.evaluation.pair_arrays import (
    EvaluationData,
    PairArrays,
    drawn_pairs,
    real_pairs,
    rendered_pairs,
    vessel_shares,
)
from models.evaluation.settings import EvaluationSettings
from models.loading import Package, sampler_of
from models.pairs import PairFiles, load_pairs

LEAST = 4  # real pairs on each side: halves of fewer say nothing
LIBRARIES = ("torch", "numpy", "scipy", "scikit-image", "pillow")


def gather(
    files: Sequence[PairFiles],
    settings: EvaluationSettings,
    package: Package | None,
    archives: Sequence[Path] = (),
    train: int | None = None,
    device: str = "auto",
    labels: LabelOptions | None = None,
) -> EvaluationData:
    """The pairs of an evaluation.

    files: all real pairs. package: the model; draws the synthetic pairs if there is no order, and
    photographs the real labels. archives: zips of the order that is evaluated in its place. train:
    so many real pairs, the first by name, count as learned from; by default those that the package
    names. labels: which values of the real labels are vessel.

    Raises:
        ValueError: if neither package nor order is given, they do not belong together, or the real
            pairs cannot be split. PairError of the real pairs' files.
    """
    if package is None and not archives:
        raise ValueError("give a model package, an order, or both")
    learned = package.manifest["training_data"]["images"] if package else None
    ours, held_out = split([file.photo.name for file in files], learned, train)

    def real(size: int) -> tuple[PairArrays, PairArrays, NDArray[np.float32]]:
        loaded = load_pairs(list(files), 2 * size, labels)
        pairs, shares = real_pairs(loaded, size), vessel_shares(loaded, size)
        return pairs.take(ours), pairs.take(held_out), shares[ours]

    if package is None:
        synthetic = ordered_pairs(archives, settings.pairs)
        return EvaluationData(*real(synthetic.size)[:2], synthetic, None)
    for archive in archives:
        check_order(archive, package)
    train_pairs, test_pairs, shares = real(package.resolution)
    sampler = sampler_of(package, device)
    rendered = rendered_pairs(sampler, shares, train_pairs.fields, settings.pairs, settings.seed)
    if archives:
        synthetic = ordered_pairs(archives, settings.pairs)
    else:
        synthetic = drawn_pairs(sampler, settings.pairs, settings.seed)
    if synthetic.size != package.resolution:
        raise ValueError(
            f"{archives[0].name}: pairs of {synthetic.size} px, evaluated are those of the model's size, "
            f"{package.resolution} px; leave the package out"
        )
    return EvaluationData(train_pairs, test_pairs, synthetic, rendered)


def split(
    names: Sequence[str], learned: Sequence[str] | None, train: int | None
) -> tuple[list[int], list[int]]:
    """Indices of the real pairs that the model learned from, and of those held out.

    The first ``train`` names are the former, or those in ``learned``, whatever their endings: an upload
    keeps pictures in a format of its own.

    Raises:
        ValueError: if one of the two would have fewer than LEAST pairs.
    """
    if train is not None:
        ours = list(range(len(names)))[:train]
    elif learned is not None:
        stems = {PurePath(name).stem for name in learned}
        ours = [i for i, name in enumerate(names) if PurePath(name).stem in stems]
    else:
        raise ValueError(
            "train: say how many of the real pairs, in name order, the model learned from"
        )
    held_out = [i for i in range(len(names)) if i not in set(ours)]
    if min(len(ours), len(held_out)) < LEAST:
        raise ValueError(
            f"train: of {len(names)} real pairs, {len(ours)} are ones that the model learned from and "
            f"{len(held_out)} are held out; at least {LEAST} of each are needed"
        )
    return ours, held_out


def check_order(archive: Path, package: Package) -> None:
    """
    Raises:
        ValueError: if the order's pairs were drawn by another model than this.
    """
    drawn_by = order_facts(archive)["package"]
    if drawn_by["digest"] != package.digest:
        raise ValueError(
            f"{archive.name}: its pairs were drawn by {drawn_by['name']}@{drawn_by['version']}, not by "
            f"this package, {package.name}@{package.version}"
        )


def describe(
    data: EvaluationData, package: Package | None, archives: Sequence[Path] = ()
) -> dict[str, Any]:
    """The facts of a report: model, order, pairs, size, libraries, machine, date."""
    order = order_facts(archives[0]) if archives else None
    model: dict[str, Any] | None = order["package"] if order else None
    if package is not None:
        model = {
            "name": package.name,
            "version": package.version,
            "digest": package.digest,
            "learned_from": package.manifest["training_data"]["name"],
        }
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "model": model,
        "order": order["order"] if order else None,
        "size": data.train.size,
        "pairs": {
            "train": list(data.train.names),
            "test": list(data.test.names),
            "synthetic": len(data.synthetic),
            "rendered": len(data.rendered) if data.rendered else 0,
        },
        "libraries": {name: version(name) for name in LIBRARIES},
        "machine": {
            "system": f"{platform.system()} {platform.machine()}",
            "device": Device.choose().environment["device"],
            "threads": torch.get_num_threads(),
        },
    }
