"""Lays SLC-off stripes over an image: simulated ones, computable window by window, or those of a real scene.

Two trains of gaps, left and right of the ground track of nadir, are half a period apart. A gap is widest
at the swath's edge and closes near nadir. All lengths across a gap are counted in rows.

Source: geometry measured on Landsat 7 scenes; Landsat 7 Data Users Handbook, USGS LSDS-1927, on the scan
line corrector's failure on 2003-05-31.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from landsat_fill.errors import UsageError
from landsat_fill.scene import Window

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray


SCAN_PERIOD_PX = 33.0
"""Rows of 30 m between two gaps of one train, measured on Landsat 7 scenes."""

SCAN_TILT_DEG = 9.7
"""How far scan lines dip to the east in a north-up UTM grid, measured on Landsat 7 scenes."""

TRACK_TILT_DEG = 12.7
"""How far the ground track leans: more than the scan lines, for the Earth turns below the satellite."""

EDGE_WIDTH_PX = 14.0
"""Width of a gap at the edge of the swath; with it a full scene loses about 22 %, as USGS states."""

HALF_SWATH_PX = 3083.0
"""From nadir to the edge of the swath: half of 185 km, in pixels of 30 m."""

CLOSED_WIDTH_PX = 2.0
"""A gap this narrow isn't seen: USGS interpolates about as much (MTL, SCAN_GAP_INTERPOLATION)."""

_JITTER_RUN_PX = 4  # a resampled edge keeps its offset over a few columns
_SHARE_TOLERANCE = 0.002
_SHARE_COLUMNS = 512  # columns enough to know the share of a large scene


