"""Structural similarity of a filled band to the true one, at one scale and at several.

Unlike the errors, it looks at the composite: observed pixels and filled ones together. An observed pixel is
always right, so the value over the whole image flatters; the one over the hidden pixels doesn't.

Both are computed here rather than by `pytorch-msssim`, whose values they equal: it gives no map of the
similarity, and it needs torch, which people who only evaluate classical methods don't have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

WINDOW_SIGMA_PX = 1.5
WINDOW_PX = 11
"""The Gaussian window: Wang et al. 2004, section III-C, https://doi.org/10.1109/TIP.2003.819861"""

LUMINANCE_CONSTANT = 0.01**2
CONTRAST_CONSTANT = 0.03**2
"""(K1·L)² and (K2·L)² for a data range L of 1; Wang et al. 2004, section III-C."""

SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponents from the finest scale on: Wang et al. 2003, https://doi.org/10.1109/ACSSC.2003.1292216"""

SMALLEST_WINDOW_PX = 3


def similarity_map(truth: NDArray[np.floating], composite: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the structural similarity of two images at each pixel, from −1 to 1.

    Args:
        truth: `(row, col)`, finite, from about 0 to 1.
        composite: The same.
    """
    luminance, structure = _terms(truth.astype(np.float64), composite.astype(np.float64), WINDOW_PX)
    return luminance * structure


def multi_scale_similarity(truth: NDArray[np.floating], composite: NDArray[np.floating]) -> float:
    """Return the multi-scale structural similarity of two images, from 0 to 1, as `pytorch-msssim` does.

    The window shrinks from 11 px to the largest odd one that five scales of the image allow (7 px for a side
    of 128 px, 3 px for one of 64 px); NaN for an image with a side of 32 px or less, which allows none.

    Args:
        truth: `(row, col)`, finite, from about 0 to 1.
        composite: The same.
    """
    window_px = multi_scale_window_px(min(truth.shape))
    if window_px is None:
        return float("nan")
    x, y = truth.astype(np.float64), composite.astype(np.float64)
    # Only windows that lie in the image.
    inner = (slice(window_px // 2, -(window_px // 2)),) * 2
    similarity = 1.0
    for scale, weight in enumerate(SCALE_WEIGHTS, start=1):
        luminance, structure = _terms(x, y, window_px)
        coarsest = scale == len(SCALE_WEIGHTS)
        term = np.mean((luminance * structure if coarsest else structure)[inner])
        similarity *= max(float(term), 0.0) ** weight
        x, y = _halved(x), _halved(y)
    return similarity


def multi_scale_window_px(side_px: int) -> int | None:
    """Return the window for an image whose shorter side is `side_px`, or None where none fits.

    The window must fit into the image halved four times; `pytorch-msssim` asks for
    side > (window − 1) · 2⁴.
    """
    widest = (side_px - 1) // 2 ** (len(SCALE_WEIGHTS) - 1) + 1
    window_px = min(WINDOW_PX, widest if widest % 2 else widest - 1)
    return window_px if window_px >= SMALLEST_WINDOW_PX else None


def _terms(
    x: NDArray[np.float64], y: NDArray[np.float64], window_px: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the luminance term at each pixel, and the product of contrast and structure."""
    import cv2

    def blurred(values: NDArray[np.float64]) -> NDArray[np.float64]:
        size = (window_px, window_px)
        return np.asarray(
            cv2.GaussianBlur(values, size, WINDOW_SIGMA_PX, borderType=cv2.BORDER_REFLECT), np.float64
        )

    mean_x, mean_y = blurred(x), blurred(y)
    variance_x = blurred(x * x) - mean_x**2
    variance_y = blurred(y * y) - mean_y**2
    covariance = blurred(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + LUMINANCE_CONSTANT) / (mean_x**2 + mean_y**2 + LUMINANCE_CONSTANT)
    structure = (2 * covariance + CONTRAST_CONSTANT) / (variance_x + variance_y + CONTRAST_CONSTANT)
    return luminance, structure


def _halved(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the means of 2 × 2 pixels; an odd side gets a first row of zeros, as in `pytorch-msssim`."""
    height, width = image.shape
    even = np.pad(image, ((height % 2, 0), (width % 2, 0)))
    rows, cols = even.shape[0] // 2, even.shape[1] // 2
    halved: NDArray[np.float64] = even.reshape(rows, 2, cols, 2).mean(axis=(1, 3))
    return halved
