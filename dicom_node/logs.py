"""Logs: one JSON object a line, with an allow-list of fields so that no patient data gets in."""

import logging
import sys
import threading
import warnings
from collections.abc import MutableMapping
from typing import Any

import structlog
from pynetdicom import _config as pynetdicom_config

__all__ = ["configure_logs", "log", "silence_foreign_text"]

ALLOWED_FIELDS = frozenset(
    {
        "event", "level", "timestamp", "process",
        "assessment", "series", "study", "others", "instances", "code", "reason", "stage",
        "segmenter",
        "destination", "attempt", "status", "seconds", "host", "port", "ae_title", "peer",
        "calling_ae", "sop_class", "error", "path", "pid", "warnings", "model_id", "version",
    }
)  # fmt: skip
"""Fields that may be logged; any other is dropped and counted in ``dropped_fields``."""


def silence_foreign_text() -> None:
    """Keep what libraries say to themselves: warnings and tracebacks quote values of headers."""
    warnings.simplefilter("ignore")
    logging.basicConfig(level=logging.CRITICAL + 1, stream=sys.stderr, force=True)
    for name in ("pynetdicom", "pydicom", "dbos"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    pynetdicom_config.LOG_HANDLER_LEVEL = "none"

    def unforeseen(kind: type[BaseException], *_details: object) -> None:
        log().error("unforeseen fault", error=kind.__name__)

    sys.excepthook = unforeseen
    threading.excepthook = lambda fault: unforeseen(fault.exc_type)
    sys.unraisablehook = lambda fault: unforeseen(fault.exc_type)


def configure_logs(process: str) -> None:
    """Send the logs of this process to stderr as JSON lines, and nothing else."""
    silence_foreign_text()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _only_allowed,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )
    structlog.contextvars.clear_contextvars()
    log().info("process started", process=process)


def log() -> Any:
    """The logger."""
    return structlog.get_logger()


def _only_allowed(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    dropped = sorted(set(event) - ALLOWED_FIELDS)
    for field in dropped:
        del event[field]
    if dropped:
        event["dropped_fields"] = len(dropped)
    return event
