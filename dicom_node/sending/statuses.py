"""Statuses of DIMSE messages: those that the node gives, and those that it tells apart.

pynetdicom names the common ones; of the others it knows the numbers only (`pynetdicom.status`).
"""

from pynetdicom.status import Status

__all__ = [
    "CANNOT_UNDERSTAND",
    "CLASS_NOT_SUPPORTED",
    "DOES_NOT_MATCH",
    "DUPLICATE_INSTANCE",
    "INVALID_OBJECT",
    "MOVE_DESTINATION_UNKNOWN",
    "NOT_AUTHORISED",
    "NO_SUCH_EVENT_TYPE",
    "OUT_OF_RESOURCES",
    "PENDING",
    "PROCESSING_FAILURE",
    "SUCCESS",
    "is_warning",
]

SUCCESS = int(Status.SUCCESS)

PROCESSING_FAILURE = 0x0110
DUPLICATE_INSTANCE = 0x0111
NO_SUCH_EVENT_TYPE = 0x0113
INVALID_OBJECT = 0x0117
CLASS_NOT_SUPPORTED = 0x0122
NOT_AUTHORISED = 0x0124
"""Of any service (DICOM PS3.7, annex C)."""

OUT_OF_RESOURCES = 0xA700
DOES_NOT_MATCH = 0xA900
CANNOT_UNDERSTAND = 0xC000
"""Of C-STORE: the data set does not match its SOP class, or cannot be understood (DICOM PS3.4,
table B.2-1)."""

PENDING = (int(Status.PENDING), 0xFF01)
"""Of C-FIND: a match; with the second one some optional key was not looked at (DICOM PS3.4, table
C.4-1)."""


MOVE_DESTINATION_UNKNOWN = 0xA801
"""Of C-MOVE (DICOM PS3.4, table C.4-2)."""


def is_warning(status: int) -> bool:
    """Whether an instance was stored with a reservation, 0xBxxx (DICOM PS3.4, table B.2-1)."""
    return status >> 12 == 0xB
