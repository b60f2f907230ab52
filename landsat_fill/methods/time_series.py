"""A robust seasonal regression for each pixel over many dates, corrected by the usable pixels around a gap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from landsat_fill.methods.kernels.date_loops import seasonal_coefficients
from landsat_fill.methods.kernels.pixel_loops import nearest_usable
from landsat_fill.methods.land_classes import draw
from landsat_fill.methods.method import Context, MethodInfo, in_threads
from landsat_fill.methods.neighbourhoods import disc
from landsat_fill.scene import Filled, Gaps, Window
from landsat_fill.schema import option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from landsat_fill.scene import Reference


RADIUS_PX = 32
"""Farthest pixel that corrects a fill: from the middle of the widest SLC-off gap at 15 m past its border."""

NEIGHBOURS = 20
"""Usable pixels that correct a fill."""

SAMPLED_PIXELS = 20_000
"""Largest number of pixels from which the image's place in the season is estimated."""

LEAST_DATES = 8
"""With fewer dates at a pixel, three coefficients can't be distinguished from noise and outliers."""

DAYS_A_YEAR = 365.2425


@dataclass(frozen=True)
class TimeSeries:
    """A seasonal curve for each pixel, fitted to all references, and a local correction.

    A mean and an annual sine curve are fitted to the dates of each pixel and band. The fit is robust: Tukey's
    biweight ignores unnoticed clouds. The image is predicted from the coefficients of these curves by a
    regression over the scene, which finds the image's place in the season and its brightness. So the method
    needs no date of the image, and an early spring does no harm. The errors of the prediction at the nearest
    usable pixels, weighted by inverse squared distance, correct it in the gap.

    A pixel and band with fewer than eight dated references that are usable there stays unfilled.

    Source: Zhu and Woodcock 2014, Continuous change detection and classification of land cover,
    doi:10.1016/j.rse.2014.01.011 (robust harmonic regression); Yan and Roy 2020, Spatially and temporally
    complete Landsat reflectance time series modelling: the fill-and-fit approach, doi:10.1016/j.rse.2020.111718
    (local correction).
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        name="time-series",
        summary="a seasonal curve for each pixel over at least 8 dates, corrected around the gap",
        source="Zhu and Woodcock 2014, Continuous change detection and classification of land cover, "
        "doi:10.1016/j.rse.2014.01.011",
        halo_px=RADIUS_PX,
        needs_references=True,
        takes_every_reference=True,
    )

    dates: int = option(
        LEAST_DATES, "least number of dates at a pixel; with fewer it stays unfilled", low=LEAST_DATES, high=1000
    )

    def prepare(self, image: NDArray[np.floating], gaps: Gaps, context: Context) -> FittedTimeSeries:
        """Return the method with the image's place in the season; see `Prepares`."""

        def fit(band: int) -> NDArray[np.float64]:
            return self._place_in_season(image[:, band], gaps.usable[:, band], _Series(context.references, band))

        return FittedTimeSeries(self, tuple(in_threads(fit, range(image.shape[1]), context.threads)))

    def fill(self, image: NDArray[np.floating], gaps: Gaps, context: Context) -> Filled:
        """Return the filled image, each tile with its own place in the season; see `FillMethod.fill`."""
        mean = image.copy()

        def fill(place: tuple[int, int]) -> None:
            tile, band = place
            series = _Series(context.references, band, slice(tile, tile + 1))
            weights = self._place_in_season(image[tile : tile + 1, band], gaps.usable[tile : tile + 1, band], series)
            _fill_band(mean[place], gaps, place, context.place(place[0]).wanted, series, weights, self.dates)

        in_threads(fill, np.ndindex(*image.shape[:2]), context.threads)
        return Filled(mean)

    def _place_in_season(
        self, image: NDArray[np.floating], usable: NDArray[np.bool_], series: _Series
    ) -> NDArray[np.float64]:
        """Return an offset and a weight for each seasonal coefficient; NaN if nothing is known.

        Args:
            image: Windows of a band, `(window, row, col)`.
            usable: Of the same shape.
            series: The band in the references.
        """
        count = len(series.design)
        weights = np.full(1 + series.design.shape[1], np.nan)
        places = np.nonzero(usable & series.enough(self.dates)) if count >= self.dates else ()
        if not len(places) or not len(places[0]):
            return weights
        some = draw(len(places[0]), SAMPLED_PIXELS, np.random.default_rng(0))
        tile, row, col = (one[some] for one in places)
        coefficients = series.coefficients(tile, row, col)
        target = image[tile, row, col].astype(np.float64)
        centre = coefficients.mean(axis=0)
        weights[1:] = np.linalg.lstsq(coefficients - centre, target - target.mean())[0]
        weights[0] = target.mean() - centre @ weights[1:]
        return weights


