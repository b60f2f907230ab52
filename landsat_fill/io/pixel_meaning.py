"""Infers from its pixels whether a band holds codes or an image, and whether 0 is its fill value.

Both are decided once for the whole file, so that its windows, tiles and shards agree.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from landsat_fill.errors import InputError
from landsat_fill.io.profile_files import colour_table
from landsat_fill.scene import Window, tile_windows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from landsat_fill.io.reader import StoredReader


SAMPLE_PX = 256
"""Side of the windows searched for codes."""
WINDOWS_ACROSS = 3
"""Number of windows in each direction that are read first."""

FEW_CODES = 8
"""A band with at most this many different numbers holds codes."""
MOST_CODES = 256
"""A band with more different numbers is an image."""
BANDS_AT_ONCE = 64
"""Bands read in one call: for each call, rasterio looks at all bands of the file."""
LEAST_PX_A_CODE = 50
"""Pixels needed for each different number, so that a small crop of an image isn't taken for codes."""
LEAST_EQUAL = 0.5
"""Smallest share of equal neighbours in codes: classes form patches, whereas images are rough."""
SPARSE = 0.1
"""Smallest share of the numbers between minimum and maximum that an image uses. Packed bits use fewer."""
LEAST_STEP_RATIO = 0.6
"""Smallest ratio, in codes, of the median step between unequal neighbours to that between random pixels. In
an image, which is smooth, the ratio is smaller. Half of it suffices where the numbers are sparse."""


def codes_in(raster: StoredReader, indexes: Sequence[int]) -> dict[int, str]:
    """Return the bands that hold classes or flags, each with the reason: `has a colour table`."""
    dataset = raster.dataset
    found: dict[int, str] = {}
    for index in indexes:
        if colour_table(dataset, index, raster.colours[index - 1]) is not None:
            found[index] = "has a colour table"
        if dataset.tags(index).get("LAYER_TYPE", "").lower() == "thematic":
            found.setdefault(index, "is called thematic")
    left = [index for index in indexes if index not in found]
    windows = _spread(dataset.height, dataset.width, SAMPLE_PX)
    for first in range(0, len(left), BANDS_AT_ONCE):
        some = left[first : first + BANDS_AT_ONCE]
        read = [values for window in windows if (values := _read(raster, some, window))]
        for place, index in enumerate(some):
            distinct = _distinct_codes([values[place] for values in read], dataset.nodatavals[index - 1])
            if distinct:
                found[index] = f"holds classes or flags ({distinct} different numbers)"
    return found


def _distinct_codes(seen: Sequence[NDArray[np.generic]], nodata: float | None) -> int:
    """Return the number of different codes in windows of a band, or 0 for an image."""
    if not seen:
        return 0
    values = [np.asarray(window, np.float64) for window in seen]
    valid = [np.isfinite(window) & (window != (math.nan if nodata is None else nodata)) for window in values]
    pixels = np.concatenate([window[known] for window, known in zip(values, valid, strict=True)])
    if not pixels.size or (pixels != np.rint(pixels)).any():
        return 0
    numbers = np.unique(pixels)
    if not 2 <= len(numbers) <= min(MOST_CODES, pixels.size / LEAST_PX_A_CODE):
        return 0
    if len(numbers) <= FEW_CODES:
        return len(numbers)
    # Saturated, clipped and unset pixels are equal in images, too.
    inner = [
        known & (window != 0) & (window > numbers[0]) & (window < numbers[-1])
        for window, known in zip(values, valid, strict=True)
    ]
    differences = [
        np.abs(np.diff(window, axis=1))[one[:, 1:] | one[:, :-1]] for window, one in zip(values, inner, strict=True)
    ]
    steps = np.concatenate(differences)
    if not steps.size or np.mean(steps == 0) < LEAST_EQUAL:
        return 0
    spacing = float(np.median(np.diff(numbers)))  # reflectance made from 8-bit numbers uses few of 16 bits, evenly
    density = len(numbers) / ((numbers[-1] - numbers[0]) / spacing + 1)
    pixels = pixels[pixels != 0]
    random_steps = np.abs(pixels - np.random.default_rng(0).permutation(pixels))
    random_step = np.median(random_steps[random_steps > 0]) if (random_steps > 0).any() else 0.0
    step = np.median(steps[steps > 0]) if (steps > 0).any() else math.inf
    ratio = step / random_step if random_step else math.inf
    is_codes = ratio >= (LEAST_STEP_RATIO if density >= SPARSE else LEAST_STEP_RATIO / 2)
    return len(numbers) if is_codes else 0


TILE_PX = 512
"""Side of the windows searched for stripes of zeros."""
DECISIVE_PX = 1000
"""Zeros among observed pixels that suffice to decide. With fewer, the whole file is read."""
LEAST_IN_STRIPES = 0.9
"""Share of the zeros among observed pixels that must lie in stripes."""
LARGEST_GAP_M = 500.0
"""Wider than any SLC-off gap, which spans 14 pixels of 30 m at the swath's edge."""
LARGEST_GAP_PX = 17
"""The same in pixels of 30 m, for an unknown pixel size."""
TIP_PX = 5
"""Thinner structures are ignored: the tips at the ends of scans."""
RAGGED_PX = 12
"""Largest offset between the ends of scans, where gaps open into the border. Measured on real scenes."""
LEAST_STRIPE_PX = 20
"""Smallest length of a run of zeros that shows the direction of the stripes."""
ELONGATED, STILL_ELONGATED = 4.0, 2.0
"""Smallest ratio of length to width of a run that shows the direction, and of one that follows it."""


class Zeros(NamedTuple):
    """Whether a band has zeros, and whether they form stripes and borders, as fill does."""

    any: bool
    are_fill: bool


