"""Whether the filled bands still agree with each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def spectral_angle_deg(
    truth: NDArray[np.floating], composite: NDArray[np.floating], hidden: NDArray[np.bool_]
) -> float:
    """Return the mean angle in degrees between the true and the composed spectra of the hidden pixels.

    Counted are the pixels that are hidden in some band, observed in all, and not 0 in all. NaN with fewer
    than two bands, where there is no angle, or without such a pixel.

    Source: Kruse et al. 1993, "The Spectral Image Processing System (SIPS)",
    https://doi.org/10.1016/0034-4257(93)90013-N

    Args:
        truth: `(band, row, col)`, NaN where nothing was observed.
        composite: The same with the hidden pixels as filled.
        hidden: The filled pixels.
    """
    if truth.shape[0] < 2:
        return float("nan")
    pixels = hidden.any(axis=0)
    true_spectra = truth[:, pixels].astype(np.float64)  # (B, N)
    fill_spectra = composite[:, pixels].astype(np.float64)  # (B, N)
    length = np.linalg.norm(true_spectra, axis=0) * np.linalg.norm(fill_spectra, axis=0)
    counted = np.isfinite(length) & (length > 0)
    if not counted.any():
        return float("nan")
    cosine = np.sum(true_spectra * fill_spectra, axis=0)[counted] / length[counted]
    return float(np.degrees(np.mean(np.arccos(np.clip(cosine, -1, 1)))))
