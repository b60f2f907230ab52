"""Fast digital inpainting: the gap is convolved with one small kernel again and again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from landsat_fill.methods.interface import Context, MethodInfo, option
from landsat_fill.methods.lifting import fill_each_band
from landsat_fill.methods.nearest import nearest_observed
from landsat_fill.scene import Filled, Gaps

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CORNER, _SIDE = 0.073235, 0.176765
_KERNEL = np.array([[_CORNER, _SIDE, _CORNER], [_SIDE, 0, _SIDE], [_CORNER, _SIDE, _CORNER]], np.float32)
"""The first of the two kernels of Oliveira et al. 2001, figure 2; it sums to 1."""


@dataclass(frozen=True)
class Diffusion:
    """A gap's pixels, averaged with their eight neighbours a hundred times.

    Unlike the paper, which starts from an empty gap, it starts from the nearest observed values: in a gap
    of 14 px a hundred rounds leave a quarter of the start's error behind. Pixels that are neither missing
    nor usable let nothing through.

    Source: Oliveira, Bowen, McKenna and Chang 2001, Fast digital image inpainting, Proceedings of the
    International Conference on Visualization, Imaging and Image Processing (VIIP 2001), Marbella,
    261–266 (no DOI).
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        name="diffusion",
        summary="the gap averaged with its neighbours again and again",
        source="Oliveira, Bowen, McKenna and Chang 2001, Fast digital image inpainting, VIIP 2001, 261-266",
        halo_px=32,
    )

    rounds: int = field(default=100, metadata=option("convolutions of the gap", low=1, high=10000))

    def fill(self, image: NDArray[np.floating], gaps: Gaps, context: Context) -> Filled:
        """Return the filled image; see `FillMethod.fill`."""
        import cv2

        def fill_band(
            values: NDArray[np.floating], missing: NDArray[np.bool_], usable: NDArray[np.bool_]
        ) -> NDArray[np.floating]:
            inside = (missing | usable).astype(values.dtype)
            share = cv2.filter2D(inside, -1, _KERNEL, borderType=cv2.BORDER_CONSTANT)
            weight = np.divide(inside, share, out=np.zeros_like(values), where=missing & (share > 0))
            given = (weight == 0).view(np.uint8)
            old = nearest_observed(values, missing, usable)
            new = np.empty_like(old)
            for _ in range(self.rounds):
                cv2.filter2D(old, -1, _KERNEL, dst=new, borderType=cv2.BORDER_CONSTANT)
                cv2.multiply(new, weight, dst=new)
                cv2.copyTo(old, given, new)
                old, new = new, old
            return old

        return Filled(fill_each_band(fill_band, image, gaps, context.threads))
