"""Assess one CT from its files, or show the whole node at work on a phantom."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dicom_node.commands.ending import EXIT_REFUSED, EXIT_USAGE, fail
from dicom_node.errors import SettingsInvalid
from dicom_node.reporting.objects.kinds import ObjectKind

if TYPE_CHECKING:
    from dicom_node.series.instances import Instance

__all__ = ["app"]

app = typer.Typer()


@app.command()
def analyze(
    series_folder: Annotated[Path, typer.Argument(help="Folder with a CT series, or one file.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for the report.")],
    segmentation: Annotated[
        Path | None,
        typer.Option(
            help="DICOM SEG of the series, or label map (NIfTI, TotalSegmentator 'total' v2)."
        ),
    ] = None,
    bodies: Annotated[
        Path | None,
        typer.Option(help="Label map of task 'vertebrae_body': 1 body, 2 disc."),
    ] = None,
    bundle: Annotated[Path | None, typer.Option(help="Model bundle; default the built-in.")] = None,
    allow_kvp: Annotated[
        list[float] | None,
        typer.Option(
            help="Also measure at this tube voltage in kV; such a series is never staged."
        ),
    ] = None,
    rule: Annotated[
        list[str] | None,
        typer.Option(
            help="Change an acquisition rule, as kernel_lung_bone=warn; modes: strict, warn."
        ),
    ] = None,
    study: Annotated[
        str | None,
        typer.Option(help="Study Instance UID, where the folder holds several studies."),
    ] = None,
    objects: Annotated[
        list[ObjectKind] | None,
        typer.Option(
            help="Write this too; planar: the report slice by slice, slices: all as a picture."
        ),
    ] = None,
) -> None:
    """Assess one series: OUT/report.json, report.txt, report.sr.dcm, rois.png.

    Exit code 0 reported, 1 refused (reason on stderr and in report.json), 2 usage, 3 fault.
    """
    if not series_folder.exists():
        fail(f"{series_folder} does not exist", EXIT_USAGE)
    if bodies is not None and segmentation is None:
        fail("--bodies goes with --segmentation", EXIT_USAGE)
    for path in (segmentation, bodies):
        if path is not None and not path.is_file():
            fail(f"{path} is not a file", EXIT_USAGE)
    if out.is_symlink():
        fail(f"{out} is a symbolic link; give the folder itself", EXIT_USAGE)
    if out.exists() and not out.is_dir():
        fail(f"{out} is not a folder", EXIT_USAGE)
    from dicom_node.analysis.analysis import analyse
    from dicom_node.analysis.models import load_models
    from dicom_node.assessment.segmenters import SegmenterPlan
    from dicom_node.logs import silence_libraries
    from dicom_node.settings.node import Acquisition, AcquisitionRules
    from modeling import ModelingError

    silence_libraries()
    try:
        rules = AcquisitionRules.of(rule or ())
    except SettingsInvalid as error:
        fail(str(error), EXIT_USAGE)
    try:
        stager, network = load_models(bundle)
    except ModelingError as error:
        fail(str(error), EXIT_USAGE)
    files = (
        [path for path in series_folder.rglob("*") if path.is_file()]
        if series_folder.is_dir()
        else [series_folder]
    )
    files = _of_one_patient(files, study)
    outcome = analyse(
        files,
        out,
        Acquisition(kvp=(120.0, *(allow_kvp or ())), rules=rules),
        stager,
        network,
        SegmenterPlan(segmentation=segmentation, bodies=bodies),
        objects=objects or (),
    )
    print((out / "report.txt").read_text())
    for kind, reason in outcome.unmade.items():
        print(f"osteonode: {kind} could not be made: {reason}", file=sys.stderr)
    if not outcome.reported:
        fail(f"refused: {outcome.message} [{outcome.code}]", EXIT_REFUSED)


def _of_one_patient(files: list[Path], study: str | None) -> list[Path]:
    """The files of the chosen study, or of the only one; else list the studies and exit 2.

    Files that are not readable as DICOM stay: they are warned of in the report.
    """
    from dicom_node.series.instances import SEGMENTATION_STORAGE, scan_folder

    found, unreadable = scan_folder(files)
    studies = {instance.study_uid for instance in found}
    if study is not None and study not in studies:
        fail(f"no file is of study {study}; found {_listed(found)}", EXIT_USAGE)
    chosen = [instance for instance in found if study in (None, instance.study_uid)]
    images = [item for item in chosen if item.sop_class_uid not in SEGMENTATION_STORAGE]
    patients = {instance.patient_id for instance in images}
    if study is None and len(studies) > 1:
        fail(
            f"the folder holds {len(studies)} studies of {len(patients)} patients; choose one by "
            f"--study: {_listed(found)}",
            EXIT_USAGE,
        )
    if len(patients) > 1:
        fail(
            f"the study holds images of {len(patients)} patients, by Patient ID; give those of "
            f"one: {_listed(chosen)}",
            EXIT_USAGE,
        )
    return [*(instance.path for instance in chosen), *(item.path for item in unreadable)]


def _listed(instances: "Sequence[Instance]") -> str:
    """The studies with their numbers of series and files, a line each; no patient data."""
    lines = []
    for uid in sorted({instance.study_uid for instance in instances}):
        members = [instance for instance in instances if instance.study_uid == uid]
        series = len({instance.series_uid for instance in members})
        lines.append(f"\n  {uid or 'no UID'}  series {series}, files {len(members)}")
    return "".join(lines) or "none"


@app.command()
def demo(
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for all files.")] = Path(
        "demo-output"
    ),
) -> None:
    """Send a phantom CT through a node to a stand-in PACS and print the report that returns."""
    from dicom_node.demo import run_demo

    run_demo(out)