@dataclass(frozen=True, slots=True)
class StripeModel:
    """The geometry of SLC-off stripes.

    Give `width_px` or `missing` for one train of gaps of the same width all over, as on a patch; give
    neither for a whole swath: two trains that taper from its edges to nadir.

    Attributes:
        width_px: Width of every gap in rows.
        missing: Share of the pixels that the gaps take, between 0.001 and 0.9; the width follows from it.
        period_px: Rows from one gap to the next of its train.
        tilt_deg: How far the gaps dip to the right, negative for a rise.
        track_deg: How far the ground track of nadir leans to the left on its way down.
        edge_width_px: Width of a gap at the swath's edge.
        half_swath_px: From nadir to the swath's edge along a scan line; None is half the image's width.
        nadir_col: Column of nadir in the image's middle row; None is the middle column.
        ragged_px: How far a gap's edge strays from its line, at most.
        band_shift_px: How many rows the gaps of a band lie off those of the others, at most.
        phase_px: Row at which a gap of the left train is centred in column 0; None draws one.
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
            raise UsageError(
                "expected a gap width or a missing share, but got both", hint="leave one of them out"
            )
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
    """Stripes laid over a scene: the same pixels are missing whichever window is asked for.

    Attributes:
        shape: Bands, rows and columns of the scene.
        model: Their geometry, with `width_px` solved where a share was asked for.
        phase_px: Row at which a gap of the left train is centred in column 0.
        shifts_px: Rows by which each band's gaps are moved.
        seed: Decides how the edges stray.
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
            # A gap adds one in its first row and takes it away below its last: a running sum has it.
            steps = np.zeros((window.height + 1, window.width), np.int8)
            for tops, bottoms in self._runs(band, columns, window.row, window.row + window.height):
                for top, bottom in zip(tops - window.row, bottoms - window.row, strict=True):
                    steps[top, at] += 1
                    steps[bottom, at] -= 1
            np.greater(np.cumsum(steps[:-1], axis=0, dtype=np.int8), 0, out=missing[band])
        return missing

    def share(self, footprint: NDArray[np.bool_] | None = None) -> float:
        """Return the share of the pixels that is missing, of those inside a footprint if one is given.

        Large scenes are counted on some of their columns.

        Args:
            footprint: Boolean array `(row, col)` of the scene's size.
        """
        bands, height, width = self.shape
        columns = np.unique(np.linspace(0, width - 1, min(width, _SHARE_COLUMNS)).round().astype(np.int64))
        # Pixels that count above each row, so that a run's count is a difference.
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
        """Yield for each train where its gaps begin and end, `(gap, col)`, cut to some rows."""
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
            tops = centres - half_widths + self._stray(edge, gaps, columns)
            bottoms = centres + half_widths + self._stray(edge + 1, gaps, columns)
            first = np.clip(np.ceil(tops), first_row, end_row).astype(np.int64)
            end = np.clip(np.ceil(bottoms), first_row, end_row).astype(np.int64)
            yield first, np.where(half_widths > 0, np.maximum(first, end), first)

    def _widths(
        self, train: int, rows: NDArray[np.floating], columns: NDArray[np.int64]
    ) -> NDArray[np.floating]:
        """Return the width of the gaps at some places, zero where a train has none."""
        model = self.model
        if model.width_px is not None:
            return np.full(rows.shape, model.width_px)
        _, height, width = self.shape
        distance_px = off_nadir_px(model, (height, width), rows, columns)
        half_swath_px = model.half_swath_px or width / 2
        widths = model.edge_width_px * np.abs(distance_px) / half_swath_px
        on_side = distance_px > 0 if train else distance_px < 0
        return np.where(on_side & (widths > CLOSED_WIDTH_PX), widths, 0.0)

    def _stray(self, edge: int, gaps: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.floating]:
        """Return how far an edge of each gap strays from its line, `(gap, col)`."""
        return self.model.ragged_px * noise_at(self.seed, edge, gaps, columns // _JITTER_RUN_PX)


def lay_stripes(
    shape: tuple[int, int, int],
    model: StripeModel,
    generator: np.random.Generator,
    *,
    footprint: NDArray[np.bool_] | None = None,
) -> Stripes:
    """Return stripes over a scene, with what the model leaves open drawn.

    Args:
        shape: Bands, rows and columns.
        model: The geometry.
        generator: Draws the phase, the shift of each band and how the edges stray.
        footprint: Boolean array `(row, col)`; a missing share counts inside it alone.

    Raises:
        UsageError: No width gives the missing share on an image this small or stripes this even.
    """
    phase_px = generator.uniform(0, model.period_px)
    shifts_px = generator.uniform(-model.band_shift_px, model.band_shift_px, shape[0])
    seed = int(generator.integers(2**31))
    if model.phase_px is not None:
        phase_px = model.phase_px
    stripes = Stripes(shape, model, float(phase_px), tuple(shifts_px.tolist()), seed)
    if model.missing is None:
        return stripes
    return _solved(stripes, model.missing, footprint)


def simulate_gaps(
    shape: tuple[int, int, int], model: StripeModel, generator: np.random.Generator
) -> NDArray[np.bool_]:
    """Return the missing pixels `(band, row, col)` of a whole image, boolean; see `lay_stripes`."""
    return lay_stripes(shape, model, generator).missing_in(Window(0, 0, *shape[1:]))


def off_nadir_px(
    model: StripeModel,
    size: tuple[int, int],
    rows: NDArray[np.floating] | NDArray[np.int64],
    columns: NDArray[np.integer],
) -> NDArray[np.floating]:
    """Return how far places lie from the nadir track along their scan lines, negative to its left.

    Args:
        model: The geometry.
        size: Rows and columns of the image.
        rows: Rows of the places.
        columns: Their columns, of a shape that broadcasts with the rows'.
    """
    height, width = size
    nadir_col = width / 2 if model.nadir_col is None else model.nadir_col
    tilt, lean = np.deg2rad(model.tilt_deg), np.tan(np.deg2rad(model.track_deg))
    distance: NDArray[np.floating] = (columns - nadir_col + lean * (rows - height / 2)) / (
        np.cos(tilt) + lean * np.sin(tilt)
    )
    return distance


def noise_at(
    seed: int, series: int, first: NDArray[np.int64], second: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return uniform noise in [-1, 1) that depends on its place alone, so that any window has the same.

    Source: the finaliser of SplitMix64, Steele et al. 2014, doi:10.1145/2660193.2660195.

    Args:
        seed: Tells one noise from another.
        series: Tells the series of one noise apart.
        first: First coordinate of the places.
        second: Their second, of a shape that broadcasts with the first's.
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
    """Return the stripes with the width that loses the share, found by bisection."""
    low_px, high_px = 0.0, stripes.model.period_px
    for _ in range(24):
        width_px = (low_px + high_px) / 2
        stripes = replace(stripes, model=replace(stripes.model, missing=None, width_px=width_px))
        share = stripes.share(footprint)
        if share < missing:
            low_px = width_px
        else:
            high_px = width_px
    if abs(share - missing) > _SHARE_TOLERANCE:
        raise UsageError(
            f"expected stripes that hide {missing:.1%} of the image, but got {share:.1%} at best",
            hint="use a larger image, or stripes with a tilt or ragged edges",
        )
    return stripes


def _require(what: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        allowed = f"between {low:g} and {high:g}"
        raise UsageError(f"expected {what} {allowed}, but got {value:g}", hint=f"choose a value {allowed}")


_PLACES_TRIED = 20


class _Move(NamedTuple):
    """How far a copy of a pattern lies from its neighbour."""

    rows: int
    columns: int


def gaps_from(
    pattern: NDArray[np.bool_], shape: tuple[int, int, int], generator: np.random.Generator
) -> NDArray[np.bool_]:
    """Return real gaps laid over another image: missing pixels `(band, row, col)`, boolean.

    The gaps are cut out at a random place. Where the pattern is smaller than the image it is repeated, each
    copy moved so that it continues its neighbour; never turned or mirrored, which would change the tilt.

    Args:
        pattern: The missing pixels of an SLC-off scene, `(band, row, col)` or `(row, col)`. An image with
            more bands than the pattern takes the pattern's from the first on again.
        shape: Bands, rows and columns of the other image.
        generator: Draws the place.

    Raises:
        UsageError: The pattern has no gaps, or nothing but gaps.
    """
    cube = pattern if pattern.ndim == 3 else pattern[None]
    if not 0 < cube.mean() < 1:
        raise UsageError(
            f"expected gaps with pixels between them, but got {cube.mean():.0%} missing",
            hint="take the gaps from an SLC-off scene (acquired after 2003-05-31), away from nadir",
        )
    bands, height, width = shape
    fits = height <= cube.shape[1] and width <= cube.shape[2]
    moves = None if fits else _continuing_moves(np.logical_or.reduce(cube))
    # A place near nadir would have hardly a gap: draw again until there are half as many as overall.
    best = np.zeros(shape, np.bool_)
    for _ in range(_PLACES_TRIED):
        rows, columns = _place(cube.shape[1:], (height, width), moves, generator)
        gaps = cube[:, rows, columns][np.arange(bands) % len(cube)]
        if best.mean() < gaps.mean() < 1:
            best = gaps
        if best.mean() >= cube.mean() / 2:
            break
    return best


def _place(
    size: tuple[int, ...],
    wanted: tuple[int, int],
    moves: tuple[_Move, _Move] | None,
    generator: np.random.Generator,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the row and the column of the pattern that each pixel of the image takes."""
    rows, columns = np.mgrid[: wanted[0], : wanted[1]]
    down, right = moves or (_Move(size[0], 0), _Move(0, size[1]))
    if wanted[1] <= size[1]:
        columns = columns + int(generator.integers(size[1] - wanted[1] + 1))
        right = _Move(0, size[1])
    else:
        columns = columns + int(generator.integers(right.columns))
    if moves is None:
        rows = rows + int(generator.integers(size[0] - wanted[0] + 1))
    else:
        rows = rows + int(generator.integers(down.rows)) - columns // right.columns * right.rows
    return rows % down.rows, columns % right.columns


def _continuing_moves(pattern: NDArray[np.bool_]) -> tuple[_Move, _Move]:
    """Return the moves down and to the right at which a pattern continues itself.

    They are where its autocorrelation is highest, among moves by a third to two thirds of its size, which
    leave enough of it overlapping to tell.
    """
    from scipy.signal import fftconvolve

    height, width = pattern.shape
    centred = pattern - pattern.mean()
    likeness = fftconvolve(centred, centred[::-1, ::-1])
    # Per overlapping pixel; a move by (0, 0) is at (height - 1, width - 1).
    likeness /= np.outer(
        height - np.abs(np.arange(1 - height, height)), width - np.abs(np.arange(1 - width, width))
    )
    down_first, down_end = max(height // 3, 1), max(2 * height // 3, 1) + 1
    right_first, right_end = max(width // 3, 1), max(2 * width // 3, 1) + 1
    straight_down = likeness[height - 1 :, width - 1][down_first:down_end]
    down = _Move(down_first + int(np.argmax(straight_down)), 0) if straight_down.size else _Move(height, 0)
    drift = height // 2
    aside = likeness[height - 1 - drift : height + drift, width - 1 :][:, right_first:right_end]
    if not aside.size:
        return down, _Move(0, width)
    row, column = np.unravel_index(int(np.argmax(aside)), aside.shape)
    return down, _Move(int(row) - drift, right_first + int(column))
