"""How large an error plain interpolation makes in an image: a unit that makes places weigh alike in a loss.

A pixel in the middle of a gap is some rows away from what is observed. How much pixels differ at that
distance is known at once, without filling anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

STEP_PX = 6
"""Rows between the two pixels compared: from the middle of a wide gap to its edge."""

SCENE_WEIGHT = 0.5
"""Share of the scene's squared error in that of a patch of it; the rest is the patch's own, which alone would
make a calm patch, a lake say, weigh as much as a town."""


def squared_steps(
    values: NDArray[Any], observed: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the summed squared differences of observed pixels `STEP_PX` rows apart, and how many, `(band,)`.

    Args:
        values: `(band, row, col)`.
        observed: Which of them are observations; the others may hold anything, NaN too.
    """
    both = observed[:, STEP_PX:] & observed[:, :-STEP_PX]
    with np.errstate(invalid="ignore", over="ignore"):
        steps = values[:, STEP_PX:].astype(np.float64) - values[:, :-STEP_PX]
    steps[~both] = 0.0
    return np.einsum("brc,brc->b", steps, steps), np.count_nonzero(both, axis=(1, 2))


def mean_squared_step(values: NDArray[Any], observed: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the mean squared difference of observed pixels `STEP_PX` rows apart, `(band,)`; 0 for none."""
    total, pairs = squared_steps(values, observed)
    mean: NDArray[np.float64] = total / np.maximum(pairs, 1)
    return mean


def error_scale(scene: NDArray[np.float64], patch: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the RMS error to expect of plain interpolation, `(band,)`, positive.

    A band without any difference has 1: nothing can go wrong there, whatever the unit.

    Args:
        scene: Mean squared steps of the scene's bands.
        patch: Those of the patch's.
    """
    scale = np.sqrt(SCENE_WEIGHT * scene + (1 - SCENE_WEIGHT) * patch)
    return np.where(scale > 0, scale, 1.0).astype(np.float32)
