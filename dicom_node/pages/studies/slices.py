"""The slices of the series that a report measured, as pictures with outlines.

Images are decoded in the web process. So only those are that an assessment's child process has
decoded before: files of the measured series that are no younger than the report. How many are
read at a time, and how large they may be, is limited.
"""

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from io import BytesIO
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from dicom_node.decoding.plane_reader import read_plane
from dicom_node.decoding.stored_plane import StoredPlane
from dicom_node.errors import SeriesRefused
from dicom_node.pages.studies.kept_files import JSON_FILE, report_folder, report_of
from dicom_node.records.listed_studies import ListedStudy
from dicom_node.reporting.pictures.ct_views import windowed
from dicom_node.series.geometry import POSITION_TOLERANCE_MM
from dicom_node.series.instances import Instance, scan_folder
from dicom_node.settings.node import NodeSettings
from dicom_node.spool.spool import series_key, spool_name
from dicom_node.spool.versions import instance_name, version_of
from roi_extraction.picture import BONE_WINDOW_HU, MUSCLE_WINDOW_HU

__all__ = [
    "WINDOWS_HU",
    "ImagesBusy",
    "NotShown",
    "Slice",
    "StudySlices",
    "Window",
    "outline",
    "slices_of",
    "tile",
]

Window = Literal["bone", "soft"]

WINDOWS_HU: Mapping[Window, tuple[float, float]] = MappingProxyType(
    {"bone": BONE_WINDOW_HU, "soft": MUSCLE_WINDOW_HU}
)
"""HU that are black and white, as in the picture of the report."""

READ_AT_A_TIME = 2
"""Series and images that the process reads at the same time."""

TURN_WAIT_SECONDS = 10.0
"""How long a request waits for its turn."""

MOST_TILE_PIXELS = 2048 * 2048
"""The largest matrix of CT scanners."""

LARGEST_IMAGE_FILE_BYTES = 64 << 20
"""A larger file is not read: so many bytes hold the largest matrix eight times."""

MOST_FILES = 10_000
"""Files of a series whose headers are read."""

KEPT_SERIES = 16
"""Series whose slices are remembered."""

_turns = threading.BoundedSemaphore(READ_AT_A_TIME)


class NotShown(Exception):
    """An image that is not there, is of another series than the measured one, or is too large."""


class ImagesBusy(Exception):
    """Too many images are being read just now."""


@dataclass(frozen=True, eq=False)
class Slice:
    """One image of the measured series.

    Parameters
    ----------
    sop_instance_uid
        Its UID.
    z_mm
        LPS z of the image's centre, mm.
    rows, columns
        Its size, pixels.
    pixel_spacing_mm
        Distance between rows and between columns, mm.
    orientation
        float64, shape (2, 3): unit vectors along rows and columns, LPS.
    position_mm
        float64, shape (3,): centre of the first pixel, LPS mm.
    path
        Its file.
    stored
        Where its pixels lie in the file, if they are not compressed.
    """

    sop_instance_uid: str
    z_mm: float
    rows: int
    columns: int
    pixel_spacing_mm: tuple[float, float]
    orientation: npt.NDArray[np.float64] = field(repr=False)
    position_mm: npt.NDArray[np.float64] = field(repr=False)
    path: Path = field(repr=False)
    stored: StoredPlane | None = field(repr=False)


@dataclass(frozen=True, eq=False)
class StudySlices:
    """The images of the measured series that the spool still holds.

    Parameters
    ----------
    slices
        From head to feet; empty if the images are gone.
    """

    slices: tuple[Slice, ...] = ()

    @cached_property
    def places(self) -> Mapping[str, int]:
        """Place in ``slices``, from 0, by SOP Instance UID."""
        return {slice_.sop_instance_uid: k for k, slice_ in enumerate(self.slices)}

    def of(self, sop_instance_uid: str) -> Slice | None:
        """A slice by its UID; None if it is not among them."""
        place = self.places.get(sop_instance_uid)
        return None if place is None else self.slices[place]


def slices_of(
    settings: NodeSettings, row: ListedStudy, report: Mapping[str, Any]
) -> StudySlices:  # fmt: skip
    """The slices of the series that a report measured.

    Parameters
    ----------
    settings
        Of the node.
    row
        The study.
    report
        Its ``report.json``.

    Raises
    ------
    ImagesBusy
        Too many series are being read just now.
    """
    folder, series_uid = report_folder(settings, row), report.get("series_uid")
    if folder is None or not series_uid or report.get("refused"):
        return StudySlices()
    try:
        made_ns = (folder / JSON_FILE).stat().st_mtime_ns
    except OSError:
        return StudySlices()
    series = settings.data_dir / "spool" / "series"
    # a spool of version 0.2.0 names the folder by the series alone
    for key in (series_key(row.study_uid, series_uid), spool_name(series_uid)):
        try:
            changed_ns = (series / key).stat().st_mtime_ns
            names = tuple(sorted(os.listdir(series / key)))
        except OSError:
            continue
        wanted = _Wanted(row.study_uid, series_uid, _measured(report), made_ns)
        with _turn():
            return _read(series / key, changed_ns, names, wanted)
    return StudySlices()


