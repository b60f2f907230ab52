"""Places SLC-off stripes on an image: simulated ones, computed window by window, or those of a real scene.

The gaps left and right of the nadir track form two trains, which are half a period apart. A gap is widest at
the swath's edge and closes near nadir. Lengths across a gap are in rows.

Source: geometry measured on Landsat 7 scenes; Landsat 7 Data Users Handbook, USGS LSDS-1927, on the scan
line corrector's failure on 2003-05-31.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.errors import UsageError
from landsat_fill.scene import Window

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray


SCAN_PERIOD_PX = 33.0
"""Rows of 30 m between two gaps of one train, measured on Landsat 7 scenes."""

SCAN_TILT_DEG = 9.7
"""Dip of scan lines to the east in a north-up UTM grid, measured on Landsat 7 scenes."""

TRACK_TILT_DEG = 12.7
"""Lean of the nadir track: larger than the scan tilt, because the Earth rotates below the satellite."""

EDGE_WIDTH_PX = 14.0
"""Width of a gap at the edge of the swath. A full scene then loses about 22 %, as USGS states."""

CLOSED_WIDTH_PX = 2.0
"""A gap this narrow counts as closed: USGS interpolates about as much (MTL, SCAN_GAP_INTERPOLATION)."""

_JITTER_RUN_PX = 4  # a resampled edge has the same offset over a few columns
_SHARE_TOLERANCE = 0.002
_SHARE_COLUMNS = 512  # number of columns that suffice to estimate the share in a large scene


@dataclass(frozen=True, slots=True)
class StripeModel:
    """The geometry of SLC-off stripes.

    With `width_px` or `missing`, there is one train of gaps of constant width, as on a patch. Without both,
    there are the two trains of a whole swath, which taper from its edges to nadir.

    Attributes:
        width_px: Width of all gaps in rows.
        missing: Share of missing pixels, between 0.001 and 0.9, which determines the width.
        period_px: Rows from one gap to the next of its train.
        tilt_deg: Dip of the gaps to the right, negative for a rise.
        track_deg: Lean of the nadir track to the left, downwards.
        edge_width_px: Width of a gap at the swath's edge.
        half_swath_px: Distance from nadir to the swath's edge along a scan line; None means half the width.
        nadir_col: Column of nadir in the image's middle row; None means the middle column.
        ragged_px: Largest offset of a gap's edge from its line.
        band_shift_px: Largest offset in rows between the gaps of different bands.
        phase_px: Row of the centre of a gap of the left train in column 0; None means a random row.
    """

    width_px: float | None = None
    missing: float | None = None
    period_px: float = SCAN_PERIOD_PX
    tilt_deg: float = SCAN_TILT_DEG
    track_deg: float = TRACK_TILT_DEG
    edge_width_px: float = EDGE_WIDTH_PX
    half_swath_px: float | None = None
    nadir_col: float | None = None
    ragged_px: float = 0.5
    band_shift_px: float = 1.0
    phase_px: float | None = None

    def __post_init__(self) -> None:
        if self.width_px is not None and self.missing is not None:
            raise UsageError("expected a gap width or a missing share, but got both", hint="Leave one of them out.")
        if self.missing is not None:
            _require("a missing share", self.missing, 0.001, 0.9)
        _require("a gap period in pixels", self.period_px, 4.0, 1000.0)
        for width_px in (self.width_px, self.edge_width_px):
            if width_px is not None:
                _require("a gap width in pixels", width_px, 0.1, self.period_px - 1)
        _require("a tilt in degrees", self.tilt_deg, -45.0, 45.0)
        _require("a track angle in degrees", self.track_deg, -45.0, 45.0)
        _require("an edge raggedness in pixels", self.ragged_px, 0.0, self.period_px / 4)
        _require("a shift between bands in pixels", self.band_shift_px, 0.0, 1000.0)
        if self.half_swath_px is not None:
            _require("half a swath in pixels", self.half_swath_px, 1.0, 1e6)


@dataclass(frozen=True, slots=True)
class Stripes:
    """Stripes on a scene. A pixel is missing or not independently of the window.

    Attributes:
        shape: Bands, rows and columns of the scene.
        model: Their geometry, with `width_px` computed from a missing share.
        phase_px: Row of the centre of a gap of the left train in column 0.
        shifts_px: Offset of each band's gaps in rows.
        seed: Seed of the ragged edges.
    """

    shape: tuple[int, int, int]
    model: StripeModel
    phase_px: float
    shifts_px: tuple[float, ...]
    seed: int

    def missing_in(self, window: Window) -> NDArray[np.bool_]:
        """Return the missing pixels `(band, row, col)` of a window, boolean."""
        missing = np.zeros((self.shape[0], window.height, window.width), np.bool_)
        columns = np.arange(window.col, window.col + window.width)
        at = np.arange(window.width)
        for band in range(self.shape[0]):
            # A gap adds 1 in its first row and subtracts it below its last, so a cumulative sum is 1 in it.
            steps = np.zeros((window.height + 1, window.width), np.int8)
            for tops, bottoms in self._runs(band, columns, window.row, window.row + window.height):
                for top, bottom in zip(tops - window.row, bottoms - window.row, strict=True):
                    steps[top, at] += 1
                    steps[bottom, at] -= 1
            np.greater(np.cumsum(steps[:-1], axis=0, dtype=np.int8), 0, out=missing[band])
        return missing

    def share(self, footprint: NDArray[np.bool_] | None = None) -> float:
        """Return the share of missing pixels, estimated from some columns in large scenes.

        Args:
            footprint: The pixels to count, `(row, col)`, or None for all.
        """
        bands, height, width = self.shape
        columns = np.unique(np.linspace(0, width - 1, min(width, _SHARE_COLUMNS)).round().astype(np.int64))
        # Counted pixels above each row; their differences are the counts of runs.
        above = np.zeros((height + 1, columns.size), np.int64)
        inside = np.ones((height, columns.size), np.bool_) if footprint is None else footprint[:, columns]
        np.cumsum(inside, axis=0, out=above[1:])
        at = np.arange(columns.size)
        lost = sum(
            int((above[bottoms, at] - above[tops, at]).sum())
            for band in range(bands)
            for tops, bottoms in self._runs(band, columns, 0, height)
        )
        return lost / max(bands * int(above[-1].sum()), 1)

    def _runs(
        self, band: int, columns: NDArray[np.int64], first_row: int, end_row: int
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Yield first and end rows of each train's gaps, `(gap, col)`, clipped to a range of rows."""
        model = self.model
        slope = np.tan(np.deg2rad(model.tilt_deg))
        drop = slope * columns + self.shifts_px[band]
        reach = max(model.edge_width_px, model.width_px or 0.0) + model.ragged_px + 1
        trains = (0, 1) if model.width_px is None else (0,)
        for train in trains:
            origin = self.phase_px + train * model.period_px / 2
            low = np.floor((first_row - drop.max() - reach - origin) / model.period_px)
            high = np.ceil((end_row - drop.min() + reach - origin) / model.period_px)
            gaps = np.arange(int(low), int(high) + 1)[:, None]
            centres = origin + gaps * model.period_px + drop  # (gap, col)
            half_widths = self._widths(train, centres, columns) / 2
            edge = 4 * band + 2 * train
            tops = centres - half_widths + self._ragged(edge, gaps, columns)
            bottoms = centres + half_widths + self._ragged(edge + 1, gaps, columns)
            first = np.clip(np.ceil(tops), first_row, end_row).astype(np.int64)
            end = np.clip(np.ceil(bottoms), first_row, end_row).astype(np.int64)
            yield first, np.where(half_widths > 0, np.maximum(first, end), first)

    def _widths(self, train: int, rows: NDArray[np.floating], columns: NDArray[np.int64]) -> NDArray[np.floating]:
        """Return the width of the gaps at each pixel, zero where a train has none."""
        model = self.model
        if model.width_px is not None:
            return np.full(rows.shape, model.width_px)
        _, height, width = self.shape
        nadir_col = width / 2 if model.nadir_col is None else model.nadir_col
        tilt, lean = np.deg2rad(model.tilt_deg), np.tan(np.deg2rad(model.track_deg))
        # Along the scan line, negative on the left of the nadir track.
        distance_px = (columns - nadir_col + lean * (rows - height / 2)) / (np.cos(tilt) + lean * np.sin(tilt))
        half_swath_px = model.half_swath_px or width / 2
        widths = model.edge_width_px * np.abs(distance_px) / half_swath_px
        on_side = distance_px > 0 if train else distance_px < 0
        return np.where(on_side & (widths > CLOSED_WIDTH_PX), widths, 0.0)

    def _ragged(self, edge: int, gaps: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.floating]:
        """Return the offset of an edge of each gap from its line, `(gap, col)`."""
        return self.model.ragged_px * noise_at(self.seed, edge, gaps, columns // _JITTER_RUN_PX)


def lay_stripes(
    shape: tuple[int, int, int],
    model: StripeModel,
    generator: np.random.Generator,
    *,
    footprint: NDArray[np.bool_] | None = None,
) -> Stripes:
    """Return stripes on a scene.

    Args:
        shape: Bands, rows and columns.
        model: The geometry.
        generator: Source of the random phase, band shifts and ragged edges.
        footprint: The pixels on which a missing share counts, `(row, col)`, or None for all.

    Raises:
        UsageError: No width gives the missing share, because the image is too small or the stripes too even.
    """
    phase_px = generator.uniform(0, model.period_px)
    shifts_px = generator.uniform(-model.band_shift_px, model.band_shift_px, shape[0])
    seed = int(generator.integers(2**31))
    if model.phase_px is not None:
        phase_px = model.phase_px
    stripes = Stripes(shape, model, float(phase_px), tuple(shifts_px.tolist()), seed)
    return stripes if model.missing is None else _solved(stripes, model.missing, footprint)


def simulate_gaps(shape: tuple[int, int, int], model: StripeModel, generator: np.random.Generator) -> NDArray[np.bool_]:
    """Return the missing pixels `(band, row, col)` of a whole image, boolean; see `lay_stripes`."""
    return lay_stripes(shape, model, generator).missing_in(Window(0, 0, *shape[1:]))


def noise_at(seed: int, series: int, first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return uniform noise in [-1, 1) that depends only on seed, series and two coordinates.

    Source: the finaliser of SplitMix64, Steele et al. 2014, doi:10.1145/2660193.2660195.
    """
    with np.errstate(over="ignore"):
        key = first.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        key = key + second.astype(np.uint64) * np.uint64(0xC2B2AE3D27D4EB4F)
        key = key + np.uint64((seed * 0x165667B19E3779F9 + series * 0x27D4EB2F165667C5) % 2**64)
        key = (key ^ (key >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        key = (key ^ (key >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        key ^= key >> np.uint64(31)
    noise: NDArray[np.float64] = (key >> np.uint64(11)).astype(np.float64) * 2.0**-52 - 1.0
    return noise


def _solved(stripes: Stripes, missing: float, footprint: NDArray[np.bool_] | None) -> Stripes:
    """Return the stripes with the width that gives the missing share, found by bisection."""
    low_px, high_px = 0.0, stripes.model.period_px
    for _ in range(24):
        width_px = (low_px + high_px) / 2
        stripes = replace(stripes, model=replace(stripes.model, missing=None, width_px=width_px))
        share = stripes.share(footprint)
        low_px, high_px = (width_px, high_px) if share < missing else (low_px, width_px)
    if abs(share - missing) > _SHARE_TOLERANCE:
        raise UsageError(
            f"expected stripes that cover {missing:.1%} of the image, but got {share:.1%} at best",
            hint="Use a larger image, or stripes with a tilt or ragged edges.",
        )
    return stripes


def _require(what: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        allowed = f"between {low:g} and {high:g}"
        raise UsageError(f"expected {what} {allowed}, but got {value:g}", hint=f"Choose a value {allowed}.")


_PLACES_TRIED = 20


_Offset = tuple[int, int]
"""Rows and columns from one copy of a pattern to the next."""


def gaps_from(
    pattern: NDArray[np.bool_], shape: tuple[int, int, int], generator: np.random.Generator
) -> NDArray[np.bool_]:
    """Return the gaps of a real scene for another image: missing pixels `(band, row, col)`, boolean.

    The gaps are cut out at a random place. A pattern smaller than the image is repeated with offsets at which
    it continues itself. It is never rotated or mirrored, because that would change the tilt.

    Args:
        pattern: The missing pixels of an SLC-off scene, `(band, row, col)` or `(row, col)`. If the image has
            more bands than the pattern, the pattern's bands are repeated.
        shape: Bands, rows and columns of the other image.
        generator: Source of the random place.

    Raises:
        UsageError: The pattern has no gaps, or only gaps.
    """
    cube = pattern if pattern.ndim == 3 else pattern[None]
    if not 0 < cube.mean() < 1:
        raise UsageError(
            f"expected gaps with pixels between them, but got {cube.mean():.0%} missing",
            hint="Take the gaps from an SLC-off scene (acquired after 2003-05-31), away from nadir.",
        )
    bands, height, width = shape
    fits = height <= cube.shape[1] and width <= cube.shape[2]
    offsets = None if fits else _continuing_offsets(np.logical_or.reduce(cube))
    # Places near nadir have few gaps, so places are tried until one has half the average share.
    best = np.zeros(shape, np.bool_)
    for _ in range(_PLACES_TRIED):
        rows, columns = _place(cube.shape[1:], (height, width), offsets, generator)
        gaps = cube[:, rows, columns][np.arange(bands) % len(cube)]
        if best.mean() < gaps.mean() < 1:
            best = gaps
        if best.mean() >= cube.mean() / 2:
            break
    return best


def _place(
    size: tuple[int, ...],
    wanted: tuple[int, int],
    offsets: tuple[_Offset, _Offset] | None,
    generator: np.random.Generator,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the row and column in the pattern for each pixel of the image."""
    rows, columns = np.mgrid[: wanted[0], : wanted[1]]
    (down, _), (drift, right) = offsets or ((size[0], 0), (0, size[1]))
    if wanted[1] <= size[1]:
        columns = columns + int(generator.integers(size[1] - wanted[1] + 1))
        drift, right = 0, size[1]
    else:
        columns = columns + int(generator.integers(right))
    if offsets is None:
        rows = rows + int(generator.integers(size[0] - wanted[0] + 1))
    else:
        rows = rows + int(generator.integers(down)) - columns // right * drift
    return rows % down, columns % right


def _continuing_offsets(pattern: NDArray[np.bool_]) -> tuple[_Offset, _Offset]:
    """Return the offsets down and to the right, by a third to two thirds of its size, where a pattern repeats.

    They have the largest autocorrelation.
    """
    from scipy.signal import fftconvolve

    height, width = pattern.shape
    centred = pattern - pattern.mean()
    correlation = fftconvolve(centred, centred[::-1, ::-1])
    # Per overlapping pixel; the offset (0, 0) is at (height - 1, width - 1).
    correlation /= np.outer(height - np.abs(np.arange(1 - height, height)), width - np.abs(np.arange(1 - width, width)))
    down_first, down_end = max(height // 3, 1), max(2 * height // 3, 1) + 1
    right_first, right_end = max(width // 3, 1), max(2 * width // 3, 1) + 1
    straight_down = correlation[height - 1 :, width - 1][down_first:down_end]
    down = (down_first + int(np.argmax(straight_down)), 0) if straight_down.size else (height, 0)
    drift = height // 2
    aside = correlation[height - 1 - drift : height + drift, width - 1 :][:, right_first:right_end]
    if not aside.size:
        return down, (0, width)
    row, column = np.unravel_index(int(np.argmax(aside)), aside.shape)
    return down, (int(row) - drift, right_first + int(column))
