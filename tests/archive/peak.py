"""``python -m tests.archive.peak COUNT FOLDER``: order, make, pack and list tiny pairs; print the peak
memory of all that.

A program of its own, because a process's peak never falls again.
"""

import resource
import sys
from dataclasses import asdict
from pathlib import Path

from fastapi.testclient import TestClient

from app.archive.pack import discard_segments, pack
from app.jobs.leases import claim_next, complete, finished_shards
from app.main import create_app
from app.settings import Settings
from tests.app.packages import manifest, write_package
from tests.archive.orders import ENVIRONMENT, write_shard

SHARD_PAIRS = 500
RESULT = {
    "bytes": 1,
    "seconds": 0.1,
    "stage_seconds": {"generate": 0.1, "encode": 0.1, "upload": 0.1},
    "environment": ENVIRONMENT,
}


def main(count: int, folder: Path) -> None:
    write_package(folder / "packages" / "eye")
    settings = Settings(
        data_dir=folder,
        models_dir=folder / "packages",
        shard_pairs=SHARD_PAIRS,
        broker_url="redis://127.0.0.1:1/0",  # nobody listens, and nobody has to
    )
    app = create_app(settings)
    with TestClient(app) as api:
        home = api.post("/datasets", json={"count": count}).headers["location"]
        db, storage = app.state.services.db, app.state.services.storage
        while claim := claim_next(db, "peak"):
            if claim.kind == "shard":
                pairs = range(claim.first, claim.first + claim.count)
                tiny = lambda index, place: b"%d" % index  # noqa: E731
                write_shard(storage, claim.job_id, claim.ordinal, pairs, claim.request, tiny)
                done = RESULT
            else:
                shards = finished_shards(db, claim.job_id)
                archive = pack(
                    storage,
                    claim.job_id,
                    shards,
                    SHARD_PAIRS,
                    claim.request,
                    manifest(),
                    claim.package_digest,
                )
                discard_segments(storage, claim.job_id, shards)
                done = asdict(archive)
            assert complete(db, claim, done)
        (job,) = api.get("/datasets").json()["data"]
        assert job == api.get(home).json()
        assert job["progress"]["packaged"] == count
        assert api.get(f"{home}/pairs/{count - 1}/label").content == b"%d" % (count - 1)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)  # noqa: T201  its answer


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
