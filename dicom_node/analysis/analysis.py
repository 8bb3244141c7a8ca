"""Assess the best series among some files and write its report into a folder."""

import hashlib
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import pydicom

from dicom_node.analysis.earlier_reports import (
    EarlierReports,
    ReportArchive,
    archived_reports,
    find_earlier,
)
from dicom_node.analysis.input_findings import (
    choice_findings,
    file_findings,
    foreign_findings,
    no_series,
    part_segmentations,
)
from dicom_node.analysis.object_maker import ObjectMaker
from dicom_node.analysis.outcome import Outcome
from dicom_node.analysis.read_reports import (
    check_still_stands,
    correction_of,
    read_before,
    read_identity,
    read_series,
    read_version,
)
from dicom_node.analysis.refusal_pages import make_refusal_pages
from dicom_node.analysis.report_folder import checked_document, publish_report, write_refusal
from dicom_node.analysis.report_objects import make_report_objects
from dicom_node.assessment.assessment import Assessment, assess
from dicom_node.assessment.segmenters import SegmenterPlan
from dicom_node.errors import ReadingRefused, SeriesRefused
from dicom_node.files import make_private_folder
from dicom_node.memory import trim_memory
from dicom_node.records.reading import Reading
from dicom_node.reporting.checks.report_check import sources_of
from dicom_node.reporting.objects.files import kept_objects
from dicom_node.reporting.objects.kinds import NotAnalysed, ObjectKind
from dicom_node.reporting.objects.region_segmentation import region_segmentation
from dicom_node.reporting.report import refusal_report, report, with_report_time
from dicom_node.reporting.report_history import (
    REPORT_FILE,
    KeptReport,
    evidence_uids,
    file_digest,
    kept_reports,
    standing_reports,
    study_date_of,
    withdrawn_by,
)
from dicom_node.reporting.report_index import ReportIndex
from dicom_node.reporting.report_model import Refusal
from dicom_node.reporting.structured_report import (
    SrProfile,
    build_structured_report,
    evidence_header,
    evidence_images,
)
from dicom_node.series.instances import Instance, scan_folder
from dicom_node.series.patients import differing, patient_of
from dicom_node.series.selection import EligibleSeries, RefusedSeries, Selection, select_series
from dicom_node.series.volume_reader import read_volume
from dicom_node.settings.node import Acquisition
from dicom_node.uids import content_id
from modeling import Stager
from network import InteractionNetwork
from roi_extraction import CtVolume, Finding, RoiError

__all__ = ["REPORT_FORM", "analyse", "series_identity"]

REPORT_FORM = 3
"""Raised when the same measurement gives another Structured Report: no two contents share a UID.
Reports of version 0.2.0 are of form 1."""

REFERS_TO_SEG = ";report refers to seg"
"""Added to the model's id where the Structured Report refers to a Segmentation."""


@dataclass(frozen=True, eq=False)
class _Candidate:
    """An eligible series with its volume, the DICOM SEGs that are of it, and what is kept of it.

    ``identity`` is that of its report before any comparison, ``kept`` are all reports of the study,
    ``standing`` those that it supersedes, ``earlier`` those of the patient's other studies.
    """

    series: EligibleSeries
    volume: CtVolume
    segmentations: tuple[Instance, ...]
    identity: str
    made: KeptReport | None = None
    standing: tuple[KeptReport, ...] = ()
    displaced: tuple[KeptReport, ...] = ()
    kept: tuple[KeptReport, ...] = ()
    earlier: EarlierReports = field(default_factory=EarlierReports)


