"""Assessments that give a report of known numbers, each a line in a journal."""

import json
from collections import Counter
from pathlib import Path

import pydicom

from dicom_node.analysis.outcome import Outcome
from tests.screening_builders import TemplateReports

__all__ = ["JournalReports"]

SECONDS = 0.25
"""Of an assessment."""


class JournalReports(TemplateReports):
    """Stands for the pool; takes only files that are a whole series.

    Parameters
    ----------
    template
        A report that `template_report` wrote.
    journal
        File of the assessed series' UIDs.
    """

    def __init__(self, template: Path, journal: Path) -> None:
        super().__init__(template, seconds=SECONDS)
        self._journal = journal

    def assess(self, paths: list[Path], out: Path, history: Path) -> Outcome:
        slices = [pydicom.dcmread(path, stop_before_pixels=True) for path in paths]
        assert len({item.SOPInstanceUID for item in slices}) == len(paths)
        study, series = slices[0].StudyInstanceUID, slices[0].SeriesInstanceUID
        named = paths[0].with_name("uids.json")
        named.write_text(json.dumps([study, series]))
        with self._journal.open("a") as file:
            file.write(f"{series}\n")
        return super().assess([named], out, history)

    def again(self) -> int:
        """How many assessments were of a series that had been assessed."""
        lines = self._journal.read_text().split() if self._journal.exists() else []
        return len(lines) - len(Counter(lines))
