"""Combines filled and observed pixels into the values to write, and records what was filled.

This module alone guarantees that observed pixels stay bit-identical in stored numbers, and that a filled
value is in its band's valid range and never equals nodata.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from landsat_fill.io.output_names import FillCode
from landsat_fill.io.reader import float_nodata_tolerance, is_float_nodata
from landsat_fill.methods import Context, create_method
from landsat_fill.scene import Filled, Gaps

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from landsat_fill.pipeline.gap_finder import BlockGaps
    from landsat_fill.pipeline.tiles import Block
    from landsat_fill.scene import SceneBand, Window


def fill_codes(
    observed: NDArray[np.bool_],
    inside: NDArray[np.bool_],
    done: NDArray[np.bool_],
    sources: NDArray[np.uint8] | None = None,
    *,
    by_reference: bool = False,
    masked: NDArray[np.bool_] | None = None,
) -> NDArray[np.uint8]:
    """Return the codes from the observed pixels, those inside the footprint and the filled ones.

    Args:
        observed: Observed pixels, `(band, row, col)`.
        inside: Pixels inside the footprint.
        done: Filled pixels.
        sources: Number of the reference that weighs most at a filled pixel, from 1; 0 for the image itself.
        masked: Pixels that hold an observation but are missing in a mask of the user, or None.
        by_reference: Whether each reference has a code of its own: 5 for the first one, 6 for the second, and so on.
    """
    codes = np.full(observed.shape, FillCode.OUTSIDE, np.uint8)
    codes[inside & ~observed] = FillCode.LEFT
    codes[observed] = FillCode.OBSERVED
    codes[done] = FillCode.FILLED
    if sources is not None:
        referred = done & (sources > 0)
        codes[referred] = FillCode.FILLED + sources[referred] if by_reference else FillCode.FROM_REFERENCE
    codes[done & (observed if masked is None else observed | masked)] = FillCode.REPLACED
    return codes


SIGNIFICANT_BITS = 8
"""Precision of stored standard deviations, about 0.4 %. It reduces the size of files to a third."""


def rounded_std(std: NDArray[np.floating], done: NDArray[np.bool_], observed: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the standard deviation: rounded at filled pixels, 0 at observed ones, NaN elsewhere."""
    kept = np.where(done, std, np.float32(0)).astype(np.float32, copy=False)
    dropped = np.finfo(np.float32).nmant + 1 - SIGNIFICANT_BITS
    # In place, because strips are large. Adding half of the dropped part rounds to the nearest number.
    bits = kept.view(np.int32)
    bits += 1 << (dropped - 1)
    bits &= -(1 << dropped)
    np.copyto(kept, np.nan, where=~(observed | done))
    return kept


def compose(
    stored: NDArray[np.generic], missing: NDArray[np.bool_], filled: Filled, bands: Sequence[SceneBand]
) -> tuple[NDArray[np.generic], NDArray[np.bool_]]:
    """Return the stored numbers with missing pixels filled, and the filled pixels.

    Args:
        stored: `(band, row, col)` as read.
        missing: The pixels to fill; all others stay unchanged.
        filled: The method's result; pixels with NaN stay unchanged.
        bands: Valid range and nodata of each band.
    """
    values = stored.copy()
    done = missing & np.isfinite(filled.mean)
    for number, band in enumerate(bands):
        where = done[number]
        if where.any():
            values[number][where] = to_stored(filled.mean[number][where], stored.dtype, band)
    return values, done


def to_stored(values: NDArray[np.floating], dtype: np.dtype[np.generic], band: SceneBand) -> NDArray[np.generic]:
    """Return finite values as stored numbers of `dtype`: rounded, in the valid range, never nodata."""
    stored = _without_nodata(values, dtype, band)
    return _outside_ranges(stored, band) if band.also_missing else stored


def _outside_ranges(stored: NDArray[Any], band: SceneBand) -> NDArray[Any]:
    """Return stored numbers, each moved out of the ranges of missing numbers to the nearest valid one, if any."""
    low, high = band.valid_range
    integer = np.issubdtype(band.dtype, np.integer)
    for first, last in _missing_ranges(band, stored.dtype):
        inside = (stored >= first) & (stored <= last)
        below, above = (first - 1, last + 1) if integer else np.nextafter([first, last], [-np.inf, np.inf])
        if below < low or above > high:
            goal = below if below >= low else above if above <= high else None
        else:
            goal = np.where(stored[inside] - below < above - stored[inside], below, above)
        if goal is not None:
            stored[inside] = goal
    return stored


