"""Where things lie: the parts of a job's archive in storage, and the files inside the archive."""

README = "README.md"
MANIFEST = "manifest.json"
METADATA = "train/metadata.jsonl"
SPLIT_FOLDER = "train/"


def pair_names(index: int, count: int) -> tuple[str, str, str]:
    """The names of pair ``index`` in an order of ``count`` pairs: image, label, mask."""
    stem = f"{index:0{6 if count <= 1_000_000 else 7}d}.png"
    return (
        f"{SPLIT_FOLDER}images/{stem}",
        f"{SPLIT_FOLDER}labels/{stem}",
        f"{SPLIT_FOLDER}masks/{stem}",
    )


def segment_key(job_id: str, ordinal: int) -> str:
    return f"jobs/{job_id}/shards/{ordinal:06d}.segment"


def index_key(job_id: str, ordinal: int) -> str:
    return f"jobs/{job_id}/shards/{ordinal:06d}.index"


def tail_key(job_id: str) -> str:
    """The archive's own files and its directory, there only while the archive is packed."""
    return f"jobs/{job_id}/tail.segment"


def offsets_key(job_id: str) -> str:
    """Where each segment starts in the archive: 8 bytes a shard, little endian."""
    return f"jobs/{job_id}/dataset.offsets"


def archive_key(job_id: str) -> str:
    return f"jobs/{job_id}/dataset.zip"
