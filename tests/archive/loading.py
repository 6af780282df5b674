"""Loading an unpacked archive with Hugging Face datasets."""

from pathlib import Path
from typing import Any

import pytest

datasets = pytest.importorskip("datasets")


def load(unpacked: Path, by: str, monkeypatch: pytest.MonkeyPatch, **options: Any) -> Any:
    """The data set, offline; ``by``: a builder's name, or "card", which leaves it to the README."""
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    where = {"path": str(unpacked)}
    if by != "card":
        where = {"path": by, "data_dir": str(unpacked)}
    return datasets.load_dataset(**where, cache_dir=str(unpacked.parent / "cache"), **options)
