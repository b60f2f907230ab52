"""Lines along the scan, as kernels for OpenCV's morphology."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def scan_line(length_px: float, tilt_deg: float) -> NDArray[np.uint8]:
    """Return a line along the scan as a kernel that is the same after half a turn."""
    half = int(length_px // 2)
    steps = np.arange(-half, half + 1)
    rows = np.rint(steps * math.tan(math.radians(tilt_deg))).astype(int)
    side = int(np.abs(rows).max())
    kernel = np.zeros((2 * side + 1, 2 * half + 1), dtype=np.uint8)
    kernel[rows + side, steps + half] = 1
    return kernel
