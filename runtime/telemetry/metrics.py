"""Metrics for Prometheus: one registry a daemon, with bounded label sets.

Counters that some object keeps anyway are read when a page is rendered (:meth:`Metrics.watch`),
so that counting costs the hot path nothing. Names have the prefix ``orchestrator_`` and base units.
Nothing of this survives the process; Prometheus knows counters that restart.
"""

import platform
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

PREFIX: Final = "orchestrator_"

# From a tenth of a millisecond, what an answer from memory takes, to ten seconds, a broken one.
LATENCY_BUCKETS_S: Final = (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)

# More would make the page slow to render (M: 500 series in 11 ms) and Prometheus expensive.
MAX_LABEL_VALUES: Final = 200
OTHER: Final = "other"

M = TypeVar("M", Counter, Gauge, Histogram)

Sample = tuple[Sequence[str], float]
"""The values of the labels, and the number."""


class Metrics:
    """The registry of one daemon and the way to add to it.

    Asking for a name again returns the same metric, and watching it again replaces the reader:
    actors that are restarted need not know.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._known: dict[str, Counter | Gauge | Histogram] = {}
        self._watched: dict[str, _Watched] = {}
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)

    def describe_instance(self, *, version: str, name: str, env: str) -> None:
        """Add ``build_info`` and ``instance_info``."""
        build = self.gauge("build_info", "What runs.", ("version", "python"))
        build.labels(version, platform.python_version()).set(1)
        instance = self.gauge("instance_info", "Whose it is.", ("name", "env"))
        instance.labels(name, env).set(1)

    def counter(self, name: str, text: str, labels: Sequence[str] = ()) -> Counter:
        """A counter; ``_total`` is added to its name."""
        return self._once(
            Counter, name, lambda: Counter(PREFIX + name, text, labels, registry=None)
        )

    def gauge(self, name: str, text: str, labels: Sequence[str] = ()) -> Gauge:
        """A number that goes up and down."""
        return self._once(Gauge, name, lambda: Gauge(PREFIX + name, text, labels, registry=None))

    def histogram(
        self,
        name: str,
        text: str,
        labels: Sequence[str] = (),
        *,
        buckets: Sequence[float] = LATENCY_BUCKETS_S,
    ) -> Histogram:
        """A distribution, by default of seconds."""
        full = PREFIX + name
        return self._once(
            Histogram,
            name,
            lambda: Histogram(full, text, labels, registry=None, buckets=buckets),
        )

    def watch(
        self,
        kind: type[Counter] | type[Gauge],
        name: str,
        text: str,
        read: Callable[[], float | Iterable[Sample]],
        labels: Sequence[str] = (),
    ) -> None:
        """Add a metric whose value ``read`` tells when a page is rendered; it must not wait.

        With ``labels`` it returns the samples; beyond 200 they are added up under ``other``.
        A ``read`` that raises leaves its metric out of the page.
        """
        family = CounterMetricFamily if kind is Counter else GaugeMetricFamily
        former = self._watched.pop(name, None)
        if former is not None:
            self.registry.unregister(former)
        watched = self._watched[name] = _Watched(family, PREFIX + name, text, read, labels)
        self.registry.register(watched)

    def render(self) -> bytes:
        """The page, in Prometheus' text format; runs in the caller's greenlet, some ms."""
        return generate_latest(self.registry)

    def _once(self, kind: type[M], name: str, make: Callable[[], M]) -> M:
        """The metric of that name; a restarted actor finds the one its predecessor made."""
        known = self._known.get(name)
        if known is None:
            known = self._known[name] = make()
            self.registry.register(known)
        assert isinstance(known, kind)  # noqa: S101 one name, one kind
        return known


class _Watched(Collector):
    """One metric, read when it is asked for."""

    def __init__(
        self,
        family: type[CounterMetricFamily] | type[GaugeMetricFamily],
        name: str,
        text: str,
        read: Callable[[], float | Iterable[Sample]],
        labels: Sequence[str],
    ) -> None:
        self._family = family
        self._name = name
        self._text = text
        self._read = read
        self._labels = labels

    def describe(self) -> Iterator[Metric]:
        """The name alone, so that registering does not read."""
        yield self._family(self._name, self._text, labels=self._labels)

    def collect(self) -> Iterator[Metric]:
        """The metric with its present samples."""
        metric = self._family(self._name, self._text, labels=self._labels)
        try:
            value = self._read()
        except Exception:  # noqa: BLE001 the border: one metric must not cost the page
            return
        samples = [((), value)] if isinstance(value, int | float) else _bounded(value)
        for labels, number in samples:
            metric.add_metric(list(labels), number)
        yield metric


def _bounded(samples: Iterable[Sample]) -> list[Sample]:
    kept = list(samples)
    if len(kept) <= MAX_LABEL_VALUES:
        return kept
    rest = kept[MAX_LABEL_VALUES:]
    other = (OTHER,) * len(rest[0][0])
    return [*kept[:MAX_LABEL_VALUES], (other, sum(number for _, number in rest))]