@dataclass(frozen=True, eq=False)
class _Measured:
    """A candidate that was assessed."""

    candidate: _Candidate
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
    *,
    objects: Collection[ObjectKind] = (),
    refusal_pages: Collection[NotAnalysed] = (),
    archive: ReportArchive | None = None,
    reading: Reading | None = None,
) -> Outcome:
    """Assess the best eligible series among some files.

    Writes ``report.json``, ``report.txt`` and, if a series was assessed, ``rois.png``, the objects
    that are asked for and ``report.sr.dcm`` into ``out``, each complete or not at all, the last
    one last.

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
        Folder of the study's reports, ``out`` among them, in the folder of all reports: a report
        that was made before is used as it is, and a new one supersedes those that stand under the
        same patient.
    findings
        Further findings that the reader should know.
    objects
        What is written beside the Structured Report.
    refusal_pages
        What is written where no series can be assessed though one was meant to be.
    archive
        Where earlier reports are looked for beside the node's own; needs a ``history``.
    reading
        What a reader said of a report of the history: its series alone is measured, as the reader
        wants, and the new report is the reader's.

    Raises
    ------
    ReadingRefused
        The report that was read does not stand any more, or its series cannot be measured so.
    ReportInvalid
        The report does not pass its check; it lies in ``out`` as ``report.invalid.dcm``.
    """
    make_private_folder(out)
    started = time.perf_counter()
    found, unreadable = scan_folder(paths)
    instances, received = part_segmentations(found)
    selection = select_series(instances, rules)
    findings = [*findings, *file_findings(unreadable)]
    pages = partial(make_refusal_pages, instances=instances, forms=refusal_pages)
    if not selection.eligible:
        reason = no_series(instances, unreadable, selection)
        return _refused(out, reason, findings, selection, pages, keep=history is not None)
    findings += foreign_findings(received, instances)
    segmentations, untrusted = plan.trusted(received)
    findings += untrusted
    archived: list[KeptReport] = []
    if archive is not None and history is not None:
        archived, unasked = archived_reports(
            archive,
            pydicom.dcmread(selection.eligible[0].first.path, stop_before_pixels=True),
            ReportIndex(history.parent),
            history.name,
            repeated=(out / REPORT_FILE).exists(),
        )
        findings += unasked
    refused: list[RefusedSeries] = []
    for series in selection.eligible if reading is None else read_series(reading, selection):
        others = [other for other in selection.eligible if other is not series]
        try:
            candidate = _candidate(series, segmentations, rules, stager, plan, objects)
            if history is not None:
                candidate = _with_history(candidate, history, out.name, archived, reading)
            if candidate.made is not None:
                return _made_before(candidate, candidate.made, others)
            if reading is None:
                findings += read_before(candidate.standing)
            read_s = time.perf_counter() - started
            assessment = assess(
                series,
                candidate.volume,
                plan.segmenter(series, candidate.segmentations),
                stager,
                network,
                [*findings, *choice_findings(refused, others)],
                rules.rules,
                rules.scanners,
                None if reading is None else correction_of(reading, series),
            )
        except (SeriesRefused, RoiError) as error:
            if reading is not None:
                raise ReadingRefused(error.code, str(error)) from error
            refused.append(
                RefusedSeries(series.study_uid, series.series_uid, error.code, str(error))
            )
            continue
        trim_memory()  # of the measurement: the report's objects would else come on top of it
        return _report(
            _Measured(candidate, assessment),
            out,
            Selection(selection.eligible, (*selection.refused, *refused)),
            {"read": read_s, **assessment.timings_s},
            None if history is None else ReportIndex(history.parent),
            objects,
            reading,
        )
    return _refused(
        out,
        refused[0],
        [*selection.eligible[0].findings, *findings],
        Selection(selection.eligible, (*selection.refused, *refused[1:])),
        pages,
        keep=history is not None,
    )


def _candidate(
    series: EligibleSeries,
    segmentations: Sequence[Instance],
    rules: Acquisition,
    stager: Stager,
    plan: SegmenterPlan,
    objects: Collection[ObjectKind],
) -> _Candidate:
    """Read a series; SeriesRefused if its volume cannot be."""
    volume = read_volume(series)
    own = tuple(s for s in segmentations if series.series_uid in s.referenced_series_uids)
    variant = plan.variant([item.path for item in own])
    if ObjectKind.SEG in objects:
        variant += REFERS_TO_SEG
    model = stager.bundle.model_id + stager.rules.variant + variant
    return _Candidate(series, volume, own, series_identity(series, volume, rules, model))


def series_identity(
    series: EligibleSeries, volume: CtVolume, rules: Acquisition, model_id: str
) -> str:
    """The identity of a report, the same whether the files lie in the spool or in a user's folder.

    Reports of two patients, studies, sets of images, models or rules never have the same. How
    the images were encoded and what the report does not depend on make no difference.

    Parameters
    ----------
    series
        The series that is measured.
    volume
        Its volume: int16 HU, shape (slices, rows, columns).
    rules
        What a series must fulfil.
    model_id
        Of the model that stages, with the variants of the segmenters and of the report.
    """
    hu = hashlib.sha256(repr((volume.hu.shape, volume.affine.tolist())).encode())
    hu.update(volume.hu.reshape(-1).data)
    return content_id(
        f"form {REPORT_FORM}",
        series.study_uid,
        series.series_uid,
        "\n".join(instance.sop_instance_uid for instance in series.slices),
        "\n".join(sorted({instance.inherited_digest for instance in series.slices})),
        "\n".join(instance.measured_digest for instance in series.slices),
        hu.hexdigest(),
        rules.model_dump_json(),
        model_id,
    )


