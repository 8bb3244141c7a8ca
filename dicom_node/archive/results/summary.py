"""placeholder"""

from dicom_node.archive.results.rows import ResultRow
from dicom_node.archive.screenings import Screening


class Summary:
    def __init__(self) -> None:
        self.rows = 0

    def add(self, rows: list[ResultRow]) -> None:
        self.rows += len(rows)


def summary_page(summary: Summary, screening: Screening) -> str:
    return ""
