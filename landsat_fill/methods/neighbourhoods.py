"""The usable pixels around missing ones, and how rough a band is around each pixel.

Stripes repeat: what depends on where neighbours lie, and not on their values, need be worked out but once for
all pixels that have them at the same places.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Neighbourhoods:
    """Neighbours of pixels, by kind of neighbourhood.

    Attributes:
        targets: Row and column of each pixel, `(target, 2)`.
        kind: The kind of neighbourhood of each.
        offsets: Row and column from a pixel to what may be its neighbour, `(offset, 2)`.
        found: Numbers of the offsets that lead to neighbours, the nearest first, `(kind, neighbour)`; -1
            where there are no more.
    """

    targets: NDArray[np.int64]
    kind: NDArray[np.int64]
    offsets: NDArray[np.int64]
    found: NDArray[np.int32]

    def sums(self, values: NDArray[np.floating], weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the weighted sum of each pixel's neighbours.

        Args:
            values: `(row, col)`.
            weights: By kind, `(kind, neighbour)`.
        """
        from landsat_fill.methods.kernels.pixel_loops import weighted_sums

        return weighted_sums(values, self.targets, self.offsets, self.found, self.kind, weights)


def find_neighbourhoods(
    usable: NDArray[np.bool_],
    targets: NDArray[np.int64],
    *,
    most: int,
    most_a_quadrant: int,
    radius_px: int,
) -> list[Neighbourhoods]:
    """Return the nearest usable pixels of each target, at least one of which must be there.

    Targets without a usable pixel within the radius come apart, with their nearest ones however far.

    Args:
        usable: `(row, col)`.
        targets: `(target, 2)`.
        most: Neighbours wanted.
        most_a_quadrant: Neighbours wanted in one quadrant at most, so that they aren't all of one side.
        radius_px: How far they may lie.
    """
    from landsat_fill.methods.kernels.pixel_loops import nearest_usable

    offsets, quadrants = _offsets(radius_px)
    found, hashes = nearest_usable(usable, targets, offsets, quadrants, most, most_a_quadrant)
    lonely = found[:, 0] < 0
    groups = []
    if not lonely.all():
        groups.append(_grouped(targets[~lonely], offsets, found[~lonely], hashes[~lonely]))
    if lonely.any():
        groups.append(_far(usable, targets[lonely], most))
    return groups


def _grouped(
    targets: NDArray[np.int64],
    offsets: NDArray[np.int64],
    found: NDArray[np.int32],
    hashes: NDArray[np.uint64],
) -> Neighbourhoods:
    """Return targets by kind of neighbourhood."""
    _, first, kind = np.unique(hashes, return_index=True, return_inverse=True)
    kinds = found[first]
    if not np.array_equal(kinds[kind], found):  # two kinds of one hash
        kinds, kind = np.unique(found, axis=0, return_inverse=True)
    return Neighbourhoods(targets, kind.reshape(-1).astype(np.int64), offsets, kinds)


def _far(usable: NDArray[np.bool_], targets: NDArray[np.int64], most: int) -> Neighbourhoods:
    """Return the nearest usable pixels of targets that have none near, each a kind of its own."""
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
def _offsets(radius_px: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the offsets to all pixels of a disc but its centre, the nearest first, and their quadrants."""
    rows, cols = np.mgrid[-radius_px : radius_px + 1, -radius_px : radius_px + 1].reshape(2, -1)
    squares = rows**2 + cols**2
    inside = (squares > 0) & (squares <= radius_px**2)
    rows, cols, squares = rows[inside], cols[inside], squares[inside]
    order = np.lexsort((cols, rows, squares))
    rows, cols = rows[order], cols[order]
    # A quadrant holds one of the half axes, so that all four are alike.
    quadrants = np.select(
        [(rows > 0) & (cols >= 0), (rows <= 0) & (cols > 0), (rows < 0) & (cols <= 0)], [0, 1, 2], 3
    )
    return np.stack([rows, cols], axis=1).astype(np.int64), quadrants.astype(np.int64)


AROUND_PX = 33
"""Side of the square looked at around a pixel: one scan period, which holds both sides of any gap."""

PRIOR_PAIRS = 4
"""Pairs of pixels that the whole scene's roughness counts for beside those around."""


def overall_roughness(image: NDArray[np.floating], usable: NDArray[np.bool_]) -> float:
    """Return the root mean square difference between usable pixels beside each other; 0 if there are none.

    Args:
        image: Windows of a band, `(window, row, col)`.
        usable: What may be looked at.
    """
    square, pairs = 0.0, 0
    for plane, known in zip(image, usable, strict=True):
        squares, counts = _squares(np.where(known, plane, 0).astype(np.float64), known)
        square += float(squares.sum())
        pairs += int(counts.sum())
    return float(np.sqrt(square / pairs)) if pairs else 0.0


def local_roughness(
    plane: NDArray[np.floating], usable: NDArray[np.bool_], overall: float
) -> NDArray[np.float64]:
    """Return the root mean square difference between neighbours around each pixel, `(row, col)`.

    Args:
        plane: `(row, col)`.
        usable: What may be looked at.
        overall: That of the scene, which counts where little is usable. If it is 0, the answer is 1.
    """
    import cv2

    if overall <= 0:
        return np.ones(plane.shape)
    squares, counts = _squares(np.where(usable, plane, 0).astype(np.float64), usable)
    size = (AROUND_PX, AROUND_PX)
    total, pairs = (
        cv2.boxFilter(each, -1, size, normalize=False, borderType=cv2.BORDER_CONSTANT)
        for each in (squares, counts)
    )
    total = np.maximum(total, 0)  # rounding of a running sum
    return np.asarray(np.sqrt((total + PRIOR_PAIRS * overall**2) / (pairs + PRIOR_PAIRS)), np.float64)


def _squares(
    plane: NDArray[np.float64], usable: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return each pixel's squared differences to its right and lower neighbours, and their number."""
    squares, counts = np.zeros(plane.shape), np.zeros(plane.shape)
    for axis in (0, 1):
        first = [slice(None), slice(None)]
        first[axis] = slice(0, -1)
        here, there = tuple(first), tuple(slice(1, None) if a == axis else slice(None) for a in (0, 1))
        both = usable[here] & usable[there]
        squares[here] += both * (plane[there] - plane[here]) ** 2
        counts[here] += both
    return squares, counts
