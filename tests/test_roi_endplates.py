"""Endplates are found more exactly than the slices are thick, and the slices keep off them."""

import numpy as np
import pytest

from roi_extraction.anatomy import Landmark, Missing, Plane
from roi_extraction.endplates import endplates_mm
from roi_extraction.slices import slices_in_body
from roi_extraction.volume import CtVolume

UP = np.array([0.0, 0.0, 1.0])
HEIGHT_MM, SHELL_MM = 28.0, 1.5
BONE_HU, SHELL_HU, DISC_HU = 130.0, 420.0, 80.0


def body_in_slices(thick_mm: float, phase_mm: float, tilt_deg: float) -> tuple[CtVolume, Landmark]:
    """A body of `HEIGHT_MM` between two discs, as slices of a thickness show it."""
    axis = np.array([0.0, -np.sin(np.deg2rad(tilt_deg)), np.cos(np.deg2rad(tilt_deg))])
    fine_mm, rows = 0.25, 61
    z = np.arange(-40.0, 40.0, fine_mm)
    y = np.arange(rows) - (rows - 1) / 2
    along = np.abs(z[:, None] * axis[2] + y[None, :] * axis[1])
    fine = np.where(along <= HEIGHT_MM / 2, BONE_HU, DISC_HU)
    fine[(along <= HEIGHT_MM / 2) & (along > HEIGHT_MM / 2 - SHELL_MM)] = SHELL_HU
    edges = np.arange(-38.0 + phase_mm, 38.0 - thick_mm, thick_mm)
    means = [fine[(z >= edge) & (z < edge + thick_mm)].mean(axis=0) for edge in edges]
    hu = np.repeat(np.array(means, np.float32)[:, :, None], 41, axis=2)
    affine = np.eye(4)
    affine[:3, :3] = np.diag((1.0, 1.0, thick_mm)) @ np.eye(3)[::-1]
    affine[:3, 3] = (-20.0, y[0], edges[0] + thick_mm / 2 - fine_mm / 2)
    return CtVolume(hu, affine, thick_mm), Landmark(np.zeros(3), axis, 1.0)


def heights_mm(thick_mm: float, tilt_deg: float) -> np.ndarray:
    """Heights found with the slices in five places."""
    found = []
    for share in (0.0, 0.2, 0.4, 0.6, 0.8):
        volume, body = body_in_slices(thick_mm, share * thick_mm, tilt_deg)
        found.append(sum(endplates_mm(volume, body.centre_lps_mm, body.axis, (19.0, 19.0))))
    return np.array(found)


@pytest.mark.parametrize(
    ("thick_mm", "tilt_deg"), [(1.0, 0.0), (1.0, 20.0), (3.0, 0.0), (3.0, 20.0), (5.0, 20.0)]
)
def test_height_does_not_depend_on_where_the_slices_lie(thick_mm: float, tilt_deg: float) -> None:
    found = heights_mm(thick_mm, tilt_deg)
    assert np.ptp(found) <= 0.5
    assert np.abs(found - HEIGHT_MM).max() <= max(thick_mm, 0.8)


def test_flat_bone_has_no_endplates() -> None:
    volume, body = body_in_slices(3.0, 0.0, 0.0)
    flat = CtVolume(np.full_like(volume.hu, BONE_HU), volume.affine, 3.0)
    assert np.isnan(endplates_mm(flat, body.centre_lps_mm, body.axis, (19.0, 19.0))).all()


def ends(body: Landmark, below_mm: float, above_mm: float) -> list[Plane]:
    return [
        Plane(body.centre_lps_mm - below_mm * body.axis, body.axis),
        Plane(body.centre_lps_mm + above_mm * body.axis, -body.axis),
    ]


def test_central_slices_are_kept_where_they_keep_off_the_endplates() -> None:
    volume, body = body_in_slices(3.0, 0.0, 0.0)
    middle = round(float(volume.to_index(body.centre_lps_mm)[0]))
    assert slices_in_body(volume, body, ends(body, 12, 12)) == (middle - 1, middle, middle + 1)


def test_slices_move_off_an_endplate_that_is_near() -> None:
    volume, body = body_in_slices(5.0, 0.0, 0.0)
    middle = round(float(volume.to_index(body.centre_lps_mm)[0]))
    assert slices_in_body(volume, body, ends(body, 16, 7)) == (middle - 2, middle - 1, middle)


def test_slices_at_the_end_of_the_scan_are_missing() -> None:
    volume, _ = body_in_slices(5.0, 0.0, 0.0)
    top = Landmark(volume.to_lps((volume.shape[0] - 1, 30, 20)), UP, 1.0)
    assert isinstance(slices_in_body(volume, top, ends(top, 12, 12)), Missing)
