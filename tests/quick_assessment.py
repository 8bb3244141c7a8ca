"""An assessment with known numbers, in place of the measuring.

The server of the quick worker's children imports this module, and so all that they need.
"""

import os
import time
from collections.abc import Sequence
from types import SimpleNamespace
from typing import cast

import dicom_node.analysis.analysis
import dicom_node.analysis.models
import dicom_node.work.assessment_pool  # noqa: F401
from dicom_node.assessment.assessment import Assessment
from dicom_node.series.selection import EligibleSeries
from modeling import Bundle, Stager
from roi_extraction.anatomy import Finding
from tests.assessment_builders import assessment_of

MODEL_ID = "quick-model"


class QuickStager(Stager):
    """Knows the name of its model and nothing else."""

    def __init__(self) -> None:
        super().__init__(cast(Bundle, SimpleNamespace(model_id=MODEL_ID)))


def quick_assessment(
    series: EligibleSeries,
    _volume: object,
    _segmenter: object,
    _stager: object,
    _network: object,
    findings: Sequence[Finding],
    _rules: object,
    _scanners: object,
    _correction: object = None,
    *,
    mean_hu: float | None = None,
) -> Assessment:
    """Known numbers at known places, after the pause that the environment asks for.

    With ``mean_hu`` all means are that.
    """
    time.sleep(float(os.environ.get("QUICK_SECONDS", "0")))
    return assessment_of(series, findings, mean_hu=mean_hu)
