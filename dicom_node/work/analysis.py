"""Assess the files of one or more series and write what comes of it into a folder."""

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom

from dicom_node.assessment.assessment import Assessment, assess
from dicom_node.assessment.segmenters import SegmenterPlan
from dicom_node.errors import ReportInvalid, SeriesRefused
from dicom_node.reporting.report import refusal_report, report, text_summary
from dicom_node.reporting.report_check import check_report, read_sources
from dicom_node.reporting.report_history import (
    REPORT_FILE,
    KeptReport,
    file_digest,
    kept_reports,
    standing_reports,
)
from dicom_node.reporting.structured_report import build_structured_report, report_uids
from dicom_node.series.instances import (
    SEGMENTATION_STORAGE,
    Instance,
    UnreadableFile,
    scan_folder,
)
from dicom_node.series.selection import EligibleSeries, RefusedSeries, Selection, select_series
from dicom_node.series.volume_reader import read_volume
from dicom_node.settings.node import Acquisition
from dicom_node.spool.spool import spool_name, sync_folder
from dicom_node.uids import assessment_id, instances_digest
from modeling import Stager
from network import InteractionNetwork
from roi_extraction import CtVolume, Finding, RoiError, render_rois

__all__ = ["Outcome", "analyse", "write_failure"]


@dataclass(frozen=True)
class Outcome:
    """What came of an analysis: reported, or refused with a code and a message.

    Parameters
    ----------
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
    """An eligible series that was assessed, with all that its report needs."""

    series: EligibleSeries
    volume: CtVolume
    assessment: Assessment
    identity: str


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
        Made if it does not exist.
    rules
        What a series must be.
    plan
        Which segmenters are tried.
    history
        Folder of the study's reports, ``out`` among them: a report that was made before is used
        as it is, and a new one supersedes those that stand.
    findings
        What else to warn of.

    Raises
    ------
    ReportInvalid
        The report does not pass its check; it lies in ``out`` as ``report.invalid.dcm``.
    """
    out.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    found, unreadable = scan_folder(paths)
    instances, objects = _apart(found)
    selection = select_series(instances, rules)
    findings = [*findings, *_file_findings(unreadable)]
    if not selection.eligible:
        return _refuse(out, instances, unreadable, selection, findings)
    findings += _foreign_findings(objects, instances)
    kept = [] if history is None else kept_reports(history)
    refused: list[RefusedSeries] = []
    for series in selection.eligible:
        own = [item for item in objects if series.series_uid in item.referenced_series_uids]
        identity = series_identity(
            series, stager.bundle.model_id + plan.variant([item.path for item in own])
        )
        others = [s for s in selection.eligible if s is not series]
        made = [report for report in kept if report.uid == report_uids(identity)[1]]
        if made:
            return _made_before(made[0], series, identity, others)
        said = [*findings, *_choice_findings(refused, others)]
        try:
            volume = read_volume(series)
            read = time.perf_counter()
            segmenter = plan.segmenter(series, own)
            assessment = assess(series, volume, segmenter, stager, network, said, rules.rules)
        except (SeriesRefused, RoiError) as error:
            refused.append(
                RefusedSeries(series.study_uid, series.series_uid, error.code, str(error))
            )
            continue
        return _report(
            _Candidate(series, volume, assessment, identity),
            out,
            Selection(selection.eligible, (*selection.refused, *refused)),
            standing_reports(kept),
            {"read": read - started, **assessment.timings_s},
        )
    best = refused[0]
    return _write_refusal(
        out, best.study_uid, best.series_uid, best.code, best.message,
        [*selection.eligible[0].findings, *findings],
        Selection(selection.eligible, (*selection.refused, *refused[1:])),
    )  # fmt: skip


def _report(
    candidate: _Candidate,
    out: Path,
    selection: Selection,
    predecessors: Sequence[KeptReport],
    timings_s: Mapping[str, float],
) -> Outcome:
    """Build the report, check it as it will be sent, and only then keep it."""
    series, assessment = candidate.series, candidate.assessment
    started = time.perf_counter()
    document = build_structured_report(
        assessment, candidate.identity, [report.path for report in predecessors]
    )
    written = out / ".report.sr.dcm.part"
    document.save_as(written, enforce_file_format=True)
    try:
        check_report(
            pydicom.dcmread(written),
            read_sources([instance.path for instance in series.slices]),
            [report.uid for report in predecessors],
        )
    except ReportInvalid:
        _publish(written, out / "report.invalid.dcm")
        raise
    picture = render_rois(candidate.volume, assessment.features)
    timings = {**timings_s, "report": time.perf_counter() - started}
    content = report(assessment, timings)
    content["rejected_series"] = _rejected(selection)
    _write(out / "rois.png", picture)
    _write_report(out, content)
    (out / "report.invalid.dcm").unlink(missing_ok=True)
    _publish(written, out / REPORT_FILE)
    return Outcome(
        reported=True,
        study_uid=series.study_uid,
        series_uid=series.series_uid,
        code=None,
        message=None,
        warnings=tuple(warning["code"] for warning in content["warnings"]),
        stage=content["stage"]["predicted"],
        timings_s=content["timings_s"],
        identity=candidate.identity,
        folder=out.name,
        sha256=file_digest(out / REPORT_FILE),
        others=tuple(s.series_uid for s in selection.eligible if s is not series),
    )


