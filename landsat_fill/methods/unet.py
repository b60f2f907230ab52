"""The U-Net with the gaps as extra input channels, as in Pondaven et al. 2022 (arXiv 2205.12407)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from landsat_fill.methods.learned import LearnedMethod
from landsat_fill.methods.method import MethodInfo


@dataclass(frozen=True)
class UNetMethod(LearnedMethod):
    """A learned fill from features at several scales.

    Source: Ronneberger et al. 2015, U-Net, doi:10.1007/978-3-319-24574-4_28.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        name="unet",
        summary="U-Net with a channel of observed pixels for each band",
        source="Ronneberger et al. 2015, U-Net: convolutional networks for biomedical image segmentation, "
        "doi:10.1007/978-3-319-24574-4_28",
        halo_px=104,
        align_px=8,
        devices=("cpu", "cuda"),
    )
    network: ClassVar[str] = "unet"
