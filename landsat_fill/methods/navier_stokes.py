"""Navier–Stokes inpainting: lines of equal brightness flow into the gap like a fluid."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from landsat_fill.methods.interface import Context, MethodInfo, option
from landsat_fill.methods.marching import inpaint
from landsat_fill.scene import Filled, Gaps

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class NavierStokes:
    """OpenCV's Navier–Stokes inpainting.

    Source: Bertalmio, Bertozzi and Sapiro 2001, Navier–Stokes, fluid dynamics, and image and video
    inpainting, doi:10.1109/CVPR.2001.990497.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        name="navier-stokes",
        summary="lines of equal brightness continued into the gap like a flow (OpenCV)",
        source="Bertalmio, Bertozzi and Sapiro 2001, Navier-Stokes, fluid dynamics, and image and video "
        "inpainting, doi:10.1109/CVPR.2001.990497",
        halo_px=48,
    )

    radius_px: float = field(
        default=3.0, metadata=option("neighbourhood of a pixel that counts, in pixels", low=1, high=30)
    )

    def fill(self, image: NDArray[np.floating], gaps: Gaps, context: Context) -> Filled:
        """Return the filled image; see `FillMethod.fill`."""
        import cv2

        return Filled(
            inpaint(image, gaps, context.threads, radius_px=self.radius_px, algorithm=cv2.INPAINT_NS)
        )
