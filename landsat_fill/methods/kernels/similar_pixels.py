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
                weight = 1 / (((differences[number] - low) / span + 1) * ((distances[number] - near) / reach + 1))
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
    values: Image, usable: Flags, reference: Image, seen: NDArray[np.bool_], shifts: NDArray[np.float64], r: int, c: int
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


@compiled
def interpolate_holes(
    filled: Image,
    asked: Flags,
    values: Image,
    usable: Flags,
    reference: Image,
    reference_usable: Flags,
    holes: NDArray[np.int32],
    boxes: NDArray[np.int64],
    shifts: NDArray[np.float64],
    thresholds: NDArray[np.float64],
    to_middle: NDArray[np.float64],
    offsets: NDArray[np.int32],
    reach_px: int,
    most: int,
    row: int,
) -> None:
    """Fill the asked pixels of a row from the nearest pixels that look like them in the reference.

    Bands of a pixel stay as they are if no pixel of the hole's box has them.

    Args:
        filled: `(band, row, col)`; written to.
        asked: Pixels to fill; the reference is usable there.
        values: The image.
        usable: Pixels of the image that may be used.
        reference: The bands of the other date that match the image's.
        reference_usable: Pixels of the other date that may be used.
        holes: Number of the hole at each pixel, `(row, col)`.
        boxes: First row, end row, first column and end column of each hole's surroundings, `(hole, 4)`; all 0 for
            a hole that is too large to be filled as one.
        shifts: Mean change over the surroundings, `(hole, band)`, NaN if unknown.
        thresholds: Pixels are similar if each band differs by at most this, `(band, row, col)`.
        to_middle: Distance to the middle of the hole, `(row, col)`.
        offsets: Rows and columns from a pixel to its candidates, the nearest first, `(offset, 2)`.
        reach_px: Largest row and column offset to a candidate in a hole that is too large to be filled as one.
        most: Number of similar pixels.
        row: The row to fill.
    """
    bands, height, width = values.shape
    places = np.empty((MOST_SIMILAR, 2), np.int64)
    differences = np.empty(MOST_SIMILAR)
    distances = np.empty(MOST_SIMILAR)
    seen = np.empty(bands, np.bool_)
    counts = np.empty(bands, np.int64)
    for col in range(width):
        wanted = False
        for band in range(bands):
            wanted |= asked[band, row, col]
        if not wanted:
            continue
        hole = holes[row, col]
        top, bottom, left, right = boxes[hole]
        if bottom == 0:
            top, bottom = max(row - reach_px, 0), min(row + reach_px + 1, height)
            left, right = max(col - reach_px, 0), min(col + reach_px + 1, width)
        informed = False
        for band in range(bands):
            seen[band] = reference_usable[band, row, col]
            counts[band] = 0
            informed |= seen[band] & (thresholds[band, row, col] > 0)
        if not informed:  # the reference is constant
            continue
        farthest = max(row - top, bottom - 1 - row) ** 2 + max(col - left, right - 1 - col) ** 2
        found = 0
        for number in range(len(offsets)):
            down, across = offsets[number]
            if down * down + across * across > farthest or found == MOST_SIMILAR:
                break
            r, c = row + down, col + across
            if r < top or r >= bottom or c < left or c >= right:
                continue
            known = False
            for band in range(bands):
                known |= asked[band, row, col] & usable[band, r, c] & (counts[band] < most)
            if not known or not _alike(reference, reference_usable, seen, thresholds, row, col, r, c):
                continue
            enough = True
            for band in range(bands):
                counts[band] += usable[band, r, c]
                enough &= (not asked[band, row, col]) or counts[band] >= most
            places[found, 0], places[found, 1] = r, c
            differences[found] = _difference(reference, reference_usable, seen, row, col, r, c)
            distances[found] = math.sqrt(down * down + across * across)
            found += 1
            if enough:
                break
        away = to_middle[row, col]
        for band in range(bands):
            if not asked[band, row, col]:
                continue
            here = float(reference[band, row, col])
            if counts[band] == 0:
                if shifts[hole, band] == shifts[hole, band]:
                    filled[band, row, col] = here + shifts[hole, band]
                continue
            # The similar pixels of this band are the first ones that are usable in it.
            end, count = 0, 0
            while count < min(counts[band], most):
                count += usable[band, places[end, 0], places[end, 1]]
                end += 1
            low, span = _range(differences[:end], places[:end], usable[band])
            near, reach = _range(distances[:end], places[:end], usable[band])
            total, spatial, change, distance = 0.0, 0.0, 0.0, 0.0
            for number in range(end):
                r, c = places[number]
                if usable[band, r, c]:
                    weight = 1 / (((differences[number] - low) / span + 1) * ((distances[number] - near) / reach + 1))
                    total += weight
                    spatial += weight * float(values[band, r, c])
                    change += weight * (float(values[band, r, c]) - float(reference[band, r, c]))
                    distance += distances[number]
            distance /= count
            spatial, temporal = spatial / total, here + change / total
            filled[band, row, col] = (away * spatial + distance * temporal) / (away + distance)


