"""GDAL's fillnodata: inverse-distance weights of the nearest observed pixel in each direction."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, cast

from landsat_fill.methods.interface import Context, MethodInfo, option
from landsat_fill.methods.lifting import fill_each_band
from landsat_fill.methods.relaxation import solved_from_coarse_to_fine, widest_gap_px
from landsat_fill.scene import Filled, Gaps

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_CHAMFER_LOW = 0.95
"""A gap's width is measured by a chamfer distance, which may fall short of the true one by a few percent."""

SCAN_PERIOD_AND_A_HALF_PX = 50.0
"""At 30 m, farther than the far border of any SLC gap. GDAL's own default of 100 finds the same pixels,
but at corners, and takes a third longer over a scene."""


@dataclass(frozen=True)
class InverseDistance:
    """Inverse-distance weighting of the nearest observed pixel in each quadrant, smoothed.

    Pixels that lie farther than the largest distance from anything observed take the mean of the observed
    pixels around, over as coarse a block as it takes.

    rasterio holds the interpreter lock while GDAL works, so threads gain nothing here; reading and writing go
    on beside it.

    Source: GDAL, `GDALFillNodata` (alg/rasterfill.cpp), through rasterio.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        name="inverse-distance",
        summary="inverse-distance weights of the nearest observed pixels, smoothed (GDAL's fillnodata)",
        source="GDAL, GDALFillNodata, alg/rasterfill.cpp, https://gdal.org/programs/gdal_fillnodata.html",
        halo_px=48,
    )

    max_distance_px: float = field(
        default=SCAN_PERIOD_AND_A_HALF_PX,
        metadata=option("how far an observed pixel may lie, in pixels", low=1),
    )
    smoothing: int = field(
        default=3, metadata=option("3 × 3 averaging passes over the filled pixels", low=0, high=8)
    )

    def fill(self, image: NDArray[np.floating], gaps: Gaps, context: Context) -> Filled:
        """Return the filled image; see `FillMethod.fill`."""
        from rasterio.errors import NotGeoreferencedWarning
        from rasterio.fill import fillnodata

        # Arrays have no georeference to miss. `catch_warnings` would not do: it isn't safe in threads.
        warnings.filterwarnings("ignore", category=NotGeoreferencedWarning, module=r"rasterio\.fill")

        def fill_band(
            values: NDArray[np.floating], missing: NDArray[np.bool_], usable: NDArray[np.bool_]
        ) -> NDArray[np.floating]:
            if widest_gap_px(missing, usable) > _CHAMFER_LOW * 2 * self.max_distance_px:
                # GDAL leaves what it doesn't reach as it is: let that be a coarse guess.
                values = solved_from_coarse_to_fine(_as_guessed, values, missing, usable)
            return cast(
                "NDArray[np.floating]",
                fillnodata(
                    values,
                    mask=usable,
                    max_search_distance=self.max_distance_px,
                    smoothing_iterations=self.smoothing,
                ),
            )

        return Filled(fill_each_band(fill_band, image, gaps, context.threads))


def _as_guessed(
    guess: NDArray[np.floating],
    _missing: NDArray[np.bool_],
    _usable: NDArray[np.bool_],
    _spacing_px: float,
) -> NDArray[np.floating]:
    return guess