@dataclass(frozen=True)
class FittedTimeSeries:
    """The time series with the image's place in the season.

    Attributes:
        time_series: The options.
        weights: For each band an offset and a weight for each seasonal coefficient; NaN if unknown.
    """

    time_series: TimeSeries
    weights: tuple[NDArray[np.float64], ...]

    @property
    def info(self) -> MethodInfo:
        """The facts about the time series."""
        return self.time_series.info

    def fill(self, image: NDArray[np.floating], gaps: Gaps, context: Context) -> Filled:
        """Return the filled image; see `FillMethod.fill`."""
        mean = image.copy()

        def fill(place: tuple[int, int]) -> None:
            tile, band = place
            series = _Series(context.references, band, slice(tile, tile + 1))
            _fill_band(
                mean[place],
                gaps,
                place,
                context.place(place[0]).wanted,
                series,
                self.weights[band],
                self.time_series.dates,
            )

        in_threads(fill, np.ndindex(*image.shape[:2]), context.threads)
        return Filled(mean)


class _Series:
    """A band of the image in all dated references.

    Attributes:
        design: Terms of the seasonal curve on each date, `(date, coefficient)`.
    """

    def __init__(self, references: Sequence[Reference], band: int, tiles: slice = slice(None)) -> None:
        self.design = np.empty((0, 3))
        self._planes: list[tuple[NDArray[np.float32], NDArray[np.bool_]]] = []
        days = []
        for reference in references:
            match = reference.matches[band]
            if match is not None and reference.date is not None:
                self._planes.append((reference.values[tiles, match], reference.usable[tiles, match]))
                days.append(reference.date.toordinal())
        if days:
            angle = 2 * np.pi * np.array(days) / DAYS_A_YEAR
            self.design = np.stack([np.ones(len(days)), np.cos(angle), np.sin(angle)], axis=1)

    def enough(self, dates: int) -> NDArray[np.bool_]:
        """Return the pixels that are usable on so many dates, `(tile, row, col)`."""
        count = np.zeros(self._planes[0][1].shape, np.int32)
        for _, usable in self._planes:
            count += usable
        return np.asarray(count >= dates)

    def coefficients(
        self, tile: NDArray[np.int64], row: NDArray[np.int64], col: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Return the seasonal coefficients of pixels, `(pixel, coefficient)`."""
        values = np.stack([values[tile, row, col] for values, _ in self._planes], axis=1)
        usable = np.stack([usable[tile, row, col] for _, usable in self._planes], axis=1)
        return seasonal_coefficients(values, usable, self.design)


def _fill_band(
    band: NDArray[np.floating],
    gaps: Gaps,
    place: tuple[int, int],
    wanted: Window | None,
    series: _Series,
    weights: NDArray[np.float64],
    dates: int,
) -> None:
    """Fill a band of a tile in place.

    Args:
        band: `(row, col)`; its missing pixels are written to.
        gaps: `(tile, band, row, col)`.
        place: Tile and band.
        wanted: The part of the tile to fill, or None for the whole tile.
        series: The band in the references, of one tile.
        weights: As in `FittedTimeSeries`.
        dates: Least number of dates at a pixel.
    """
    missing, usable = gaps.missing[place], gaps.usable[place]
    band[missing] = np.nan
    if np.isnan(weights).any():
        return
    part = wanted or Window(0, 0, *band.shape)
    enough = series.enough(dates)[0]
    targets = np.ascontiguousarray(np.argwhere((missing & enough)[part.slices]) + np.array([part.row, part.col]))
    offsets = disc(RADIUS_PX)
    found, _ = nearest_usable(
        usable & enough, targets, offsets, np.zeros(len(offsets), np.int64), NEIGHBOURS, NEIGHBOURS
    )
    there = found >= 0
    around = targets[:, None] + offsets[np.maximum(found, 0)]
    needed = np.zeros(band.shape, bool)
    needed[tuple(targets.T)] = True
    needed[tuple(around[there].T)] = True
    rows, cols = np.nonzero(needed)
    predicted = np.zeros(band.shape)
    predicted[rows, cols] = weights[0] + series.coefficients(np.zeros_like(rows), rows, cols) @ weights[1:]
    error = np.where(usable & needed, band, 0) - np.where(usable, predicted, 0)
    near = np.where(there, 1.0 / (offsets[np.maximum(found, 0)] ** 2).sum(axis=-1), 0)
    total = near.sum(axis=1)
    correction = (near * error[around[..., 0], around[..., 1]]).sum(axis=1) / np.where(total > 0, total, 1)
    band[tuple(targets.T)] = predicted[tuple(targets.T)] + correction
