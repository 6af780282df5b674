"""``python -m tests.archive.peak COUNT FOLDER``: order, make and pack tiny pairs; print the peak memory.

A program of its own, because a process's peak never falls again.
"""

import resource
import sys
from dataclasses import asdict
from pathlib import Path

from app.archive.pack import discard_segments
from app.database import Database
from app.jobs.leases import claim_next, complete, finished_shards
from app.jobs.orders import create_job
from app.storage.folder import FolderStorage
from tests.archive.orders import DIGEST, ENVIRONMENT, PACKAGE, order, pack, write_shard

SHARD_PAIRS = 500


def main(count: int, folder: Path) -> None:
    db, storage = Database(f"sqlite:///{folder / 'rows.sqlite3'}"), FolderStorage(folder / "bytes")
    db.migrate()
    request = order(count)
    create_job(db, request=request, package_digest=DIGEST, shard_pairs=SHARD_PAIRS)
    while claim := claim_next(db, "peak"):
        if claim.kind == "shard":
            pairs = range(claim.first, claim.first + claim.count)
            tiny = lambda index, place: b"%d" % index  # noqa: E731
            write_shard(storage, claim.job_id, claim.ordinal, pairs, request, tiny)
            done = {"bytes": 1, "seconds": 0.1, "stage_seconds": {}, "environment": ENVIRONMENT}
        else:
            shards = finished_shards(db, claim.job_id)
            archive = pack(storage, claim.job_id, shards, SHARD_PAIRS, request, PACKAGE, DIGEST)
            discard_segments(storage, claim.job_id, shards)
            done = asdict(archive)
        assert complete(db, claim, done)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)  # noqa: T201  its answer


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
