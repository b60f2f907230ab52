"""OpenCV's inpainting, which marches from the border of a gap inwards, for numbers of any range."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.methods.lifting import fill_each_band

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from landsat_fill.scene import Gaps

_LARGEST_STORED = 65535.0
"""OpenCV's 16-bit inpainting is used for every band. Its 8-bit one rounds too coarsely, and its float one
adds half a unit to what Telea's method fills, whatever the unit is worth."""


def inpaint(
    image: NDArray[np.floating], gaps: Gaps, threads: int, *, radius_px: float, algorithm: int
) -> NDArray[np.floating]:
    """Return the image with its missing pixels filled by `cv2.inpaint`, to 1/65535 of each band's range.

    Pixels that are neither missing nor usable are filled on the way, since OpenCV knows no third kind.

    Args:
        image: `(tile, band, row, col)`.
        gaps: Cubes of the same shape.
        threads: Bands worked on at once.
        radius_px: Distance within which observed pixels count for a missing one.
        algorithm: `cv2.INPAINT_NS` or `cv2.INPAINT_TELEA`.
    """
    import cv2

    def fill_band(
        values: NDArray[np.floating], _missing: NDArray[np.bool_], usable: NDArray[np.bool_]
    ) -> NDArray[np.floating]:
        low, high, _, _ = cv2.minMaxLoc(values, usable.view(np.uint8))
        step = (high - low) / _LARGEST_STORED or 1.0
        stored = np.where(usable, np.rint((values - low) / step), 0).astype(np.uint16)
        answer = cv2.inpaint(stored, (~usable).view(np.uint8), radius_px, algorithm)
        return answer.astype(values.dtype) * step + low

    return fill_each_band(fill_band, image, gaps, threads)
