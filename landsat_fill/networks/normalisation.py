"""Takes level and contrast out of an image, so that one network serves every sensor, unit and place.

There are two steps, and training and filling share both. `standardise` takes the mean and the standard
deviation off each tile's band, so that single precision suffices whatever the unit. `normalise` then takes
off the mean and the standard deviation of the observed pixels around each pixel: in a fixed window, not the
tile, so that a pixel is normalised alike in every tile that sees it. Any positive gain and any offset of a
band cancel out; a negative gain turns the signal round.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor


CELL_PX = 8
"""Statistics are gathered in cells of this side; a tile's sides must be multiples of it."""

WINDOW_CELLS = 9
"""Side of the window around a cell: 72 px, two periods of the SLC-off stripes."""

LARGEST_SIGNAL = 10.0
"""What networks are shown of a normalised signal at most: a ship on a calm sea stands out a hundred times as
far, and would drown all else."""

FLAT_SPREAD = 1e-6
"""Below this share of the band's standard deviation an area counts as flat: it is what single precision
leaves of sums of equal numbers."""

REACH_PX = CELL_PX * (WINDOW_CELLS // 2 + 2)
"""How far a pixel can influence the mean of another: half a window, its cell, and the interpolation.

The spread, of differences from such means, depends on pixels nearly twice as far: on a Landsat image, cutting
off all beyond this distance changed it by 2 % (median; at most 11 %)."""


@dataclass(frozen=True, slots=True)
class Standardised:
    """Tiles in units of their own.

    Attributes:
        values: Float32 `(tile, band, row, col)`: mean 0 and standard deviation 1 over the usable pixels of a
            tile's band, 0 where nothing is known. All 0 in a band of one value.
        level: What was taken off each tile's band, `(tile, band)`; NaN where no pixel is usable.
        scale: What the rest was divided by; 1 in a band of one value.
    """

    values: NDArray[np.float32]
    level: NDArray[np.float64]
    scale: NDArray[np.float64]

    def without_values(self) -> Standardised:
        """Return level and scale alone, which is all that brings an answer back."""
        return replace(self, values=self.values[..., :0, :0].copy())

    def restored(
        self, values: NDArray[np.float32], dtype: np.dtype[np.floating], *, is_difference: bool = False
    ) -> NDArray[np.floating]:
        """Return `(…, tile, band, row, col)` in the units of the image; NaN in bands without a usable pixel.

        Args:
            values: In the units of the tiles.
            dtype: Of the result.
            is_difference: Whether the values are differences or standard deviations, which have no level.
        """
        restored = values.astype(dtype)
        for tile, band in np.ndindex(self.level.shape):
            plane = restored[..., tile, band, :, :]
            plane *= dtype.type(self.scale[tile, band])
            plane += dtype.type(0 * self.level[tile, band] if is_difference else self.level[tile, band])
        return restored


def standardise(
    image: NDArray[np.floating],
    usable: NDArray[np.bool_],
    threads: int = 1,
    *,
    known: NDArray[np.bool_] | None = None,
) -> Standardised:
    """Return tiles without the level and scale of their bands.

    Args:
        image: `(tile, band, row, col)`, of any value where nothing is known.
        usable: The pixels that level and scale are taken from.
        threads: Bands worked on at once.
        known: The pixels whose values are wanted: the usable ones, and in training the hidden truth.
    """
    import cv2

    values = np.zeros(image.shape, np.float32)
    level = np.full(image.shape[:2], np.nan)
    scale = np.ones(image.shape[:2])

    def take_off(place: tuple[int, int]) -> None:
        given = np.ascontiguousarray(usable[place]).view(np.uint8)
        if not given.any():
            return
        wanted = usable[place] if known is None else known[place]
        plane = np.ascontiguousarray(image[place])
        # Twice: the squares of numbers far from 0 have no digits left for the standard deviation.
        first = float(plane.dtype.type(cv2.mean(plane, given)[0]))
        seen = np.ascontiguousarray(wanted).view(np.uint8)
        centred = cv2.copyTo(plane - first, seen, np.zeros_like(plane))
        mean, deviation = (found.item() for found in cv2.meanStdDev(centred, mask=given))
        level[place] = first + mean
        if deviation > np.finfo(plane.dtype).eps * abs(first):
            scale[place] = deviation
        np.multiply((centred - mean) / float(scale[place]), wanted, out=values[place], casting="same_kind")

    places = list(np.ndindex(*image.shape[:2]))
    if threads <= 1:
        for place in places:
            take_off(place)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(take_off, places))
    return Standardised(values, level, scale)


