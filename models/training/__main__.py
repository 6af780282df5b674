import os

# Read by the OpenMP runtime when torch is loaded: its threads otherwise spin while they wait, and
# two processes that share the cores slow each other down several times.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from models.training.command import main

main()
