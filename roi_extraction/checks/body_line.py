"""The line through the lumbar bodies, from which places in front and beside are counted."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from roi_extraction.anatomy import SpineLandmarks
from roi_extraction.sites import Level

__all__ = ["BodyLine", "body_line", "centres_and_forward"]

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class BodyLine:
    """Points along the bodies' centres, and the patient's directions there.

    Parameters
    ----------
    points_lps_mm
        float64, shape (n, 3), LPS mm, from feet to head.
    forward, left
        float64, shape (3,): horizontal unit vectors, forward away from the canal.
    """

    points_lps_mm: FloatArray
    forward: FloatArray
    left: FloatArray


def body_line(spine: SpineLandmarks, levels: Sequence[Level], step_mm: float) -> BodyLine | None:
    """The line from the lowest to the highest of some bodies.

    Parameters
    ----------
    spine
        The spine's landmarks.
    levels
        The bodies.
    step_mm
        Distance of its points along z, mm.

    Returns
    -------
    BodyLine or None
        None when fewer than two of the bodies were found.
    """
    found = centres_and_forward(spine, levels)
    if found is None:
        return None
    centres, forward = found
    z = np.arange(centres[0, 2], centres[-1, 2] + step_mm / 2, step_mm)
    points = np.stack([np.interp(z, centres[:, 2], centres[:, k]) for k in (0, 1)] + [z], axis=1)
    return BodyLine(points, forward, np.array([-forward[1], forward[0], 0.0]))


def centres_and_forward(
    spine: SpineLandmarks, levels: Sequence[Level]
) -> tuple[FloatArray, FloatArray] | None:
    """Where some bodies lie, and which way is forward beside them.

    Parameters
    ----------
    spine, levels
        As for `body_line`.

    Returns
    -------
    centres, forward
        float64, shape (bodies, 3): the bodies' centres from feet to head, LPS mm; float64, shape
        (3,): the horizontal unit vector away from the canal. None when fewer than two were found.
    """
    bodies = [spine.bodies[level] for level in levels if level in spine.bodies]
    if len(bodies) < 2:
        return None
    centres = np.array(sorted((b.centre_lps_mm for b in bodies), key=lambda c: float(c[2])))
    canal = spine.canal_lps_mm[np.argsort(spine.canal_lps_mm[:, 2])]
    behind = np.stack([np.interp(centres[:, 2], canal[:, 2], canal[:, k]) for k in (0, 1)], axis=1)
    away = np.median(centres[:, :2] - behind, axis=0)
    return centres, np.array([*(away / np.linalg.norm(away)), 0.0])
