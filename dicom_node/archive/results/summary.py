"""placeholder"""

from dicom_node.archive.bookkeeping.screenings import Screening
from dicom_node.archive.results.rows import ResultRow


class Summary:
    def __init__(self) -> None:
        self.rows = 0

    def add(self, rows: list[ResultRow]) -> None:
        self.rows += len(rows)


def summary_page(summary: Summary, screening: Screening) -> str:
    return ""
