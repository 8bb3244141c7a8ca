"""A worker whose assessments take no time: only the measuring itself is left out.

Everything else is the node's own: the spool, the workflows, the child process with its limits, the
reading of headers, the choice of a series, the Structured Report with its check, the delivery.
Like the node's, it imports what assesses in the server of the children that assess alone, and no
library that stages.
"""

import sys
from pathlib import Path
from typing import Any

from dicom_node.analysis.outcome import Outcome
from dicom_node.logs import configure_logs
from dicom_node.records.heartbeat import keep_beating
from dicom_node.settings.node import load_settings
from dicom_node.supervisor import end_with_parent, stop_on_signal
from dicom_node.work.assessment_pool import AssessmentPool, assess_in_child


def quick_analysis(*arguments: Any) -> Outcome:
    """In the child: the analysis of the node with known numbers in place of the measuring."""
    from dicom_node.analysis import analysis, models
    from tests.quick_assessment import QuickStager, quick_assessment

    vars(analysis).update(assess=quick_assessment)
    vars(models).update(load_models=lambda _bundle: (QuickStager(), None))
    return assess_in_child(*arguments)


def quick_model(_bundle: Path | None) -> str:
    """In the child: no model is loaded."""
    from tests.quick_assessment import MODEL_ID

    return MODEL_ID


class QuickPool(AssessmentPool):
    """The node's pool with `quick_analysis` in its children."""

    preload = ("tests.quick_assessment",)
    analysis = staticmethod(quick_analysis)
    model = staticmethod(quick_model)


def main(config: Path, parent: int | None = None) -> None:
    """Work until a signal comes or the parent, if one is named, has ended.

    The children import this module too, and need nothing of the worker.
    """
    from dicom_node.work.worker import run_worker

    settings = load_settings(config)
    configure_logs("worker")
    stop = stop_on_signal()
    end_with_parent(parent, stop)
    keep_beating(settings.counters_dir, "worker", stop)
    run_worker(settings, QuickPool, stop)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
