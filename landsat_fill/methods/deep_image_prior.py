"""The deep image prior: an untrained network fitted to the observed pixels of the scene itself."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from landsat_fill.errors import UsageError
from landsat_fill.methods.inference import PRECISIONS, bfloat16_is_fast
from landsat_fill.methods.interface import Context, MethodInfo, option
from landsat_fill.methods.levelling import level_tiles
from landsat_fill.methods.prior_fit import FitSettings
from landsat_fill.methods.prior_image import PriorImage
from landsat_fill.methods.prior_runs import PriorRuns
from landsat_fill.scene import Filled, Gaps

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Setting:
    """A set of defaults that go together.

    Attributes:
        fit: How an hourglass is built and fitted.
        runs: How many of them are averaged.
        blend: Whether smooth surfaces take part.
    """

    fit: FitSettings
    runs: int
    blend: bool


PAPER = FitSettings(
    channels=128,
    skip_channels=128,
    scales=5,
    skips=4,
    sigmoid=True,
    input="noise",
    input_channels=4,
    input_noise=0.1,
    iterations=1500,
    learning_rate=0.01,
    anneal=False,
    warm_share=0.0,
    average=0.99,
    patience_share=0.3,
)
"""Source: Petrovskaia et al. 2020, appendix A.1: four skip connections of the five whose filters are listed,
and noise of four channels where section 2.4 and the formula have noise and the text a meshgrid. Sigmoid and
moving average: the code it was made with, https://github.com/DmitryUlyanov/deep-image-prior."""

FAST = replace(
    PAPER,
    channels=32,
    skip_channels=4,
    skips=5,
    sigmoid=False,
    input_channels=16,
    input_noise=0.03,
    iterations=200,
    anneal=True,
    warm_share=0.3,
    average=0.97,
)
"""Chosen on crops of the training scenes; the benchmarks' page has the figures."""

SETTINGS = {"fast": Setting(FAST, runs=4, blend=True), "paper": Setting(PAPER, runs=1, blend=False)}
INPUTS = ("noise", "meshgrid")


