"""How far draws err, told by observed pixels that are held back and drawn like missing ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.methods.held_out import held_out
from landsat_fill.scene import Gaps

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from landsat_fill.methods.interface import Context
    from landsat_fill.methods.sampler import Sampler

WINDOWS = 4
"""Windows of a scene that pixels are held back in, at most."""

HELD_OUT_PCT = 5.0
"""Percentage of a window's usable pixels that is held back in each of two folds, at most."""

DRAWS = 4

USUAL_RATIO = 2.3
"""The usual ratio: the mean over crops of eight training scenes under stripes of 4 and 8 pixels."""

USUAL_PIXELS = 500
"""Held-out pixels the usual ratio counts for: pixels of one piece of a stripe tell much the same."""


@dataclass(frozen=True, slots=True)
class ErrorRatio:
    """The mean squared error of the mean of endlessly many draws, relative to the variance of the draws.

    It would be 1 if the truth were one more draw. It is larger because draws take what is most alike, more
    alike than the truth is.

    Attributes:
        value: The ratio, 1 at least.
    """

    value: float

    @classmethod
    def measured(
        cls, sampler: Sampler, image: NDArray[np.floating], gaps: Gaps, context: Context
    ) -> ErrorRatio:
        """Return what held-out pieces of stripes tell, with the usual ratio for what they can't.

        Args:
            sampler: Draws.
            image: Windows of a scene, `(window, band, row, col)`.
            gaps: Cubes of the same shape.
            context: Threads and seed.
        """
        error, spread, pixels = 0.0, 0.0, 0
        for window in np.unique(np.linspace(0, len(image) - 1, WINDOWS).round().astype(int)).tolist():
            own = Gaps(gaps.missing[window], gaps.usable[window])
            # Nothing is known of where windows lie, but two shouldn't be drawn alike.
            corner = (int(window) * image.shape[2], 0)
            for fold in (0, 1):
                held = held_out(own, corner, fold=fold, seed=context.seed, percent=HELD_OUT_PCT)
                if not held.any():
                    continue
                drawn = sampler.draws(
                    image[window], Gaps(held, own.usable & ~held), corner, context, DRAWS
                ).astype(np.float64)
                for band, quantum in enumerate(sampler.quanta):
                    if sampler.limits[band, 0] == sampler.limits[band, 1]:
                        continue  # all but a few numbers are the same: there's nothing to err in
                    truth = image[window, band][held[band]].astype(np.float64)
                    found = drawn[:, band, held[band]]
                    error += float(np.square((found.mean(axis=0) - truth) / quantum).sum())
                    spread += float((found / quantum).var(axis=0, ddof=1).sum())
                pixels += int(np.count_nonzero(held.any(axis=0)))
        if spread <= 0:
            return cls(USUAL_RATIO)
        # Of the error, one DRAWS-th is that the draws are few.
        ratio = error / spread - 1 / DRAWS
        return cls(max((pixels * ratio + USUAL_PIXELS * USUAL_RATIO) / (pixels + USUAL_PIXELS), 1.0))
