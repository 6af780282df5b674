"""How torch's CPU threads wait for one another.

OpenMP reads it once, when torch is loaded: what calls this does so before its first import of torch.
"""

import os


def wait_briefly() -> None:
    """Let waiting threads spin for some microseconds, then sleep, unless the environment says else.

    Left alone they spin for ever, and where anything else uses a core, as the encoders do, all become
    several times slower. Asleep at once, they are slow to wake between a network's small layers:
    60 images/s of stage-one training at 32 px on two cores, against 84 with this.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("GOMP_SPINCOUNT", "30000")
