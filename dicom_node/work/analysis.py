"""Assess the best series among some files and write its report into a folder."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dicom_node.assessment.assessment import Assessment, assess
from dicom_node.assessment.segmenters import SegmenterPlan
from dicom_node.errors import SeriesRefused
from dicom_node.files import make_private_folder
from dicom_node.reporting.report import refusal_report, report
from dicom_node.reporting.report_history import (
    REPORT_FILE,
    KeptReport,
    file_digest,
    kept_reports,
    standing_reports,
)
from dicom_node.reporting.structured_report import build_structured_report, report_uids
from dicom_node.series.instances import Instance, scan_folder
from dicom_node.series.selection import EligibleSeries, RefusedSeries, Selection, select_series
from dicom_node.series.volume_reader import read_volume
from dicom_node.settings.node import Acquisition
from dicom_node.spool.spool import spool_name
from dicom_node.uids import assessment_id, instances_digest
from dicom_node.work.input_findings import (
    choice_findings,
    file_findings,
    foreign_findings,
    no_series,
    part_segmentations,
)
from dicom_node.work.report_folder import checked_document, publish_report, write_refusal
from modeling import Stager
from network import InteractionNetwork
from roi_extraction import CtVolume, Finding, RoiError, render_rois

__all__ = ["Outcome", "analyse", "series_identity"]


@dataclass(frozen=True)
class Outcome:
    """The result of an analysis: reported, or refused with a code and a message.

    Parameters
    ----------
    reported
        Whether there is a Structured Report.
    study_uid, series_uid
        Of the series that was reported or refused; empty where it is of no one series.
    code, message
        Why the series was refused; None if it was reported.
    warnings
        Codes of the warnings.
    stage
        Letter of the stage; None if the series was not staged.
    timings_s
        Wall-clock time of each step, s; empty if nothing was assessed.
    identity
        Of the report, the same whenever the same slices meet the same model; None if refused.
    folder
        Name of the folder that holds the report: an earlier one if it was made before.
    sha256
        Of the document that was checked and may be sent; None if refused.
    others
        Series of the study that could have been assessed too.
    """

    reported: bool
    study_uid: str
    series_uid: str
    code: str | None
    message: str | None
    warnings: tuple[str, ...]
    stage: str | None
    timings_s: Mapping[str, float]
    identity: str | None = None
    folder: str = ""
    sha256: str | None = None
    others: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class _Candidate:
    """An eligible series with the DICOM SEGs that are of it, and the identity of its report."""

    series: EligibleSeries
    segmentations: tuple[Instance, ...]
    identity: str


@dataclass(frozen=True, eq=False)
class _Measured:
    """A candidate that was assessed."""

    candidate: _Candidate
    volume: CtVolume
    assessment: Assessment


def analyse(
    paths: Sequence[Path],
    out: Path,
    rules: Acquisition,
    stager: Stager,
    network: InteractionNetwork | None,
    plan: SegmenterPlan,
    history: Path | None = None,
    findings: Sequence[Finding] = (),
) -> Outcome:
    """Assess the best eligible series among some files.

    Writes ``report.json``, ``report.txt`` and, if a series was assessed, ``rois.png`` and
    ``report.sr.dcm`` into ``out``, each complete or not at all, the last one last.

    Parameters
    ----------
    paths
        Files of one or several series and of DICOM SEGs, in any order.
    out
        Folder of the report; made if it does not exist.
    rules
        What a series must fulfil.
    stager
        The model.
    network
        The bone-muscle network; None for none.
    plan
        Which segmenters are tried.
    history
        Folder of the study's reports, ``out`` among them: a report that was made before is used
        as it is, and a new one supersedes those that stand.
    findings
        Further findings that the reader should know.

    Raises
    ------
    ReportInvalid
        The report does not pass its check; it lies in ``out`` as ``report.invalid.dcm``.
    """
    make_private_folder(out)
    started = time.perf_counter()
    found, unreadable = scan_folder(paths)
    instances, segmentations = part_segmentations(found)
    selection = select_series(instances, rules)
    findings = [*findings, *file_findings(unreadable)]
    if not selection.eligible:
        return _refused(out, no_series(instances, unreadable, selection), findings, selection)
    findings += foreign_findings(segmentations, instances)
    kept = [] if history is None else kept_reports(history)
    refused: list[RefusedSeries] = []
    for series in selection.eligible:
        candidate = _candidate(series, segmentations, stager, plan)
        others = [other for other in selection.eligible if other is not series]
        made = [earlier for earlier in kept if earlier.uid == report_uids(candidate.identity)[1]]
        if made:
            return _made_before(made[0], series, candidate.identity, others)
        try:
            volume = read_volume(series)
            read_s = time.perf_counter() - started
            assessment = assess(
                series,
                volume,
                plan.segmenter(series, candidate.segmentations),
                stager,
                network,
                [*findings, *choice_findings(refused, others)],
                rules.rules,
            )
        except (SeriesRefused, RoiError) as error:
            refused.append(
                RefusedSeries(series.study_uid, series.series_uid, error.code, str(error))
            )
            continue
        return _report(
            _Measured(candidate, volume, assessment),
            out,
            Selection(selection.eligible, (*selection.refused, *refused)),
            standing_reports(kept),
            {"read": read_s, **assessment.timings_s},
        )
    return _refused(
        out,
        refused[0],
        [*selection.eligible[0].findings, *findings],
        Selection(selection.eligible, (*selection.refused, *refused[1:])),
    )


def series_identity(series: EligibleSeries, model_id: str) -> str:
    """The assessment's id, the same whether the files lie in the spool or in a user's folder."""
    names = [spool_name(instance.sop_instance_uid) for instance in series.slices]
    return assessment_id(spool_name(series.series_uid), instances_digest(names), model_id)


def _candidate(
    series: EligibleSeries, segmentations: Sequence[Instance], stager: Stager, plan: SegmenterPlan
) -> _Candidate:
    own = tuple(item for item in segmentations if series.series_uid in item.referenced_series_uids)
    variant = plan.variant([item.path for item in own])
    return _Candidate(series, own, series_identity(series, stager.bundle.model_id + variant))


def _report(
    measured: _Measured,
    out: Path,
    selection: Selection,
    predecessors: Sequence[KeptReport],
    timings_s: Mapping[str, float],
) -> Outcome:
    """Build the report, check it as it will be sent, and only then keep it."""
    candidate, assessment = measured.candidate, measured.assessment
    series = candidate.series
    started = time.perf_counter()
    document = build_structured_report(
        assessment, candidate.identity, [earlier.path for earlier in predecessors]
    )
    written = checked_document(out, document, series.slices, predecessors)
    picture = render_rois(measured.volume, assessment.features)
    timings = {**timings_s, "report": time.perf_counter() - started}
    content = report(assessment, timings, selection.refused)
    publish_report(out, content, picture, written)
    return Outcome(
        reported=True,
        study_uid=series.study_uid,
        series_uid=series.series_uid,
        code=None,
        message=None,
        warnings=tuple(warning.code for warning in content.warnings),
        stage=content.stage.predicted,
        timings_s=content.timings_s,
        identity=candidate.identity,
        folder=out.name,
        sha256=file_digest(out / REPORT_FILE),
        others=tuple(s.series_uid for s in selection.eligible if s is not series),
    )


def _made_before(
    kept: KeptReport, series: EligibleSeries, identity: str, others: Sequence[EligibleSeries]
) -> Outcome:
    """The outcome for a series whose report was made before and is kept on the disk."""
    return Outcome(
        reported=True,
        study_uid=series.study_uid,
        series_uid=series.series_uid,
        code=None,
        message=None,
        warnings=(),
        stage=None,
        timings_s={},
        identity=identity,
        folder=kept.folder,
        sha256=file_digest(kept.path),
        others=tuple(other.series_uid for other in others),
    )


def _refused(
    out: Path, reason: RefusedSeries, findings: Sequence[Finding], selection: Selection
) -> Outcome:
    """Write the refusal; the series that the selection refused are listed in it."""
    study_uid, series_uid = reason.study_uid, reason.series_uid
    write_refusal(
        out,
        refusal_report(
            study_uid, series_uid, reason.code, reason.message, findings, selection.refused
        ),
    )
    codes = tuple(finding.code for finding in findings)
    return Outcome(False, study_uid, series_uid, reason.code, reason.message, codes, None, {})
