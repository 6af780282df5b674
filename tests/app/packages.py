"""Model packages without networks: all that the service looks at."""

import hashlib
import json
from pathlib import Path
from typing import Any

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
        "sampling": {"batch_size": 4, "eye": "right"},
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
