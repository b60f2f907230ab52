"""Training samples: a part of a clean scene with gaps.

The image may be rotated and mirrored, and bands may be omitted or reordered. Gaps vary more than on Landsat
7, so that a network doesn't learn their positions. Gains and offsets aren't varied, because normalisation
removes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from landsat_fill.errors import InputError, UsageError
from landsat_fill.gaps.simulation import StripeModel, simulate_gaps
from landsat_fill.training.pixels_and_gaps import error_scale, mean_squared_step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from landsat_fill.training.pixels_and_gaps import GapBank, Images


TURNS = 8
"""The orientations of a square: four rotations, each also mirrored."""


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Ranges and frequencies of the variations. Shares are of samples, 0 to 1; pairs are lowest and highest."""

    turned: bool = True  # rotates and mirrors images
    shuffled_share: float = 0.5  # bands in random order instead of the sensor's
    width_px: tuple[float, float] = (2.0, 15.5)  # widths of gaps in rows, from nadir to the edge of the swath
    tilt_deg: tuple[float, float] = (7.0, 13.0)  # tilts of the stripes to either side in a map projection
    wide_tilt_share: float = 0.1  # any tilt up to `wide_tilt_deg` to either side
    wide_tilt_deg: float = 30.0
    period_px: tuple[float, float] = (30.0, 42.0)  # rows from gap to gap: 33 at 30 m, 40 at 25 m
    wide_period_share: float = 0.2  # a period from `wide_period_px`, as of other pixel sizes
    wide_period_px: tuple[float, float] = (22.0, 60.0)
    least_ground_px: float = 8.0  # smallest number of rows between two gaps
    ragged_px: tuple[float, float] = (0.0, 1.0)  # irregularity of the edges of gaps
    # Largest shift between the gaps of two bands, in rows; one is drawn. Half are 0, because identical gaps in all
    # bands are the hardest case.
    band_shifts_px: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 3.0, 8.0)
    free_shift_share: float = 0.1  # shifts of up to a period: some bands are observed where others are missing
    real_share: float = 0.3  # gaps of a real scene, if there is one
    hole_share: float = 0.15  # holes in addition to the stripes, as from masked clouds
    holes: tuple[int, int] = (1, 3)
    hole_radius_px: tuple[float, float] = (3.0, 10.0)
    lost_band_share: float = 0.02  # one band is entirely missing, and isn't scored
    least_usable: float = 0.2  # smallest usable share of the pixels of each band that isn't lost
    least_hidden: float = 0.01  # smallest hidden share of the pixels of all bands


PLAIN = Augmentation(turned=False, shuffled_share=0.0, hole_share=0.0, lost_band_share=0.0)
"""The variations of validation samples: stripes only, in the original orientation and band order."""


def turned(cube: NDArray[np.generic], turn: int) -> NDArray[np.generic]:
    """Return a square cube `(band, row, col)` in another orientation; turn 0 doesn't change it."""
    if turn & 4:
        cube = cube.transpose(0, 2, 1)
    return cube[:, :: -1 if turn & 2 else 1, :: -1 if turn & 1 else 1]


def draw_bands(
    available: int, count: int, augmentation: Augmentation, generator: np.random.Generator
) -> NDArray[np.int64]:
    """Return a random choice of the available bands, each at most once."""
    chosen = generator.permutation(available)[:count]
    return chosen if generator.random() < augmentation.shuffled_share else np.sort(chosen)


def draw_stripes(augmentation: Augmentation, generator: np.random.Generator) -> StripeModel:
    """Return a random geometry of stripes."""
    width_px = generator.uniform(*augmentation.width_px)
    is_wide = generator.random() < augmentation.wide_period_share
    period_px = generator.uniform(*(augmentation.wide_period_px if is_wide else augmentation.period_px))
    period_px = max(period_px, width_px + augmentation.least_ground_px)
    if generator.random() < augmentation.wide_tilt_share:
        tilt_deg = generator.uniform(-augmentation.wide_tilt_deg, augmentation.wide_tilt_deg)
    else:
        tilt_deg = generator.uniform(*augmentation.tilt_deg) * generator.choice((-1, 1))
    if generator.random() < augmentation.free_shift_share:
        shift_px = generator.uniform(0, period_px)
    else:
        shift_px = generator.choice(augmentation.band_shifts_px)
    return StripeModel(
        width_px=float(width_px),
        period_px=float(period_px),
        tilt_deg=float(tilt_deg),
        ragged_px=float(generator.uniform(*augmentation.ragged_px)),
        band_shift_px=float(shift_px),
    )


def draw_holes(size_px: int, augmentation: Augmentation, generator: np.random.Generator) -> NDArray[np.bool_] | None:
    """Return the pixels `(row, col)` of holes in all bands, or None for no holes."""
    if generator.random() >= augmentation.hole_share:
        return None
    holes = np.zeros((size_px, size_px), np.bool_)
    rows, cols = np.ogrid[:size_px, :size_px]
    for _ in range(generator.integers(*augmentation.holes, endpoint=True)):
        row, col = generator.uniform(0, size_px, 2)
        holes |= (rows - row) ** 2 + (cols - col) ** 2 < generator.uniform(*augmentation.hole_radius_px) ** 2
    return holes


LEAST_OBSERVED = 0.5
"""Least observed share of a sample in every band, before gaps are added."""