def _made_before(
    kept: KeptReport, series: EligibleSeries, identity: str, others: Sequence[EligibleSeries]
) -> Outcome:
    """The outcome of an assessment whose report lies on the disk already."""
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


def series_identity(series: EligibleSeries, model_id: str) -> str:
    """The assessment's id, the same whether the files lie in the spool or in a user's folder."""
    names = [spool_name(instance.sop_instance_uid) for instance in series.slices]
    return assessment_id(spool_name(series.series_uid), instances_digest(names), model_id)


def write_failure(out: Path, code: str, message: str) -> None:
    """Write the report of a series whose assessment failed for good, its UIDs being unread."""
    out.mkdir(parents=True, exist_ok=True)
    _write_report(out, refusal_report("", "", code, message))


def _apart(found: Sequence[Instance]) -> tuple[list[Instance], list[Instance]]:
    """Part images from DICOM SEGs; SEGs without any image are refused as what they are."""
    images = [item for item in found if item.sop_class_uid not in SEGMENTATION_STORAGE]
    if not images:
        return list(found), []
    return images, [item for item in found if item.sop_class_uid in SEGMENTATION_STORAGE]


def _foreign_findings(objects: Sequence[Instance], images: Sequence[Instance]) -> list[Finding]:
    known = {item.series_uid for item in images}
    foreign = [item for item in objects if known.isdisjoint(item.referenced_series_uids)]
    if not foreign:
        return []
    return [
        Finding(
            "input.foreign_segmentation",
            f"{len(foreign)} DICOM SEGs reference none of the series that were given",
        )
    ]


def _refuse(
    out: Path,
    instances: Sequence[Instance],
    unreadable: Sequence[UnreadableFile],
    selection: Selection,
    findings: Sequence[Finding],
) -> Outcome:
    if not instances:
        reasons = ", ".join(sorted({item.reason for item in unreadable}))
        found = f"{len(unreadable)} files, none usable ({reasons})" if unreadable else "no files"
        return _write_refusal(
            out, "", "", "input.no_dicom",
            f"found {found}; give a folder with the slices of a CT series", findings, selection,
        )  # fmt: skip
    if len(selection.refused) == 1:
        only = selection.refused[0]
        return _write_refusal(
            out, only.study_uid, only.series_uid, only.code, only.message, findings, selection
        )
    reasons = "; ".join(f"{item.message} [{item.code}]" for item in selection.refused)
    return _write_refusal(
        out, selection.refused[0].study_uid, "", "input.no_eligible_series",
        f"none of {len(selection.refused)} series can be assessed: {reasons}",
        findings, selection,
    )  # fmt: skip


def _write_refusal(
    out: Path,
    study_uid: str,
    series_uid: str,
    code: str,
    message: str,
    findings: Sequence[Finding],
    selection: Selection,
) -> Outcome:
    content = refusal_report(study_uid, series_uid, code, message, findings, _rejected(selection))
    for name in (REPORT_FILE, "rois.png"):
        (out / name).unlink(missing_ok=True)
    _write_report(out, content)
    codes = tuple(finding.code for finding in findings)
    return Outcome(False, study_uid, series_uid, code, message, codes, None, {})


def _rejected(selection: Selection) -> list[dict[str, str]]:
    return [
        {"series_uid": item.series_uid, "code": item.code, "message": item.message}
        for item in selection.refused
    ]


def _file_findings(unreadable: Sequence[UnreadableFile]) -> list[Finding]:
    if not unreadable:
        return []
    reasons = sorted({item.reason for item in unreadable})
    return [
        Finding("input.unreadable_files", f"{len(unreadable)} files left out: {', '.join(reasons)}")
    ]


def _choice_findings(
    refused: Sequence[RefusedSeries], others: Sequence[EligibleSeries]
) -> list[Finding]:
    """Why this series of several was taken, and which the others are."""
    found = []
    tried = {item.series_uid for item in refused}
    for item in refused:
        text = f"series {item.series_uid} comes first by the rules, but: {item.message}"
        found.append(Finding("input.better_series_refused", f"{text} [{item.code}]"))
    rest = [series for series in others if series.series_uid not in tried]
    if rest:
        names = ", ".join(series.series_uid for series in rest)
        found.append(
            Finding(
                "input.other_eligible_series",
                f"{len(rest)} other series could be assessed too: {names}; taken was the first by "
                "kernel, then slices nearest to 3 mm, then without contrast agent",
            )
        )
    return found


def _write_report(out: Path, content: dict[str, Any]) -> None:
    _write(out / "report.txt", text_summary(content).encode())
    _write(out / "report.json", json.dumps(content, indent=1, default=_plain).encode())


def _plain(value: object) -> float | int:
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, np.floating):
        return float(value)
    raise TypeError(f"{type(value).__name__} does not belong into a report")


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_bytes(content)
    _publish(temporary, path)


def _publish(temporary: Path, path: Path) -> None:
    """Give a written file its name; file and name are on the disk when this returns."""
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(temporary, path)
    sync_folder(path.parent)
