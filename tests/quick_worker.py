"""A worker whose assessments take no time: only the measuring itself is left out.

Everything else is the node's own: the spool, the workflows, the child process with its limits, the
reading of headers, the choice of a series, the Structured Report with its check, the delivery.
"""

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from dicom_node.analysis import analysis, models
from dicom_node.analysis.outcome import Outcome
from dicom_node.assessment.assessment import Assessment
from dicom_node.logs import configure_logs
from dicom_node.series.selection import EligibleSeries
from dicom_node.settings.node import load_settings
from dicom_node.supervisor import stop_on_signal
from dicom_node.work.assessment_pool import AssessmentPool, assess_in_child
from dicom_node.work.worker import run_worker
from modeling import Bundle, Stager
from roi_extraction.anatomy import Finding
from tests.assessment_builders import assessment_of

MODEL_ID = "quick-model"


class _Bundle:
    model_id = MODEL_ID


class QuickStager(Stager):
    """Knows the name of its model and nothing else."""

    def __init__(self) -> None:
        super().__init__(cast(Bundle, _Bundle()))


def quick_assessment(
    series: EligibleSeries,
    _volume: object,
    _segmenter: object,
    _stager: object,
    _network: object,
    findings: Sequence[Finding],
    _rules: object,
) -> Assessment:
    """Known numbers at known places, after the pause that the environment asks for."""
    time.sleep(float(os.environ.get("QUICK_SECONDS", "0")))
    return assessment_of(series, findings)


def quick_analysis(*arguments: Any) -> Outcome:
    """In the child: the analysis of the node with that in place of the measuring."""
    vars(analysis).update(
        assess=quick_assessment, render_rois=lambda _volume, _features: b"no picture"
    )
    vars(models).update(load_models=lambda _bundle: (QuickStager(), None))
    return assess_in_child(*arguments)


def quick_model(_bundle: Path | None) -> str:
    """In the child: no model is loaded."""
    return MODEL_ID


class QuickPool(AssessmentPool):
    """The node's pool with `quick_analysis` in its children."""

    analysis = staticmethod(quick_analysis)
    model = staticmethod(quick_model)


def main(config: Path) -> None:
    """Work until a signal comes."""
    settings = load_settings(config)
    configure_logs("worker")
    run_worker(settings, QuickPool, stop_on_signal())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
