"""The thin plate: every gap becomes the solution of the biharmonic equation, which goes on with slopes."""

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
class Biharmonic:
    """The surface through the borders of a gap that bends least; see `plate`.

    Source: Damelin and Hoang 2018, On surface completion and image inpainting by biharmonic functions:
    numerical aspects, doi:10.1155/2018/3950312.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        name="biharmonic",
        summary="the thin plate through the borders of a gap, keeping their slopes",
        source="Damelin and Hoang 2018, On surface completion and image inpainting by biharmonic functions: "
        "numerical aspects, doi:10.1155/2018/3950312",
        halo_px=48,
    )

    reduction: float = field(
        default=300.0,
        metadata=option("factor by which each resolution reduces the error it starts with", low=2, high=1e6),
    )

    def fill(self, image: NDArray[np.floating], gaps: Gaps, context: Context) -> Filled:
        """Return the filled image; see `FillMethod.fill`."""
        fill_band = partial(plate, tension=0.0, reduction=self.reduction)
        return Filled(fill_each_band(fill_band, image, gaps, context.threads))