class Normalised(NamedTuple):
    """Standardised tiles in the units of their surroundings, `(tile, band, row, col)` each.

    Attributes:
        signal: What a network is given.
        observed: 1 where the signal is an observation, else 0.
        mean: Of the surroundings of each pixel.
        spread: Their standard deviation, the unit of the signal.
    """

    signal: Tensor
    observed: Tensor
    mean: Tensor
    spread: Tensor

    @property
    def is_rough(self) -> Tensor:
        """Where the surroundings are not flat; a spread that is no number counts as flat."""
        return self.spread > FLAT_SPREAD

    def in_units(self, values: Tensor) -> Tensor:
        """Return standardised values as a signal, 0 where the surroundings are flat."""
        return (values - self.mean).div_(self.spread).masked_fill_(~self.is_rough, 0)

    def restored(self, signal: Tensor) -> Tensor:
        """Return standardised values from a signal."""
        return (self.spread * signal).add_(self.mean)


def normalise(
    values: Tensor, observed: Tensor, *, first_filled: bool, part: tuple[Any, ...] = (...,)
) -> Normalised:
    """Return what a network is given, in training and in filling.

    Args:
        values: Standardised, `(tile, band, row, col)`; first filled where not observed, or of any finite
            value there. The sides are multiples of `CELL_PX`.
        observed: 1 where the values are observations, else 0.
        first_filled: Whether the signal is wanted where nothing is observed; 0 otherwise.
        part: The slices that the signal is wanted of; the statistics are those of the whole tile.
    """
    import torch

    statistics = local_statistics(values, observed)
    # Copies, so that the rest of the tile needn't be kept.
    given = Normalised(values[part], *(of[part].clone() for of in (observed, *statistics)))
    signal = given.in_units(given.signal)
    if not first_filled:
        signal = signal * given.observed
    return given._replace(signal=signal.contiguous(memory_format=torch.channels_last))


def local_statistics(image: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean and the standard deviation of the observed pixels around each pixel.

    Where the window holds no observed pixel, those of the whole tile's band stand in, and their distances
    from their common mean.

    Args:
        image: `(tile, band, row, col)`, of any finite value where not observed. Best shifted near zero: it is
            summed in its own precision.
        observed: 1 where the image is an observation, else 0; of the same shape.

    Returns:
        Two tensors of the image's shape. A band without any observed pixel has mean and spread 0.
    """
    observed = observed.to(image.dtype)
    weight = _window_sum(observed)
    total = observed.sum((2, 3), keepdim=True).clamp_min(1)
    empty = weight <= 0
    weight = weight.clamp_min(1e-12)

    # In place where it can be: fresh memory takes as long as the sums.
    seen = image * observed
    band_mean = seen.sum((2, 3), keepdim=True) / total
    mean = _to_pixels((_window_sum(seen) / weight).where(~empty, band_mean))
    del seen
    variance = _window_sum((image - mean).square_().mul_(observed)) / weight
    if empty.any():
        apart = (image - band_mean).square_().mul_(observed)
        variance = variance.where(~empty, apart.sum((2, 3), keepdim=True) / total)
    return mean, _to_pixels(variance).clamp_min_(0).sqrt_()


def _window_sum(values: Tensor) -> Tensor:
    """Return the mean over the window around each cell, `(tile, band, cell, cell)`, zeros beyond the edge."""
    from torch.nn.functional import avg_pool2d

    return avg_pool2d(avg_pool2d(values, CELL_PX), WINDOW_CELLS, stride=1, padding=WINDOW_CELLS // 2)


def _to_pixels(cells: Tensor) -> Tensor:
    """Return cells interpolated to pixels."""
    from torch.nn.functional import interpolate

    return interpolate(cells, scale_factor=CELL_PX, mode="bilinear", align_corners=False)
