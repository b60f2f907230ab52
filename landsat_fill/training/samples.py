"""Training samples: a piece of a clean scene with gaps laid over it.

The image may be turned and mirrored before gaps are laid, bands may be left out and come in another order,
and gaps vary beyond what Landsat 7 shows, so that a network learns to fill and not where gaps lie. Gains and
offsets are not drawn: networks see normalised values, in which they cancel out exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.errors import InputError, UsageError
from landsat_fill.gaps.simulation import StripeModel, simulate_gaps
from landsat_fill.training.pixel_sources import error_scale, mean_squared_step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from landsat_fill.training.gap_bank import GapBank
    from landsat_fill.training.pixel_sources import Images


TURNS = 8
"""The ways to lay a square: four rotations, each also mirrored."""


@dataclass(frozen=True, slots=True)
class Augmentation:
    """What is varied, how far and how often. Shares are of samples, 0 to 1; pairs are lowest and highest.

    Attributes:
        turned: Whether images are turned and mirrored.
        shuffled_share: How often bands come in a random order instead of the sensor's.
        width_px: Widths of gaps, in rows: from those near nadir to those at the swath's edge.
        tilt_deg: Tilts of the stripes to either side, as scan lines have in a map projection.
        wide_tilt_share: How often the tilt is anything up to `wide_tilt_deg` to either side.
        wide_tilt_deg: The largest tilt.
        period_px: Rows from gap to gap: 33 of 30 m, 40 of 25 m.
        wide_period_share: How often the period is drawn from `wide_period_px`.
        wide_period_px: Periods of other pixel sizes.
        least_ground_px: Rows at least between two gaps.
        ragged_px: How far the edges of gaps stray.
        band_shifts_px: Rows that the gaps of two bands lie apart, at most; one of them is drawn. Half are 0:
            products of one gap for all bands are the hardest, since no band tells of another.
        free_shift_share: How often gaps of different bands lie up to a period apart instead, so that one
            band's pixels are seen where another's are missing.
        real_share: How often gaps are those of a real scene, where there is one.
        hole_share: How often there are holes besides the stripes, as clouds cut out leave them.
        holes: How many.
        hole_radius_px: How large.
        lost_band_share: How often one band is missing altogether. It isn't scored: nothing tells its level.
        least_usable: Share of the pixels of each band, but a lost one, that gaps leave at least.
        least_hidden: Share of the pixels of all bands that gaps hide at least.
    """

    turned: bool = True
    shuffled_share: float = 0.5
    width_px: tuple[float, float] = (2.0, 15.5)
    tilt_deg: tuple[float, float] = (7.0, 13.0)
    wide_tilt_share: float = 0.1
    wide_tilt_deg: float = 30.0
    period_px: tuple[float, float] = (30.0, 42.0)
    wide_period_share: float = 0.2
    wide_period_px: tuple[float, float] = (22.0, 60.0)
    least_ground_px: float = 8.0
    ragged_px: tuple[float, float] = (0.0, 1.0)
    band_shifts_px: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 3.0, 8.0)
    free_shift_share: float = 0.1
    real_share: float = 0.3
    hole_share: float = 0.15
    holes: tuple[int, int] = (1, 3)
    hole_radius_px: tuple[float, float] = (3.0, 10.0)
    lost_band_share: float = 0.02
    least_usable: float = 0.2
    least_hidden: float = 0.01


PLAIN = Augmentation(turned=False, shuffled_share=0.0, hole_share=0.0, lost_band_share=0.0)
"""What samples to choose by are like: the image as it lies, bands in their order, nothing but stripes."""


def turned(cube: NDArray[np.generic], turn: int) -> NDArray[np.generic]:
    """Return a square cube `(band, row, col)` laid another way; turn 0 leaves it as it is."""
    if turn & 4:
        cube = cube.transpose(0, 2, 1)
    return cube[:, :: -1 if turn & 2 else 1, :: -1 if turn & 1 else 1]


def draw_bands(
    available: int, wanted: int, augmentation: Augmentation, generator: np.random.Generator
) -> NDArray[np.int64]:
    """Return which of the available bands to take, each once."""
    chosen = generator.permutation(available)[:wanted]
    return chosen if generator.random() < augmentation.shuffled_share else np.sort(chosen)


def draw_stripes(augmentation: Augmentation, generator: np.random.Generator) -> StripeModel:
    """Return the geometry of stripes."""
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


def simulated_gaps(
    shape: tuple[int, int, int], augmentation: Augmentation, generator: np.random.Generator
) -> NDArray[np.bool_]:
    """Return the missing pixels of simulated stripes, `(band, row, col)`."""
    return simulate_gaps(shape, draw_stripes(augmentation, generator), generator)


def draw_holes(
    size_px: int, augmentation: Augmentation, generator: np.random.Generator
) -> NDArray[np.bool_] | None:
    """Return the pixels `(row, col)` of discs that all bands miss, or None where none are drawn."""
    if generator.random() >= augmentation.hole_share:
        return None
    holes = np.zeros((size_px, size_px), np.bool_)
    rows, cols = np.ogrid[:size_px, :size_px]
    for _ in range(generator.integers(*augmentation.holes, endpoint=True)):
        row, col = generator.uniform(0, size_px, 2)
        holes |= (rows - row) ** 2 + (cols - col) ** 2 < generator.uniform(*augmentation.hole_radius_px) ** 2
    return holes


LEAST_OBSERVED = 0.5
"""Share of a piece that must have been observed, in every band, before gaps are laid."""

_MOST_TRIES = 200


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """A piece of a clean scene with gaps.

    Attributes:
        values: `(band, row, col)`, float32: stored numbers less the mean of the usable ones of their band;
            0 where never observed. Hidden pixels hold the truth: a network must not be given them.
        usable: What a network may see.
        hidden: Observed pixels under a gap: what it is scored on. What is neither usable nor hidden was never
            observed, or belongs to a band that is lost altogether.
        scale: `(band,)`, float32: the RMS error that plain interpolation may be expected to make, positive.
    """

    values: NDArray[np.float32]
    usable: NDArray[np.bool_]
    hidden: NDArray[np.bool_]
    scale: NDArray[np.float32]


class SampleSource:
    """Draws samples. All chance comes from the generator it is given, so a sample can be drawn again.

    Scenes are drawn by the square root of their number of patches: each is a place of its own, and a large
    one mustn't crowd out the others.
    """

    def __init__(
        self,
        images: Sequence[Images],
        size_px: int,
        *,
        augmentation: Augmentation,
        gaps: GapBank | None = None,
    ) -> None:
        """Prepare.

        Args:
            images: The scenes.
            size_px: Side of a sample in pixels.
            augmentation: What is varied.
            gaps: Gaps of real scenes.

        Raises:
            UsageError: If there is no scene.
        """
        if not images:
            raise UsageError("expected scenes to draw samples from, but got none")
        self.size_px = size_px
        self.augmentation = augmentation
        self._images = tuple(images)
        self._gaps = gaps
        self._weights = np.sqrt([one.patches for one in images])
        self._band_counts = np.array([one.bands for one in images])

    @property
    def scenes(self) -> tuple[str, ...]:
        """The names of the scenes."""
        return tuple(one.name for one in self._images)

    @property
    def most_bands(self) -> int:
        """The most bands that a sample can have."""
        return int(self._band_counts.max())

    @property
    def patches(self) -> int:
        """How many patches the scenes have, side by side: a measure of an epoch."""
        return sum(one.patches for one in self._images)

    def sample(self, generator: np.random.Generator, bands: int | None = None) -> Sample:
        """Return a sample.

        Args:
            generator: Draws everything.
            bands: How many bands it has, from a scene with at least as many; None for all of a scene.

        Raises:
            UsageError: If no scene has as many bands.
            InputError: If a scene can't be read, or the scenes are hardly observed anywhere.
        """
        for _ in range(_MOST_TRIES):
            sample = self._try(self._draw_scene(generator, bands), generator, bands)
            if sample is not None:
                return sample
        raise InputError(
            f"expected pieces of {self.size_px} px that are well observed, "
            f"but got none in {_MOST_TRIES} tries",
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
        # Never a scene of weight 0: those don't raise the cumulated weights.
        drawn = np.searchsorted(reach, generator.random() * reach[-1], side="right")
        return self._images[int(drawn)]

    def _try(self, images: Images, generator: np.random.Generator, bands: int | None) -> Sample | None:
        """Return a sample, or None where too little of it would be usable or hidden."""
        varied = self.augmentation
        chosen = draw_bands(images.bands, bands or images.bands, varied, generator)
        stored, observed = images.crop(self.size_px, chosen, generator)
        if _shares(observed).min() < LEAST_OBSERVED:
            return None
        turn = int(generator.integers(TURNS)) if varied.turned else 0
        stored, observed = turned(stored, turn), turned(observed, turn).view(np.bool_)
        missing = self._draw_gaps(len(chosen), generator)
        usable, hidden = observed & ~missing, observed & missing
        if _shares(usable).min() < varied.least_usable or hidden.mean() < varied.least_hidden:
            return None
        values = _centred(stored, observed, usable)
        scale = error_scale(images.squared_step[chosen], mean_squared_step(values, observed))
        if len(chosen) > 1 and generator.random() < varied.lost_band_share:
            lost = generator.integers(len(chosen))
            usable[lost] = hidden[lost] = False
        # Turned arrays are views that torch could not take as they are.
        return Sample(
            np.ascontiguousarray(values), np.ascontiguousarray(usable), np.ascontiguousarray(hidden), scale
        )

    def _draw_gaps(self, bands: int, generator: np.random.Generator) -> NDArray[np.bool_]:
        """Return missing pixels, `(band, row, col)`."""
        if self._gaps is not None and generator.random() < self.augmentation.real_share:
            missing = self._gaps.draw(bands, self.size_px, generator)
        else:
            shape = (bands, self.size_px, self.size_px)
            missing = simulated_gaps(shape, self.augmentation, generator)
        holes = draw_holes(self.size_px, self.augmentation, generator)
        return missing if holes is None else missing | holes


def _shares(pixels: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the share of true pixels of each band."""
    shares: NDArray[np.float64] = np.mean(pixels, axis=(1, 2))
    return shares


def _centred(
    stored: NDArray[np.generic], observed: NDArray[np.bool_], usable: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Return the observed numbers less the mean of their band's usable ones, and 0 elsewhere."""
    # In double precision: float32 would lose a large offset's small differences.
    values = np.where(observed, stored, 0).astype(np.float64)
    mean = np.einsum("brc,brc->b", values, usable) / np.count_nonzero(usable, axis=(1, 2))
    values -= mean[:, None, None]
    values[~observed] = 0.0
    return values.astype(np.float32)
