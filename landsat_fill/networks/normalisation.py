"""Takes level and contrast out of an image, so that one network serves every sensor, unit and place.

Mean and spread are those of the observed pixels around each pixel: a fixed window, not the tile, so that the
same pixel is normalised alike in every tile that sees it. Any positive gain and any offset of a band cancel
out; a negative gain turns the signal round.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
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
