"""Lines along the scan and along the flight, as kernels for OpenCV's morphology.

They are the same after half a turn: OpenCV opens and closes as it should only with such kernels.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def scan_line(length_px: float, tilt_deg: float) -> NDArray[np.uint8]:
    """Return a line of so many columns, the next odd number, that dips to the right by `tilt_deg`."""
    half = int(length_px // 2)
    steps = np.arange(-half, half + 1)
    rows = np.rint(steps * math.tan(math.radians(tilt_deg))).astype(int)
    side = int(np.abs(rows).max())
    kernel = np.zeros((2 * side + 1, 2 * half + 1), dtype=np.uint8)
    kernel[rows + side, steps + half] = 1
    return kernel


def flight_line(gap_px: int, tilt_deg: float) -> NDArray[np.uint8]:
    """Return a line that closes gaps of so many rows, and leans to the right by `tilt_deg` going down."""
    return np.ascontiguousarray(scan_line(gap_px + 1, tilt_deg).T)
