"""Turns on Prometheus's multiprocess mode, with a folder that goes with this worker.

Import it before anything that imports prometheus_client, which looks at the variable only then.
"""

import os
from tempfile import TemporaryDirectory

_folder = TemporaryDirectory(prefix="fundusmith-metrics-")
os.environ["PROMETHEUS_MULTIPROC_DIR"] = _folder.name
