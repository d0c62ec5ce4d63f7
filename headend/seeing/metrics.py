"""Metrics for Prometheus. The one rule: labels are of small, fixed sets: no meter, no address, no segment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from headend.seeing.sight import Cluster, Numbers, Sight

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

Family = GaugeMetricFamily | CounterMetricFamily


class Metrics(Collector):
    """`text()` is what Prometheus reads."""

    def __init__(self, sight: Sight) -> None:
        self._sight = sight
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def text(self) -> bytes:
        """All metrics now, in Prometheus' text format."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Family]:
        """The families now; called by the registry."""
        yield from _of_node(self._sight.numbers())
        if self._sight.cluster is not None:
            yield from _of_cluster(self._sight.cluster)


def _of_node(now: Numbers) -> Iterator[Family]:
    yield _gauge("open_sessions", "Meters that are talked to at this moment.", now.open_sessions)
    yield _counter("sessions", "Meters visited, by outcome: answered, or the kind of error.", "outcome", now.sessions)
    yield _count("intervals_stored", "Intervals stored, new or changed.", now.intervals)
    yield _count("batches_stored", "Batches written to the database.", now.batches)
    yield _gauge("queue_rows", "Rows that wait in memory to be written.", now.held)
    yield _gauges("spool_entries", "Entries that wait in the spool.", "kind", now.spool_waiting)
    yield _gauge("spool_bytes", "Size of what the spool holds.", now.spool_octets)
    yield _gauge("spool_limit_bytes", "How large it may become.", now.spool_limit)
    yield _gauge("spool_oldest_seconds", "How long the first entry in the spool has waited.", now.spool_oldest_s)
    yield _gauge("spool_full", "1: there is no room left in the spool, and collection pauses.", now.spool_full)
    yield _gauge("database_away", "1: the database does not answer.", now.database_away)
    yield _counter(
        "pushes", "Pushes, by outcome; alarms are of the kept, unknown of the refused.", "outcome", now.pushes
    )
    yield _gauge("pushes_waiting", "Pushes that wait to be opened, or behind readings.", now.pushes_waiting)
    yield _gauge("push_connections", "Open connections of meters that push.", now.push_connections)
    if now.dispatched_s_ago is not None:
        yield _gauge("dispatcher_age_seconds", "Since this node last looked what is due.", now.dispatched_s_ago)


def _of_cluster(now: Cluster) -> Iterator[Family]:
    yield _gauges("jobs_waiting", "Jobs that no node has begun, in all.", "queue", now.jobs_waiting)
    yield _gauge("segments_down", "Segments behind which nothing answers.", now.segments_down)
    yield _gauge("meters_silent", "Meters that have not answered for long.", now.meters_silent)
    yield _gauge("owed_intervals", "Intervals of yesterday and today that are due and not settled.", now.owed)


def _gauge(name: str, what: str, value: float) -> Family:
    return GaugeMetricFamily(f"headend_{name}", what, value=float(value))


def _count(name: str, what: str, value: float) -> Family:
    return CounterMetricFamily(f"headend_{name}", what, value=float(value))


def _gauges(name: str, what: str, label: str, values: Mapping[str, float]) -> Family:
    family = GaugeMetricFamily(f"headend_{name}", what, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def _counter(name: str, what: str, label: str, values: Mapping[str, float]) -> Family:
    family = CounterMetricFamily(f"headend_{name}", what, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family