def _missing_ranges(band: SceneBand, dtype: np.dtype[np.generic]) -> list[tuple[Any, Any]]:
    """Return all ranges of missing numbers of a band as `dtype`, joined where they meet."""
    ranges: list[tuple[Any, Any]] = [*band.also_missing]
    if band.nodata is not None and not math.isnan(band.nodata):
        ranges.append((band.nodata, band.nodata))
    if np.issubdtype(band.dtype, np.integer):
        limits = np.iinfo(band.dtype)
        ranges = [(first, last) for first, last in ranges if first <= limits.max and last >= limits.min]
        ranges = [(math.ceil(max(first, limits.min)), math.floor(min(last, limits.max))) for first, last in ranges]
        step = 1
    else:  # GDAL takes numbers beside nodata for nodata, too
        margin = 2 * max(float_nodata_tolerance(number, dtype) for one in ranges for number in one)
        ranges = [(dtype.type(first - margin), dtype.type(last + margin)) for first, last in ranges]
        step = 0
    joined: list[tuple[Any, Any]] = []
    for first, last in sorted(ranges):
        if joined and first <= joined[-1][1] + step:
            joined[-1] = joined[-1][0], max(joined[-1][1], last)
        else:
            joined.append((first, last))
    return joined


def _without_nodata(values: NDArray[np.floating], dtype: np.dtype[np.generic], band: SceneBand) -> NDArray[np.generic]:
    """Return finite values as stored numbers, rounded, in the valid range, and not the band's nodata number."""
    low, high = band.valid_range
    integer = np.issubdtype(band.dtype, np.integer)  # a file of several types may store it as a float
    stored: NDArray[np.generic] = np.clip(np.rint(values) if integer else values, low, high).astype(dtype)
    nodata = _as_stored(band.nodata, dtype)
    if nodata is None or not low <= nodata <= high:
        return stored
    upward = nodata < high
    if integer:
        stored[stored == nodata] = nodata + dtype.type(1) if upward else nodata - dtype.type(1)
        return stored
    step = dtype.type(2 * float_nodata_tolerance(float(nodata), dtype))
    beyond = np.nextafter(nodata + step if upward else nodata - step, dtype.type(np.inf if upward else -np.inf))
    stored[is_float_nodata(stored, float(nodata), dtype)] = beyond
    return stored


def _as_stored(nodata: float | None, dtype: np.dtype[np.generic]) -> Any:
    """Return the nodata number as `dtype`, or None if no stored number can equal it."""
    if nodata is None or math.isnan(nodata):
        return None
    if np.issubdtype(dtype, np.integer):
        limits: np.iinfo[Any] | np.finfo[Any] = np.iinfo(dtype.name)
        if not float(nodata).is_integer():
            return None
    else:
        limits = np.finfo(dtype.name)
    return dtype.type(nodata) if float(limits.min) <= nodata <= float(limits.max) else None


BLENDED_PX = (0.25, 0.6)
"""Range of distances from the nearest valid pixel, in scan periods, over which the backdrop replaces the
method's fill. At smaller distances, a tile's halo contains all pixels that a fill depends on; at larger ones,
tiles differ."""


