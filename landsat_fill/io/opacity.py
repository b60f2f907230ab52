"""Whether a band that is called alpha is one.

GDAL calls the fourth of four plain 8-bit bands alpha unless told otherwise, so that most stacks of blue,
green, red and near infrared have an "alpha" band full of measurements.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.errors import InputError

if TYPE_CHECKING:
    from rasterio.io import DatasetReader

OPACITIES = (0, 1, 255, 32767, 65535)
"""Transparent, and what files of different types take for opaque."""

LEAST_SHARE = 0.98
"""Share of the pixels looked at that must be one of them. Only soft edges of a warped image are others."""

_WINDOW_PX = 128
_WINDOWS_ACROSS = 3


def opacity_band(dataset: DatasetReader) -> int | None:
    """Return the number of the band that tells opacity: called alpha, and looking like it; or None.

    Raises:
        InputError: If that band can't be read.
    """
    alpha = next((i for i, colour in enumerate(dataset.colorinterp, 1) if colour.name == "alpha"), None)
    return alpha if alpha is not None and _looks_like_opacity(dataset, alpha) else None


def _looks_like_opacity(dataset: DatasetReader, index: int) -> bool:
    from rasterio.errors import RasterioError
    from rasterio.windows import Window

    height, width = min(dataset.height, _WINDOW_PX), min(dataset.width, _WINDOW_PX)
    rows = np.linspace(0, dataset.height - height, _WINDOWS_ACROSS).astype(int)
    cols = np.linspace(0, dataset.width - width, _WINDOWS_ACROSS).astype(int)
    try:
        seen = [dataset.read(index, window=Window(c, r, width, height)) for r in set(rows) for c in set(cols)]
    except (RasterioError, OSError) as error:
        raise InputError(
            f"expected to read band {index} of {dataset.name}, but got an error: {error.__cause__ or error}",
            hint="The file may be cut off or damaged: download or copy it again.",
        ) from error
    return bool(np.mean([np.isin(window, OPACITIES).mean() for window in seen]) >= LEAST_SHARE)
