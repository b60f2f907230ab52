"""Structural similarity of a filled band to the true one.

Unlike the errors, it looks at the composite: observed pixels and filled ones together. An observed pixel is
always right, so the value over the whole image flatters; the one over the hidden pixels doesn't.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.errors import MissingPackageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

WINDOW_SIGMA_PX = 1.5
WINDOW_PX = 11
"""The Gaussian window: Wang et al. 2004, section III-C, https://doi.org/10.1109/TIP.2003.819861"""

LUMINANCE_CONSTANT = 0.01**2
CONTRAST_CONSTANT = 0.03**2
"""(K1·L)² and (K2·L)² for a data range L of 1; Wang et al. 2004, section III-C."""

SCALES = 5
"""How often an image is halved, plus one: Wang et al. 2003, https://doi.org/10.1109/ACSSC.2003.1292216"""

SMALLEST_WINDOW_PX = 3


def similarity_map(truth: NDArray[np.floating], composite: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the structural similarity of two images at each pixel, from −1 to 1.

    Args:
        truth: `(row, col)`, finite, from about 0 to 1.
        composite: The same.
    """
    from scipy.ndimage import gaussian_filter

    def blurred(values: NDArray[np.float64]) -> NDArray[np.float64]:
        result: NDArray[np.float64] = gaussian_filter(
            values, WINDOW_SIGMA_PX, radius=WINDOW_PX // 2, mode="reflect"
        )
        return result

    x, y = truth.astype(np.float64), composite.astype(np.float64)
    mean_x, mean_y = blurred(x), blurred(y)
    variance_x = blurred(x * x) - mean_x**2
    variance_y = blurred(y * y) - mean_y**2
    covariance = blurred(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + LUMINANCE_CONSTANT) / (mean_x**2 + mean_y**2 + LUMINANCE_CONSTANT)
    structure = (2 * covariance + CONTRAST_CONSTANT) / (variance_x + variance_y + CONTRAST_CONSTANT)
    similarity: NDArray[np.float64] = luminance * structure
    return similarity


def multi_scale_similarity(truth: NDArray[np.floating], composite: NDArray[np.floating]) -> float:
    """Return the multi-scale structural similarity of two images, from 0 to 1, by `pytorch-msssim`.

    The window shrinks from 11 px to the largest odd one that five scales of the image allow (7 px for a side
    of 128 px, 3 px for one of 64 px); NaN for an image with a side of 32 px or less, which allows none.

    Args:
        truth: `(row, col)`, finite, from about 0 to 1.
        composite: The same.

    Raises:
        MissingPackageError: If torch or pytorch-msssim isn't installed.
    """
    require_multi_scale()
    import torch
    from pytorch_msssim import ms_ssim

    window_px = multi_scale_window_px(min(truth.shape))
    if window_px is None:
        return float("nan")
    # Double precision: a variance as a difference of squares loses what float32 has.
    pair = [torch.from_numpy(a.astype(np.float64))[None, None] for a in (truth, composite)]  # (1, 1, H, W)
    with torch.inference_mode():
        return float(ms_ssim(*pair, data_range=1.0, win_size=window_px, win_sigma=WINDOW_SIGMA_PX))


def require_multi_scale() -> None:
    """Check that the packages for MS-SSIM can be imported.

    Raises:
        MissingPackageError: If one can't.
    """
    try:
        import pytorch_msssim  # noqa: F401
        import torch  # noqa: F401
    except ImportError as error:
        raise MissingPackageError(
            f"expected the package {error.name or 'torch'}, which MS-SSIM needs, but it can't be imported",
            hint="pip install 'landsat-fill[evaluate]'",
        ) from error


def multi_scale_window_px(side_px: int) -> int | None:
    """Return the window for an image whose shorter side is `side_px`, or None where none fits.

    The window must fit into the image halved four times; `pytorch-msssim` asks for
    side > (window − 1) · 2⁴.
    """
    widest = (side_px - 1) // 2 ** (SCALES - 1) + 1
    window_px = min(WINDOW_PX, widest if widest % 2 else widest - 1)
    return window_px if window_px >= SMALLEST_WINDOW_PX else None
