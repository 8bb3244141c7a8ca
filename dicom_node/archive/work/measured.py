"""What a row keeps of a report: the values of the results, and what may be sent."""

from importlib.metadata import version
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter

from dicom_node.reporting.objects.files import kept_objects
from dicom_node.reporting.report_history import REPORT_FILE, file_digest
from dicom_node.reporting.report_model import CaseReport, Refusal, Report

__all__ = ["KeptReport", "MeasuredSeries", "finished_report", "measured_series"]

JSON_FILE = "report.json"

_REPORTS: TypeAdapter[CaseReport] = TypeAdapter(CaseReport)


class MeasuredSeries(BaseModel):
    """The measured values of a series, in the order of the 36 sites.

    Parameters
    ----------
    mean_hu, sd_hu
        HU; None where missing.
    missing
        Reason for each missing site; None where measured.
    aorta_hu, noise_sd_hu
        Mean of the blood in the aorta, and standard deviation of the noise near the spine, HU.
    """

    model_config = ConfigDict(frozen=True)

    route: str | None
    manufacturer: str
    model: str
    kernel: str
    kvp: float | None
    slice_thickness_mm: float
    contrast: bool
    mean_hu: tuple[float | None, ...]
    sd_hu: tuple[float | None, ...]
    missing: tuple[str | None, ...]
    stage: str | None
    probabilities: dict[str, float]
    prediction_set: str
    osteoporosis: str | None
    l1_category: str | None
    warnings: tuple[str, ...]
    software: str
    model_id: str | None
    aorta_hu: float | None = None
    noise_sd_hu: float | None = None


class KeptReport(BaseModel):
    """Where a report lies, and the SHA-256 of what was checked and may be sent, by file name."""

    model_config = ConfigDict(frozen=True)

    study: str
    study_uid: str
    folder: str
    files: dict[str, str]


def finished_report(folder: Path) -> CaseReport | None:
    """The report in a folder; None if there is none, or its writing was cut short."""
    try:
        report = _REPORTS.validate_json((folder / JSON_FILE).read_bytes())
    except (OSError, ValueError):
        return None
    if isinstance(report, Refusal) or (folder / REPORT_FILE).is_file():
        return report
    return None


def kept_report(reports: Path, study: str, folder: str, study_uid: str) -> KeptReport:
    """Name the files of a report.

    Parameters
    ----------
    reports
        Folder of all reports.
    study
        The folder in it that holds the reports of one series.
    folder
        The report's own folder in that one.
    study_uid
        Study Instance UID.
    """
    place = reports / study / folder
    files = {REPORT_FILE: file_digest(place / REPORT_FILE), **kept_objects(place)}
    return KeptReport(study=study, study_uid=study_uid, folder=folder, files=files)


def measured_series(report: Report) -> MeasuredSeries:
    """What the results hold of a report."""
    acquisition, stage = report.acquisition, report.stage
    segmenter = f"{report.segmenter.name} {report.segmenter.version}"
    return MeasuredSeries(
        route=None if report.levels is None else report.levels.route,
        manufacturer=acquisition.manufacturer,
        model=acquisition.model,
        kernel=acquisition.kernel,
        kvp=acquisition.kvp,
        slice_thickness_mm=acquisition.slice_thickness_mm,
        contrast=acquisition.contrast,
        mean_hu=tuple(site.mean_hu for site in report.sites),
        sd_hu=tuple(site.sd_hu for site in report.sites),
        missing=tuple(site.reason for site in report.sites),
        stage=stage.predicted,
        probabilities={key.value: value for key, value in stage.probabilities.items()},
        prediction_set="".join(stage.prediction_set),
        osteoporosis=stage.osteoporosis,
        l1_category=report.l1_threshold.category,
        warnings=tuple(dict.fromkeys(warning.code for warning in report.warnings)),
        software=f"osteonode {version('osteonode')}; {segmenter}",
        model_id=stage.model_id,
        aorta_hu=acquisition.aorta_hu,
        noise_sd_hu=acquisition.noise_sd_hu,
    )
