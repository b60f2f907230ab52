"""Telea's inpainting: the gap is filled from its border inwards by first-order extrapolation."""

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
class Telea:
    """OpenCV's fast marching inpainting.

    Source: Telea 2004, An image inpainting technique based on the fast marching method,
    doi:10.1080/10867651.2004.10487596.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        name="telea",
        summary="weighted means carried inwards from the border by fast marching (OpenCV)",
        source="Telea 2004, An image inpainting technique based on the fast marching method, "
        "doi:10.1080/10867651.2004.10487596",
        halo_px=48,
    )

    radius_px: float = field(
        default=3.0, metadata=option("neighbourhood of a pixel that counts, in pixels", low=1, high=30)
    )

    def fill(self, image: NDArray[np.floating], gaps: Gaps, context: Context) -> Filled:
        """Return the filled image; see `FillMethod.fill`."""
        import cv2

        return Filled(
            inpaint(image, gaps, context.threads, radius_px=self.radius_px, algorithm=cv2.INPAINT_TELEA)
        )