@dataclass(frozen=True, slots=True)
class Backdrop:
    """A coarse image of the whole scene for the inside of wide holes, where tiles differ.

    Attributes:
        cell_px: Side of a cell.
        period_px: One scan period.
        mean: Mean of each cell's valid pixels, `(band, row, col)`; cells without any are interpolated.
        distance_px: Distance of each cell from the nearest one with valid pixels.
        inner_variance: Variance of pixels within a cell, for each band.
        lags_px: Distances between cells.
        variances: Semivariance of cell means at each lag, `(band, lag)`, made non-decreasing.
    """

    cell_px: int
    period_px: int
    mean: NDArray[np.float32]
    distance_px: NDArray[np.float32]
    inner_variance: NDArray[np.float64]
    lags_px: NDArray[np.float64]
    variances: NDArray[np.float64]

    def blended(self, filled: Filled, block: Block, found: BlockGaps) -> Filled:
        """Return the fill of a strip, with the inside of wide holes from the backdrop.

        There, the standard deviation increases with the distance from the nearest valid pixel.
        """
        import cv2

        inner = block.inner.slices
        if found.wide is None or not found.wide[:, *inner].any():
            return filled
        mean, std = filled.mean.copy(), None if filled.std is None else filled.std.copy()
        realizations = None if filled.realizations is None else filled.realizations.copy()
        sources = None if filled.sources is None else filled.sources.copy()
        near, far = (share * self.period_px for share in BLENDED_PX)
        for band, wide in enumerate(found.wide[:, *inner]):
            if not wide.any():
                continue
            invalid = (~found.gaps.usable[band]).view(np.uint8)
            depth = cv2.distanceTransform(invalid, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[inner][wide]
            share = np.clip((depth - near) / (far - near), 0, 1)
            share = share * share * (3 - 2 * share)
            share[~np.isfinite(mean[band][wide])] = 1
            backdrop = self._at(self.mean[band], block.strip)[wide]
            mean[band][wide] = _weighted(mean[band][wide], backdrop, share)
            if sources is not None:
                sources[band][wide] = np.where(share < 0.5, sources[band][wide], 0)
            if realizations is not None:
                for one in realizations:
                    one[band][wide] = _weighted(one[band][wide], backdrop, share)
            if std is not None:
                distance = np.maximum(self._at(self.distance_px[band], block.strip)[wide], depth)
                variance = self.inner_variance[band] + np.interp(distance, self.lags_px, self.variances[band])
                own = np.nan_to_num(std[band][wide]) ** 2
                std[band][wide] = np.sqrt(_weighted(own, variance, share))
        return Filled(mean, std, realizations, sources)

    def _at(self, cells: NDArray[np.float32], window: Window) -> NDArray[np.float32]:
        """Return cells, interpolated at the pixels of a window."""
        import cv2

        scale = 1 / self.cell_px
        first = np.array([window.col, window.row])
        shift = (first + 0.5) * scale - 0.5
        to_cells = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        size = (window.width, window.height)
        interpolated = cv2.warpAffine(cells, to_cells, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
        return interpolated.astype(np.float32, copy=False)


def _weighted(
    one: NDArray[np.floating], other: NDArray[np.floating], share: NDArray[np.floating]
) -> NDArray[np.floating]:
    """Return the weighted mean of two arrays; where the share of `other` is 1, NaN in `one` is ignored."""
    return np.where(share < 1, (1 - share) * np.nan_to_num(one) + share * other, other)


def make_backdrop(blocks: Iterable[tuple[Block, BlockGaps]], shape: tuple[int, int, int], period_px: int) -> Backdrop:
    """Return the backdrop of a scene of a shape `(band, row, col)`, from its strips with their valid pixels."""
    import cv2

    cell_px = max(period_px // 4, 1)
    cells = (shape[0], -(-shape[1] // cell_px), -(-shape[2] // cell_px))
    counts, sums, squares = (np.zeros(cells) for _ in range(3))
    columns = np.arange(0, shape[2], cell_px)
    for block, found in blocks:
        inner = block.inner.slices
        usable = found.gaps.usable[:, *inner]
        values = np.where(usable, block.values[:, *inner], 0).astype(np.float64)
        first, end = block.strip.row // cell_px, -(-(block.strip.row + block.strip.height) // cell_px)
        rows = np.maximum(np.arange(first, end) * cell_px - block.strip.row, 0)
        for total, part in ((counts, usable.astype(np.float64)), (sums, values), (squares, values**2)):
            by_row = np.add.reduceat(part, rows, axis=1)
            total[:, first:end] += np.add.reduceat(by_row, columns, axis=2)
    known = counts > 0
    mean = np.divide(sums, counts, out=np.zeros_like(sums), where=known)
    spread = np.divide(squares, counts, out=np.zeros_like(sums), where=known) - mean**2
    membrane = create_method("harmonic")
    interpolated = membrane.fill(mean[None], Gaps(~known[None], known[None]), Context()).mean[0]
    lags = 2 ** np.arange(max(int(math.log2(max(min(cells[1:]) // 2, 1))), 0) + 1)
    variances = np.zeros((shape[0], lags.size + 1))
    for number, lag in enumerate(lags, 1):
        variances[:, number] = [_semivariance(m, k, int(lag)) for m, k in zip(mean, known, strict=True)]
    distance = [cv2.distanceTransform((~k).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE) for k in known]
    return Backdrop(
        cell_px,
        period_px,
        np.where(known, mean, interpolated).astype(np.float32),
        (np.stack(distance) * cell_px).astype(np.float32),
        np.array([s[k].mean() if k.any() else 0.0 for s, k in zip(spread, known, strict=True)]).clip(0),
        np.concatenate([[0], lags * cell_px]).astype(np.float64),
        np.maximum.accumulate(variances, axis=1),
    )


def _semivariance(mean: NDArray[np.floating], known: NDArray[np.bool_], lag: int) -> float:
    """Return the semivariance of known cells at a lag, 0 without any pair."""
    differences = [
        (one - other)[both_known & other_known]
        for one, other, both_known, other_known in (
            (mean[lag:], mean[:-lag], known[lag:], known[:-lag]),
            (mean[:, lag:], mean[:, :-lag], known[:, lag:], known[:, :-lag]),
        )
    ]
    every = np.concatenate(differences)
    return float((every**2).mean() / 2) if every.size else 0.0
