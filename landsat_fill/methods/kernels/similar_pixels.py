"""The loops of methods that average the pixels that look like a missing one on another date."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.methods.kernels import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Image = NDArray[np.floating]
    Flags = NDArray[np.bool_]

MOST_SIMILAR = 8192
"""Similar pixels that are kept for a missing one. A search ends when it has found so many."""


@compiled
def interpolate_neighbourhoods(
    filled: Image,
    asked: Flags,
    values: Image,
    usable: Flags,
    reference: Image,
    reference_usable: Flags,
    threshold: float,
    smallest_radius_px: int,
    largest_radius_px: int,
    least: int,
    row: int,
) -> None:
    """Fill the asked pixels of a row from the pixels around them that look like it in the reference.

    The square around a pixel grows until it holds `least` similar pixels in every asked band. Bands of a pixel
    stay as they are if no similar pixel has them.

    Args:
        filled: `(band, row, col)`; written to.
        asked: Pixels to fill; the reference is usable there.
        values: The image.
        usable: Pixels of the image that may be used.
        reference: The bands of the other date that match the image's.
        reference_usable: Pixels of the other date that may be used.
        threshold: Pixels are similar if the root mean square difference of their bands is at most this.
        smallest_radius_px: The first square's side is twice this, plus 1.
        largest_radius_px: That of the last square.
        least: Number of similar pixels that ends the search.
        row: The row to fill.
    """
    bands, height, width = values.shape
    places = np.empty((MOST_SIMILAR, 2), np.int64)
    differences = np.empty(MOST_SIMILAR)
    distances = np.empty(MOST_SIMILAR)
    changes = np.empty(MOST_SIMILAR)
    seen = np.empty(bands, np.bool_)
    counts = np.empty(bands, np.int64)
    shifts = np.empty(bands)
    for col in range(width):
        wanted = False
        for band in range(bands):
            wanted |= asked[band, row, col]
        if not wanted:
            continue
        for band in range(bands):
            seen[band] = reference_usable[band, row, col]
            counts[band] = 0
        found = 0
        for radius in range(1, largest_radius_px + 1):
            for r in range(max(row - radius, 0), min(row + radius + 1, height)):
                # The first and last row of the ring are whole, and the others have only two ends.
                step = 1 if abs(r - row) == radius else 2 * radius
                for c in range(col - radius, col + radius + 1, step):
                    if c < 0 or c >= width or found == MOST_SIMILAR:
                        continue
                    known = False
                    for band in range(bands):
                        known |= asked[band, row, col] & usable[band, r, c]
                    if not known:
                        continue
                    difference = _difference(reference, reference_usable, seen, row, col, r, c)
                    if difference <= threshold:
                        for band in range(bands):
                            counts[band] += usable[band, r, c]
                        places[found, 0], places[found, 1] = r, c
                        differences[found] = difference
                        distances[found] = math.sqrt((r - row) ** 2 + (c - col) ** 2)
                        found += 1
            if radius >= smallest_radius_px:
                enough = True
                for band in range(bands):
                    enough &= (not asked[band, row, col]) or counts[band] >= least
                if enough:
                    break
        if found == 0:
            continue
        _mean_shifts(shifts, values, usable, reference, seen, places[:found])
        for number in range(found):
            changes[number] = _change(values, usable, reference, seen, shifts, places[number, 0], places[number, 1])
        for band in range(bands):
            if not asked[band, row, col] or counts[band] == 0:
                continue
            total, spatial, temporal, unlike, changed = 0.0, 0.0, 0.0, 0.0, 0.0
            low, span = _range(differences[:found], places[:found], usable[band])
            near, reach = _range(distances[:found], places[:found], usable[band])
            for number in range(found):
                r, c = places[number]
                if not usable[band, r, c]:
                    continue
                weight = 1 / (
                    ((differences[number] - low) / span + 1) * ((distances[number] - near) / reach + 1)
                )
                total += weight
                spatial += weight * float(values[band, r, c])
                temporal += weight * (float(values[band, r, c]) - float(reference[band, r, c]))
                unlike += differences[number]
                changed += changes[number]
            spatial /= total
            temporal = float(reference[band, row, col]) + temporal / total
            # Each prediction weighs the reciprocal of what it leaves out.
            share = unlike / (unlike + changed) if unlike + changed > 0 else 0.5
            filled[band, row, col] = spatial + share * (temporal - spatial)


@compiled
def _difference(
    reference: Image, reference_usable: Flags, seen: NDArray[np.bool_], row: int, col: int, r: int, c: int
) -> float:
    """Return the root mean square difference of two pixels over the seen bands, or NaN if one isn't usable."""
    total, count = 0.0, 0
    for band in range(len(seen)):
        if seen[band]:
            if not reference_usable[band, r, c]:
                return math.nan
            difference = float(reference[band, r, c]) - float(reference[band, row, col])
            total += difference * difference
            count += 1
    return math.sqrt(total / count)


@compiled
def _mean_shifts(
    shifts: NDArray[np.float64],
    values: Image,
    usable: Flags,
    reference: Image,
    seen: NDArray[np.bool_],
    places: NDArray[np.int64],
) -> None:
    """Write the mean change of each seen band over the places."""
    for band in range(len(seen)):
        total, count = 0.0, 0
        for number in range(len(places)):
            r, c = places[number]
            if seen[band] and usable[band, r, c]:
                total += float(values[band, r, c]) - float(reference[band, r, c])
                count += 1
        shifts[band] = total / max(count, 1)


@compiled
def _change(
    values: Image,
    usable: Flags,
    reference: Image,
    seen: NDArray[np.bool_],
    shifts: NDArray[np.float64],
    r: int,
    c: int,
) -> float:
    """Return the root mean square of a pixel's change around the mean change, over the seen bands."""
    total, count = 0.0, 0
    for band in range(len(seen)):
        if seen[band] and usable[band, r, c]:
            change = float(values[band, r, c]) - float(reference[band, r, c]) - shifts[band]
            total += change * change
            count += 1
    return math.sqrt(total / max(count, 1))


@compiled
def _range(numbers: NDArray[np.float64], places: NDArray[np.int64], usable: Flags) -> tuple[float, float]:
    """Return the smallest number at a usable place, and by how much the largest exceeds it; 1 for none."""
    low, high = math.inf, -math.inf
    for number in range(len(numbers)):
        if usable[places[number, 0], places[number, 1]]:
            low, high = min(low, numbers[number]), max(high, numbers[number])
    return low, high - low if high > low else 1.0
