"""Assess the files of one or more series and write what comes of it into a folder."""

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dicom_node.assessment import assess
from dicom_node.errors import SeriesRefused
from dicom_node.instances import (
    SEGMENTATION_STORAGE,
    Instance,
    UnreadableFile,
    scan_folder,
)
from dicom_node.report import refusal_report, report, text_summary
from dicom_node.segmenters import SegmenterPlan
from dicom_node.selection import EligibleSeries, Selection, select_series
from dicom_node.settings import Acquisition
from dicom_node.spool import spool_name
from dicom_node.structured_report import build_structured_report
from dicom_node.uids import assessment_id, instances_digest
from dicom_node.volume_reader import read_volume
from modeling import Stager
from network import InteractionNetwork
from roi_extraction import Finding, RoiError, render_rois

__all__ = ["Outcome", "analyse", "write_failure"]


@dataclass(frozen=True)
class Outcome:
    """What came of an analysis: reported, or refused with a code and a message."""

    reported: bool
    study_uid: str
    series_uid: str
    code: str | None
    message: str | None
    warnings: tuple[str, ...]
    stage: str | None
    timings_s: Mapping[str, float]


def analyse(
    paths: Sequence[Path],
    out: Path,
    rules: Acquisition,
    stager: Stager,
    network: InteractionNetwork | None,
    plan: SegmenterPlan,
    predecessor: Path | None = None,
) -> Outcome:
    """Assess the best eligible series among some files.

    Writes ``report.json``, ``report.txt`` and, if a series was assessed, ``report.sr.dcm`` and
    ``rois.png`` into ``out``, each complete or not at all.

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
    predecessor
        An earlier report of the same series, which this one supersedes.
    """
    out.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    found, unreadable = scan_folder(paths)
    instances, objects = _apart(found)
    selection = select_series(instances, rules)
    findings = _file_findings(unreadable)
    if not selection.eligible:
        return _refuse(out, instances, unreadable, selection, findings)
    series = selection.eligible[0]
    findings += _other_findings(selection)
    findings += _foreign_findings(objects, instances)
    objects = [item for item in objects if series.series_uid in item.referenced_series_uids]
    try:
        volume = read_volume(series)
        read = time.perf_counter()
        segmenter = plan.segmenter(series, objects)
        assessment = assess(series, volume, segmenter, stager, network, findings, rules.rules)
    except (SeriesRefused, RoiError) as error:
        return _write_refusal(
            out, series.study_uid, series.series_uid, error.code, str(error),
            [*series.findings, *findings], selection,
        )  # fmt: skip
    reporting = time.perf_counter()
    identity = series_identity(
        series, stager.bundle.model_id + plan.variant([item.path for item in objects])
    )
    document = build_structured_report(assessment, identity, predecessor)
    picture = render_rois(volume, assessment.features)
    timings = {
        "read": read - started,
        **assessment.timings_s,
        "report": time.perf_counter() - reporting,
    }
    content = report(assessment, timings)
    content["rejected_series"] = _rejected(selection)
    _write(out / "rois.png", picture)
    temporary = out / ".report.sr.dcm.part"
    document.save_as(temporary, enforce_file_format=True)
    _publish(temporary, out / "report.sr.dcm")
    _write_report(out, content)
    return Outcome(
        reported=True,
        study_uid=series.study_uid,
        series_uid=series.series_uid,
        code=None,
        message=None,
        warnings=tuple(warning["code"] for warning in content["warnings"]),
        stage=content["stage"]["predicted"],
        timings_s=content["timings_s"],
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
    for name in ("report.sr.dcm", "rois.png"):
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


def _other_findings(selection: Selection) -> list[Finding]:
    others = selection.eligible[1:]
    if not others:
        return []
    names = ", ".join(series.series_uid for series in others)
    return [
        Finding(
            "input.other_eligible_series",
            f"{len(others)} other series could be assessed too: {names}; the one with slices "
            "nearest to 3 mm was taken",
        )
    ]


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
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(temporary, path)