_MOST_TRIES = 200


class Sample(NamedTuple):
    """A part of a clean scene with gaps. Other pixels were never observed, or belong to a lost band.

    Attributes:
        values: `(band, row, col)`, float32: stored numbers minus the mean of the band's usable pixels, 0 if
            never observed. Hidden pixels have their true values.
        usable: Pixels that a network sees.
        hidden: Observed pixels in a gap, which are scored.
        scale: `(band,)`, float32: expected RMS error of a simple interpolation, positive.
    """

    values: NDArray[np.float32]
    usable: NDArray[np.bool_]
    hidden: NDArray[np.bool_]
    scale: NDArray[np.float32]


class SampleSource:
    """Draws reproducible samples. The weight of a scene is the square root of its number of patches.

    Attributes:
        size_px: Side of a sample in pixels.
        augmentation: The variations.
        scenes: Names of the scenes.
        patches: Number of adjacent patches in all scenes: about the length of an epoch.
        most_bands: Largest number of bands of a sample.
    """

    def __init__(
        self, images: Sequence[Images], size_px: int, *, augmentation: Augmentation, gaps: GapBank | None = None
    ) -> None:
        """Take the pixels of each scene and gaps of real scenes, or raise UsageError if there are no scenes."""
        if not images:
            raise UsageError("expected scenes to draw samples from, but got none")
        self.size_px = size_px
        self.augmentation = augmentation
        self.scenes = tuple(one.name for one in images)
        self.patches = sum(one.patches for one in images)
        self._images = tuple(images)
        self._gaps = gaps
        self._weights = np.sqrt([one.patches for one in images])
        self._band_counts = np.array([one.bands for one in images])
        self.most_bands = int(self._band_counts.max())

    def sample(self, generator: np.random.Generator, bands: int | None = None) -> Sample:
        """Return a sample of a number of bands, or of all bands of a scene.

        Raises:
            UsageError: If no scene has as many bands.
            InputError: If a scene can't be read, or too few pixels are observed.
        """
        for _ in range(_MOST_TRIES):
            sample = self._try(self._draw_scene(generator, bands), generator, bands)
            if sample is not None:
                return sample
        raise InputError(
            f"expected samples of {self.size_px} px with enough observed pixels, but got none in {_MOST_TRIES} tries",
            hint="Choose a smaller size, or scenes with fewer missing pixels.",
        )

    def _draw_scene(self, generator: np.random.Generator, bands: int | None) -> Images:
        weights = self._weights if bands is None else self._weights * (self._band_counts >= bands)
        reach = np.cumsum(weights)
        if reach[-1] == 0 or (bands is not None and bands < 1):
            raise UsageError(
                f"expected a number of bands from 1 to {self.most_bands}, but got {bands}",
                hint="No scene has more bands.",
            )
        # A scene of weight 0 is never drawn.
        drawn = np.searchsorted(reach, generator.random() * reach[-1], side="right")
        return self._images[int(drawn)]

    def _try(self, images: Images, generator: np.random.Generator, bands: int | None) -> Sample | None:
        """Return a sample, or None if it has too few usable or hidden pixels."""
        varied = self.augmentation
        chosen = draw_bands(images.bands, bands or images.bands, varied, generator)
        stored, observed = images.crop(self.size_px, chosen, generator)
        if observed.mean((1, 2)).min() < LEAST_OBSERVED:
            return None
        turn = int(generator.integers(TURNS)) if varied.turned else 0
        stored, observed = turned(stored, turn), turned(observed, turn).view(np.bool_)
        missing = self._draw_gaps(len(chosen), generator)
        usable, hidden = observed & ~missing, observed & missing
        if usable.mean((1, 2)).min() < varied.least_usable or hidden.mean() < varied.least_hidden:
            return None
        values = _centred(stored, observed, usable)
        scale = error_scale(images.squared_step[chosen], mean_squared_step(values, observed))
        if len(chosen) > 1 and generator.random() < varied.lost_band_share:
            lost = generator.integers(len(chosen))
            usable[lost] = hidden[lost] = False
        # torch can't take mirrored views.
        return Sample(np.ascontiguousarray(values), np.ascontiguousarray(usable), np.ascontiguousarray(hidden), scale)

    def _draw_gaps(self, bands: int, generator: np.random.Generator) -> NDArray[np.bool_]:
        """Return missing pixels, `(band, row, col)`."""
        if self._gaps is not None and generator.random() < self.augmentation.real_share:
            missing = self._gaps.draw(bands, self.size_px, generator)
        else:
            shape = (bands, self.size_px, self.size_px)
            missing = simulate_gaps(shape, draw_stripes(self.augmentation, generator), generator)
        holes = draw_holes(self.size_px, self.augmentation, generator)
        return missing if holes is None else missing | holes


def _centred(
    stored: NDArray[np.generic], observed: NDArray[np.bool_], usable: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Return the observed values minus the mean of their band's usable pixels, and 0 elsewhere."""
    # In float32, a large offset would lose small differences.
    values = np.where(observed, stored, 0).astype(np.float64)
    mean = np.einsum("brc,brc->b", values, usable) / np.count_nonzero(usable, axis=(1, 2))
    values -= mean[:, None, None]
    values[~observed] = 0.0
    return values.astype(np.float32)
