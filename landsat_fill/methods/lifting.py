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
    missing.

    Args:
        fill_band: Takes `(values, missing, usable)`, each `(row, col)`, with values 0 outside `usable`;
            returns an array whose values at the missing pixels are taken.
        image: `(tile, band, row, col)`.
        gaps: Cubes of the same shape.
        threads: Bands worked on at once. `fill_band` should release the interpreter lock.
    """
    filled = image.copy()

    def fill(tile: int, band: int) -> None:
        missing, usable = gaps.missing[tile, band], gaps.usable[tile, band]
        if not missing.any():
            return
        if not usable.any():
            filled[tile, band][missing] = np.nan
            return
        values = np.where(usable, image[tile, band], image.dtype.type(0))
        filled[tile, band][missing] = fill_band(values, missing, usable)[missing]

    places = [(tile, band) for tile in range(image.shape[0]) for band in range(image.shape[1])]
    if threads <= 1:
        for place in places:
            fill(*place)
    else:
        with ThreadPoolExecutor(threads) as pool:
            for done in [pool.submit(fill, *place) for place in places]:
                done.result()
    return filled
