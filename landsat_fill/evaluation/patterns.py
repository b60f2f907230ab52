"""Where pixels are hidden: under simulated stripes, or under those of a real SLC-off scene."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from landsat_fill.gaps.borrowed import gaps_from
from landsat_fill.gaps.simulation import StripeModel, simulate_gaps

if TYPE_CHECKING:
    from numpy.typing import NDArray

PAPER_PERCENTAGES = (3.0, 6.0, 15.0, 35.0, 55.0)
"""The shares of hidden pixels in the experiments of the deep image prior paper, section 2."""

FLOOR_WIDTHS_PX = (4.0, 8.0, 14.0)
"""Gap widths that span an SLC-off scene of 30 m pixels: 14 px is that at the edge of the swath."""


class Pattern(Protocol):
    """A way to lose pixels."""

    @property
    def label(self) -> str:
        """What the pattern is called in tables: `8 px`, `15 %`, or the name of a scene."""
        ...

    def draw(self, shape: tuple[int, int, int], generator: np.random.Generator) -> NDArray[np.bool_]:
        """Return the lost pixels of an image of `shape` `(band, row, col)`; the generator places them."""
        ...


@dataclass(frozen=True, slots=True)
class SimulatedStripes:
    """Simulated SLC-off stripes.

    The stripes of each band are shifted and ragged by themselves, as real ones are, so that at a stripe's
    edge one band may know what another lost. With a band shift of 0 all bands lose the same pixels.

    Attributes:
        label: What the pattern is called in tables.
        model: The geometry of the stripes.
    """

    label: str
    model: StripeModel

    @classmethod
    def of_width(cls, width_px: float, **geometry: float) -> SimulatedStripes:
        """Return stripes of one width; `geometry` goes to `StripeModel`."""
        return cls(f"{width_px:g} px", StripeModel(width_px=width_px, **geometry))

    @classmethod
    def of_share(cls, percent: float, **geometry: float) -> SimulatedStripes:
        """Return stripes that hide a share of the image; `geometry` goes to `StripeModel`."""
        return cls(f"{percent:g} %", StripeModel(missing=percent / 100, **geometry))

    def draw(self, shape: tuple[int, int, int], generator: np.random.Generator) -> NDArray[np.bool_]:
        """Return the lost pixels; see `Pattern.draw`."""
        if self.model.band_shift_px == 0:
            return np.repeat(simulate_gaps((1, *shape[1:]), self.model, generator), shape[0], axis=0)
        return simulate_gaps(shape, self.model, generator)


@dataclass(frozen=True, slots=True, eq=False)
class RealStripes:
    """The gaps of a real SLC-off scene.

    Attributes:
        label: What the pattern is called in tables.
        missing: `(band, row, col)` or `(row, col)`: where the scene lacks observations.
    """

    label: str
    missing: NDArray[np.bool_]

    def draw(self, shape: tuple[int, int, int], generator: np.random.Generator) -> NDArray[np.bool_]:
        """Return the lost pixels; see `Pattern.draw`."""
        return gaps_from(self.missing, shape, generator)
