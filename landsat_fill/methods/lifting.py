"""Lifts a function that fills one band of one tile to a batch of tiles, on several cores."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from landsat_fill.scene import Gaps

    FillBand = Callable[[NDArray[np.floating], NDArray[np.bool_], NDArray[np.bool_]], NDArray[np.floating]]


def fill_each_band(
    fill_band: FillBand, image: NDArray[np.floating], gaps: Gaps, threads: int
) -> NDArray[np.floating]:
    """Return the image with every missing pixel filled by `fill_band`, band by band.

    Bands without a missing pixel are passed over; bands without a usable one become NaN where they are
    missing. `fill_band` sees values around 0: the mean of the usable pixels is taken off before and put
    back after, so that bands of a large offset lose no digits.

    Args:
        fill_band: Takes `(values, missing, usable)`, each `(row, col)`, with values 0 outside `usable`;
            returns an array whose values at the missing pixels are taken.
        image: `(tile, band, row, col)`.
        gaps: Cubes of the same shape.
        threads: Bands worked on at once. `fill_band` should release the interpreter lock.
    """
    import cv2

    filled = image.copy()

    def fill(tile: int, band: int) -> None:
        missing = np.ascontiguousarray(gaps.missing[tile, band])
        usable = np.ascontiguousarray(gaps.usable[tile, band])
        if not missing.any():
            return
        if not usable.any():
            filled[tile, band][missing] = np.nan
            return
        given = usable.view(np.uint8)
        mean = cv2.mean(image[tile, band], given)[0]
        # OpenCV copies where a condition holds sixteen times as fast as numpy.
        values = cv2.copyTo(image[tile, band], given, np.full_like(image[tile, band], mean)) - mean
        cv2.copyTo(fill_band(values, missing, usable) + mean, missing.view(np.uint8), filled[tile, band])

    places = [(tile, band) for tile in range(image.shape[0]) for band in range(image.shape[1])]
    if threads <= 1:
        for place in places:
            fill(*place)
    else:
        with ThreadPoolExecutor(threads) as pool:
            for done in [pool.submit(fill, *place) for place in places]:
                done.result()
    return filled
