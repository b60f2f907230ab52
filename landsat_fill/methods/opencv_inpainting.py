"""OpenCV's inpainting by Telea and by Navier–Stokes, for values of any range."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from landsat_fill.methods.method import Context, MethodInfo, fill_each_band
from landsat_fill.scene import Filled, Gaps
from landsat_fill.schema import option

if TYPE_CHECKING:
    from landsat_fill.methods.method import Flags, Image


_LARGEST_STORED = 65535.0
"""OpenCV's 16-bit inpainting serves every band. Its 8-bit version rounds too coarsely, and its float version
adds half a unit to each pixel that Telea's method fills, in any unit."""


@dataclass(frozen=True)
class _Inpainting:
    """One of OpenCV's algorithms, named by a subclass. Fills are exact to 1/65535 of a band's range."""

    algorithm: ClassVar[str]

    radius_px: float = option(3.0, "radius of the neighbourhood of a pixel, in pixels", low=1, high=30)

    def fill(self, image: Image, gaps: Gaps, context: Context) -> Filled:
        """Return the filled image; see `FillMethod.fill`."""
        import cv2

        def fill_band(values: Image, _missing: Flags, usable: Flags) -> Image:
            low, high, _, _ = cv2.minMaxLoc(values, usable.view(np.uint8))
            step = (high - low) / _LARGEST_STORED or 1.0
            stored = np.where(usable, np.rint((values - low) / step), 0).astype(np.uint16)
            # OpenCV has no third kind of pixel, so all pixels that aren't usable are filled.
            unknown = (~usable).view(np.uint8)
            filled = cv2.inpaint(stored, unknown, self.radius_px, getattr(cv2, self.algorithm))
            return filled.astype(values.dtype) * step + low

        return Filled(fill_each_band(fill_band, image, gaps, context.threads))


@dataclass(frozen=True)
class Telea(_Inpainting):
    """OpenCV's fast marching inpainting."""

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
    """OpenCV's Navier–Stokes inpainting."""

    info: ClassVar[MethodInfo] = MethodInfo(
        name="navier-stokes",
        summary="lines of equal brightness continued into the gap like a flow (OpenCV)",
        source="Bertalmio, Bertozzi and Sapiro 2001, Navier-Stokes, fluid dynamics, and image and video "
        "inpainting, doi:10.1109/CVPR.2001.990497",
        halo_px=48,
    )

    algorithm: ClassVar[str] = "INPAINT_NS"
