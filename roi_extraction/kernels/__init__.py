"""Loops that numpy and scipy do not run fast enough, compiled by numba on their first call.

Each gives, bit for bit, what the numpy or scipy code gives that the tests compare it with.
Compiling takes about 7 CPU seconds a process unless it is found compiled beside these modules.
A process that assesses many scans calls `compile_kernels` before the first: another one compiles.

- `averaging`: means over slices and over blocks of voxels.
- `best_paths`: paths of highest gain: of contours round bodies, and of the vertebral canal.
- `compiling`: loops in machine code, compiled by numba on their first call.
- `filters`: filters along the axes of an image, as scipy's ``ndimage`` has them.
- `interpolation`: linear interpolation of volumes and images.
- `preparation`: compile all kernels before the first scan.
- `surroundings`: what lies round each place: how far an edge is, and what is met on the way.
"""

from roi_extraction.kernels.averaging import (
    block_means,
    columns_above,
    disc_means,
    mean_of_slab,
    median_off_neighbours,
    mirror_likeness,
    sum_of_shifted,
)
from roi_extraction.kernels.best_paths import best_closed_path, canal_gain
from roi_extraction.kernels.filters import box_mean, gaussian_smoothed
from roi_extraction.kernels.interpolation import (
    interpolate_between,
    interpolate_grid,
    interpolate_plane,
    interpolate_planes,
    interpolate_volume,
)
from roi_extraction.kernels.preparation import compile_kernels
from roi_extraction.kernels.surroundings import (
    darker_ring,
    distance_inside,
    ellipse_shares,
    enclosed_rays,
    least_over_offsets,
    rebuilt_below,
)

__all__ = [
    "best_closed_path",
    "block_means",
    "box_mean",
    "canal_gain",
    "columns_above",
    "compile_kernels",
    "darker_ring",
    "disc_means",
    "distance_inside",
    "ellipse_shares",
    "enclosed_rays",
    "gaussian_smoothed",
    "interpolate_between",
    "interpolate_grid",
    "interpolate_plane",
    "interpolate_planes",
    "interpolate_volume",
    "least_over_offsets",
    "mean_of_slab",
    "median_off_neighbours",
    "mirror_likeness",
    "rebuilt_below",
    "sum_of_shifted",
]
