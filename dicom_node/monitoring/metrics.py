"""The status as Prometheus metrics; no label holds anything of a patient."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from dicom_node.monitoring.status import Status
from dicom_node.records.work_totals import DURATION_BOUNDS_S, STEP_BOUNDS_S, Durations

__all__ = ["METRICS", "StatusCollector"]

METRICS = {
    "osteonode_ready": "1 if the node can work, else 0.",
    "osteonode_process_silent_seconds": "Seconds since a process's last sign of life.",
    "osteonode_disk_free_bytes": "Free space of the disk with the spool.",
    "osteonode_spool_series": "Series in the spool.",
    "osteonode_spool_studies_arriving": "Studies that arrive or wait to be looked at.",
    "osteonode_alarms": "What stands still until somebody does something (osteonode status).",
    "osteonode_workers": "Workers of all machines on PostgreSQL, by state.",
    "osteonode_worker_silent_seconds": "Seconds since the last beat of a host's workers.",
    "osteonode_work_taken_over": "Work of dead workers that others took over, in 30 days.",
    "osteonode_scanner_step_hu": "By how much a scanner's HU moved, by measure; absent if not.",
    "osteonode_conditions_told": "Conditions that were told and are not over (osteonode status).",
    "osteonode_notices_waiting": "Notices that a target has not taken yet, by target.",
    "osteonode_notices_failing_seconds": "Age of the oldest notice that a target did not take.",
    "osteonode_queue_waiting": "Work that waits, by queue.",
    "osteonode_queue_running": "Work in hand, by queue.",
    "osteonode_queue_oldest_seconds": "Age of the oldest unfinished work, by queue.",
    "osteonode_work_finished": "Work that ended, by queue, state and code.",
    "osteonode_work_seconds": "Seconds from taking up work to its end, by queue.",
    "osteonode_assessment_step_seconds": "Seconds of an assessment that led to a report, by step.",
    "osteonode_instances_received": "Instances kept, by SOP class.",
    "osteonode_instances_again": "Instances that had come before, by receipt.",
    "osteonode_bytes_received": "Bytes of the instances kept.",
    "osteonode_instances_refused": "Instances refused, by code.",
    "osteonode_associations_accepted": "Associations accepted.",
    "osteonode_associations_refused": "Associations rejected, by reason.",
    "osteonode_connections_refused": "Connections refused or ended at a limit, by reason.",
}
"""Each metric and what it says; counters get the suffix ``_total`` in the text."""

COUNTER_LABELS = {
    "instances_received": "sop_class",
    "instances_again": "receipt",
    "instances_refused": "code",
    "associations_refused": "reason",
    "connections_refused": "reason",
}
"""Name of a counter's only label; counters that are not listed have no label."""


class StatusCollector(Collector):
    """Gives the status as metrics.

    Parameters
    ----------
    read
        Reads the status; called each time that the metrics are asked for.
    """

    def __init__(self, read: Callable[[], Status]) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        """Read the status and give all its metrics."""
        status = self._read()
        yield _gauge("osteonode_ready", float(status.ready))
        silent = _labelled("osteonode_process_silent_seconds", "process")
        for process, age in status.processes.items():
            silent.add_metric([process], age)
        yield silent
        yield _gauge("osteonode_disk_free_bytes", status.free_bytes)
        yield _gauge("osteonode_spool_series", status.series)
        yield _gauge("osteonode_spool_studies_arriving", status.arriving)
        yield from _workers(status)
        yield _scanner_steps(status)
        yield from _notices(status)
        waiting = _labelled("osteonode_queue_waiting", "queue")
        running = _labelled("osteonode_queue_running", "queue")
        oldest = _labelled("osteonode_queue_oldest_seconds", "queue")
        for name, queue in status.queues.items():
            waiting.add_metric([name], queue.waiting)
            running.add_metric([name], queue.running)
            oldest.add_metric([name], queue.oldest_seconds)
        yield from (waiting, running, oldest)
        yield from _finished(status)
        yield from _received(status)


def _workers(status: Status) -> Iterator[Metric]:
    yield _gauge("osteonode_alarms", len(status.alarms))
    yield _gauge("osteonode_work_taken_over", status.taken_over)
    states = _labelled("osteonode_workers", "state")
    for state, number in Counter(worker.state for worker in status.workers).items():
        states.add_metric([state], number)
    silent = _labelled("osteonode_worker_silent_seconds", "host")
    beats: dict[str, float] = {}
    for worker in status.workers:
        beats[worker.host] = min(beats.get(worker.host, worker.beat_seconds), worker.beat_seconds)
    for host, seconds in beats.items():
        silent.add_metric([host], seconds)
    yield from (states, silent)


def _scanner_steps(status: Status) -> Metric:
    name = "osteonode_scanner_step_hu"
    steps = GaugeMetricFamily(name, METRICS[name], labels=["scanner", "measure"])
    for step in status.scanner_steps:
        steps.add_metric([step.scanner, step.measure], step.change_hu)
    return steps


def _notices(status: Status) -> Iterator[Metric]:
    yield _gauge("osteonode_conditions_told", len(status.notices.told))
    waiting = _labelled("osteonode_notices_waiting", "target")
    failing = _labelled("osteonode_notices_failing_seconds", "target")
    for target in status.notices.targets:
        waiting.add_metric([target.target], target.waiting)
        failing.add_metric([target.target], target.failing_seconds or 0.0)
    yield from (waiting, failing)


def _finished(status: Status) -> Iterator[Metric]:
    name = "osteonode_work_finished"
    finished = CounterMetricFamily(name, METRICS[name], labels=["queue", "state", "code"])
    for labels, number in status.finished.items():
        finished.add_metric(list(labels), number)
    yield finished
    yield _histogram("osteonode_work_seconds", "queue", status.durations, DURATION_BOUNDS_S)
    yield _histogram("osteonode_assessment_step_seconds", "step", status.steps, STEP_BOUNDS_S)


def _received(status: Status) -> Iterator[Metric]:
    families: dict[str, CounterMetricFamily] = {}
    for (name, label), number in sorted(status.received.items()):
        full = f"osteonode_{name}"
        if full not in METRICS:
            continue
        names = [COUNTER_LABELS[name]] if name in COUNTER_LABELS else []
        if full not in families:
            families[full] = CounterMetricFamily(full, METRICS[full], labels=names)
        families[full].add_metric([label] if names else [], number)
    yield from families.values()


def _histogram(
    name: str, label: str, durations: Mapping[str, Durations], bounds_s: Sequence[float]
) -> HistogramMetricFamily:
    histogram = HistogramMetricFamily(name, METRICS[name], labels=[label])
    for value, found in durations.items():
        buckets = [
            (str(float(bound)), float(count))
            for bound, count in zip(bounds_s, found.counts, strict=True)
        ]
        buckets.append(("+Inf", float(found.number)))
        histogram.add_metric([value], buckets, sum_value=found.total_seconds)
    return histogram


def _gauge(name: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, METRICS[name], value=value)


def _labelled(name: str, label: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, METRICS[name], labels=[label])
