"""This project's own network: a U-Net for any bands that corrects a spline in tension."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from landsat_fill.methods.learned import Answer, LearnedMethod
from landsat_fill.methods.method import Context, MethodInfo

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class BandUNetMethod(LearnedMethod):
    """A spline in tension plus the correction and standard deviation that a network predicts.

    All bands go through the same weights and are averaged in the middle of the network. The method therefore
    takes any number of bands, in any order and unit.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        name="band-unet",
        summary="a U-Net for any bands that corrects a spline in tension; estimates its error",
        source="landsat-fill 2026; U-Net: Ronneberger et al. 2015, doi:10.1007/978-3-319-24574-4_28; weights "
        "shared by all bands: Zaheer et al. 2017, Deep Sets, https://arxiv.org/abs/1703.06114",
        halo_px=88,
        tile_px=480,
        align_px=8,
        gives_std=True,
        devices=("cpu", "cuda"),
    )
    network: ClassVar[str] = "band-unet"

    def predict(self, network: Any, signal: Tensor, observed: Tensor, context: Context) -> Answer:
        """Return the prediction for the part of each tile that is to be filled."""
        prediction = network(signal, observed, wanted=context.place(0).wanted)
        return Answer(prediction.mean, prediction.std)
