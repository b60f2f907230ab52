"""The spline in tension: like a thin plate across narrow gaps, like a membrane across wide ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from landsat_fill.methods.interface import Context, MethodInfo, option
from landsat_fill.methods.lifting import fill_each_band
from landsat_fill.methods.plate import plate
from landsat_fill.scene import Filled, Gaps

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class TensionSpline:
    """The surface through the borders of a gap that bends and stretches least; see `plate`.

    A membrane has a kink at the border of a gap and a thin plate overshoots inside a wide one. A plate under
    tension bends over a pixel or two and runs level beyond.

    Source: Smith and Wessel 1990, Gridding with continuous curvature splines in tension,
    doi:10.1190/1.1442837.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        name="tension-spline",
        summary="a plate under tension through the borders of a gap, between harmonic and biharmonic",
        source="Smith and Wessel 1990, Gridding with continuous curvature splines in tension, "
        "doi:10.1190/1.1442837",
        halo_px=32,
    )

    tension: float = field(
        default=0.35,
        metadata=option("0 is a thin plate (biharmonic), 1 a membrane (harmonic)", low=0, high=1),
    )
    reduction: float = field(
        default=100.0,
        metadata=option("factor by which each resolution reduces the error it starts with", low=2, high=1e6),
    )

    def fill(self, image: NDArray[np.floating], gaps: Gaps, context: Context) -> Filled:
        """Return the filled image; see `FillMethod.fill`."""
        fill_band = partial(plate, tension=self.tension, reduction=self.reduction)
        return Filled(fill_each_band(fill_band, image, gaps, context.threads))
