"""The status as lines for people."""

from collections.abc import Iterator

from dicom_node.monitoring.status import Status

__all__ = ["status_text"]

GB = 1024**3


def status_text(status: Status) -> str:
    """The status as some lines for a terminal: ready or not, queues, finished work, counters."""
    return "\n".join(_lines(status))


def _lines(status: Status) -> Iterator[str]:
    yield "ready" if status.ready else f"NOT READY: {'; '.join(status.problems)}"
    for alarm in status.alarms:
        yield f"ALARM: {alarm}"
    for name, age in status.processes.items():
        yield f"  {name:24} sign of life {age:.0f} s ago"
    yield f"  {'disk':24} {status.free_bytes / GB:.1f} GB free"
    yield f"  {'spool':24} {status.series} series, {status.arriving} studies arriving"
    if status.workers:
        yield f"workers, {status.taken_over} pieces of work taken over from dead ones"
    for worker in status.workers:
        yield (
            f"  {worker.name:24} {worker.state}, beat {worker.beat_seconds:.0f} s ago, "
            f"version {worker.version}, {worker.in_hand} in hand"
        )
    if status.scanner_steps:
        yield "scanners whose HU moved (osteonode drift)"
    for step in status.scanner_steps:
        yield f"  {step.scanner}: {step.measure} {step.change_hu:+.1f} HU since {step.since}"
    yield from _notices(status)
    yield "queues"
    for name, queue in status.queues.items():
        oldest = _age(queue.oldest_seconds)
        yield f"  {name:24} {queue.waiting} waiting, {queue.running} running, oldest {oldest}"
    if not status.queues:
        yield "  nothing waits"
    yield "finished"
    for (name, state, code), number in sorted(status.finished.items()):
        yield f"  {name:24} {number:6} {state} {code}".rstrip()
    for name, durations in sorted(status.durations.items()):
        mean = durations.total_seconds / max(durations.number, 1)
        yield f"  {name:24} {mean:6.1f} s on average"
    if status.withdrawn:
        yield "reports that stood under another patient or study, withdrawn"
    for report in status.withdrawn:
        yield f"  {report}"
    yield "received and refused"
    for (name, label), number in sorted(status.received.items()):
        yield f"  {name:24} {number:6} {label}".rstrip()


def _notices(status: Status) -> Iterator[str]:
    if not status.notices.targets:
        return
    yield f"notices: {', '.join(status.notices.told) or 'nothing is the matter'}"
    for target in status.notices.targets:
        took = "never" if target.taken_seconds is None else f"{_age(target.taken_seconds)} ago"
        line = f"  {target.target:24} took one last: {took}, {target.waiting} waiting"
        if target.failing_seconds is not None:
            line += f"; NOT TAKEN since {_age(target.failing_seconds)}: {target.reason}"
        yield line


def _age(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h"
