"""Any method, given one band at a time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.scene import Filled, Gaps

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from landsat_fill.methods import Context, FillMethod, MethodInfo

ENDING = " · bands alone"
"""How the label of such a row ends."""


@dataclass(frozen=True)
class BandsAlone:
    """A method that never sees two bands together.

    Attributes:
        method: The method that fills each band.
    """

    method: FillMethod

    @property
    def info(self) -> MethodInfo:
        """What the pipeline must know: the same as of the method itself, for no draws."""
        return replace(self.method.info, draws=False)

    def fill(self, image: NDArray[np.floating], gaps: Gaps, context: Context) -> Filled:
        """Return the filled image; see `FillMethod.fill`."""
        filled = []
        for band in range(image.shape[1]):
            own = slice(band, band + 1)

            def tell(share: float, text: str, band: int = band) -> None:
                context.progress((band + share) / image.shape[1], text)

            told = replace(context, bands=context.bands[own], draws=0, progress=tell)
            filled.append(
                self.method.fill(image[:, own], Gaps(gaps.missing[:, own], gaps.usable[:, own]), told)
            )
        stds = [one.std for one in filled if one.std is not None]
        return Filled(
            np.concatenate([one.mean for one in filled], axis=1),
            np.concatenate(stds, axis=1) if stds else None,
        )
