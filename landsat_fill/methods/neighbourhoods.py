"""The usable pixels around missing ones, and the roughness of a band around each pixel.

Stripes repeat, so many pixels have their neighbours at the same positions. Kriging weights depend only on
these positions and are computed once for all such pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Neighbourhoods:
    """Neighbours of pixels, by kind of neighbourhood: pixels of a kind have neighbours at the same offsets.

    Attributes:
        targets: Row and column of each pixel, `(target, 2)`.
        kind: Kind of neighbourhood of each pixel.
        offsets: Rows and columns from a pixel to its possible neighbours, `(offset, 2)`.
        found: Indexes of the offsets of the neighbours, the nearest first, `(kind, neighbour)`; -1 for none.
    """

    targets: NDArray[np.int64]
    kind: NDArray[np.int64]
    offsets: NDArray[np.int64]
    found: NDArray[np.int32]

    def sums(self, values: NDArray[np.floating], weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the weighted sum of each pixel's neighbours, kept within their range.

        Some weights, `(kind, neighbour)`, are negative: beside a spike the sum alone may be many times the largest
        observed value. Source: Deutsch 1996, Correcting for negative weights in ordinary kriging,
        doi:10.1016/0098-3004(96)00005-2.
        """
        from landsat_fill.methods.kernels.pixel_loops import weighted_sums

        return weighted_sums(values, self.targets, self.offsets, self.found, self.kind, weights)


def find_neighbourhoods(
    usable: NDArray[np.bool_], targets: NDArray[np.int64], *, most: int, most_a_quadrant: int, radius_px: int
) -> list[Neighbourhoods]:
    """Return the nearest usable pixels of each target.

    Targets without a usable pixel within the radius form a second group, with their nearest pixels at any
    distance.

    Args:
        usable: `(row, col)`; at least one pixel is usable.
        targets: `(target, 2)`.
        most: Largest number of neighbours.
        most_a_quadrant: Largest number of neighbours in a quadrant, so that they aren't all on one side.
        radius_px: Largest distance of a neighbour.
    """
    from landsat_fill.methods.kernels.pixel_loops import nearest_usable

    offsets, targets = disc(radius_px), np.ascontiguousarray(targets)
    found, hashes = nearest_usable(usable, targets, offsets, _quadrants(radius_px), most, most_a_quadrant)
    lonely = found[:, 0] < 0
    groups = []
    if not lonely.all():
        groups.append(_grouped(targets[~lonely], offsets, found[~lonely], hashes[~lonely]))
    if lonely.any():
        groups.append(_far(usable, targets[lonely], most))
    return groups


def _grouped(
    targets: NDArray[np.int64], offsets: NDArray[np.int64], found: NDArray[np.int32], hashes: NDArray[np.uint64]
) -> Neighbourhoods:
    _, first, kind = np.unique(hashes, return_index=True, return_inverse=True)
    kinds = found[first]
    if not np.array_equal(kinds[kind], found):  # a hash collision
        kinds, kind = np.unique(found, axis=0, return_inverse=True)
    return Neighbourhoods(targets, kind.reshape(-1).astype(np.int64), offsets, kinds)


def _far(usable: NDArray[np.bool_], targets: NDArray[np.int64], most: int) -> Neighbourhoods:
    """Return the nearest usable pixels of targets without near ones; each target is its own kind."""
    from scipy.spatial import KDTree

    pixels = np.argwhere(usable)
    most = min(most, len(pixels))
    _, nearest = KDTree(pixels).query(targets, k=np.arange(1, most + 1))
    offsets = (pixels[nearest] - targets[:, None]).reshape(-1, 2)
    numbers = np.arange(len(targets), dtype=np.int64)
    return Neighbourhoods(
        targets, numbers, offsets, np.arange(len(offsets), dtype=np.int32).reshape(len(targets), most)
    )


@cache
def disc(radius_px: int) -> NDArray[np.int64]:
    """Return rows and columns from a pixel to all others within a radius, the nearest first."""
    rows, cols = np.mgrid[-radius_px : radius_px + 1, -radius_px : radius_px + 1].reshape(2, -1)
    squares = rows**2 + cols**2
    inside = (squares > 0) & (squares <= radius_px**2)
    order = np.lexsort((cols[inside], rows[inside], squares[inside]))
    return np.stack([rows[inside][order], cols[inside][order]], axis=1).astype(np.int64)


@cache
def _quadrants(radius_px: int) -> NDArray[np.int64]:
    """Return the quadrant of each pixel of a disc; each quadrant includes one half axis."""
    rows, cols = disc(radius_px).T
    conditions = [(rows > 0) & (cols >= 0), (rows <= 0) & (cols > 0), (rows < 0) & (cols <= 0)]
    return np.select(conditions, [0, 1, 2], 3).astype(np.int64)


AROUND_PX = 33
"""Side of the square for local statistics: one scan period, so it includes both sides of any gap."""

PRIOR_PAIRS = 4
"""The scene's roughness counts as much as this number of local pairs of pixels."""


def overall_roughness(image: NDArray[np.floating], usable: NDArray[np.bool_]) -> float:
    """Return the root mean square difference between adjacent usable pixels of windows `(window, row, col)`.

    It is 0 if there are none.
    """
    square, pairs = 0.0, 0
    for plane, known in zip(image, usable, strict=True):
        squares, counts = _squares(np.where(known, plane, 0).astype(np.float64), known)
        square += float(squares.sum())
        pairs += int(counts.sum())
    return float(np.sqrt(square / pairs)) if pairs else 0.0


def local_roughness(plane: NDArray[np.floating], usable: NDArray[np.bool_], overall: float) -> NDArray[np.float64]:
    """Return the root mean square difference between adjacent pixels around each pixel, `(row, col)`.

    The overall roughness of the scene dominates if few pixels are usable. If it is 0, the result is 1.
    """
    import cv2

    if overall <= 0:
        return np.ones(plane.shape)
    squares, counts = _squares(np.where(usable, plane, 0).astype(np.float64), usable)
    size = (AROUND_PX, AROUND_PX)
    total, pairs = (
        cv2.boxFilter(each, -1, size, normalize=False, borderType=cv2.BORDER_CONSTANT) for each in (squares, counts)
    )
    total = np.maximum(total, 0)  # a running sum may round below 0
    return np.asarray(np.sqrt((total + PRIOR_PAIRS * overall**2) / (pairs + PRIOR_PAIRS)), np.float64)


def neighbour_steps(
    values: NDArray[np.float64], usable: NDArray[np.bool_]
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.bool_]]]:
    """Yield differences to the next pixel, 0 unless both are usable, and whether they are: down, then right.

    All arrays have the same shape, `(…, row, col)`; the values are finite.
    """
    for here, there in ((np.s_[..., :-1, :], np.s_[..., 1:, :]), (np.s_[..., :-1], np.s_[..., 1:])):
        steps, both = np.zeros(values.shape), np.zeros(values.shape, np.bool_)
        both[here] = usable[here] & usable[there]
        steps[here] = values[there] - values[here]
        yield steps * both, both


def _squares(plane: NDArray[np.float64], usable: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return each pixel's squared differences to its right and lower neighbours, and their number."""
    (down, is_down), (right, is_right) = neighbour_steps(plane, usable)
    return down**2 + right**2, is_down.astype(np.float64) + is_right
