"""Logs: one JSON object a line, with an allow-list of fields so that no patient data gets in."""

import logging
import sys
import threading
import traceback
import warnings
from collections.abc import MutableMapping
from pathlib import PurePath
from types import FrameType
from typing import Any

import structlog
from pynetdicom import _config as pynetdicom_config

__all__ = [
    "configure_logs",
    "fault_fields",
    "log",
    "silence_foreign_text",
    "silence_libraries",
]

ALLOWED_FIELDS = frozenset(
    {
        "event", "level", "timestamp", "process",
        "assessment", "series", "study", "others", "instances", "code", "reason", "stage",
        "segmenter",
        "destination", "attempt", "status", "seconds", "host", "port", "ae_title", "peer",
        "calling_ae", "sop_class", "error", "frames", "path", "pid", "warnings", "model_id",
        "version", "object", "number", "condition", "state", "target",
    }
)  # fmt: skip
"""Fields that may be logged; any other is dropped and counted in ``dropped_fields``."""

LIBRARIES = (
    "pynetdicom", "pydicom", "highdicom", "dbos", "dicomweb_client", "retrying", "urllib3",
)  # fmt: skip
"""Loggers of libraries that may quote values of headers, or addresses whose query has them."""

MAX_FRAMES = 30
"""The most frames that are logged of one fault, over all its exceptions."""

MAX_EXCEPTIONS = 5
"""The most exceptions that are logged of a chain."""


def silence_libraries() -> None:
    """Drop what libraries log and warn: they may quote values of headers."""
    warnings.simplefilter("ignore")
    for name in LIBRARIES:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    pynetdicom_config.LOG_HANDLER_LEVEL = "none"


def silence_foreign_text() -> None:
    """Drop what libraries log and warn, and every traceback: they may quote values of headers.

    An exception that nobody catches is logged as ``unforeseen fault`` with its `fault_fields`.
    """
    silence_libraries()
    logging.basicConfig(level=logging.CRITICAL + 1, stream=sys.stderr, force=True)

    def unforeseen(kind: type[BaseException], error: BaseException | None) -> None:
        fields = {"error": kind.__name__} if error is None else fault_fields(error)
        log().error("unforeseen fault", **fields)

    sys.excepthook = lambda kind, error, _trace: unforeseen(kind, error)
    threading.excepthook = lambda fault: unforeseen(fault.exc_type, fault.exc_value)
    sys.unraisablehook = lambda fault: unforeseen(fault.exc_type, fault.exc_value)


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


def fault_fields(error: BaseException) -> dict[str, Any]:
    """What may be logged of an unforeseen fault: its type and its place, never its text.

    Parameters
    ----------
    error
        The exception that was caught.

    Returns
    -------
    dict
        ``error``: the name of its type. ``frames``: a list of ``file:line function``, the
        innermost first and at most `MAX_FRAMES`, with the file's path inside its package. The
        exception that led to this one follows as ``after TypeName`` with frames of its own.

    Examples
    --------
    >>> try:
    ...     int("JANE DOE")
    ... except ValueError as error:
    ...     fault_fields(error)["error"]
    'ValueError'
    """
    chain = [error]
    while len(chain) < MAX_EXCEPTIONS and (before := _before(chain[-1])) is not None:
        chain.append(before)
    share = MAX_FRAMES // len(chain)
    frames: list[str] = []
    for link in chain:
        if link is not error:
            frames.append(f"after {type(link).__name__}")
        places = [_place(frame, line) for frame, line in traceback.walk_tb(link.__traceback__)]
        frames += reversed(places[-share:])
    return {"error": type(error).__name__, "frames": frames}


def _before(error: BaseException) -> BaseException | None:
    """The exception that led to ``error``, as a traceback would show it."""
    if error.__cause__ is not None or error.__suppress_context__:
        return error.__cause__
    return error.__context__


def _place(frame: FrameType, line: int) -> str:
    """``file:line function`` of a frame, the file without its folders outside the package."""
    file = PurePath(frame.f_code.co_filename)
    module = str(frame.f_globals.get("__name__", "__main__"))
    if module in ("__main__", "__mp_main__"):
        path = file.name
    else:
        package = "/__init__" if file.stem == "__init__" else ""
        path = f"{module.replace('.', '/')}{package}{file.suffix or '.py'}"
    return f"{path}:{line} {frame.f_code.co_qualname}"


def _only_allowed(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    dropped = sorted(set(event) - ALLOWED_FIELDS)
    for field in dropped:
        del event[field]
    if dropped:
        event["dropped_fields"] = len(dropped)
    return event
