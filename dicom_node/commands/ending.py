"""How a command ends."""

import sys
from typing import Any, NoReturn

__all__ = ["EXIT_FAULT", "EXIT_REFUSED", "EXIT_REPORTED", "EXIT_USAGE", "fail", "fail_unforeseen"]

EXIT_REPORTED, EXIT_REFUSED, EXIT_USAGE, EXIT_FAULT = 0, 1, 2, 3
"""Done; refused with a reason; wrong use or settings; a fault of disk, peer or program."""

OUR_PACKAGES = ("dicom_node/", "modeling/", "network/", "roi_extraction/")

SHOWN_FRAMES = 3
"""How many of our own frames the one line on stderr shows."""


def fail(message: str, code: int) -> NoReturn:
    """Print one line to stderr and exit."""
    print(f"osteonode: {message}", file=sys.stderr)
    raise SystemExit(code)


def fail_unforeseen(error: Exception) -> NoReturn:
    """Say in one line where an unforeseen fault arose, keep the rest for a report, and exit 3.

    A process that writes a log puts all frames there; any other command writes them to a file of
    its own in the folder for temporary files. Neither holds the exception's text or the command's
    arguments, which may name a patient.
    """
    import structlog

    from dicom_node.logs import fault_fields, log

    fields = fault_fields(error)
    ours = [frame for frame in fields["frames"] if frame.startswith(OUR_PACKAGES)][:SHOWN_FRAMES]
    if structlog.is_configured():
        log().error("unforeseen fault", **fields)
        rest = "all frames are in the log"
    else:
        try:
            rest = f"please report it with {_write_fault(fields)}, which holds no patient data"
        except OSError:
            rest = "no file with the details could be written"
    place = f" at {', '.join(ours)}" if ours else ""
    fail(f"unforeseen fault: {fields['error']}{place}; {rest}", EXIT_FAULT)


def _write_fault(fields: dict[str, Any]) -> str:
    """Write the fault and what it arose in as JSON; return the file's path."""
    import json
    import platform
    import tempfile

    from dicom_node.commands.versions import versions

    content = {**versions(), "platform": platform.platform(), **fields}
    with tempfile.NamedTemporaryFile(
        "w", prefix="osteonode-fault-", suffix=".json", delete=False
    ) as file:
        json.dump(content, file, indent=1)
    return file.name