def zeros_in(raster: StoredReader, indexes: Sequence[int], pixel_m: float | None) -> dict[int, Zeros]:
    """Return whether the zeros of each band are fill.

    Zeros outside the convex hull of a window's other pixels are a border. All other zeros must form stripes:
    long, narrow and in one direction. The whole file is read only if a few windows don't decide.

    Args:
        raster: An open raster.
        indexes: Numbers of the bands, from 1.
        pixel_m: Pixel size in metres, or None.
    """
    widest_px = LARGEST_GAP_PX if not pixel_m else max(LARGEST_GAP_M / pixel_m, 2.0)
    dataset = raster.dataset
    first = set(_spread(dataset.height, dataset.width, TILE_PX))
    tiles = tile_windows(Window(0, 0, dataset.height, dataset.width), TILE_PX)
    border, among, striped = (dict.fromkeys(indexes, 0) for _ in range(3))
    left = list(indexes)
    for number, window in enumerate([*first, *(tile for tile in tiles if tile not in first)]):
        if number >= len(first):
            left = [index for index in left if among[index] < DECISIVE_PX]
        if not left:
            break
        for index, values in zip(left, _read(raster, left, window), strict=False):
            outside_px, inside_px, striped_px = _count_zeros(values == 0, widest_px)
            border[index] += outside_px
            among[index] += inside_px
            striped[index] += striped_px
    return {
        index: Zeros(any=border[index] + among[index] > 0, are_fill=striped[index] >= LEAST_IN_STRIPES * among[index])
        for index in indexes
    }


def _count_zeros(zero: NDArray[np.bool_], widest_px: float) -> tuple[int, int, int]:
    """Return how many zeros lie outside a window's other pixels, among them, and among them in stripes."""
    import cv2

    total_px = int(np.count_nonzero(zero))
    if not 0 < total_px < zero.size:
        return total_px, 0, 0
    seen = cv2.morphologyEx((~zero).view(np.uint8), cv2.MORPH_OPEN, np.ones((TIP_PX, TIP_PX), np.uint8)) > 0
    seen = seen if seen.any() else ~zero
    rows = np.flatnonzero(seen.any(axis=1))
    firsts = seen[rows].argmax(axis=1)
    lasts = zero.shape[1] - 1 - seen[rows, ::-1].argmax(axis=1)
    ends = np.concatenate([np.stack([firsts, rows], 1), np.stack([lasts, rows], 1)]).astype(np.int32)
    hull = np.zeros(zero.shape, np.uint8)
    cv2.fillConvexPoly(hull, cv2.convexHull(ends), 1)
    core = cv2.erode(hull, np.ones((2 * RAGGED_PX + 1,) * 2, np.uint8))  # the edges of the window are kept
    inside = zero & (core > 0)
    inside_px = int(np.count_nonzero(inside))
    return total_px - inside_px, inside_px, _striped_px(inside, widest_px) if inside_px else 0


def _striped_px(zero: NDArray[np.bool_], widest_px: float) -> int:
    """Return how many zeros lie in long, narrow runs in one direction."""
    import cv2

    count, labels = cv2.connectedComponents(zero.view(np.uint8), connectivity=8)
    rows, cols = np.nonzero(zero)
    label = labels[rows, cols]
    size = np.bincount(label, minlength=count).astype(float)
    size[0] = 1.0  # the background
    row, col = (np.bincount(label, at, count) / size for at in (rows, cols))
    row_off, col_off = rows - row[label], cols - col[label]
    rr, cc, rc = (
        np.bincount(label, product, count) / size
        for product in (row_off * row_off, col_off * col_off, row_off * col_off)
    )
    # The variance of a rectangle along a side is a twelfth of the side squared.
    half, mean = np.hypot((cc - rr) / 2, rc), (cc + rr) / 2
    length = np.sqrt(12 * (mean + half)) + 1
    width = np.sqrt(12 * np.maximum(mean - half, 0)) + 1
    leads = (length >= ELONGATED * width) & (width <= widest_px) & (length >= LEAST_STRIPE_PX)
    leads[0] = False
    if not leads.any():
        return 0
    angle = np.arctan2(2 * rc, cc - rr) / 2
    common = np.angle(np.sum((size * np.exp(2j * angle))[leads])) / 2
    along, across = np.cos(common), np.sin(common)
    spread_along = np.sqrt(12 * np.maximum(cc * along**2 + rr * across**2 + 2 * rc * along * across, 0)) + 1
    spread_across = np.sqrt(12 * np.maximum(cc * across**2 + rr * along**2 - 2 * rc * along * across, 0)) + 1
    follows = (spread_across <= widest_px) & (spread_along >= STILL_ELONGATED * spread_across)
    follows[0] = False
    return int(size[follows].sum())


def _spread(height: int, width: int, side_px: int) -> list[Window]:
    """Return a few windows, spread evenly over the file."""
    tiles = tile_windows(Window(0, 0, height, width), side_px)
    across = -(-width // side_px)
    rows, cols = (
        np.unique(np.linspace(0, count - 1, min(count, WINDOWS_ACROSS)).round().astype(int)).tolist()
        for count in (len(tiles) // across, across)
    )
    return [tiles[row * across + col] for row in rows for col in cols]


def _read(raster: StoredReader, indexes: list[int], window: Window) -> list[NDArray[np.generic]]:
    """Return bands of a window, each in its own type, or nothing if the file is damaged."""
    try:
        with raster.reading(window) as where:
            if len({raster.dataset.dtypes[index - 1] for index in indexes}) == 1:
                return list(raster.dataset.read(indexes, window=where))
            return [raster.dataset.read(index, window=where) for index in indexes]
    except InputError:
        return []
