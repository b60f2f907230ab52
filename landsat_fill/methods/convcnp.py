"""The convolutional conditional neural process, as in Pondaven et al. 2022 (arXiv 2205.12407)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from landsat_fill.methods.learned import LearnedMethod
from landsat_fill.methods.method import MethodInfo


@dataclass(frozen=True)
class ConvCNPMethod(LearnedMethod):
    """A Gaussian for every missing pixel, from the mean and the density of the observations around it.

    Source: Gordon et al. 2020, Convolutional conditional neural processes, arXiv:1910.13556.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        name="convcnp",
        summary="convolutional conditional neural process: a mean and standard deviation a pixel",
        source="Gordon et al. 2020, Convolutional conditional neural processes, https://arxiv.org/abs/1910.13556",
        halo_px=96,
        align_px=8,
        gives_std=True,
        devices=("cpu", "cuda"),
    )
    network: ClassVar[str] = "convcnp"
