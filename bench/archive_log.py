"""What an archive sent, as it says itself: whole series, counted in its own log."""

import hashlib
import re
from collections import Counter
from pathlib import Path

__all__ = ["orthanc_id", "sent_series"]

WADO = re.compile(r"\(http\) GET \S*/series/([0-9.]+)(?:\?\S*)?\s*$")
ORTHANC_GET = re.compile(r"C-GET: Sending resource ([0-9a-f-]{44})")
DCMTK_ASKED = re.compile(r"(Find|Move|Get) SCP Request Identifiers")
DCMTK_LEVEL = re.compile(r"\(0008,0052\) CS \[(\w+)")
DCMTK_SERIES = re.compile(r"\(0020,000e\) UI \[([0-9.]+)\]")


def sent_series(log: Path) -> Counter[str]:
    """How often each whole series was asked for, by Series Instance UID.

    Orthanc's log of C-GET hides UIDs: there a series goes by its `orthanc_id`.

    Parameters
    ----------
    log
        Of Orthanc or dcmqrscp with ``--verbose``.
    """
    found: Counter[str] = Counter()
    asked = level = ""
    with log.open(errors="replace") as lines:
        for line in lines:
            if match := WADO.search(line) or ORTHANC_GET.search(line):
                found[match[1]] += 1
            elif match := DCMTK_ASKED.search(line):
                asked, level = match[1], ""
            elif match := DCMTK_LEVEL.search(line):
                level = match[1]
            elif (match := DCMTK_SERIES.search(line)) and asked != "Find" and level == "SERIES":
                found[match[1]] += 1
    return found


def orthanc_id(*names: str) -> str:
    """Orthanc's name of a resource.

    Parameters
    ----------
    names
        Patient ID, then UIDs of study, series and instance, as far as the resource is deep.

    >>> orthanc_id("P1")
    'bdaf1eca-33d4619e-80e8ca68-9a1b74a4-febbbb29'
    """
    text = hashlib.sha1("|".join(names).encode(), usedforsecurity=False).hexdigest()
    return "-".join(text[start : start + 8] for start in range(0, 40, 8))
