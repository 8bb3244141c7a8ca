"""Surveys and assessments in child processes with limits on time and memory."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from concurrent.futures import TimeoutError as FutureTimeout
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from pebble import ProcessExpired, ProcessPool

from dicom_node.analysis.outcome import Outcome
from dicom_node.errors import (
    AssessmentFailed,
    DiskFault,
    NodeError,
    ReadingRefused,
    ReportInvalid,
    SettingsInvalid,
)
from dicom_node.series.survey import StudySurvey, survey
from dicom_node.settings.node import NodeSettings
from dicom_node.work.child_process import (
    DISK_FAULTS,
    enter_child,
    run_in_child,
    run_in_lasting_child,
)
from roi_extraction.anatomy import Finding

__all__ = ["BUNDLE_VARIABLE", "AssessmentPool", "SurveyPool", "assess_in_child"]

T = TypeVar("T")

STOP_POLL_SECONDS = 0.5
"""How often a waiting assessment looks whether the pool was stopped."""

SURVEY_PROCESSES = 2
"""Children that only look at headers: a slow survey holds up no assessment."""

SURVEY_SECONDS = 60.0
"""Limit of one survey; the headers of 1000 slices take some seconds."""

MODEL_SECONDS = 300.0
"""Limit of loading the models: some seconds, most of them for the libraries."""

ASSESSMENTS_PER_CHILD = 1
"""A child assesses once: the next one begins with what the server loaded and nothing of its own.
After an assessment it would hold some 55 MB, half of it pages of the server's that it wrote to."""

SURVEYS_PER_CHILD = 50
"""A child that surveys is replaced after this many, so that no leak can grow for ever."""

BUNDLE_VARIABLE = "_OSTEONODE_BUNDLE"
"""Environment variable that tells the server where the bundle is; empty for the built-in one."""


def model_in_child(bundle: Path | None) -> str:
    """Load the models, and return the identity of the one that stages.

    Raises
    ------
    SettingsInvalid
        The bundle cannot be used.
    """
    from dicom_node.analysis.models import load_models
    from modeling import ModelingError

    try:
        return load_models(bundle)[0].bundle.model_id
    except ModelingError as error:
        raise SettingsInvalid(str(error)) from error


def assess_in_child(
    settings: NodeSettings,
    paths: list[Path],
    out: Path,
    history: Path,
    findings: tuple[Finding, ...],
    reading: Mapping[str, Any] | None = None,
) -> Outcome:
    """Load the models and analyse by the settings; the others are parameters of `analyse`."""
    from dicom_node.analysis.analysis import analyse
    from dicom_node.analysis.models import load_models, staging_rules
    from dicom_node.assessment.segmenters import SegmenterPlan
    from dicom_node.records.reading import Reading
    from dicom_node.reporting.objects.files import wanted_kinds, wanted_pages
    from dicom_node.sending.pacs_reports import PacsReports
    from modeling import Stager

    query = settings.query
    archive = None
    if query is not None and query.earlier_reports:
        archive = PacsReports(query, settings.listener.ae_title, settings.earlier_dir)
    stager, network = load_models(settings.bundle)
    stager = Stager(stager.bundle, staging_rules(settings.model))
    return analyse(
        paths,
        out,
        settings.acquisition,
        stager,
        network,
        SegmenterPlan.of(settings),
        history,
        findings,
        objects=wanted_kinds(settings.destinations),
        refusal_pages=wanted_pages(settings.destinations),
        archive=archive,
        reading=None if reading is None else Reading.model_validate(reading),
    )


