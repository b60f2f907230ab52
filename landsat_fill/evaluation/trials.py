"""Reads and hides pixels: scenes, patterns of gaps, and trials with known true values."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from landsat_fill.errors import InputError, UsageError
from landsat_fill.gaps.simulation import StripeModel, gaps_from, simulate_gaps
from landsat_fill.io.reader import SceneReader
from landsat_fill.pipeline.tiles import float_type
from landsat_fill.scene import Gaps, Window, tile_windows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from landsat_fill.scene import Scene


BRIGHTEST = 2.0
"""Reflectances rarely exceed this. Clouds and snow under a low sun reach 1.6, the largest value in Level
2."""

_SHUFFLE_SEED = 0
_LEAST_OBSERVED_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Sampling:
    """How much of a large scene is read: a few square windows instead of 59 million pixels a band.

    A scene with no more pixels than these windows have together is read whole.

    Attributes:
        window_px: Side of a window.
        windows: Number of windows of a scene. Their random choice is always the same.
    """

    window_px: int = 1024
    windows: int = 4

    def images_of(self, scene: Scene) -> int:
        """Return the largest number of images that a scene gives."""
        return 1 if self.is_whole(scene) else self.windows

    def is_whole(self, scene: Scene) -> bool:
        """Return whether a scene is small enough to be read whole."""
        return scene.grid.height * scene.grid.width <= self.windows * self.window_px**2


@dataclass(frozen=True, slots=True)
class ObservedImage:
    """The pixels of a scene or a window.

    Attributes:
        name: Name of the scene, with the corner of a window.
        scene: The scene; its grid is that of the window.
        values: `(band, row, col)` in stored numbers.
        observed: True where a value is an observation.
        scales: The factor from each band's stored numbers to its physical unit, 1 if the file has none.
    """

    name: str
    scene: Scene
    values: NDArray[np.generic]
    observed: NDArray[np.bool_]
    scales: tuple[float, ...]

    @property
    def reflectance(self) -> float:
        """The factor from stored numbers to reflectances; NaN if they may not be reflectances.

        All bands must have the same scale, and it must bring all but the brightest thousandth below
        `BRIGHTEST`. Without a scale only floating-point numbers count as reflectances.
        """
        scale = self.scales[0]
        has_unit = scale != 1 or self.values.dtype.kind == "f"
        if len(set(self.scales)) > 1 or not has_unit or not self.observed.any():
            return math.nan
        bright = float(np.percentile(self.values[self.observed].astype(np.float64), 99.9)) * scale
        return scale if bright < BRIGHTEST else math.nan


def read_images(scene: Scene, sampling: Sampling) -> Iterator[ObservedImage]:
    """Yield the scene as one image, or windows of a large one that are at least half observed.

    Raises:
        InputError: If the scene can't be read, or no window has enough observed pixels.
    """
    whole = Window(0, 0, scene.grid.height, scene.grid.width)
    with SceneReader(scene) as reader:
        scales = _scales(scene)
        if sampling.is_whole(scene):
            yield ObservedImage(scene.name, scene, *reader.read(whole), scales)
            return
        found = 0
        for window in _candidates(whole, sampling):
            values, observed = reader.read(window)
            if np.mean(observed) < _LEAST_OBSERVED_SHARE:
                continue
            found += 1
            name = f"{scene.name}@{window.row},{window.col}"
            yield ObservedImage(name, replace(scene, grid=scene.grid.cropped(window)), values, observed, scales)
            if found == sampling.windows:
                return
    if not found:
        raise InputError(
            f"expected a window of {sampling.window_px} px in {scene.name} that is at least half observed, "
            "but found none",
            hint="Give smaller windows, or another scene.",
        )


def _candidates(whole: Window, sampling: Sampling) -> list[Window]:
    """Return the windows of full size in a fixed random order."""
    height, width = min(sampling.window_px, whole.height), min(sampling.window_px, whole.width)
    full = [w for w in tile_windows(whole, sampling.window_px) if (w.height, w.width) == (height, width)]
    order = np.random.default_rng(_SHUFFLE_SEED).permutation(len(full))
    return [full[i] for i in order]


def _scales(scene: Scene) -> tuple[float, ...]:
    from landsat_fill.io.gdal import open_dataset

    scales: dict[str, tuple[float, ...]] = {}
    for dataset in {band.dataset for band in scene.bands}:
        with open_dataset(dataset) as source:
            scales[dataset] = source.scales
    return tuple(scales[band.dataset][band.index - 1] for band in scene.bands)


PAPER_PERCENTAGES = (3.0, 6.0, 15.0, 35.0, 55.0)
"""Shares of hidden pixels in the deep image prior paper (Petrovskaia et al. 2020), section 2."""


class Pattern(Protocol):
    """A pattern of lost pixels."""

    @property
    def label(self) -> str:
        """Name in tables: `8 px`, `15 %`, or the name of a scene."""
        ...

    def draw(self, shape: tuple[int, int, int], generator: np.random.Generator) -> NDArray[np.bool_]:
        """Return the lost pixels of an image of `shape` `(band, row, col)`; the generator places them."""
        ...


@dataclass(frozen=True, slots=True)
class SimulatedStripes:
    """Simulated SLC-off stripes.

    As in real scenes, the stripes of each band have their own shift and ragged edges. With a band shift of 0
    all bands lose the same pixels.

    Attributes:
        label: Name in tables.
        model: The geometry of the stripes.
    """

    label: str
    model: StripeModel

    @classmethod
    def of_width(cls, width_px: float, **geometry: float) -> SimulatedStripes:
        """Return stripes of one width; `geometry` goes to `StripeModel`."""
        return cls(f"{width_px:g} px", StripeModel(width_px=width_px, **geometry))

    @classmethod
    def of_share(cls, percent: float, **geometry: float) -> SimulatedStripes:
        """Return stripes that hide a share of the image; `geometry` goes to `StripeModel`."""
        return cls(f"{percent:g} %", StripeModel(missing=percent / 100, **geometry))

    def draw(self, shape: tuple[int, int, int], generator: np.random.Generator) -> NDArray[np.bool_]:
        """Return the lost pixels; see `Pattern.draw`."""
        if self.model.band_shift_px == 0:
            return np.repeat(simulate_gaps((1, *shape[1:]), self.model, generator), shape[0], axis=0)
        return simulate_gaps(shape, self.model, generator)


@dataclass(frozen=True, slots=True, eq=False)
class RealStripes:
    """The gaps of a real SLC-off scene.

    Attributes:
        label: Name in tables.
        missing: Missing pixels of the scene, `(band, row, col)` or `(row, col)`.
    """

    label: str
    missing: NDArray[np.bool_]

    def draw(self, shape: tuple[int, int, int], generator: np.random.Generator) -> NDArray[np.bool_]:
        """Return the lost pixels; see `Pattern.draw`."""
        return gaps_from(self.missing, shape, generator)


@dataclass(frozen=True, slots=True)
class Trial:
    """An image with hidden pixels. All arrays are `(band, row, col)`.

    Attributes:
        image: The input of a method: float, NaN where a pixel isn't usable.
        truth: The observed image: float, NaN where not observed.
        gaps: Hidden pixels are missing, and other observed pixels are usable. Pixels that were never observed
            are neither.
    """

    image: NDArray[np.floating]
    truth: NDArray[np.floating]
    gaps: Gaps

    @property
    def hidden(self) -> NDArray[np.bool_]:
        """The pixels that are scored: observed, and hidden from the method."""
        return self.gaps.missing


def hide(values: NDArray[np.generic], observed: NDArray[np.bool_], pattern: NDArray[np.bool_]) -> Trial:
    """Return the trial that hides the observed pixels under `pattern`.

    Args:
        values: `(band, row, col)` in stored numbers, of any real type.
        observed: True where a value is an observation.
        pattern: True where a pixel is lost.

    Raises:
        UsageError: If the shapes differ, or the pattern hides no observed pixel or all of them.
    """
    if values.ndim != 3 or observed.shape != values.shape or pattern.shape != values.shape:
        raise UsageError(
            "expected values, observed and pattern of one shape (band, row, col), but got "
            f"{values.shape}, {observed.shape} and {pattern.shape}"
        )
    hidden = observed & pattern
    usable = observed & ~pattern
    if not hidden.any():
        raise UsageError(
            "expected gaps that cover an observed pixel, but got none",
            hint="Widen the gaps, or choose a larger or clearer scene.",
        )
    if not usable.any():
        raise UsageError(
            "expected gaps that leave an observed pixel, but got none", hint="Narrow the gaps, or raise their period."
        )
    exact = float_type(values.dtype)
    image = np.where(usable, values.astype(exact), np.nan)
    truth = np.where(observed, values.astype(exact), np.nan)
    return Trial(image.astype(exact), truth.astype(exact), Gaps(missing=hidden, usable=usable))
