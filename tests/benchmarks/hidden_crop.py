"""The middle of a scene without gaps, with stripes laid over it: what the checks of draws fill."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import rasterio

from landsat_fill.evaluation import SimulatedStripes, hide

if TYPE_CHECKING:
    from landsat_fill.evaluation import Trial


def hidden_crop(path: str, size_px: int, width_px: float) -> tuple[np.ndarray, Trial]:
    """Return the crop `(band, row, col)` in float32, NaN where nothing is observed, and what is hidden of it.

    Args:
        path: A GeoTIFF.
        size_px: Side of the crop in pixels.
        width_px: Width of the stripes in pixels.
    """
    with rasterio.open(path) as dataset:
        top, left = (max((size - size_px) // 2, 0) for size in dataset.shape)
        window = ((top, top + size_px), (left, left + size_px))
        image = dataset.read(window=window, masked=True, out_dtype="float32").filled(np.nan)
    lost = SimulatedStripes.of_width(width_px).draw(image.shape, np.random.default_rng(0))
    return image, hide(image, np.isfinite(image), lost)
