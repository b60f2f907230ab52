"""Removes level and contrast from an image, so that one network serves every sensor, unit and place.

Training and filling share two steps. `standardise` removes the mean and the standard deviation of each band
of a tile, so that single precision suffices in any unit. `normalise` then removes the mean and the standard
deviation of the observed pixels around each pixel. It uses a fixed window, so the result doesn't depend on
the tile. Any positive gain and any offset of a band cancel out.
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
"""Side of the cells of the local statistics; a tile's sides must be multiples of it."""

WINDOW_CELLS = 9
"""Side of the window around a cell: 72 px, two periods of the SLC-off stripes."""

LARGEST_SIGNAL = 10.0
"""Networks see the normalised signal clipped to this, because a ship on a calm sea can reach 1000."""

FLAT_SPREAD = 1e-6
"""An area with less than this share of the band's standard deviation counts as flat. Rounding in single
precision leaves about this much for equal values."""

REACH_PX = CELL_PX * (WINDOW_CELLS // 2 + 2)
"""Largest distance at which a pixel influences the local mean: half a window, its cell, and the
interpolation.

The local standard deviation depends on pixels nearly twice as far away. On a Landsat image, a cut at this
distance changed it by 2 % (median; at most 11 %)."""


@dataclass(frozen=True, slots=True)
class Standardised:
    """Standardised tiles.

    Attributes:
        values: Float32 `(tile, band, row, col)`: mean 0 and standard deviation 1 over the usable pixels of
            each band, 0 at unknown pixels and in constant bands.
        level: The subtracted mean, `(tile, band)`; NaN in a band without usable pixels.
        scale: The divisor, `(tile, band)`; 1 in a constant band.
    """

    values: NDArray[np.float32]
    level: NDArray[np.float64]
    scale: NDArray[np.float64]

    def without_values(self) -> Standardised:
        """Return level and scale only, which `restored` needs."""
        return replace(self, values=self.values[..., :0, :0].copy())

    def restored(
        self, values: NDArray[np.float32], dtype: np.dtype[np.floating], *, is_difference: bool = False
    ) -> NDArray[np.floating]:
        """Return `(…, tile, band, row, col)` in the units of the image; NaN in bands without usable pixels.

        Args:
            values: Standardised values.
            dtype: Data type of the result.
            is_difference: Whether the values are differences or standard deviations, which have no level.
        """
        restored = values.astype(dtype)
        for tile, band in np.ndindex(self.level.shape):
            plane = restored[..., tile, band, :, :]
            plane *= dtype.type(self.scale[tile, band])
            plane += dtype.type(0 * self.level[tile, band] if is_difference else self.level[tile, band])
        return restored


def standardise(
    image: NDArray[np.floating], usable: NDArray[np.bool_], threads: int = 1, *, known: NDArray[np.bool_] | None = None
) -> Standardised:
    """Return tiles with level and scale of each band removed.

    Args:
        image: `(tile, band, row, col)`; values at unknown pixels don't matter.
        usable: The pixels that define level and scale.
        threads: Bands processed at once.
        known: The pixels whose values are kept: by default the usable ones; in training also the hidden ones.
    """
    import cv2

    values = np.zeros(image.shape, np.float32)
    level = np.full(image.shape[:2], np.nan)
    scale = np.ones(image.shape[:2])

    def standardise_band(place: tuple[int, int]) -> None:
        measured = np.ascontiguousarray(usable[place]).view(np.uint8)
        if not measured.any():
            return
        kept = np.ascontiguousarray(usable[place] if known is None else known[place])
        plane = np.ascontiguousarray(image[place])
        # Centre first, because squares of values far from 0 lose the digits of the standard deviation.
        first = float(plane.dtype.type(cv2.mean(plane, measured)[0]))
        centred = cv2.copyTo(plane - first, kept.view(np.uint8), np.zeros_like(plane))
        mean, std = (statistic.item() for statistic in cv2.meanStdDev(centred, mask=measured))
        level[place] = first + mean
        if std > np.finfo(plane.dtype).eps * abs(first):
            scale[place] = std
        np.multiply((centred - mean) / float(scale[place]), kept, out=values[place], casting="same_kind")

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(standardise_band, np.ndindex(*image.shape[:2])))
    return Standardised(values, level, scale)


class Normalised(NamedTuple):
    """Locally normalised tiles, `(tile, band, row, col)` each.

    Attributes:
        signal: The input of a network.
        observed: 1 where the signal is an observation, and 0 otherwise.
        mean: Local mean at each pixel.
        spread: Local standard deviation, the unit of the signal.
    """

    signal: Tensor
    observed: Tensor
    mean: Tensor
    spread: Tensor

    @property
    def is_rough(self) -> Tensor:
        """True where the surroundings aren't flat; NaN counts as flat."""
        return self.spread > FLAT_SPREAD

    def in_units(self, values: Tensor) -> Tensor:
        """Return standardised values as a signal, 0 where the surroundings are flat."""
        return (values - self.mean).div_(self.spread).masked_fill_(~self.is_rough, 0)

    def restored(self, signal: Tensor) -> Tensor:
        """Return standardised values from a signal."""
        return (self.spread * signal).add_(self.mean)


def normalise(values: Tensor, observed: Tensor, *, first_filled: bool, part: tuple[Any, ...] = (...,)) -> Normalised:
    """Return the input of a network, in training and in filling.

    Args:
        values: Standardised, finite, `(tile, band, row, col)`. The sides are multiples of `CELL_PX`.
        observed: 1 where the values are observations, and 0 otherwise.
        first_filled: Whether unobserved values are filled and become part of the signal, instead of 0.
        part: Slices of the part to return; the statistics are those of the whole tile.
    """
    import torch

    statistics = local_statistics(values, observed)
    # Copies free the memory of the whole tile.
    tiles = Normalised(values[part], *(whole[part].clone() for whole in (observed, *statistics)))
    signal = tiles.in_units(tiles.signal)
    if not first_filled:
        signal = signal * tiles.observed
    return tiles._replace(signal=signal.contiguous(memory_format=torch.channels_last))


def local_statistics(image: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean and the standard deviation of the observed pixels around each pixel.

    In a window without observed pixels, the statistics of the whole band of the tile take their place.

    Args:
        image: `(tile, band, row, col)`, finite, with values around 0, because it is summed in its precision.
        observed: 1 where the image is an observation and 0 otherwise, of the same shape.

    Returns:
        Two tensors of the image's shape, 0 in a band without observed pixels.
    """
    observed = observed.to(image.dtype)
    weight = _window_sum(observed)
    total = observed.sum((2, 3), keepdim=True).clamp_min(1)
    empty = weight <= 0
    weight = weight.clamp_min(1e-12)

    # Operations are in place where possible, because new memory takes as long as the sums.
    known = image * observed
    band_mean = known.sum((2, 3), keepdim=True) / total
    mean = _to_pixels((_window_sum(known) / weight).where(~empty, band_mean))
    del known
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
