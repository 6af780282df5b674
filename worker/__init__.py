"""The worker: Celery's thin shell, the engine that makes shards, heartbeat and sweeper."""

from models.openmp import wait_briefly

wait_briefly()
