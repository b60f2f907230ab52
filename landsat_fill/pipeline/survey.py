"""Surveys a scene in a first pass: its footprint, missing pixels and stripes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.gaps.footprint import (
    STEEP_DEG,
    BitImage,
    Footprint,
    FootprintSurvey,
    reach_for_period,
    turned_footprint,
)
from landsat_fill.gaps.residual_stripes import find_faint_stripes, mixed_border_px
from landsat_fill.gaps.stripes import StripeGeometry, constant_stripes, estimate_stripes, stripe_windows
from landsat_fill.io.areas import beyond_extent
from landsat_fill.pipeline.tiles import read_blocks, strip_rows
from landsat_fill.scene import SCAN_PERIOD_M, Scene, strip_windows

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from landsat_fill.io import SceneReader
    from landsat_fill.pipeline.tiles import Block
    from landsat_fill.scene import Window


FAINT_WINDOWS = 4
"""Windows searched for faint stripes: on both sides of the swath, and enough to tolerate a few clouds."""

FAINT_BANDS = 8
"""Bands searched for faint stripes; eight bands suffice even for a stack of sixty."""

LARGEST_MIXED = 1e6
"""Larger than all stored numbers of Landsat bands, and all fill values that mix with them."""


class SampleWindows:
    """Windows spread evenly over a scene: missing pixels of all, values of a few."""

    def __init__(self, scene: Scene) -> None:
        height, width = scene.grid.height, scene.grid.width
        self._windows = stripe_windows(height, width)
        self.corners = [(window.row, window.col) for window in self._windows]
        self._fill_value = fill_value(scene)
        self.missing = [np.zeros((window.height, window.width), dtype=bool) for window in self._windows]
        chosen = np.unique(np.linspace(0, len(self._windows) - 1, FAINT_WINDOWS).round().astype(int))
        self._kept: dict[int, tuple[NDArray[np.generic], NDArray[np.bool_]] | None]
        self._kept = dict.fromkeys(chosen.tolist())

    def add(self, block: Block) -> None:
        """Add the rows of a block's strip."""
        filled = block.observed.any(axis=(1, 2))  # an empty band has no information on gaps
        for number, window in enumerate(self._windows):
            first = max(block.strip.row, window.row)
            end = min(block.strip.row + block.strip.height, window.row + window.height)
            if first >= end:
                continue
            here = slice(first - window.row, end - window.row)
            rows = slice(first - block.window.row, end - block.window.row)
            cols = slice(window.col, window.col + window.width)
            observed = block.observed[:, rows, cols]
            self.missing[number][here] = ~observed[filled].all(axis=0) if filled.any() else True
            if number in self._kept:
                kept_values, kept_observed = self._pixels(number, block)
                kept_values[:, here] = block.values[:FAINT_BANDS, rows, cols]
                kept_observed[:, here] = observed[:FAINT_BANDS]

    def has_faint_stripes(self) -> bool:
        """Return whether there seem to be stripes that aren't exactly nodata, after all rows were added."""
        return any(
            kept is not None and find_faint_stripes(*kept, self._fill_value) is not None for kept in self._kept.values()
        )

    def constant_stripes(self) -> tuple[float, float] | None:
        """Return an observed number that forms stripes and its share of the pixels, or None."""
        for values, observed in filter(None, self._kept.values()):
            for band, (stored, seen) in enumerate(zip(values, observed, strict=True)):
                number = constant_stripes(stored, seen)
                if number is not None:
                    kept = [each[0][band] for each in self._kept.values() if each is not None]
                    return number, float(np.mean([np.mean(pixels == number) for pixels in kept]))
        return None

    def mixed_border_px(self, widest_px: int, *, steep: bool) -> int:
        """Return how many rows beside gaps are mixed with the fill value, after all rows were added."""
        return mixed_border_px([kept for kept in self._kept.values() if kept is not None], widest_px, steep=steep)

    def _pixels(self, number: int, block: Block) -> tuple[NDArray[np.generic], NDArray[np.bool_]]:
        kept = self._kept[number]
        if kept is None:
            window: Window = self._windows[number]
            shape = (min(len(block.values), FAINT_BANDS), window.height, window.width)
            kept = np.zeros(shape, block.values.dtype), np.zeros(shape, dtype=bool)
            self._kept[number] = kept
        return kept


def fill_value(scene: Scene) -> float:
    """Return the number that resampling may have mixed into pixels: nodata, or 0 if that is huge."""
    nodata = scene.bands[0].nodata
    return nodata if nodata is not None and abs(nodata) < LARGEST_MIXED else 0.0


STRIP_PX = 512
NOMINAL_PERIOD_PX = 33
"""Scan period of a 30 m band, for an unknown pixel size."""
PERIOD_RANGE_PX = (8, 200)
"""Plausible scan periods: pixels of 5 to 120 m."""
PERIOD_TOLERANCE = 1.3
"""Largest factor between the period of steep stripes and the scan period, due to map projections."""


