"""Assessments in child processes with limits on time and memory."""

import errno
import multiprocessing
import os
import resource
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from concurrent.futures import TimeoutError as FutureTimeout
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from pebble import ProcessExpired, ProcessPool

from dicom_node.assessment.segmenters import SegmenterPlan
from dicom_node.errors import AssessmentFailed, DiskFault, ReportInvalid
from dicom_node.logs import configure_logs, fault_fields, log
from dicom_node.series.survey import StudySurvey, survey
from dicom_node.settings.node import Acquisition, NodeSettings
from dicom_node.work.analysis import Outcome, analyse
from modeling import Stager, load_bundle
from network import InteractionNetwork
from roi_extraction.anatomy import Finding

__all__ = ["AssessmentPool", "assess_in_child", "load_models"]

T = TypeVar("T")

DISK_FAULTS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)
"""Error numbers of the operating system for a disk that does not take a file."""

STOP_POLL_SECONDS = 0.5
"""How often a waiting assessment looks whether the pool was stopped."""

PARENT_POLL_SECONDS = 1.0
"""How often a child looks whether its parent still lives."""

SURVEY_PROCESSES = 2
"""Children that only look at headers: a slow survey holds up no assessment."""

SURVEY_SECONDS = 60.0
"""Limit of one survey; the headers of 1000 slices take some seconds."""

ASSESSMENTS_PER_CHILD = 50
"""A child is replaced after this many, so that no library's leak can grow for ever."""


@lru_cache(maxsize=2)
def load_models(bundle: Path | None) -> tuple[Stager, InteractionNetwork | None]:
    """The stager and the cohort's network of a bundle, loaded once in each process.

    Parameters
    ----------
    bundle
        Folder of the bundle; None for the built-in one.
    """
    loaded = load_bundle(bundle)
    network = None if loaded.network is None else InteractionNetwork.from_json(loaded.network)
    return Stager(loaded), network


def assess_in_child(
    paths: list[Path],
    out: Path,
    rules: Acquisition,
    bundle: Path | None,
    plan: SegmenterPlan,
    history: Path,
    findings: tuple[Finding, ...],
) -> Outcome:
    """Load the models and analyse; the parameters are those of `analyse`."""
    stager, network = load_models(bundle)
    return analyse(paths, out, rules, stager, network, plan, history, findings)


class AssessmentPool:
    """Runs assessments in spawned processes, so that a hostile file can end only its own child.

    Parameters
    ----------
    settings
        Of the node; ``limits`` says how many children there are and what each may use.
    """

    analysis: Callable[..., Outcome] = staticmethod(assess_in_child)
    """What runs in the child."""

    def __init__(self, settings: NodeSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._ended = False
        self._pool = self._new(settings.limits.processes)
        self._surveys = self._new(SURVEY_PROCESSES)

    def __enter__(self) -> "AssessmentPool":
        """Start no child yet; the first assessment does."""
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
        self, paths: list[Path], out: Path, history: Path, findings: Sequence[Finding] = ()
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

        Raises
        ------
        AssessmentFailed
            The child died, ran out of time or memory, or failed in an unforeseen way.
        DiskFault
            The disk did not take the report.
        ReportInvalid
            The report must not be sent.
        """
        settings = self._settings
        return self._run(
            self.analysis,
            settings.limits.seconds,
            paths,
            out,
            settings.acquisition,
            settings.bundle,
            SegmenterPlan.of(settings),
            history,
            tuple(findings),
        )

    def survey(self, paths: list[Path]) -> "Future[StudySurvey]":
        """Begin to look through the files of a study in a child of its own kind.

        Returns
        -------
        Future
            The series, or AssessmentFailed as for `assess`.
        """
        with self._lock:
            if not self._surveys.active and not self._ended:
                self._surveys = self._new(SURVEY_PROCESSES)
            started = self._surveys.schedule(
                _run_in_child, args=(survey, paths), timeout=SURVEY_SECONDS
            )
        surveyed: Future[StudySurvey] = Future()

        def hand_on(done: "Future[Any]") -> None:
            try:
                surveyed.set_result(self._result(done, SURVEY_SECONDS))
            except (AssessmentFailed, DiskFault, ReportInvalid) as error:
                surveyed.set_exception(error)

        started.add_done_callback(hand_on)
        return surveyed

    def _new(self, processes: int) -> ProcessPool:
        """Make a pool; one whose idle child was killed from outside can never be used again."""
        return ProcessPool(
            max_workers=processes,
            max_tasks=ASSESSMENTS_PER_CHILD,
            initializer=_enter_child,
            initargs=(os.getpid(), self._settings.limits.memory_mb),
            context=multiprocessing.get_context("spawn"),
        )

    def _run(self, function: Callable[..., T], seconds: float, *arguments: object) -> T:
        try:
            with self._lock:
                if not self._pool.active and not self._ended:
                    self._pool = self._new(self._settings.limits.processes)
                future = self._pool.schedule(
                    _run_in_child, args=(function, *arguments), timeout=seconds
                )
        except Exception as error:  # such as a pool that was just stopped
            raise AssessmentFailed(f"unforeseen {type(error).__name__}") from error
        self._await(future)
        result: T = self._result(future, seconds)
        return result

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
        except ReportInvalid:
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


def _enter_child(parent: int, memory_mb: int) -> None:
    configure_logs("assessment")
    limit = memory_mb * 1024 * 1024
    # the soft limit alone: a segmenter's own process has its own limit, which may be higher
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    threading.Thread(target=_end_with_parent, args=(parent,), daemon=True).start()


def _run_in_child(function: Callable[..., T], *arguments: object) -> T:
    """Run ``function`` and log where it failed, for its frames do not travel to the parent."""
    try:
        return function(*arguments)
    except (MemoryError, AssessmentFailed, ReportInvalid):
        raise
    except Exception as error:
        if not (isinstance(error, OSError) and error.errno in DISK_FAULTS):
            log().error("unforeseen fault", **fault_fields(error))
        raise


def _end_with_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(PARENT_POLL_SECONDS)
    os._exit(1)