@compiled
def _alike(
    reference: Image,
    reference_usable: Flags,
    seen: NDArray[np.bool_],
    thresholds: NDArray[np.float64],
    row: int,
    col: int,
    r: int,
    c: int,
) -> bool:
    """Return whether two pixels differ by at most the threshold in each seen band."""
    for band in range(len(seen)):
        if seen[band]:
            if not reference_usable[band, r, c]:
                return False
            if not abs(float(reference[band, r, c]) - float(reference[band, row, col])) <= thresholds[band, row, col]:
                return False
    return True


@compiled
def describe_holes(
    thresholds: NDArray[np.float64],
    to_middle: NDArray[np.float64],
    values: Image,
    usable: Flags,
    reference: Image,
    reference_usable: Flags,
    holes: NDArray[np.int32],
    boxes: NDArray[np.int64],
    classes: int,
) -> NDArray[np.float64]:
    """Return the mean change around each hole, `(hole, band)`, NaN if unknown; for holes that are filled as one.

    Args:
        thresholds: `(band, row, col)`; 2σ / classes of the surroundings is written to each pixel of a hole.
        to_middle: `(row, col)`; the distance to the middle of the box is written to each pixel of a hole.
        values: The image.
        usable: Pixels of the image that may be used.
        reference: The bands of the other date that match the image's.
        reference_usable: Pixels of the other date that may be used.
        holes: Number of the hole at each pixel, `(row, col)`.
        boxes: As in `interpolate_holes`.
        classes: Number of land cover classes.
    """
    bands = len(values)
    shifts = np.full((len(boxes), bands), np.nan)
    for hole in range(len(boxes)):
        top, bottom, left, right = boxes[hole]
        for band in range(bands):
            count, common, total, square, change = 0, 0, 0.0, 0.0, 0.0
            first = math.nan  # around it, the sums of a constant band are exactly 0
            for r in range(top, bottom):
                for c in range(left, right):
                    if reference_usable[band, r, c]:
                        if count == 0:
                            first = float(reference[band, r, c])
                        x = float(reference[band, r, c]) - first
                        count += 1
                        total += x
                        square += x * x
                        if usable[band, r, c]:
                            common += 1
                            change += float(values[band, r, c]) - float(reference[band, r, c])
            if common > 0:
                shifts[hole, band] = change / common
            variance = max(square - total * total / max(count, 1), 0.0) / max(count - 1, 1)
            for r in range(top, bottom):
                for c in range(left, right):
                    if holes[r, c] == hole:
                        thresholds[band, r, c] = 2 * math.sqrt(variance) / classes
        middle_row, middle_col = (bottom - top) / 2 + top, (right - left) / 2 + left
        for r in range(top, bottom):
            for c in range(left, right):
                if holes[r, c] == hole:
                    to_middle[r, c] = math.sqrt((r - middle_row) ** 2 + (c - middle_col) ** 2)
    return shifts


@compiled
def distances_to_middle(missing: Flags, most_px: int) -> NDArray[np.float64]:
    """Return the distance of each missing pixel to the middle of the shorter of its row and its column of gap.

    Args:
        missing: `(row, col)`.
        most_px: Rows and columns of gap are followed this far in each direction.
    """
    height, width = missing.shape
    # Pixels to the border of the gap: up, down, left and right.
    away = np.zeros((4, height, width), np.int32)
    for row in range(height):
        for col in range(width):
            if missing[row, col]:
                away[0, row, col] = min(1 + (away[0, row - 1, col] if row > 0 else 0), most_px)
                away[2, row, col] = min(1 + (away[2, row, col - 1] if col > 0 else 0), most_px)
    for row in range(height - 1, -1, -1):
        for col in range(width - 1, -1, -1):
            if missing[row, col]:
                away[1, row, col] = min(1 + (away[1, row + 1, col] if row < height - 1 else 0), most_px)
                away[3, row, col] = min(1 + (away[3, row, col + 1] if col < width - 1 else 0), most_px)
    middle = np.zeros((height, width))
    for row in range(height):
        for col in range(width):
            up, down, left, right = away[:, row, col]
            middle[row, col] = abs(up - down) / 2 if up + down <= left + right else abs(left - right) / 2
    return middle
