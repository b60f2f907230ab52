"""Puts filled values among observed ones and records what was filled: it alone decides what is written.

Here alone it is guaranteed that observed pixels come back bit-identical in stored numbers, and that a
filled value is in its band's valid range and never equals nodata.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from landsat_fill.io.reader import float_nodata_tolerance, is_float_nodata
from landsat_fill.methods import Context, create_method
from landsat_fill.scene import Filled, Gaps

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from landsat_fill.pipeline.evidence import Evidence
    from landsat_fill.pipeline.strips import Block
    from landsat_fill.scene import SceneBand, Window


class FillCode(IntEnum):
    """What the fill layer says of a pixel. Of a pixel's bands the highest code counts."""

    OUTSIDE = 0
    OBSERVED = 1
    LEFT = 2
    REPLACED = 3
    FILLED = 4


MEANINGS: dict[FillCode, str] = {
    FillCode.OUTSIDE: "outside the footprint",
    FillCode.OBSERVED: "observed",
    FillCode.LEFT: "missing, left unfilled",
    FillCode.REPLACED: "observed, replaced on request",
    FillCode.FILLED: "missing, filled",
}

COLOURS: dict[FillCode, tuple[int, int, int, int]] = {
    FillCode.OUTSIDE: (0, 0, 0, 0),
    FillCode.OBSERVED: (222, 222, 222, 255),
    FillCode.LEFT: (215, 48, 39, 255),
    FillCode.REPLACED: (253, 174, 97, 255),
    FillCode.FILLED: (33, 102, 172, 255),
}


def fill_codes(
    observed: NDArray[np.bool_],
    inside: NDArray[np.bool_],
    done: NDArray[np.bool_],
) -> NDArray[np.uint8]:
    """Return the code of every pixel and band.

    Args:
        observed: What is observed, `(band, row, col)`.
        inside: What lies in the footprint.
        done: What was filled.
    """
    codes = np.full(observed.shape, FillCode.OUTSIDE, np.uint8)
    codes[inside & ~observed] = FillCode.LEFT
    codes[observed] = FillCode.OBSERVED
    codes[done] = FillCode.FILLED
    codes[done & observed] = FillCode.REPLACED
    return codes


SIGNIFICANT_BITS = 8
"""Kept of each deviation, which is to 0.4 %: nobody knows an error better, and files are a third as large."""