@dataclass(frozen=True, slots=True)
class Survey:
    """The survey of a scene.

    Attributes:
        footprint: Where the sensor could have seen the ground.
        period_px: One scan period in rows.
        geometry: The stripes, or None if there are none.
        has_faint_stripes: Whether there seem to be stripes that aren't exactly nodata.
        mixed_border_px: How many rows beside gaps are mixed with the fill value.
        constant: An observed number that forms stripes and its share of the sampled pixels, or None.
    """

    footprint: Footprint
    period_px: int
    geometry: StripeGeometry | None
    has_faint_stripes: bool = False
    mixed_border_px: int = 0
    constant: tuple[float, float] | None = None

    @property
    def empty_bands(self) -> frozenset[int]:
        """Numbers of the bands without an observed pixel, from 0."""
        return frozenset(number for number, px in enumerate(self.footprint.observed_px) if not px)

    @property
    def missing_share(self) -> float:
        """Missing share of the footprint over all bands, 0 to 1."""
        missing, observed = sum(self.footprint.missing_px), sum(self.footprint.observed_px)
        return missing / (missing + observed) if missing else 0.0


def survey_scene(reader: SceneReader, scene: Scene, *, threads: int, on_progress: Callable[[float], None]) -> Survey:
    """Return the survey of a scene, read once from top to bottom.

    `on_progress` is called with the share of rows read, 0 to 1.
    """
    height, width = scene.grid.height, scene.grid.width
    period_px = scan_period_px(scene)
    reach_px = reach_for_period(period_px)
    has_extent = scene.extent is not None
    survey = FootprintSurvey(len(scene.bands), height, width, reach_px, threads, ends_beyond=has_extent)
    samples = SampleWindows(scene)
    with read_blocks(reader, height, width, strip_rows(scene, STRIP_PX), survey.halo_px) as blocks:
        for block in blocks:
            inner = block.inner
            below = block.window.height - inner.row - inner.height
            beyond = beyond_extent(scene, block.window)
            survey.add(block.strip.row, block.observed, inner.row, below, beyond)
            samples.add(block)
            on_progress((block.strip.row + block.strip.height) / height)
    footprint = survey.finish()
    geometry = estimate_stripes(samples.missing, samples.corners, reach_px)
    if geometry is not None and _needs_rotation(scene, geometry):
        observed, extent = _observed(reader, scene), _extent(scene) if has_extent else None
        footprint = turned_footprint(observed, footprint.observed_px, geometry.tilt_deg, reach_px, threads, extent)
    if geometry is not None:
        geometry = geometry.reaching(_scan_ends(footprint, geometry))
    steep = geometry is not None and geometry.is_steep
    return Survey(
        footprint,
        period_px,
        geometry,
        has_faint_stripes=samples.has_faint_stripes(),
        mixed_border_px=samples.mixed_border_px(reach_px, steep=steep),
        # Declared gaps can cut a lake of one number into stripes.
        constant=samples.constant_stripes() if geometry is None else None,
    )


def _scan_ends(footprint: Footprint, geometry: StripeGeometry) -> NDArray[np.float64]:
    """Return the smallest and largest position along the scan in the footprint."""
    outside = footprint.outside[0]
    first, last = np.zeros(footprint.height), np.full(footprint.height, footprint.width - 1)
    at_left, at_right = outside.start == 0, outside.stop == footprint.width
    first[outside.row[at_left]] = outside.stop[at_left]
    last[outside.row[at_right]] = outside.start[at_right] - 1
    rows = np.flatnonzero(first <= last)
    ends = geometry.along(np.concatenate([rows, rows]), np.concatenate([first[rows], last[rows]]))
    return np.array([ends.min(), ends.max()])


def _needs_rotation(scene: Scene, geometry: StripeGeometry) -> bool:
    """Return whether stripes are too steep for columns to cross them, and have the scan period."""
    if abs(geometry.tilt_deg) <= STEEP_DEG:
        return False
    pixel_m = scene.grid.pixel_size_m
    ratio = 1.0 if pixel_m is None else geometry.period_across_px * pixel_m / SCAN_PERIOD_M
    return 1 / PERIOD_TOLERANCE <= ratio <= PERIOD_TOLERANCE


def _observed(reader: SceneReader, scene: Scene) -> list[BitImage]:
    """Return the observed pixels of each band of a scene."""
    height, width = scene.grid.height, scene.grid.width
    images = [BitImage(height, width) for _ in scene.bands]
    with read_blocks(reader, height, width, strip_rows(scene, STRIP_PX), halo_px=0) as blocks:
        for block in blocks:
            for image, observed in zip(images, block.observed, strict=True):
                image.write(block.strip.row, observed)
    return images


def _extent(scene: Scene) -> BitImage:
    """Return the pixels within the extent of a scene that has one."""
    grid = scene.grid
    image = BitImage(grid.height, grid.width)
    for strip in strip_windows(grid.height, grid.width, STRIP_PX):
        beyond = beyond_extent(scene, strip)
        if beyond is not None:
            image.write(strip.row, ~beyond)
    return image


def scan_period_px(scene: Scene) -> int:
    """Return the scan period in rows, from the pixel size."""
    pixel_m = scene.grid.pixel_size_m
    if pixel_m is None:
        return NOMINAL_PERIOD_PX
    period_px = math.ceil(SCAN_PERIOD_M / pixel_m)
    return period_px if PERIOD_RANGE_PX[0] <= period_px <= PERIOD_RANGE_PX[1] else NOMINAL_PERIOD_PX
