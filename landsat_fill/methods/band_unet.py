"""This project's own network: a U-Net for any bands that corrects a spline in tension."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from landsat_fill.methods.learned import Answer, LearnedMethod
from landsat_fill.methods.method import Context, MethodInfo, fill_each_band
from landsat_fill.methods.splines import plate
from landsat_fill.scene import Gaps

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor


first_surface = partial(plate, tension=0.35, reduction=10.0, widest_px=16.0)
"""The surface that the network corrects, in training and in filling: the spline in tension, less exact than
its method has it, for the network corrects that, too; but inexact in the same way wherever a tile is cut."""


@dataclass(frozen=True)
class BandUNetMethod(LearnedMethod):
    """What a spline in tension misses, as a network expects it, and how sure it is.

    All bands go through the same weights and meet in the middle, so that any number of them, in any order and
    unit, is filled alike. Far from anything it was trained on it can fall back on the spline.

    Source: this project; see the card of its weights.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        name="band-unet",
        summary="a U-Net for any bands that corrects a spline in tension; knows its error",
        source="landsat-fill 2026; U-Net: Ronneberger et al. 2015, doi:10.1007/978-3-319-24574-4_28; weights "
        "shared by all bands: Zaheer et al. 2017, Deep Sets, https://arxiv.org/abs/1703.06114",
        halo_px=88,
        tile_px=480,
        align_px=8,
        gives_std=True,
        devices=("cpu", "cuda"),
    )
    network: ClassVar[str] = "band-unet"

    def first_fill(self, values: NDArray[np.float32], gaps: Gaps, context: Context) -> NDArray[np.float32]:
        """Return the tiles with a spline in tension through their usable pixels."""
        # Beyond the footprint, too: the network would take any other number there for an observation.
        everywhere = Gaps(missing=~gaps.usable, usable=gaps.usable)
        filled = fill_each_band(first_surface, values, everywhere, context.threads)
        # A band without any usable pixel, which comes out as NaN again.
        np.copyto(filled, 0, where=np.isnan(filled))
        return filled.astype(np.float32, copy=False)

    def predict(self, network: Any, signal: Tensor, observed: Tensor, context: Context) -> Answer:
        """Return the network's answer, of the wanted part where that is the same in all tiles."""
        prediction = network(signal, observed, wanted=context.wanted_in_all)
        return Answer(prediction.mean, prediction.std)
