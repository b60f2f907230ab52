"""The deep image prior: an untrained network fitted to the observed pixels of the scene itself."""

from __future__ import annotations

import hashlib
import io
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from landsat_fill.errors import MethodError
from landsat_fill.methods.dip_blend import PriorImage
from landsat_fill.methods.dip_fit import Fit, FitSettings, FitsInProgress
from landsat_fill.methods.inference import PRECISIONS, bfloat16_is_fast, is_lack_of_memory
from landsat_fill.methods.method import Context, MethodInfo
from landsat_fill.networks.catalogue import import_torch
from landsat_fill.networks.normalisation import standardise
from landsat_fill.scene import Filled, Gaps
from landsat_fill.schema import option
from landsat_fill.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(slots=True)
class PriorRuns:
    """Runs fits with one setting.

    Attributes:
        settings: How hourglasses are built and fitted.
        bfloat16: Whether products are taken in bfloat16.
        context: Threads, device, seed, shelf and progress.
    """

    settings: FitSettings
    bfloat16: bool
    context: Context
    _shares: dict[int, float] = field(default_factory=dict)
    _errors: dict[int, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _count: int = 0

    def outputs(self, fits: Sequence[Fit]) -> list[NDArray[np.float32]]:
        """Return the output of each fit, `(band, row, col)`.

        Args:
            fits: Of one shape.

        Raises:
            MethodError: If the device's memory doesn't hold a single one.
        """
        self._count = len(fits)
        if self.context.device == "cpu":
            return self._on_cpu(fits)
        return self._on_card(fits)

    def _on_cpu(self, fits: Sequence[Fit]) -> list[NDArray[np.float32]]:
        torch = import_torch()
        # A fit a thread: no result depends on their number, and small convolutions don't share well.
        torch.set_num_threads(1)
        with ThreadPoolExecutor(
            self.context.threads, initializer=torch.set_num_threads, initargs=(1,)
        ) as pool:
            working = [pool.submit(self._together, [fit], number) for number, fit in enumerate(fits)]
            try:
                return [one.result()[0] for one in working]
            except BaseException:
                for one in working:
                    one.cancel()
                raise

    def _on_card(self, fits: Sequence[Fit]) -> list[NDArray[np.float32]]:
        torch = import_torch()
        outputs: list[NDArray[np.float32]] = []
        at_once = len(fits)
        while len(outputs) < len(fits):
            start = len(outputs)
            try:
                outputs += self._together(fits[start : start + at_once], start)
                continue
            except RuntimeError as error:
                if not is_lack_of_memory(error):
                    raise
                if at_once == 1:
                    raise MethodError(
                        f"expected a tile to fit into the memory of {self.context.device}, but it is full",
                        hint="End other programs that use it, give fewer --bands, or use --device cpu.",
                    ) from error
            # Outside of the except clause, which would keep what filled the memory alive.
            at_once = -(-at_once // 2)
            torch.cuda.empty_cache()
            self.context.tell(
                f"warning: {2 * at_once} fits at once don't fit into the memory of {self.context.device}: "
                f"going on with {at_once}"
            )
        return outputs

    def _together(self, fits: Sequence[Fit], number: int) -> list[NDArray[np.float32]]:
        """Return the outputs of fits that are worked side by side, or were in a run before."""
        shelf = self.context.shelf
        name = self._name_of(fits) if shelf is not None else ""
        done = shelf.get(f"{name}.npy") if shelf is not None else None
        if done is not None:
            self._tell(number, len(fits), 1.0, float("nan"))
            return list(np.load(io.BytesIO(done), allow_pickle=False).astype(np.float32))
        work = FitsInProgress(
            fits,
            self.settings,
            seed=self.context.seed,
            device=self.context.device,
            bfloat16=self.bfloat16,
        )
        state = shelf.get(f"{name}.state") if shelf is not None else None
        if state is not None:
            work.resume(state)
        work.run(
            tell=lambda share, error: self._tell(number, len(fits), share, error),
            keep=None if shelf is None else partial(shelf.put, f"{name}.state"),
        )
        best = work.best
        if shelf is not None:
            content = io.BytesIO()
            np.save(content, best.astype(np.float16))
            shelf.put(f"{name}.npy", content.getvalue())
            shelf.drop(f"{name}.state")
        self._tell(number, len(fits), 1.0, work.held_error)
        return list(best)

    def _tell(self, number: int, count: int, share: float, error: float) -> None:
        """Tell the share of all fits that is done, and the held-out error of those that have one."""
        with self._lock:
            self._shares[number] = count * share
            if error == error:  # not NaN
                self._errors[number] = error
            done = sum(self._shares.values()) / self._count
            known = list(self._errors.values())
        text = f"held-out error {np.mean(known) ** 0.5:.3f} of the bands' standard deviation" if known else ""
        self.context.progress(min(done, 1.0), text)

    def _name_of(self, fits: Sequence[Fit]) -> str:
        """Return a name that no other work shares: of the pixels, the settings and the version."""
        digest = hashlib.sha256(
            repr((__version__, self.settings, self.context.seed, self.context.device, self.bfloat16)).encode()
        )
        for fit in fits:
            digest.update(repr((fit.number, fit.corner, fit.target.shape)).encode())
            for array in (fit.target, fit.fitted, fit.held, fit.first):
                digest.update(b"-" if array is None else np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()[:32]


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

    setting: str = option(
        "fast",
        "paper: wider networks, 1500 iterations, one run; other options change it",
        choices=SETTINGS,
    )
    iterations: int | None = option(None, "iterations at most; 200 of fast, 1500 of paper", low=1)
    runs: int | None = option(None, "networks that are averaged; 4 of fast, 1 of paper", low=1, high=64)
    channels: int | None = option(None, "filters at each depth; 32 of fast, 128 of paper", low=1, high=1024)
    skip_channels: int | None = option(
        None, "filters of a skip connection, 0 for none; 4 of fast, 128 of paper", low=0, high=1024
    )
    skips: int | None = option(None, "depths with a skip connection; 5 of fast, 4 of paper", low=0, high=8)
    scales: int | None = option(None, "how often the image is halved; 5", low=1, high=8)
    input: str = option("noise", "what the network is given; meshgrid: rows and columns", choices=INPUTS)
    input_noise: float | None = option(
        None, "std of the noise added to the input each time; 0.03 of fast, 0.1 of paper", low=0, high=10
    )
    learning_rate: float | None = option(None, "of Adam; 0.01", low=1e-6, high=1)
    each_band: bool = option(False, "fit each band alone instead of all as one composite")
    blend: bool | None = option(
        None,
        "mix in tension spline and membrane, as much as held-out pixels say; true of fast, false of paper",
    )
    held_out: float = option(
        7.0, "percentage of the observed pixels held back to stop by, at most", low=1, high=30
    )
    precision: str = option(
        "auto", "of the layers; auto is bfloat16 where the device is faster with it", choices=PRECISIONS
    )

    def fill(self, image: NDArray[np.floating], gaps: Gaps, context: Context) -> Filled:
        """Return the filled image; see `FillMethod.fill`.

        Raises:
            MethodError: If the device's memory doesn't hold a tile.
        """
        levelled = standardise(image, gaps.usable, context.threads)
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
        """Return what is fitted by itself: a tile, and its bands that have both gaps and usable pixels."""
        parts = []
        for tile in range(len(gaps.missing)):
            usable, missing = (cube[tile].any(axis=(1, 2)) for cube in (gaps.usable, gaps.missing))
            if self.each_band:
                parts += [(tile, [int(band)]) for band in np.flatnonzero(usable & missing)]
            elif (usable & missing).any():  # bands without gaps inform the others
                parts.append((tile, np.flatnonzero(usable).tolist()))
        return parts

    def _runs(self, context: Context) -> PriorRuns:
        bfloat16 = (
            bfloat16_is_fast(context.device) if self.precision == "auto" else self.precision == "bfloat16"
        )
        return PriorRuns(self.fit_settings, bfloat16, context)
