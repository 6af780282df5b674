"""Counters and gauges that a worker's pool process sets and its main process serves.

Their values lie in memory that the fork shares: a pool process that is killed and replaced takes
nothing with it. There is one pool process at a time, so a lock within it is enough.
"""

from collections.abc import Iterator, Sequence
from itertools import product
from multiprocessing.sharedctypes import RawArray
from threading import Lock

from prometheus_client import REGISTRY
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


class _Shared(Collector):
    """One value for each combination of labels; all there are of each label are given beforehand.

    To be made before the fork. Registered where :func:`prometheus_client.generate_latest` looks.
    """

    family: type[CounterMetricFamily] | type[GaugeMetricFamily]

    def __init__(self, name: str, documentation: str, **labels: Sequence[str]) -> None:
        self.name, self.documentation, self.labels = name, documentation, tuple(labels)
        self._places = {values: place for place, values in enumerate(product(*labels.values()))}
        self._values = RawArray("d", len(self._places))
        # Taken by who writes, never by who serves: a fork in the middle would leave it taken.
        self._lock = Lock()
        REGISTRY.register(self)

    def collect(self) -> Iterator[Metric]:
        family = self.family(self.name, self.documentation, labels=self.labels)
        for values, place in self._places.items():
            family.add_metric(values, self._values[place])
        yield family

    def _place(self, labels: dict[str, str]) -> int:
        return self._places[tuple(labels[name] for name in self.labels)]


class SharedCounter(_Shared):
    """Only grows; ``name`` without ``_total``."""

    family = CounterMetricFamily

    def inc(self, amount: float = 1, **labels: str) -> None:
        """Add to the value of these labels. Raises KeyError for one that was not announced."""
        place = self._place(labels)
        with self._lock:
            self._values[place] += amount


class SharedGauge(_Shared):
    """Goes up and down."""

    family = GaugeMetricFamily

    def set(self, value: float, **labels: str) -> None:
        """Change the value of these labels. Raises KeyError for one that was not announced."""
        self._values[self._place(labels)] = value
