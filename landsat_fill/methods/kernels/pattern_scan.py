"""The loop of direct sampling: scans for observed pixels with surroundings like those of a missing pixel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.methods.kernels import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray


NODES_AT_ONCE = 6
"""Number of neighbours compared between two checks whether a candidate can still be the best."""


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
    variables: NDArray[np.int64],
    importance: NDArray[np.float32],
    most_neighbours: NDArray[np.int64],
    most_candidates: int,
    threshold: float,
    by_differences: bool,
) -> None:
    """Give each missing pixel the values of an observed pixel with similar surroundings.

    Args:
        known: Observed values `(row, col, band)`, NaN elsewhere: the training image.
        simulated: A copy of `known`; the filled values are written to it.
        missing: Pixels to fill, `(row, col, band)`.
        taken: Output: row and column of the source of each missing pixel, `(row, col, 2)`; -1 if no candidate
            has all missing bands.
        shifts: Output: values added to those of the source, `(row, col, band)`.
        path: Rows and columns of the missing pixels in their order, `(pixel, 2)`.
        keys: A random number for each missing pixel.
        steps: Strides that visit all candidates.
        offsets: Rows and columns from a pixel to its neighbours, the nearest first, `(offset, 2)`.
        weights: Weight of each offset.
        candidates: Rows and columns from a pixel to its candidates, `(candidate, 2)`.
        variables: The variable of each band, from 0: the image, then each reference.
        importance: Weight of each band's differences, relative to the image's own.
        most_neighbours: Largest number of neighbours of each variable to compare. A complete reference would crowd out
            the image if all were counted together.
        most_candidates: Largest number of candidates to compare.
        threshold: A candidate with a mean squared difference up to this ends the scan.
        by_differences: Whether the means of the image's surroundings are subtracted before the comparison, and
            their difference is added to the values. References are compared as they are.
    """
    height, width, bands = known.shape
    pixels = known.reshape(height * width, bands)
    several = len(most_neighbours)
    most_nodes = most_neighbours.sum() + 1
    steps_to = np.empty(most_nodes, np.int64)
    around = np.empty((most_nodes, 2), np.int64)
    event = np.empty((most_nodes, bands), np.float32)
    weight = np.empty(most_nodes, np.float32)
    neighbours = np.empty(several, np.int64)
    counted = np.empty(several, np.bool_)
    wanted = np.empty(bands, np.bool_)
    sums = np.empty(bands, np.float32)
    squares = np.empty(bands, np.float32)
    totals = np.empty(bands, np.float32)
    shift = np.zeros(bands, np.float64)
    for turn in range(len(path)):
        row, col = path[turn]
        # The missing bands, and the values of the pixel and its neighbours.
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
        neighbours[:] = 0
        for number in range(len(offsets)):
            near_row, near_col = row + offsets[number, 0], col + offsets[number, 1]
            if near_row < 0 or near_row >= height or near_col < 0 or near_col >= width:
                continue
            counted[:] = False
            for band in range(bands):
                value = simulated[near_row, near_col, band]
                variable = variables[band]
                if value == value and neighbours[variable] < most_neighbours[variable]:
                    event[nodes, band] = value
                    counted[variable] = True
                else:
                    event[nodes, band] = np.nan
            informed = False
            complete = True
            for variable in range(several):
                informed = informed or counted[variable]
                neighbours[variable] += counted[variable]
                complete = complete and neighbours[variable] == most_neighbours[variable]
            if informed:
                around[nodes] = offsets[number]
                weight[nodes] = weights[number]
                nodes += 1
                if complete:
                    break
        total = 0.0
        for node in range(nodes):
            for band in range(bands):
                if event[node, band] == event[node, band]:
                    total += weight[node] * importance[band]
        # The scan starts at a random candidate with a random stride, and visits no candidate twice.
        up, down, left, right = 0, 0, 0, 0
        for node in range(nodes):
            up, down = max(up, -around[node, 0]), max(down, around[node, 0])
            left, right = max(left, -around[node, 1]), max(right, around[node, 1])
            steps_to[node] = around[node, 0] * width + around[node, 1]
        best, best_row, best_col = np.inf, -1, -1
        place = np.int64(keys[turn] % np.uint64(len(candidates)))
        step = steps[np.int64((keys[turn] >> np.uint64(32)) % np.uint64(len(steps)))]
        compared_candidates = 0
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
            compared_candidates += 1
            within = other_row >= up and other_row + down < height and other_col >= left and other_col + right < width
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
                            own_weight = counts_for * importance[band]
                            weighted = own_weight * difference
                            sums[band] += weighted
                            squares[band] += weighted * difference
                            totals[band] += own_weight
                node = end
                spread = 0.0
                for band in range(bands):
                    spread += squares[band]
                    if by_differences and variables[band] == 0 and totals[band] > 0:
                        spread -= sums[band] * sums[band] / totals[band]
                if spread > best * total:
                    break  # it can't become the best
            if spread <= best * total:
                compared = 0.0
                for band in range(bands):
                    compared += totals[band]
                distance = spread / compared if compared > 0 else 0.0
                # At least half of the candidate's surroundings must be observed.
                if distance < best and compared >= 0.5 * total:
                    best, best_row, best_col = distance, other_row, other_col
                    for band in range(bands):
                        shift[band] = 0.0
                        if by_differences and totals[band] > 0:
                            shift[band] = sums[band] / totals[band]
                    if best <= threshold:
                        break
            if compared_candidates >= most_candidates and best_row >= 0:
                break
        taken[row, col, 0], taken[row, col, 1] = best_row, best_col
        if best_row >= 0:
            for band in range(bands):
                if wanted[band]:
                    shifts[row, col, band] = shift[band]
                    simulated[row, col, band] = known[best_row, best_col, band] + shift[band]
