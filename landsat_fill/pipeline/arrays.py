"""Fills an array in memory: the way into the package for people who have no file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.errors import UsageError
from landsat_fill.methods import Context
from landsat_fill.pipeline.evidence import prepared_for_array
from landsat_fill.pipeline.resources import usable_cores
from landsat_fill.pipeline.tiles import fill_tiles
from landsat_fill.scene import Filled, Gaps, Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from landsat_fill.methods import FillMethod


def fill_array(
    image: NDArray[np.generic],
    gaps: Gaps,
    method: FillMethod,
    *,
    context: Context | None = None,
    seed: int = 0,
) -> Filled:
    """Return the image with its missing pixels filled, and a standard deviation where the method has one.

    Args:
        image: `(band, row, col)`, any real type, in any unit.
        gaps: Cubes of the image's shape.
        method: A method, from `create_method`.
        context: Bands, pixel size, threads, device and draws wanted; unknown, unknown, all cores, the CPU and
            none if not given.
        seed: Seed of methods that draw.

    Returns:
        Float arrays of the image's shape: observed pixels as they were, filled ones in the same unit, and
        NaN at missing pixels the method had no evidence for. The std is 0 at observed pixels.

    Raises:
        UsageError: If the shapes don't agree, or a usable pixel is missing or not finite.
    """
    if image.ndim != 3 or gaps.missing.shape != image.shape or gaps.usable.shape != image.shape:
        raise UsageError(
            "expected image, missing and usable of one shape (band, row, col), but got "
            f"{image.shape}, {gaps.missing.shape} and {gaps.usable.shape}",
            hint="give one band as image[None]",
        )
    if (gaps.missing & gaps.usable).any():
        raise UsageError("expected no pixel to be both missing and usable, but some are")
    if not np.isfinite(image[gaps.usable]).all():
        raise UsageError(
            "expected usable pixels to be finite, but some are NaN or infinite",
            hint="leave them out: usable & np.isfinite(image)",
        )
    context = context or Context(threads=usable_cores())
    _, height, width = image.shape
    method = prepared_for_array(method, image, gaps, context)
    filled = fill_tiles(image, gaps, Window(0, 0, height, width), method, context, seed=seed)
    mean = np.where(gaps.missing, filled.mean, image)
    std = None if filled.std is None else np.where(gaps.missing, filled.std, np.float32(0))
    draws = None if filled.realizations is None else np.where(gaps.missing, filled.realizations, image)
    return Filled(mean, std, draws)
