"""Training samples: a piece of a clean scene with gaps laid over it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.errors import InputError, UsageError
from landsat_fill.training.augmentation import (
    TURNS,
    Augmentation,
    draw_bands,
    draw_holes,
    simulated_gaps,
    turned,
)
from landsat_fill.training.error_scale import error_scale, mean_squared_step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from landsat_fill.training.gap_bank import GapBank
    from landsat_fill.training.images import Images

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
            hint="choose a smaller size, or scenes with fewer missing pixels",
        )

    def _draw_scene(self, generator: np.random.Generator, bands: int | None) -> Images:
        weights = self._weights if bands is None else self._weights * (self._band_counts >= bands)
        reach = np.cumsum(weights)
        if reach[-1] == 0 or (bands is not None and bands < 1):
            raise UsageError(
                f"expected a number of bands from 1 to {self.most_bands}, but got {bands}",
                hint="no scene has more bands",
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