def kept_deviation(
    std: NDArray[np.floating], done: NDArray[np.bool_], observed: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Return the deviation of filled pixels, rounded to `SIGNIFICANT_BITS`, 0 of observed ones, else NaN.

    Args:
        std: In stored numbers, finite where filled.
        done: Where pixels were filled, of the same shape.
        observed: Where they are observations, of the same shape.
    """
    kept = np.where(done, std, np.float32(0)).astype(np.float32, copy=False)
    dropped = np.finfo(np.float32).nmant + 1 - SIGNIFICANT_BITS
    # In place: strips are large. Half of what is dropped rounds to the nearest; it may carry on upwards.
    bits = kept.view(np.int32)
    bits += 1 << (dropped - 1)
    bits &= -(1 << dropped)
    np.copyto(kept, np.nan, where=~(observed | done))
    return kept


def compose(
    stored: NDArray[np.generic],
    missing: NDArray[np.bool_],
    filled: Filled,
    bands: Sequence[SceneBand],
) -> tuple[NDArray[np.generic], NDArray[np.bool_]]:
    """Return the stored numbers with the missing pixels filled, and which pixels were.

    Args:
        stored: `(band, row, col)` as read.
        missing: The pixels to fill; all others are returned as they are.
        filled: The method's answer, NaN where it has none; those stay as they are.
        bands: Valid range and nodata of each band.
    """
    values = stored.copy()
    done = missing & np.isfinite(filled.mean)
    for number, band in enumerate(bands):
        where = done[number]
        if where.any():
            values[number][where] = to_stored(filled.mean[number][where], stored.dtype, band)
    return values, done


def to_stored(
    values: NDArray[np.floating], dtype: np.dtype[np.generic], band: SceneBand
) -> NDArray[np.generic]:
    """Return finite values as stored numbers of `dtype`: rounded, in the valid range, never nodata."""
    low, high = band.valid_range
    integer = np.issubdtype(band.dtype, np.integer)  # in a file of several types it may be stored as a float
    stored: NDArray[np.generic] = np.clip(np.rint(values) if integer else values, low, high).astype(dtype)
    nodata = _as_stored(band.nodata, dtype)
    if nodata is None or not low <= nodata <= high:
        return stored
    upward = nodata < high
    if integer:
        stored[stored == nodata] = nodata + dtype.type(1) if upward else nodata - dtype.type(1)
        return stored
    step = dtype.type(2 * float_nodata_tolerance(float(nodata), dtype))
    beyond = np.nextafter(
        nodata + step if upward else nodata - step, dtype.type(np.inf if upward else -np.inf)
    )
    stored[is_float_nodata(stored, float(nodata), dtype)] = beyond
    return stored


def _as_stored(nodata: float | None, dtype: np.dtype[np.generic]) -> Any:
    """Return the nodata number as `dtype` holds it, or None where no stored number can be it."""
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
"""Distances from the nearest valid pixel, in scan periods, between which the method's fill gives way to the
backdrop. Nearer than that, a tile's halo holds all that a fill depends on; farther, tiles differ."""


@dataclass(frozen=True, slots=True)
class Backdrop:
    """A coarse picture of the whole scene for the inside of wide holes, where tiles differ.

    Attributes:
        cell_px: Side of a cell.
        period_px: One scan period.
        mean: The mean of each cell's valid pixels, `(band, row, col)`; the membrane through them elsewhere.
        distance_px: How far each cell lies from one with valid pixels.
        inner_variance: Of each band, the variance of pixels within a cell.
        lags_px: Distances between cells.
        variances: Half the mean squared difference of cells that far apart, `(band, lag)`, never falling.
    """

    cell_px: int
    period_px: int
    mean: NDArray[np.float32]
    distance_px: NDArray[np.float32]
    inner_variance: NDArray[np.float64]
    lags_px: NDArray[np.float64]
    variances: NDArray[np.float64]

    def blended(self, filled: Filled, block: Block, evidence: Evidence) -> Filled:
        """Return the fill of a strip with the inside of its wide holes taken from the backdrop.

        The standard deviation grows with the distance from the nearest valid pixel there.

        Args:
            filled: The method's fill of the strip.
            block: The strip, with its halo.
            evidence: What is to be filled, and from what, of the block.
        """
        import cv2

        inner = block.inner.slices
        if evidence.wide is None or not evidence.wide[:, *inner].any():
            return filled
        mean, std = filled.mean.copy(), None if filled.std is None else filled.std.copy()
        draws = None if filled.realizations is None else filled.realizations.copy()
        near, far = (share * self.period_px for share in BLENDED_PX)
        for band, wide in enumerate(evidence.wide[:, *inner]):
            if not wide.any():
                continue
            blind = (~evidence.gaps.usable[band]).view(np.uint8)
            depth = cv2.distanceTransform(blind, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[inner][wide]
            share = np.clip((depth - near) / (far - near), 0, 1)
            share = share * share * (3 - 2 * share)
            share[~np.isfinite(mean[band][wide])] = 1
            behind = self._at(self.mean[band], block.strip)[wide]
            mean[band][wide] = _between(mean[band][wide], behind, share)
            if draws is not None:
                for draw in draws:
                    draw[band][wide] = _between(draw[band][wide], behind, share)
            if std is not None:
                distance = np.maximum(self._at(self.distance_px[band], block.strip)[wide], depth)
                variance = self.inner_variance[band] + np.interp(distance, self.lags_px, self.variances[band])
                own = np.nan_to_num(std[band][wide]) ** 2
                std[band][wide] = np.sqrt(_between(own, variance, share))
        return Filled(mean, std, draws)

    def _at(self, cells: NDArray[np.float32], window: Window) -> NDArray[np.float32]:
        """Return cells, interpolated at the pixels of a window."""
        import cv2

        scale = 1 / self.cell_px
        first = np.array([window.col, window.row])
        shift = (first + 0.5) * scale - 0.5
        to_cells = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        size = (window.width, window.height)
        found = cv2.warpAffine(cells, to_cells, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
        return found.astype(np.float32, copy=False)


def _between(
    one: NDArray[np.floating], other: NDArray[np.floating], share: NDArray[np.floating]
) -> NDArray[np.floating]:
    """Return the mean of two, weighed by the share of the other one, which alone counts where it is 1."""
    return np.where(share < 1, (1 - share) * np.nan_to_num(one) + share * other, other)


def make_backdrop(
    blocks: Iterable[tuple[Block, Evidence]], shape: tuple[int, int, int], period_px: int
) -> Backdrop:
    """Return the backdrop of a scene.

    Args:
        blocks: The strips of the scene, and what is usable in each.
        shape: Bands, rows and columns of the scene.
        period_px: One scan period.
    """
    import cv2

    cell_px = max(period_px // 4, 1)
    cells = (shape[0], -(-shape[1] // cell_px), -(-shape[2] // cell_px))
    counts, sums, squares = (np.zeros(cells) for _ in range(3))
    columns = np.arange(0, shape[2], cell_px)
    for block, evidence in blocks:
        inner = block.inner.slices
        usable = evidence.gaps.usable[:, *inner]
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
    through = membrane.fill(mean[None], Gaps(~known[None], known[None]), Context()).mean[0]
    lags = 2 ** np.arange(max(int(math.log2(max(min(cells[1:]) // 2, 1))), 0) + 1)
    variances = np.zeros((shape[0], lags.size + 1))
    for number, lag in enumerate(lags, 1):
        variances[:, number] = [_half_square(m, k, int(lag)) for m, k in zip(mean, known, strict=True)]
    distance = [cv2.distanceTransform((~k).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE) for k in known]
    return Backdrop(
        cell_px,
        period_px,
        np.where(known, mean, through).astype(np.float32),
        (np.stack(distance) * cell_px).astype(np.float32),
        np.array([s[k].mean() if k.any() else 0.0 for s, k in zip(spread, known, strict=True)]).clip(0),
        np.concatenate([[0], lags * cell_px]).astype(np.float64),
        np.maximum.accumulate(variances, axis=1),
    )


def _half_square(mean: NDArray[np.floating], known: NDArray[np.bool_], lag: int) -> float:
    """Return half the mean squared difference of known cells so far apart, 0 without any."""
    differences = [
        (one - other)[both_known & other_known]
        for one, other, both_known, other_known in (
            (mean[lag:], mean[:-lag], known[lag:], known[:-lag]),
            (mean[:, lag:], mean[:, :-lag], known[:, lag:], known[:, :-lag]),
        )
    ]
    every = np.concatenate(differences)
    return float((every**2).mean() / 2) if every.size else 0.0