def outline(
    slice_: Slice, contour_lps_mm: Sequence[Sequence[float]]
) -> tuple[tuple[float, float], ...]:
    """The corners of a contour as (column, row), pixels; the first pixel's centre is (0, 0).

    Parameters
    ----------
    slice_
        The image that the contour lies in.
    contour_lps_mm
        Corners, LPS mm.
    """
    if not contour_lps_mm:
        return ()
    away = np.asarray(contour_lps_mm, dtype=np.float64) - slice_.position_mm
    row_mm, column_mm = slice_.pixel_spacing_mm
    columns = away @ slice_.orientation[0] / column_mm
    rows = away @ slice_.orientation[1] / row_mm
    return tuple(zip(columns.tolist(), rows.tolist(), strict=True))


def tile(
    settings: NodeSettings, row: ListedStudy, sop_instance_uid: str, window: Window
) -> bytes:  # fmt: skip
    """One image of the measured series as PNG, 8 bit grey, its pixels as they are stored.

    Parameters
    ----------
    settings
        Of the node.
    row
        The study.
    sop_instance_uid
        Of the image.
    window
        Which HU are black and white.

    Raises
    ------
    NotShown
        See there.
    ImagesBusy
        Too many images are being read just now.
    """
    report = report_of(settings, row)
    found = None if report is None else slices_of(settings, row, report).of(sop_instance_uid)
    if found is None or found.rows * found.columns > MOST_TILE_PIXELS:
        raise NotShown
    with _turn():
        try:
            if found.path.stat().st_size > LARGEST_IMAGE_FILE_BYTES:
                raise NotShown
            hu = read_plane(found.path, 0, found.stored)
        except (OSError, SeriesRefused) as error:
            raise NotShown from error
        png = BytesIO()
        grey = windowed(hu.astype(np.float32), WINDOWS_HU[window])
        Image.fromarray(grey).save(png, "PNG", compress_level=1)
    return png.getvalue()


@dataclass(frozen=True)
class _Wanted:
    """Which files of a folder are looked for: of a series, up to a moment, beside an image."""

    study_uid: str
    series_uid: str
    measured_uid: str
    until_ns: int


@contextmanager
def _turn() -> Iterator[None]:
    if not _turns.acquire(timeout=TURN_WAIT_SECONDS):
        raise ImagesBusy
    try:
        yield
    finally:
        _turns.release()


def _measured(report: Mapping[str, Any]) -> str:
    """UID of an image with a region; empty if no site was measured."""
    regions = (roi for site in report.get("sites", ()) for roi in site["rois"])
    return next((str(roi["sop_instance_uid"]) for roi in regions), "")


@lru_cache(maxsize=KEPT_SERIES)
def _read(folder: Path, _changed_ns: int, names: tuple[str, ...], wanted: _Wanted) -> StudySlices:
    """The slices among the files of a folder, until its content changes."""
    instances, _ = scan_folder(_decoded_before(folder, names, wanted.until_ns))
    members = [
        instance
        for instance in instances
        if (instance.study_uid, instance.series_uid) == (wanted.study_uid, wanted.series_uid)
    ]
    slices = [found for found in map(_slice, members) if found is not None]
    models = [s for s in slices if wanted.measured_uid in ("", s.sop_instance_uid)]
    if not models:
        return StudySlices()
    model = models[0]
    normal = np.cross(*model.orientation)
    normal = -normal if normal[2] < 0 else normal
    alike = [s for s in slices if _is_alike(s, model)]
    alike.sort(key=lambda s: (-float(s.position_mm @ normal), s.sop_instance_uid))
    kept: list[Slice] = []
    for one in alike:  # of images that came twice, that with the least UID was measured
        if not kept or (kept[-1].position_mm - one.position_mm) @ normal >= POSITION_TOLERANCE_MM:
            kept.append(one)
    return StudySlices(tuple(kept))


def _decoded_before(folder: Path, names: Sequence[str], until_ns: int) -> list[Path]:
    """The newest version of each instance among those that came before a moment."""
    newest: dict[str, Path] = {}
    paths = [folder / name for name in names[:MOST_FILES] if name.endswith(".dcm")]
    for path in sorted(paths, key=lambda p: version_of(p.stem)):
        try:
            if path.stat().st_mtime_ns <= until_ns:
                newest[instance_name(path.stem)] = path
        except OSError:  # removed meanwhile
            continue
    return list(newest.values())


def _slice(instance: Instance) -> Slice | None:
    rows, columns, spacing = instance.rows, instance.columns, instance.pixel_spacing_mm
    if not rows or not columns or spacing is None or min(spacing) <= 0:
        return None
    if instance.orientation is None or instance.position_mm is None:
        return None
    row_mm, column_mm = spacing
    middle = instance.position_mm + instance.orientation[0] * column_mm * (columns - 1) / 2
    middle = middle + instance.orientation[1] * row_mm * (rows - 1) / 2
    return Slice(
        instance.sop_instance_uid, float(middle[2]), rows, columns, spacing,
        instance.orientation, instance.position_mm, instance.path, instance.stored,
    )  # fmt: skip


def _is_alike(one: Slice, model: Slice) -> bool:
    """Whether two images are of one stack."""
    same_size = (one.rows, one.columns) == (model.rows, model.columns)
    return same_size and bool(np.allclose(one.orientation, model.orientation, atol=1e-3))
