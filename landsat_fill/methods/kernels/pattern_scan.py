"""The path of a direct sampling through the missing pixels, and the scan for a pixel alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.methods.kernels import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray


NODES_AT_ONCE = 6
"""Neighbours compared before it is asked whether a candidate can still be the best."""


@compiled
def simulate(
    known: NDArray[np.float32],
    simulated: NDArray[np.float32],
    missing: NDArray[np.bool_],
    taken: NDArray[np.int32],
    shifts: NDArray[np.float32],
    path: NDArray[np.int64],
    keys: NDArray[np.uint64],
    steps: NDArray[np.int64],
    offsets: NDArray[np.int64],
    weights: NDArray[np.float32],
    candidates: NDArray[np.int64],
    most_neighbours: int,
    most_candidates: int,
    threshold: float,
    by_differences: bool,
) -> None:
    """Give each missing pixel the numbers of an observed one whose surroundings are alike.

    Args:
        known: Observed numbers `(row, col, band)`, NaN elsewhere: the training image.
        simulated: A copy of it; takes the numbers found.
        missing: What is to be found, `(row, col, band)`.
        taken: Takes the row and column each missing pixel's numbers come from, `(row, col, 2)`; -1 where no
            observed pixel had all the bands that are missing there.
        shifts: Takes what was added to them, `(row, col, band)`.
        path: Rows and columns of the missing pixels in the order of their turns, `(pixel, 2)`.
        keys: A random number for each.
        steps: Strides through the candidates that reach all of them.
        offsets: Rows and columns from a pixel to those around it, the nearest first, `(offset, 2)`.
        weights: What each of these counts for.
        candidates: Rows and columns from a pixel to the places it may take numbers from, `(candidate, 2)`.
        most_neighbours: Informed pixels compared.
        most_candidates: Candidates looked at; then the best of them is taken.
        threshold: The first candidate whose mean squared difference is no larger is taken.
        by_differences: Whether surroundings are compared after their means were taken off, and the difference
            of the means is added to what is taken.
    """
    height, width, bands = known.shape
    pixels = known.reshape(height * width, bands)
    steps_to = np.empty(most_neighbours + 1, np.int64)
    around = np.empty((most_neighbours + 1, 2), np.int64)
    event = np.empty((most_neighbours + 1, bands), np.float32)
    weight = np.empty(most_neighbours + 1, np.float32)
    wanted = np.empty(bands, np.bool_)
    sums = np.empty(bands, np.float32)
    squares = np.empty(bands, np.float32)
    totals = np.empty(bands, np.float32)
    shift = np.zeros(bands, np.float64)
    for turn in range(len(path)):
        row, col = path[turn]
        # Which bands are missing here, and what the pixel and its neighbours tell.
        nodes = 0
        informed = False
        for band in range(bands):
            value = simulated[row, col, band]
            wanted[band] = missing[row, col, band]
            event[0, band] = value
            informed = informed or value == value
        if informed:
            around[0, 0], around[0, 1] = 0, 0
            weight[0] = 1.0
            nodes = 1
        neighbours = 0
        for number in range(len(offsets)):
            near_row, near_col = row + offsets[number, 0], col + offsets[number, 1]
            if near_row < 0 or near_row >= height or near_col < 0 or near_col >= width:
                continue
            informed = False
            for band in range(bands):
                value = simulated[near_row, near_col, band]
                event[nodes, band] = value
                informed = informed or value == value
            if informed:
                around[nodes] = offsets[number]
                weight[nodes] = weights[number]
                nodes += 1
                neighbours += 1
                if neighbours == most_neighbours:
                    break
        total = 0.0
        for node in range(nodes):
            for band in range(bands):
                if event[node, band] == event[node, band]:
                    total += weight[node]
        # The scan: from a random place by a random stride, so that no candidate comes twice.
        up, down, left, right = 0, 0, 0, 0
        for node in range(nodes):
            up, down = max(up, -around[node, 0]), max(down, around[node, 0])
            left, right = max(left, -around[node, 1]), max(right, around[node, 1])
            steps_to[node] = around[node, 0] * width + around[node, 1]
        best, best_row, best_col = np.inf, -1, -1
        place = np.int64(keys[turn] % np.uint64(len(candidates)))
        step = steps[np.int64((keys[turn] >> np.uint64(32)) % np.uint64(len(steps)))]
        looked_at = 0
        for _ in range(len(candidates)):
            place += step
            if place >= len(candidates):
                place -= len(candidates)
            other_row, other_col = row + candidates[place, 0], col + candidates[place, 1]
            if other_row < 0 or other_row >= height or other_col < 0 or other_col >= width:
                continue
            here = other_row * width + other_col
            usable = True
            for band in range(bands):
                if wanted[band] and pixels[here, band] != pixels[here, band]:
                    usable = False
            if not usable:
                continue
            looked_at += 1
            within = (
                other_row >= up
                and other_row + down < height
                and other_col >= left
                and other_col + right < width
            )
            for band in range(bands):
                sums[band] = squares[band] = totals[band] = np.float32(0)
            spread = 0.0
            node = 0
            while node < nodes:
                end = min(node + NODES_AT_ONCE, nodes)
                for one in range(node, end):
                    if not within:
                        r, c = other_row + around[one, 0], other_col + around[one, 1]
                        if r < 0 or r >= height or c < 0 or c >= width:
                            continue
                    pixel = here + steps_to[one]
                    counts_for = weight[one]
                    for band in range(bands):
                        difference = event[one, band] - pixels[pixel, band]
                        if difference == difference:
                            weighted = counts_for * difference
                            sums[band] += weighted
                            squares[band] += weighted * difference
                            totals[band] += counts_for
                node = end
                spread = 0.0
                for band in range(bands):
                    spread += squares[band]
                    if by_differences and totals[band] > 0:
                        spread -= sums[band] * sums[band] / totals[band]
                if spread > best * total:
                    break  # it can't become the best any more
            if spread <= best * total:
                compared = 0.0
                for band in range(bands):
                    compared += totals[band]
                distance = spread / compared if compared > 0 else 0.0
                # Of a place of whose surroundings less than half was observed there is too little to tell.
                if distance < best and compared >= 0.5 * total:
                    best, best_row, best_col = distance, other_row, other_col
                    for band in range(bands):
                        shift[band] = 0.0
                        if by_differences and totals[band] > 0:
                            shift[band] = sums[band] / totals[band]
                    if best <= threshold:
                        break
            if looked_at >= most_candidates and best_row >= 0:
                break
        taken[row, col, 0], taken[row, col, 1] = best_row, best_col
        if best_row >= 0:
            for band in range(bands):
                if wanted[band]:
                    shifts[row, col, band] = shift[band]
                    simulated[row, col, band] = known[best_row, best_col, band] + shift[band]