@dataclass(frozen=True)
class DeepImagePrior:
    """What untrained hourglasses make of the gaps, when they are fitted to the observed pixels around them.

    A convolutional network fits an image long before it fits noise, and what it puts where it is not held to
    anything goes on from what surrounds it. Held-out pieces of stripes tell when to stop, how much smooth
    surfaces know beside it, and how far it all errs.

    Source: Ulyanov et al. 2018, doi:10.1109/CVPR.2018.00984; Petrovskaia et al. 2020, A single image deep
    learning approach to restoration of corrupted remote sensing products.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        name="deep-image-prior",
        summary="untrained networks fitted to the scene itself; minutes a tile; knows its error",
        source="Petrovskaia et al. 2020, A single image deep learning approach to restoration of corrupted "
        "remote sensing products; Ulyanov et al. 2018, Deep image prior, doi:10.1109/CVPR.2018.00984",
        halo_px=32,
        tile_px=256,
        gives_std=True,
        devices=("cpu", "cuda"),
        slow=True,
    )

    setting: str = field(
        default="fast",
        metadata=option(
            "fast, or paper: wider networks, 1500 iterations, a single run; other options change it"
        ),
    )
    iterations: int | None = field(
        default=None, metadata=option("iterations at most; 200 of fast, 1500 of paper", low=1)
    )
    runs: int | None = field(
        default=None, metadata=option("networks that are averaged; 4 of fast, 1 of paper", low=1, high=64)
    )
    channels: int | None = field(
        default=None, metadata=option("filters at each depth; 32 of fast, 128 of paper", low=1, high=1024)
    )
    skip_channels: int | None = field(
        default=None,
        metadata=option(
            "filters of a skip connection, 0 for none; 4 of fast, 128 of paper", low=0, high=1024
        ),
    )
    skips: int | None = field(
        default=None,
        metadata=option("depths with a skip connection; 5 of fast, 4 of paper", low=0, high=8),
    )
    scales: int | None = field(
        default=None, metadata=option("how often the image is halved; 5", low=1, high=8)
    )
    input: str = field(
        default="noise", metadata=option("what the network is given: noise, or meshgrid, rows and columns")
    )
    input_noise: float | None = field(
        default=None,
        metadata=option(
            "deviation of what is added to the input each time; 0.03 of fast, 0.1 of paper", low=0, high=10
        ),
    )
    learning_rate: float | None = field(default=None, metadata=option("of Adam; 0.01", low=1e-6, high=1))
    each_band: bool = field(
        default=False, metadata=option("fit each band alone instead of all as one composite")
    )
    blend: bool | None = field(
        default=None,
        metadata=option(
            "mix in tension spline and membrane, as much as held-out pixels say; true of fast, false of paper"
        ),
    )
    held_out: float = field(
        default=7.0,
        metadata=option("percentage of the observed pixels held back to stop by, at most", low=1, high=30),
    )
    precision: str = field(
        default="auto",
        metadata=option("auto, float32 or bfloat16; auto is bfloat16 where the device is faster with it"),
    )

    def __post_init__(self) -> None:
        """Check the options that are words.

        Raises:
            UsageError: If one of them is none of its words.
        """
        for flag, value, allowed in (
            ("--setting", self.setting, tuple(SETTINGS)),
            ("--input", self.input, INPUTS),
            ("--precision", self.precision, PRECISIONS),
        ):
            if value not in allowed:
                raise UsageError(
                    f"expected {flag} to be {', '.join(allowed[:-1])} or {allowed[-1]}, but got {value!r}"
                )

    def fill(self, image: NDArray[np.floating], gaps: Gaps, context: Context) -> Filled:
        """Return the filled image; see `FillMethod.fill`.

        Raises:
            MethodError: If the device's memory doesn't hold a tile.
        """
        levelled = level_tiles(image, gaps.usable, context.threads)
        mean = np.full(image.shape, np.nan, np.float32)
        std = np.full(image.shape, np.nan, np.float32)
        images = [
            PriorImage(
                levelled.values[tile, bands],
                Gaps(gaps.missing[tile, bands], gaps.usable[tile, bands]),
                context.corners[tile] if context.corners else (0, 0),
                seed=context.seed,
                percent=self.held_out,
            )
            for tile, bands in self._parts(gaps)
        ]
        fits = [
            one.fit(run, self.fit_settings, warm=self.fit_settings.warm_share > 0)
            for one in images
            for run in range(self.run_count)
        ]
        outputs = self._runs(context).outputs(fits) if fits else []
        for number, ((tile, bands), one) in enumerate(zip(self._parts(gaps), images, strict=True)):
            own = slice(number * self.run_count, (number + 1) * self.run_count)
            answer = one.answer(fits[own], outputs[own], self.fit_settings, blend=self.blends)
            mean[tile, bands], std[tile, bands] = answer
        restored = levelled.restored(mean, image.dtype)
        deviation = levelled.restored(std, np.dtype(np.float32), is_difference=True)
        return Filled(
            np.where(gaps.missing, restored, image), np.where(gaps.missing, deviation, np.float32(0))
        )

    @property
    def fit_settings(self) -> FitSettings:
        """How an hourglass is built and fitted: the setting, and what the options change of it."""
        changed = {
            name: value
            for name in (
                "iterations",
                "channels",
                "skip_channels",
                "skips",
                "scales",
                "input",
                "input_noise",
                "learning_rate",
            )
            if (value := getattr(self, name)) is not None
        }
        return replace(SETTINGS[self.setting].fit, **changed)

    @property
    def run_count(self) -> int:
        """How many hourglasses are averaged."""
        return self.runs or SETTINGS[self.setting].runs

    @property
    def blends(self) -> bool:
        """Whether smooth surfaces take part."""
        return SETTINGS[self.setting].blend if self.blend is None else self.blend

    def _parts(self, gaps: Gaps) -> list[tuple[int, list[int]]]:
        """Return what is fitted by itself: a tile, and the bands of it that have both gaps and evidence."""
        parts = []
        for tile in range(len(gaps.missing)):
            usable, missing = (cube[tile].any(axis=(1, 2)) for cube in (gaps.usable, gaps.missing))
            if self.each_band:
                parts += [(tile, [int(band)]) for band in np.flatnonzero(usable & missing)]
            elif (usable & missing).any():  # bands without gaps are evidence for the others
                parts.append((tile, np.flatnonzero(usable).tolist()))
        return parts

    def _runs(self, context: Context) -> PriorRuns:
        bfloat16 = (
            bfloat16_is_fast(context.device) if self.precision == "auto" else self.precision == "bfloat16"
        )
        return PriorRuns(self.fit_settings, bfloat16, context)
