"""Takes the level and the scale of a band off a tile in double precision; the rest fits into single."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Levelled:
    """Tiles in units of their own.

    Attributes:
        values: Float32 `(tile, band, row, col)`: mean 0 and standard deviation 1 over the usable pixels of a
            tile's band, 0 at all others. All 0 in a band of one value.
        level: What was taken off each tile's band, `(tile, band)`; NaN where no pixel is usable.
        scale: What the rest was divided by; 1 in a band of one value.
    """

    values: NDArray[np.float32]
    level: NDArray[np.float64]
    scale: NDArray[np.float64]

    def without_values(self) -> Levelled:
        """Return level and scale alone, which is all that brings an answer back."""
        return replace(self, values=self.values[..., :0, :0].copy())

    def restored(
        self, values: NDArray[np.float32], dtype: np.dtype[np.floating], *, is_difference: bool = False
    ) -> NDArray[np.floating]:
        """Return `(…, tile, band, row, col)` in the units of the image; NaN in bands without a usable pixel.

        Args:
            values: In the units of the tiles.
            dtype: Of the result.
            is_difference: Whether the values are differences or deviations, which have a scale but no level.
        """
        restored = values.astype(dtype)
        for tile, band in np.ndindex(self.level.shape):
            plane = restored[..., tile, band, :, :]
            plane *= dtype.type(self.scale[tile, band])
            plane += dtype.type(0 * self.level[tile, band] if is_difference else self.level[tile, band])
        return restored


def level_tiles(image: NDArray[np.floating], usable: NDArray[np.bool_], threads: int) -> Levelled:
    """Return tiles without the level and scale of their bands.

    Args:
        image: `(tile, band, row, col)`, of any value where not usable.
        usable: What may be looked at.
        threads: Bands worked on at once.
    """
    import cv2

    values = np.zeros(image.shape, np.float32)
    level = np.full(image.shape[:2], np.nan)
    scale = np.ones(image.shape[:2])

    def take_off(place: tuple[int, int]) -> None:
        given = np.ascontiguousarray(usable[place]).view(np.uint8)
        if not given.any():
            return
        plane = np.ascontiguousarray(image[place])
        # Twice, for the deviation of numbers far from 0 would be lost in their squares.
        first = float(plane.dtype.type(cv2.mean(plane, given)[0]))
        centred = cv2.copyTo(plane - first, given, np.zeros_like(plane))
        mean, deviation = (found.item() for found in cv2.meanStdDev(centred, mask=given))
        level[place] = first + mean
        if deviation > np.finfo(plane.dtype).eps * abs(first):
            scale[place] = deviation
        np.multiply(
            (centred - mean) / float(scale[place]), usable[place], out=values[place], casting="same_kind"
        )

    places = list(np.ndindex(*image.shape[:2]))
    if threads <= 1:
        for place in places:
            take_off(place)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(take_off, places))
    return Levelled(values, level, scale)
