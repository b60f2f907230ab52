"""The deep image prior: an untrained network fitted to the observed pixels of the scene itself."""

from __future__ import annotations

import hashlib
import io
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from landsat_fill.errors import MethodError
from landsat_fill.methods.dip_blend import PriorImage
from landsat_fill.methods.dip_fit import Fit, FitSettings, FitsInProgress
from landsat_fill.methods.learned import PRECISIONS, bfloat16_is_fast, is_lack_of_memory
from landsat_fill.methods.method import Context, MethodInfo
from landsat_fill.methods.reference_order import further_bands
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
    """Runs fits with one setting, as many at once as the device allows, and stores what they find."""

    settings: FitSettings
    bfloat16: bool
    context: Context
    _shares: dict[int, float] = field(default_factory=dict)
    _errors: dict[int, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _count: int = 0

    def outputs(self, fits: Sequence[Fit]) -> list[NDArray[np.float32]]:
        """Return the output of each fit, `(band, row, col)`; all fits have the same shape.

        Raises:
            MethodError: If a single fit doesn't fit into the device's memory.
        """
        self._count = len(fits)
        return self._on_cpu(fits) if self.context.device == "cpu" else self._on_gpu(fits)

    def _on_cpu(self, fits: Sequence[Fit]) -> list[NDArray[np.float32]]:
        torch = import_torch()
        # Each fit has one thread: small convolutions gain little from more, and no result depends on them.
        torch.set_num_threads(1)
        with ThreadPoolExecutor(self.context.threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            working = [pool.submit(self._together, [fit], number) for number, fit in enumerate(fits)]
            try:
                return [one.result()[0] for one in working]
            except BaseException:
                for one in working:
                    one.cancel()
                raise

    def _on_gpu(self, fits: Sequence[Fit]) -> list[NDArray[np.float32]]:
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
            # Outside the except clause, whose traceback would keep the memory occupied.
            at_once = -(-at_once // 2)
            torch.cuda.empty_cache()
            self.context.notify(
                f"warning: {2 * at_once} fits at once don't fit into the memory of {self.context.device}: "
                f"continuing with {at_once}"
            )
        return outputs

    def _together(self, fits: Sequence[Fit], number: int) -> list[NDArray[np.float32]]:
        """Return the outputs of fits computed together, in this run or an earlier one."""
        shelf = self.context.shelf
        name = self._name_of(fits) if shelf is not None else ""
        done = shelf.get(f"{name}.npy") if shelf is not None else None
        if done is not None:
            try:
                best = np.load(io.BytesIO(done), allow_pickle=False).astype(np.float32)
            except (OSError, ValueError, EOFError):
                self._note_damage(f"{name}.npy")
            else:
                self._report(number, len(fits), 1.0, float("nan"))
                return list(best)
        begin = partial(
            FitsInProgress, fits, self.settings, seed=self.context.seed, device=self.context.device,
            bfloat16=self.bfloat16,
        )  # fmt: skip
        work = begin()
        state = shelf.get(f"{name}.state") if shelf is not None else None
        if state is not None:
            try:
                work.resume(state)
            except Exception:  # torch raises errors of any kind for a damaged file
                self._note_damage(f"{name}.state")
                work = begin()
        work.run(
            report=lambda share, error: self._report(number, len(fits), share, error),
            keep=None if shelf is None else partial(shelf.put, f"{name}.state"),
        )
        best = work.best
        if shelf is not None:
            content = io.BytesIO()
            np.save(content, best.astype(np.float16))
            shelf.put(f"{name}.npy", content.getvalue())
            shelf.drop(f"{name}.state")
        self._report(number, len(fits), 1.0, work.held_error)
        return list(best)

    def _note_damage(self, name: str) -> None:
        self.context.notify(f"{name}, kept by an earlier run, is damaged: its tiles are fitted again")

    def _report(self, number: int, count: int, share: float, error: float) -> None:
        """Report the share of all fits that is done, and the mean held-out error."""
        with self._lock:
            self._shares[number] = count * share
            if error == error:  # not NaN
                self._errors[number] = error
            done = sum(self._shares.values()) / self._count
            known = list(self._errors.values())
        text = f"held-out error {np.mean(known) ** 0.5:.3f} of the bands' standard deviation" if known else ""
        self.context.progress(min(done, 1.0), text)

    def _name_of(self, fits: Sequence[Fit]) -> str:
        """Return a unique name for fits: a hash of the pixels, the settings and the version."""
        digest = hashlib.sha256(
            repr((__version__, self.settings, self.context.seed, self.context.device, self.bfloat16)).encode()
        )
        for fit in fits:
            digest.update(repr((fit.number, fit.corner, fit.target.shape)).encode())
            for array in (fit.target, fit.fitted, fit.held, fit.first):
                digest.update(b"-" if array is None else np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()[:32]


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
    runs=1,
    blend=False,
)
"""Source: Petrovskaia et al. 2020, appendix A.1, with four skip connections although it lists five, and noise
of four channels as in section 2.4, although the appendix says meshgrid. Sigmoid and moving average are as in
the authors' code, https://github.com/DmitryUlyanov/deep-image-prior."""

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
    runs=4,
    blend=True,
)
"""Chosen on crops of the training scenes; see the page of benchmarks."""

MAIN_WEIGHT = 0.5
"""Where networks that see a reference weigh more than this in the blend, the fill is mainly from references."""

SETTINGS = {"fast": FAST, "paper": PAPER}
INPUTS = ("noise", "meshgrid")


@dataclass(frozen=True)
class DeepImagePrior:
    """The output of untrained hourglass networks that are fitted to the observed pixels of the scene.

    A convolutional network fits an image long before it fits noise, and continues the image into the gaps.
    Held-out pieces of stripes determine when to stop, the weights of smooth surfaces in the blend, and the
    standard deviation. The networks are fitted to the bands of references as well, which are observed in the gaps.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        name="deep-image-prior",
        summary="untrained networks fitted to the scene itself, for crops; estimates its error",
        source="Petrovskaia et al. 2020, A single image deep learning approach to restoration of corrupted "
        "remote sensing products; Ulyanov et al. 2018, Deep image prior, doi:10.1109/CVPR.2018.00984",
        halo_px=32,
        tile_px=256,
        gives_std=True,
        uses_references=True,
        devices=("cpu", "cuda"),
        slow=True,
    )

    setting: str = option(
        "fast", "defaults of the other options; paper has wider networks, 1500 iterations and one run", choices=SETTINGS
    )
    iterations: int | None = option(None, "largest number of iterations; fast 200, paper 1500", low=1)
    runs: int | None = option(None, "networks that are averaged; fast 4, paper 1", low=1, high=64)
    channels: int | None = option(None, "filters at each depth; fast 32, paper 128", low=1, high=1024)
    skip_channels: int | None = option(
        None, "filters of a skip connection, 0 for none; fast 4, paper 128", low=0, high=1024
    )
    skips: int | None = option(None, "depths with a skip connection; fast 5, paper 4", low=0, high=8)
    scales: int | None = option(None, "how often the image is halved; 5", low=1, high=8)
    input: str = option("noise", "input of the network; meshgrid is rows and columns", choices=INPUTS)
    input_noise: float | None = option(
        None, "std of the noise added to the input at each iteration; fast 0.03, paper 0.1", low=0, high=10
    )
    learning_rate: float | None = option(None, "learning rate of Adam; 0.01", low=1e-6, high=1)
    each_band: bool = option(False, "fit each band separately instead of all together")
    blend: bool | None = option(
        None, "blend with tension spline and membrane, weighted by held-out pixels; fast true, paper false"
    )
    held_out: float = option(7.0, "largest percentage of the observed pixels that is held out", low=1, high=30)
    precision: str = option(
        "auto", "number format of the layers; auto is bfloat16 on devices that it speeds up", choices=PRECISIONS
    )

    def fill(self, image: NDArray[np.floating], gaps: Gaps, context: Context) -> Filled:
        """Return the filled image; see `FillMethod.fill`.

        Raises:
            MethodError: If a tile doesn't fit into the device's memory.
        """
        levelled = standardise(image, gaps.usable, context.threads)
        mean = np.full(image.shape, np.nan, np.float32)
        std = np.full(image.shape, np.nan, np.float32)
        sources = np.zeros(image.shape, np.uint8)
        settings, parts = self.fit_settings, self._parts(gaps)
        layers = further_bands(context.references, image)
        others = standardise(layers.values, layers.usable, context.threads).values
        varied = np.asarray(others.any(axis=(2, 3)))  # constant bands, and those without a usable pixel, are 0
        images = [
            PriorImage(
                levelled.values[tile, bands],
                Gaps(gaps.missing[tile, bands], gaps.usable[tile, bands]),
                context.place(tile).corner,
                settings,
                seed=context.seed,
                percent=self.held_out,
                beside=(others[tile, beside], layers.usable[tile, beside]),
            )
            for tile, bands in parts
            for beside in [[one for one, band in enumerate(layers.bands) if band in bands and varied[tile, one]]]
        ]
        fits = [one.fit(run) for one in images for run in range(settings.runs)]
        bfloat16 = bfloat16_is_fast(context.device) if self.precision == "auto" else self.precision == "bfloat16"
        outputs = PriorRuns(settings, bfloat16, context).outputs(fits) if fits else []
        for number, ((tile, bands), one) in enumerate(zip(parts, images, strict=True)):
            own = slice(number * settings.runs, (number + 1) * settings.runs)
            mean[tile, bands], std[tile, bands], weight = one.answer(fits[own], outputs[own])
            if weight > MAIN_WEIGHT:
                sources[tile, bands] = layers.first_usable(tile, bands, varied[tile])
        restored = levelled.restored(mean, image.dtype)
        deviation = levelled.restored(std, np.dtype(np.float32), is_difference=True)
        return Filled(
            np.where(gaps.missing, restored, image),
            np.where(gaps.missing, deviation, np.float32(0)),
            sources=sources if layers.bands else None,
        )

    @property
    def fit_settings(self) -> FitSettings:
        """The setting, with the changes of the options."""
        options: dict[str, Any] = {f.name: getattr(self, f.name, None) for f in fields(FitSettings)}
        changed = {name: value for name, value in options.items() if value is not None}
        return replace(SETTINGS[self.setting], **changed)

    def _parts(self, gaps: Gaps) -> list[tuple[int, list[int]]]:
        """Return the tile and the bands of each fit."""
        parts = []
        for tile in range(len(gaps.missing)):
            usable, missing = (cube[tile].any(axis=(1, 2)) for cube in (gaps.usable, gaps.missing))
            if self.each_band:
                parts += [(tile, [int(band)]) for band in np.flatnonzero(usable & missing)]
            elif (usable & missing).any():  # bands without gaps help the others
                parts.append((tile, np.flatnonzero(usable).tolist()))
        return parts
