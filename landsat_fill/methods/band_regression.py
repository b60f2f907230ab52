"""What the other bands tell of one: regression of its differences between neighbours on theirs.

Differences, not numbers: what bands have in common over kilometres says little of the few pixels of a gap.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

AROUND_PX = 33
"""Side of the square that a regression is taken from: one scan period, which holds both sides of any gap."""

PRIOR_PAIRS = 20
"""Pairs of pixels that the scene's covariances count for beside those around. Of 20 and 100, squares of 17
and 33 pixels, and the scene's covariances alone, on crops of training scenes, none differs by a hundredth."""

RIDGE = 1e-3
"""Share added to each band's variance, so that bands that are alike to the last digit do no harm."""


class BandRegression(NamedTuple):
    """A regression at each of some pixels.

    Attributes:
        slopes: On each of the other bands, `(pixel, other)`.
        unexplained: The share of the band's variance that the others don't explain, `(pixel,)`.
    """

    slopes: NDArray[np.float64]
    unexplained: NDArray[np.float64]


def overall_covariances(image: NDArray[np.floating], usable: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the mean products of all bands' differences between neighbours, `(band, band)`.

    0 for two bands that are never usable together.

    Args:
        image: Windows, `(window, band, row, col)`.
        usable: What may be looked at.
    """
    count = image.shape[1]
    sums, pairs = np.zeros((count, count)), np.zeros((count, count))
    for values, known in zip(image, usable, strict=True):
        for steps, both in _steps(np.where(known, values, 0).astype(np.float64), known):
            flat, seen = steps.reshape(count, -1), both.reshape(count, -1).astype(np.float64)
            sums += flat @ flat.T
            pairs += seen @ seen.T
    return sums / np.maximum(pairs, 1)


def regression_at(
    targets: NDArray[np.int64],
    values: NDArray[np.float64],
    usable: NDArray[np.bool_],
    overall: NDArray[np.float64],
) -> BandRegression:
    """Return the regression of the first band on the others around each of some pixels.

    Args:
        targets: Rows and columns, `(pixel, 2)`.
        values: `(band, row, col)`, finite.
        usable: Where all of them are usable, `(row, col)`.
        overall: Their covariances in the whole scene, `(band, band)`.
    """
    import cv2

    count = len(values)
    rows, cols = targets.T

    def around(plane: NDArray[np.float64]) -> NDArray[np.float64]:
        size = (AROUND_PX, AROUND_PX)
        total = cv2.boxFilter(plane, -1, size, normalize=False, borderType=cv2.BORDER_CONSTANT)
        return np.asarray(total[rows, cols], np.float64)

    found = list(_steps(values, np.broadcast_to(usable, values.shape)))
    pairs = around(np.sum([both[0] for _, both in found], axis=0, dtype=np.float64))
    # In units of each band's own spread: products of reflectances are tiny.
    spread = np.sqrt(np.where(np.diag(overall) > 0, np.diag(overall), 1.0))
    moments = np.empty((len(targets), count, count))
    for one in range(count):
        for other in range(one, count):
            products = around(np.sum([steps[one] * steps[other] for steps, _ in found], axis=0))
            mean = (products + PRIOR_PAIRS * overall[one, other]) / (pairs + PRIOR_PAIRS)
            moments[:, one, other] = moments[:, other, one] = mean / (spread[one] * spread[other])
    own, shared, others = moments[:, 0, 0], moments[:, 0, 1:], moments[:, 1:, 1:]
    ridge = RIDGE * np.maximum(np.einsum("poo->po", others), RIDGE)
    slopes = np.linalg.solve(others + ridge[:, :, None] * np.eye(count - 1), shared[..., None])[..., 0]
    left = own - 2 * np.einsum("po,po->p", slopes, shared) + np.einsum("po,poq,pq->p", slopes, others, slopes)
    unexplained = np.clip(left / np.where(own > 0, own, 1.0), 0, 1)
    return BandRegression(slopes * spread[0] / spread[1:], unexplained)


def _steps(
    values: NDArray[np.float64], usable: NDArray[np.bool_]
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.bool_]]]:
    """Yield each pixel's difference to the next, 0 where not both are usable, and where they are.

    Once down and once to the right; both `(band, row, col)`.
    """
    for axis in (1, 2):
        here: list[slice] = [slice(None)] * 3
        there: list[slice] = [slice(None)] * 3
        here[axis], there[axis] = slice(0, -1), slice(1, None)
        both = np.zeros(values.shape, np.bool_)
        both[tuple(here)] = usable[tuple(here)] & usable[tuple(there)]
        steps = np.zeros(values.shape)
        steps[tuple(here)] = values[tuple(there)] - values[tuple(here)]
        yield steps * both, both
