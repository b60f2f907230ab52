"""The networks that Pondaven et al. 2022 compare (arXiv 2205.12407), except their latent one: `convlnp`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from landsat_fill.methods.learned import LearnedMethod
from landsat_fill.methods.method import MethodInfo


@dataclass(frozen=True)
class UNetMethod(LearnedMethod):
    """A learned fill from features at several scales."""

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


@dataclass(frozen=True)
class PartialConvMethod(LearnedMethod):
    """A learned fill that extends into the gaps from scale to scale."""

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


@dataclass(frozen=True)
class ConvCNPMethod(LearnedMethod):
    """A Gaussian for every missing pixel, from the mean and the density of the observations around it."""

    info: ClassVar[MethodInfo] = MethodInfo(
        name="convcnp",
        summary="convolutional conditional neural process: a mean and a standard deviation for each pixel",
        source="Gordon et al. 2020, Convolutional conditional neural processes, https://arxiv.org/abs/1910.13556",
        halo_px=96,
        align_px=8,
        gives_std=True,
        devices=("cpu", "cuda"),
    )
    network: ClassVar[str] = "convcnp"
