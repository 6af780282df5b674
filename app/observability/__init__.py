"""What those who run the service can see of it: metrics, liveness, logs."""

from prometheus_client import disable_created_metrics

disable_created_metrics()  # when each series began: as many series again, which nobody asks for
