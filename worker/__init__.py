"""The worker: Celery's thin shell, the engine that makes shards, heartbeat and sweeper."""

import os

# Read by the OpenMP runtime when torch is loaded. Its threads otherwise spin while they wait for
# one another, and where anything else uses a core, as the encoders do, all become far slower.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
