"""The U-Net of partial convolutions, as in Pondaven et al. 2022 (arXiv 2205.12407)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from landsat_fill.methods.learned import LearnedMethod
from landsat_fill.methods.method import MethodInfo


@dataclass(frozen=True)
class PartialConvMethod(LearnedMethod):
    """A learned fill that extends into the gaps from scale to scale.

    Source: Liu et al. 2018, Image inpainting for irregular holes, doi:10.1007/978-3-030-01252-6_6.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        name="partialconv",
        summary="U-Net of partial convolutions, which ignore pixels that are still unknown",
        source="Liu et al. 2018, Image inpainting for irregular holes using partial convolutions, "
        "doi:10.1007/978-3-030-01252-6_6",
        halo_px=112,
        align_px=16,
        devices=("cpu", "cuda"),
    )
    network: ClassVar[str] = "partialconv"
