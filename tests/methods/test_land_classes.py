"""GNSPI, CLEAR and the time series: what they undo exactly, and what must never influence them."""

from __future__ import annotations

import warnings
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest
import rasterio

from landsat_fill.methods import Context, TilePlace, create_method
from landsat_fill.scene import Filled, Gaps, Reference, Window

NAMES = ("gnspi", "clear", "time-series")
SHAPE = (2, 3, 72, 64)
BANDS = tuple(range(SHAPE[1]))


def texture(seed: int) -> np.ndarray:
    """Smooth hills with two kinds of land, of the shape of the image."""
    generator = np.random.default_rng(seed)
    rows, cols = np.mgrid[: SHAPE[2], : SHAPE[3]]
    phases = generator.uniform(0, 6, SHAPE[:2])[..., None, None]
    land = (np.sin(rows / 11) * np.cos(cols / 13) > 0) * generator.uniform(20, 40, SHAPE[:2])[..., None, None]
    return 100 + land + 5 * np.sin(rows / 5 + phases) + 5 * np.cos(cols / 6 + phases)


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(SHAPE)


def stripes() -> Gaps:
    """Stripes that differ from band to band, and a block that is neither missing nor usable."""
    rows, cols = np.mgrid[: SHAPE[2], : SHAPE[3]]
    missing = np.stack([(rows + cols // 6 + band) % 17 < 6 for band in BANDS])
    missing = np.broadcast_to(missing, SHAPE).copy()
    usable = ~missing
    missing[..., 30:36, 20:26] = usable[..., 30:36, 20:26] = False
    return Gaps(missing, usable)


def reference(values: np.ndarray, day: date | None = None, usable: np.ndarray | None = None) -> Reference:
    usable = np.ones(values.shape, bool) if usable is None else usable
    return Reference(np.where(usable, values, 0).astype(np.float32), usable, BANDS, day)


def season(number: int) -> tuple[np.ndarray, list[Reference]]:
    """A series of dates that follow a seasonal curve at each pixel, and the image on a day of its own."""
    level, warm, cold = texture(1), texture(2) / 5, texture(3) / 7
    days = [date(2001, 1, 20) + timedelta(days=37 * step) for step in range(number)]

    def at(day: date) -> np.ndarray:
        angle = 2 * np.pi * day.toordinal() / 365.2425
        return level + warm * np.cos(angle) + cold * np.sin(angle)

    return at(date(2002, 6, 5)), [reference(at(day), day) for day in days]


def case(name: str) -> tuple[np.ndarray, Gaps, tuple[Reference, ...]]:
    """Noisy dates of one place with clouds; the first one is usable nowhere in a corner."""
    gaps = stripes()
    image, series = season(12)
    dates = series if name == "time-series" else series[:3]
    references = []
    for number, one in enumerate(dates):
        usable = np.ones(SHAPE, bool)
        usable[..., 5 * number : 5 * number + 9, 10:30] = False
        references.append(reference(one.values + noise(number), one.date, usable))
    image = image + noise(99)
    return np.where(gaps.usable, image, np.nan).astype(np.float32), gaps, tuple(references)


def fill(name: str, image: np.ndarray, gaps: Gaps, context: Context, prepared_by: Context | None = None) -> Filled:
    method = create_method(name)
    if prepared_by is not None:
        method = method.prepare(image, gaps, prepared_by)
    return method.fill(image, gaps, context)


@pytest.mark.parametrize("prepared", [False, True])
@pytest.mark.parametrize("name", ["gnspi", "clear"])
def test_a_linear_change_between_the_dates_is_undone(name: str, prepared: bool) -> None:
    gaps, truth = stripes(), texture(1)
    gains = np.array([0.4, 1.7, -2.0]).reshape(1, 3, 1, 1)
    context = Context(references=(reference((truth - 30) / gains),))
    image = np.where(gaps.usable, truth, np.nan).astype(np.float32)
    filled = fill(name, image, gaps, context, context if prepared else None)
    np.testing.assert_allclose(filled.mean[gaps.missing], truth[gaps.missing], atol=1e-3)


def test_clear_undoes_a_linear_combination_of_dates() -> None:
    gaps, dates = stripes(), [texture(seed) for seed in (1, 2, 3)]
    truth = 20 + 0.5 * dates[0] - 0.8 * dates[1] + 1.2 * dates[2]
    image = np.where(gaps.usable, truth, np.nan).astype(np.float32)
    filled = fill("clear", image, gaps, Context(references=tuple(map(reference, dates))))
    np.testing.assert_allclose(filled.mean[gaps.missing], truth[gaps.missing], atol=1e-3)


@pytest.mark.parametrize("prepared", [False, True])
def test_the_time_series_undoes_a_seasonal_curve_despite_outliers(prepared: bool) -> None:
    gaps = stripes()
    truth, series = season(14)
    series[4] = reference(series[4].values + 300, series[4].date)
    context = Context(references=tuple(series))
    image = np.where(gaps.usable, truth, np.nan).astype(np.float32)
    filled = fill("time-series", image, gaps, context, context if prepared else None)
    np.testing.assert_allclose(filled.mean[gaps.missing], truth[gaps.missing], atol=2e-2)


def test_the_time_series_needs_eight_dates_at_a_pixel() -> None:
    gaps = stripes()
    truth, series = season(8)
    usable = np.ones(SHAPE, bool)
    usable[..., :20, :] = False
    series[3] = reference(series[3].values, series[3].date, usable)
    image = np.where(gaps.usable, truth, np.nan).astype(np.float32)
    filled = fill("time-series", image, gaps, Context(references=tuple(series))).mean
    assert np.isnan(filled[gaps.missing & ~usable]).all()
    assert np.isfinite(filled[gaps.missing & usable]).all()
    undated = tuple(replace(one, date=None) for one in series)
    assert np.isnan(fill("time-series", image, gaps, Context(references=undated)).mean[gaps.missing]).all()


@pytest.mark.parametrize("prepared", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_without_a_useful_reference_nothing_is_filled(name: str, prepared: bool) -> None:
    image, gaps, references = case(name)
    useless = [
        (),
        tuple(replace(one, usable=np.zeros(SHAPE, bool)) for one in references),
        tuple(replace(one, usable=one.usable & ~gaps.usable) for one in references),
        tuple(replace(one, matches=(None, None, None)) for one in references),
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for some in useless:
            context = Context(references=some)
            filled = fill(name, image, gaps, context, context if prepared else None)
            assert np.isnan(filled.mean[gaps.missing]).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_band_without_a_match_stays_unfilled(name: str) -> None:
    image, gaps, references = case(name)
    context = Context(references=tuple(replace(one, matches=(0, None, 2)) for one in references))
    filled = fill(name, image, gaps, context)
    assert np.isnan(filled.mean[:, 1][gaps.missing[:, 1]]).all()
    assert np.isfinite(filled.mean[:, ::2][gaps.missing[:, ::2]]).mean() > 0.9


@pytest.mark.parametrize("name", NAMES)
def test_it_fills_from_the_dates_where_they_are_usable(name: str) -> None:
    image, gaps, references = case(name)
    filled = fill(name, image, gaps, Context(references=references))
    some = gaps.missing & np.any([one.usable.all(axis=1, keepdims=True) for one in references], axis=0)
    assert np.isfinite(filled.mean[some]).all()
    truth = season(12)[0]
    assert np.sqrt(np.mean((filled.mean - truth)[some] ** 2)) < 0.4 * truth.std()
    if filled.std is not None:
        assert (filled.std[some] > 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_values_outside_usable_never_influence_the_result(name: str) -> None:
    image, gaps, references = case(name)
    expected = fill(name, image, gaps, Context(references=references))
    garbage = np.random.default_rng(5).choice(np.float32([0, 130, 1e30, np.nan]), SHAPE)
    spoilt = tuple(replace(one, values=np.where(one.usable, one.values, garbage)) for one in references)
    found = fill(name, np.where(gaps.usable, image, garbage), gaps, Context(references=spoilt))
    np.testing.assert_array_equal(found.mean[gaps.missing], expected.mean[gaps.missing])


@pytest.mark.parametrize("name", NAMES)
def test_threads_batches_and_tiles_give_the_same_pixels(name: str) -> None:
    image, gaps, references = case(name)
    context = Context(references=references)
    prepared = create_method(name).prepare(image, gaps, context)
    whole = prepared.fill(image, gaps, context)
    threaded = prepared.fill(image, gaps, replace(context, threads=3))
    np.testing.assert_array_equal(threaded.mean[gaps.missing], whole.mean[gaps.missing])
    halo_px, height, width = prepared.info.halo_px, *SHAPE[2:]
    for inner in (Window(0, 0, 8, 9), Window(height - 8, width - 9, 8, 9)):
        outer = inner.expanded(halo_px, height, width)
        one = np.s_[1:, :, *outer.slices]
        cut = replace(
            context,
            references=tuple(replace(each, values=each.values[one], usable=each.usable[one]) for each in references),
            tiles=(TilePlace(wanted=inner.within(outer)),),
        )
        tile = prepared.fill(image[one], Gaps(gaps.missing[one], gaps.usable[one]), cut).mean
        wanted = gaps.missing[1][:, *inner.slices]
        found, expected = tile[0][:, *inner.within(outer).slices], whole.mean[1][:, *inner.slices]
        np.testing.assert_array_equal(found[wanted], expected[wanted])


@pytest.mark.parametrize("name", NAMES)
def test_the_units_of_image_and_references_do_not_matter(name: str) -> None:
    image, gaps, references = case(name)
    expected = fill(name, image, gaps, Context(references=references)).mean
    scaled = tuple(replace(one, values=one.values * np.float32(2**-8)) for one in references)
    found = fill(name, image * np.float32(64) + 4096, gaps, Context(references=scaled)).mean
    np.testing.assert_allclose((found[gaps.missing] - 4096) / 64, expected[gaps.missing], atol=0.02)


@pytest.mark.real_data
def test_gnspi_agrees_with_its_authors_program(real_data) -> None:
    """Their images of Baltimore: two input dates, their filled image and their uncertainty in percent."""

    def read(name: str) -> np.ndarray:
        with rasterio.open(real_data / "pairs" / "baltimore_usa" / f"tm_baltimore_usa_{name}.tif") as file:
            return file.read()

    image, theirs = read("20100429_gap"), read("20100429_gnspi_idl_output")
    missing = np.repeat((image == 0).any(axis=0)[None], 3, axis=0)
    dates = [read(day)[None] for day in ("20100515", "20100208")]
    context = Context(references=tuple(Reference(one, np.ones(one.shape, bool), (0, 1, 2)) for one in dates), threads=2)
    gaps = Gaps(missing[None], ~missing[None])
    fitted = create_method("gnspi").prepare(image[None], gaps, context)
    ours = fitted.fill(image[None], gaps, context)
    difference = (ours.mean[0] - theirs)[missing]
    assert np.median(np.abs(difference)) < 0.0015
    assert np.sqrt(np.mean(difference**2)) < 0.008
    # Without a similar pixel, their uncertainty is 0, and ours is the class's.
    alone = np.isclose(ours.std[0][..., None], np.sqrt(fitted.fits[0].sills)[:, None, None]).any(axis=-1)
    assert alone[missing].mean() == pytest.approx(
        (read("20100429_gnspi_idl_uncertainty")[missing] == 0).mean(), abs=3e-3
    )
