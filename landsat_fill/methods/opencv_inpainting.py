"""OpenCV's inpainting by Telea and by Navier–Stokes, for numbers of any range."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from landsat_fill.methods.method import Context, MethodInfo, fill_each_band
from landsat_fill.scene import Filled, Gaps
from landsat_fill.schema import option

if TYPE_CHECKING:
    from numpy.typing import NDArray


_LARGEST_STORED = 65535.0
"""OpenCV's 16-bit inpainting is used for every band. Its 8-bit one rounds too coarsely, and its float one
adds half a unit to what Telea's method fills, whatever the unit is worth."""


def inpaint(
    image: NDArray[np.floating], gaps: Gaps, threads: int, *, radius_px: float, algorithm: int
) -> NDArray[np.floating]:
    """Return the image with its missing pixels filled by `cv2.inpaint`, to 1/65535 of each band's range.

    Pixels that are neither missing nor usable are filled on the way, since OpenCV knows no third kind.

    Args:
        image: `(tile, band, row, col)`.
        gaps: Cubes of the same shape.
        threads: Bands worked on at once.
        radius_px: Distance within which observed pixels count for a missing one.
        algorithm: `cv2.INPAINT_NS` or `cv2.INPAINT_TELEA`.
    """
    import cv2

    def fill_band(
        values: NDArray[np.floating], _missing: NDArray[np.bool_], usable: NDArray[np.bool_]
    ) -> NDArray[np.floating]:
        low, high, _, _ = cv2.minMaxLoc(values, usable.view(np.uint8))
        step = (high - low) / _LARGEST_STORED or 1.0
        stored = np.where(usable, np.rint((values - low) / step), 0).astype(np.uint16)
        answer = cv2.inpaint(stored, (~usable).view(np.uint8), radius_px, algorithm)
        return answer.astype(values.dtype) * step + low

    return fill_each_band(fill_band, image, gaps, threads)


@dataclass(frozen=True)
class _Inpainting:
    """One of OpenCV's algorithms; a subclass says which."""

    algorithm: ClassVar[str]

    radius_px: float = option(3.0, "neighbourhood of a pixel that counts, in pixels", low=1, high=30)

    def fill(self, image: NDArray[np.floating], gaps: Gaps, context: Context) -> Filled:
        """Return the filled image; see `FillMethod.fill`."""
        import cv2

        algorithm = getattr(cv2, self.algorithm)
        return Filled(inpaint(image, gaps, context.threads, radius_px=self.radius_px, algorithm=algorithm))


@dataclass(frozen=True)
class Telea(_Inpainting):
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

    algorithm: ClassVar[str] = "INPAINT_TELEA"


@dataclass(frozen=True)
class NavierStokes(_Inpainting):
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

    algorithm: ClassVar[str] = "INPAINT_NS"