class AssessmentPool:
    """Runs assessments in child processes, so that a hostile file can end only its own child.

    The children are forked from a server, a process with a single thread that has imported what
    assesses and loaded the models: they start at once and share its memory. The first of them waits
    for the server. A server that dies ends its children, and is started again with the next one.
    The worker itself stays small.

    Parameters
    ----------
    settings
        Of the node; ``limits`` says how many children there are and what each may use.
    """

    analysis: Callable[..., Outcome] = staticmethod(assess_in_child)
    """What assesses, in the child."""

    model: Callable[[Path | None], str] = staticmethod(model_in_child)
    """What loads the models, in the child."""

    preload: Sequence[str] = ("dicom_node.work.preload",)
    """The modules that the server imports."""

    def __init__(self, settings: NodeSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._ended = False
        self._pool = self._new_pool()
        self._surveys = self._new_surveys()

    def __enter__(self) -> Self:
        """Start no child yet; the first work does."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the children at once; their assessments are repeated after the next start."""
        with self._lock:
            self._ended = True
            self._pool.stop()
            self._surveys.stop()
        self._pool.join()
        self._surveys.join()

    def assess(
        self,
        paths: list[Path],
        out: Path,
        history: Path,
        findings: Sequence[Finding] = (),
        reading: Mapping[str, Any] | None = None,
        data_dir: Path | None = None,
    ) -> Outcome:
        """Assess the series of one study in a child.

        Parameters
        ----------
        paths
            The study's files.
        out
            Folder for the report.
        history
            Folder with the earlier reports on the study.
        findings
            What the report must warn of.
        reading
            A reader's word on a report of the study, as `Reading` holds it; None for none.
        data_dir
            Where earlier reports from the PACS are kept, if not in the node's data folder.

        Raises
        ------
        AssessmentFailed
            The child died, ran out of time or memory, or failed in an unforeseen way.
        DiskFault
            The disk did not take the report.
        ReportInvalid
            The report must not be sent.
        ReadingRefused
            The reader's word cannot be carried out.
        """
        settings, query = self._settings, self._settings.query
        asking = query.total_seconds if query is not None and query.earlier_reports else 0.0
        return self._run(
            self.analysis,
            settings.limits.seconds + asking,
            settings if data_dir is None else settings.within(data_dir),
            paths,
            out,
            history,
            tuple(findings),
            reading,
        )

    def load_model(self) -> "Future[str]":
        """Begin to load the models in a child that assesses.

        Returns
        -------
        Future
            Identity of the model that stages; SettingsInvalid if the bundle cannot be used,
            AssessmentFailed as for `assess`.
        """
        started = self._start(self.model, MODEL_SECONDS, self._settings.bundle)
        return self._in_our_errors(started, MODEL_SECONDS)

    def survey(self, paths: list[Path]) -> "Future[StudySurvey]":
        """Begin to look through the files of a study in a child of its own kind.

        Returns
        -------
        Future
            The series, or AssessmentFailed as for `assess`.
        """
        started: Future[Any]
        try:
            with self._lock:
                if not self._surveys.active and not self._ended:
                    self._surveys = self._new_surveys()
                started = self._surveys.schedule(
                    run_in_lasting_child, args=(survey, paths), timeout=SURVEY_SECONDS
                )
        except Exception as error:  # such as a server that dies while the child is made
            started = Future()
            started.set_exception(error)
        return self._in_our_errors(started, SURVEY_SECONDS)

    def _in_our_errors(self, started: "Future[Any]", seconds: float) -> "Future[Any]":
        """What ``started`` becomes, its failures in the node's own errors."""
        ended: Future[Any] = Future()

        def hand_on(done: "Future[Any]") -> None:
            try:
                ended.set_result(self._result(done, seconds))
            except NodeError as error:
                ended.set_exception(error)

        started.add_done_callback(hand_on)
        return ended

    def _new_pool(self) -> ProcessPool:
        processes = max(self._settings.limits.processes, 1)  # one at least loads the models
        return self._new(processes, ASSESSMENTS_PER_CHILD)

    def _new_surveys(self) -> ProcessPool:
        return self._new(SURVEY_PROCESSES, SURVEYS_PER_CHILD)

    def _new(self, processes: int, tasks_per_child: int) -> ProcessPool:
        """Make a pool; one whose idle child was killed from outside can never be used again."""
        bundle = self._settings.bundle
        os.environ[BUNDLE_VARIABLE] = "" if bundle is None else str(bundle.absolute())
        multiprocessing.set_forkserver_preload(list(self.preload))
        return ProcessPool(
            max_workers=processes,
            max_tasks=tasks_per_child,
            initializer=enter_child,
            initargs=(self._settings.limits.memory_mb,),
            context=multiprocessing.get_context("forkserver"),
        )

    def _run(self, function: Callable[..., T], seconds: float, *arguments: object) -> T:
        future = self._start(function, seconds, *arguments)
        self._await(future)
        result: T = self._result(future, seconds)
        return result

    def _start(
        self, function: Callable[..., T], seconds: float, *arguments: object
    ) -> "Future[Any]":
        """Begin ``function`` in a child that assesses."""
        try:
            with self._lock:
                if not self._pool.active and not self._ended:
                    self._pool = self._new_pool()
                return self._pool.schedule(
                    run_in_child, args=(function, *arguments), timeout=seconds
                )
        except Exception as error:  # such as a pool that was just stopped
            raise AssessmentFailed(f"unforeseen {type(error).__name__}") from error

    def _result(self, future: "Future[Any]", seconds: float) -> Any:
        """What a child returned, its failures in the node's own errors."""
        try:
            return future.result()
        except AssessmentFailed:
            raise
        except FutureTimeout as error:
            raise AssessmentFailed(f"no result within {seconds:g} s") from error
        except ProcessExpired as error:
            raise AssessmentFailed(f"the child ended with code {error.exitcode}") from error
        except MemoryError as error:
            raise AssessmentFailed(
                f"over {self._settings.limits.memory_mb} MB of memory"
            ) from error
        except (ReadingRefused, ReportInvalid, SettingsInvalid):
            raise
        except OSError as error:
            if error.errno in DISK_FAULTS:
                raise DiskFault(os.strerror(error.errno)) from error
            raise AssessmentFailed(f"unforeseen {type(error).__name__}") from error
        except Exception as error:  # a fault in foreign code; its text may hold patient data
            raise AssessmentFailed(f"unforeseen {type(error).__name__}") from error

    def _await(self, future: "Future[Any]") -> None:
        """Wait for a child; a pool that was stopped may never say that the child ended."""
        while not wait([future], timeout=STOP_POLL_SECONDS).done:
            if self._ended:
                raise AssessmentFailed("stopped in the middle")


class SurveyPool(AssessmentPool):
    """Only surveys: its server loads nothing that assesses, so that the first child starts soon."""

    preload: Sequence[str] = ("dicom_node.work.child_process", "dicom_node.series.survey")