def _with_history(
    candidate: _Candidate,
    history: Path,
    assessment: str,
    archived: Sequence[KeptReport],
    reading: Reading | None,
) -> _Candidate:
    """Add what is kept of the study and of the images.

    Parameters
    ----------
    candidate
        The series.
    history
        Folder of the study's reports.
    assessment
        Name of the folder that a new report goes to.
    archived
        Reports of the patient from an archive.
    reading
        What a reader said of one of the study's reports.
    """
    series = candidate.series
    if reading is not None:
        candidate = replace(candidate, identity=read_identity(candidate.identity, reading))
    patient = patient_of(pydicom.dcmread(series.first.path, stop_before_pixels=True))
    kept = kept_reports(history)
    index = ReportIndex(history.parent)
    elsewhere = index.find(instance.sop_instance_uid for instance in series.slices)
    wrong = [report for report in kept if differing(report.patient, patient)]
    wrong += [report for report in elsewhere if report.study_uid != series.study_uid]
    own = [report for report in kept if report not in wrong and withdrawn_by(report.path) is None]
    earlier = find_earlier(index, patient, series.study_uid, elsewhere, archived)
    identity, made = earlier.made(candidate.identity, kept)
    standing = standing_reports(own)
    if reading is not None and made is None:
        check_still_stands(reading, standing)
    if reading is None and made is not None:
        made = read_version(made, kept, standing)
    return replace(
        candidate,
        identity=candidate.identity if made is None else identity,
        made=made,
        kept=tuple(kept),
        earlier=earlier,
        standing=tuple(standing),
        displaced=tuple(
            report for report in wrong if withdrawn_by(report.path) in (None, assessment)
        ),
    )


def _report(
    measured: _Measured,
    out: Path,
    selection: Selection,
    timings_s: Mapping[str, float],
    index: ReportIndex | None,
    objects: Collection[ObjectKind],
    reading: Reading | None,
) -> Outcome:
    """Build the report, check it as it will be sent, and only then keep it."""
    candidate, assessment = measured.candidate, measured.assessment
    series = candidate.series
    started = time.perf_counter()
    content = report(assessment, timings_s, selection.refused, reading)
    verified_by = None if reading is None else reading.reader
    first = evidence_header(evidence_images(assessment)[0].path)
    earlier_reports = candidate.earlier
    comparison = earlier_reports.compare(content, study_date_of(first))
    earlier = earlier_reports.document(comparison)
    identity = earlier_reports.identity(candidate.identity, comparison, candidate.kept)
    content = content.model_copy(update={"comparison": comparison})
    sources = sources_of(series.slices)
    maker = ObjectMaker(identity, sources, verified_by)
    segmentation = None
    if ObjectKind.SEG in objects:
        segmentation = maker.make(ObjectKind.SEG, lambda: region_segmentation(assessment, identity))
    document = build_structured_report(
        assessment,
        identity,
        [superseded.path for superseded in candidate.standing],
        segmentation=segmentation,
        comparison=comparison,
        earlier=earlier,
        reading=reading,
    )
    written = checked_document(
        out, document, sources, candidate.standing, segmentation, earlier, verified_by
    )
    if ObjectKind.PLANAR in objects:
        maker.make(
            ObjectKind.PLANAR,
            lambda: build_structured_report(
                assessment, identity, profile=SrProfile.PLANAR, reading=reading
            ),
        )
    trim_memory()
    picture = make_report_objects(maker, objects, content, assessment, candidate.volume, identity)
    content = with_report_time(content, time.perf_counter() - started)
    if index is not None:
        index.add(out.parent.name, out.name, evidence_uids(document), patient_of(document))
    publish_report(out, content, picture, written, maker.files)
    return Outcome(
        reported=True,
        study_uid=series.study_uid,
        series_uid=series.series_uid,
        code=None,
        message=None,
        warnings=tuple(warning.code for warning in content.warnings),
        stage=content.stage.predicted,
        timings_s=content.timings_s,
        identity=identity,
        folder=out.name,
        sha256=file_digest(out / REPORT_FILE),
        others=tuple(s.series_uid for s in selection.eligible if s is not series),
        objects=maker.digests,
        unmade=maker.unmade,
        displaced=candidate.displaced,
    )


def _made_before(
    candidate: _Candidate, kept: KeptReport, others: Sequence[EligibleSeries]
) -> Outcome:
    """The outcome for a series whose report was made before and is kept on the disk."""
    return Outcome(
        reported=True,
        study_uid=candidate.series.study_uid,
        series_uid=candidate.series.series_uid,
        code=None,
        message=None,
        warnings=(),
        stage=None,
        timings_s={},
        identity=candidate.identity,
        folder=kept.folder,
        sha256=file_digest(kept.path),
        others=tuple(other.series_uid for other in others),
        objects=kept_objects(kept.path.parent),
        displaced=candidate.displaced,
    )


def _refused(
    out: Path,
    reason: RefusedSeries,
    findings: Sequence[Finding],
    selection: Selection,
    pages: Callable[[Refusal], ObjectMaker],
    *,
    keep: bool,
) -> Outcome:
    """Write the refusal; the series that the selection refused are listed in it."""
    study_uid, series_uid = reason.study_uid, reason.series_uid
    refusal = refusal_report(
        study_uid, series_uid, reason.code, reason.message, findings, selection.refused
    )
    made = pages(refusal)
    write_refusal(out, refusal, made.files, keep=keep)
    return Outcome(
        reported=False,
        study_uid=study_uid,
        series_uid=series_uid,
        code=reason.code,
        message=reason.message,
        warnings=tuple(finding.code for finding in findings),
        stage=None,
        timings_s={},
        objects=made.digests,
        unmade=made.unmade,
    )
