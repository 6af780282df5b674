"""Model packages without networks: all that the service looks at."""

import hashlib
import io
import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.zips import pack

CARD = "# Eye\n\nFor tests.\n"


def manifest(**changes: Any) -> dict[str, Any]:
    card = CARD.encode()
    return {
        "format": "fundusmith-model/1",
        "name": "eye",
        "version": "1.0.0",
        "title": "An eye",
        "created": "2026-01-01",
        "resolutions": [64, 128],
        "licence": "CC-BY-4.0",
        "training_data": {
            "name": "Eyes",
            "licence": "CC-BY-4.0",
            "attribution": "By their owners",
            "url": "https://example.org/eyes",
            "images": ["left.jpg"],
        },
        "networks": {},
        "sampling": {"batch_size": 4},
        "expected": {"seconds_per_pair": 0.25, "bytes_per_pair": 2e6, "machine": "a test"},
        "metrics": {"dice": 0.8},
        "files": {
            "CARD.md": {"sha256": hashlib.sha256(card).hexdigest(), "bytes": len(card)},
        },
        **changes,
    }


def write_package(folder: Path, **changes: Any) -> Path:
    folder.mkdir(parents=True)
    (folder / "CARD.md").write_bytes(CARD.encode())
    (folder / "package.json").write_text(json.dumps(manifest(**changes)))
    return folder


def safetensors(header: Any, data: bytes) -> bytes:
    """A file of the weights' format with this header."""
    encoded = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(encoded)) + encoded + data


WEIGHTS = safetensors(
    {
        "__metadata__": {"format": "pt"},
        "bias": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
        "weight": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [8, 20]},
    },
    bytes(20),
)
FILES = {
    "CARD.md": CARD.encode(),
    "vessel.safetensors": WEIGHTS,
    "translator.safetensors": WEIGHTS,
}


def listed(files: Mapping[str, bytes]) -> dict[str, Any]:
    """The files as package.json lists them."""
    return {
        name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
        for name, data in files.items()
    }


def whole_manifest(files: Mapping[str, bytes] = FILES, **changes: Any) -> dict[str, Any]:
    """The package.json of a package with these files, as an import takes it."""
    networks = {"vessel": {"config": {}}, "translator": {"config": {}}}
    return manifest(**{"networks": networks, "files": listed(files), **changes})


def package_zip(files: Mapping[str, bytes] = FILES, **changes: Any) -> bytes:
    """A good package as a zip that somebody has made of its folder."""
    return pack({"package.json": json.dumps(whole_manifest(files, **changes)).encode(), **files})


def package_file(files: Mapping[str, bytes] = FILES, **changes: Any) -> io.BytesIO:
    return io.BytesIO(package_zip(files, **changes))
