"""What every registered method promises, whatever it does in between (see `FillMethod.fill`)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cache

import numpy as np
import pytest

from landsat_fill.methods import Context, FillMethod, MethodInfo, TilePlace, create_method, method_classes
from landsat_fill.methods.learned import LearnedMethod
from landsat_fill.methods.method import Prepares
from landsat_fill.scene import Filled, Gaps, Reference

pytestmark = pytest.mark.usefixtures("tiny_models")

METHODS = list(method_classes())

LIGHTER = {
    "deep-image-prior": {
        "iterations": 2, "runs": 2, "channels": 4, "scales": 2, "input_noise": 0, "precision": "float32"
    },
    "direct-sampling": {"ensemble": 2, "fraction": 0.02, "neighbours": 12},
}  # fmt: skip
"""Options of methods that take their time as they come."""


def is_learned(name: str) -> bool:
    return issubclass(method_classes()[name], LearnedMethod)


def made(name: str) -> FillMethod:
    """The method as it comes, or lighter; but for the precision: bfloat16 rounds more than is tested here."""
    method = create_method(name, {"precision": "float32"} if is_learned(name) else LIGHTER.get(name))
    return WithReference(method, method.info) if method.info.needs_references else method


def dates(name: str, values: np.ndarray, usable: np.ndarray, matches: tuple[int | None, ...]) -> tuple[Reference, ...]:
    """One reference, or ten over a year for a method that takes every one."""
    if not method_classes()[name].info.takes_every_reference:
        return (Reference(values, usable, matches),)
    seasons = np.float32(1 + 0.2 * np.sin(2 * np.pi * np.arange(10) / 10))
    return tuple(
        Reference(season * values, usable, matches, date(2004, 1, 1) + timedelta(37 * number))
        for number, season in enumerate(seasons)
    )


@dataclass(frozen=True)
class WithReference:
    """A method that needs references, with one, and with another method for what it leaves, as in the pipeline.

    The reference is the image itself, darker and with its gaps filled.
    """

    method: FillMethod
    info: MethodInfo  # type: ignore[misc]

    def prepare(self, image: np.ndarray, gaps: Gaps, context: Context) -> FillMethod:
        if not isinstance(self.method, Prepares):
            return self
        return WithReference(self.method.prepare(image, gaps, self.shown(image, gaps, context)), self.info)

    def fill(self, image: np.ndarray, gaps: Gaps, context: Context) -> Filled:
        filled = self.method.fill(image, gaps, self.shown(image, gaps, context))
        left = gaps.missing & np.isnan(filled.mean)
        rest = create_method("harmonic").fill(image, gaps, context)
        return replace(filled, mean=np.where(left, rest.mean, filled.mean))

    def shown(self, image: np.ndarray, gaps: Gaps, context: Context) -> Context:
        unseen = Gaps(~gaps.usable, gaps.usable)
        values = create_method("nearest").fill(image, unseen, context).mean
        usable = np.isfinite(values)
        darker = np.where(usable, 0.75 * values, 0).astype(np.float32)
        return replace(context, references=dates(self.info.name, darker, usable, tuple(range(image.shape[1]))))


def landscape(shape: tuple[int, ...], low: float, high: float) -> np.ndarray:
    """Smooth hills with texture, different in every tile and band, between `low` and `high`."""
    tiles, bands, height, width = shape
    rows, cols = np.mgrid[:height, :width]
    generator = np.random.default_rng(7)
    image = np.empty(shape, np.float32)
    for tile in range(tiles):
        for band in range(bands):
            phase, slope = generator.uniform(0, 6), generator.uniform(0.5, 2)
            hills = np.sin(rows / 9 + phase) + np.cos(slope * cols / 7 + phase)
            image[tile, band] = hills + 0.2 * generator.standard_normal((height, width))
    image = (image - image.min()) / (image.max() - image.min())
    return (low + (high - low) * image).astype(np.float32)


def striped_gaps(shape: tuple[int, ...]) -> Gaps:
    """Tilted stripes that differ by a row from band to band; the last band has none.

    A corner of the first band is missing where nothing usable touches it, and a block is neither.
    """
    rows, cols = np.mgrid[: shape[2], : shape[3]]
    missing = np.zeros(shape, bool)
    for band in range(shape[1] - 1):
        missing[:, band] = (rows + cols // 6 + band) % 17 < 6
    usable = ~missing
    missing[:, 0, :4, :4], usable[:, 0, :8, :8] = True, False
    missing[:, 0, 4:8, 4:8] = False
    usable[:, :, -9:-5, -12:-6] = False
    return Gaps(missing, usable)


def context(tiles: int, threads: int = 1) -> Context:
    return Context(
        threads=threads, tiles=tuple(TilePlace(generator=np.random.default_rng(tile)) for tile in range(tiles))
    )


def small_case(name: str, low: float = 1.0, high: float = 255.0) -> tuple[np.ndarray, Gaps]:
    shape = (2, 3, 48, 40)
    gaps = striped_gaps(shape)
    image = landscape(shape, low, high)
    image[~gaps.usable] = np.nan
    return image, gaps


@cache
def answer(name: str) -> tuple[np.ndarray, Gaps, Filled]:
    """Return the small case, and what the method makes of it, computed once; none of it may be written to."""
    image, gaps = small_case(name)
    return image, gaps, made(name).fill(image, gaps, replace(context(2), realizations=realizations_of(name)))


def realizations_of(name: str) -> int:
    return 2 if made(name).info.gives_realizations else 0


@pytest.mark.parametrize("name", METHODS)
def test_missing_pixels_become_values_of_the_band(name: str) -> None:
    limits = (60_000.0, 60_400.0)  # 16 bits with a large offset; other units: `test_units_do_not_matter`
    image, gaps = small_case(name, *limits)
    filled = made(name).fill(image, gaps, context(2))
    assert filled.mean.shape == image.shape
    at_missing = filled.mean[gaps.missing]
    assert np.isfinite(at_missing).all()
    if is_learned(name):  # how well it fills is its weights' affair
        return
    span = limits[1] - limits[0]
    assert at_missing.min() > limits[0] - 0.5 * span
    assert at_missing.max() < limits[1] + 0.5 * span
    truth = landscape(image.shape, *limits)
    naive = np.nanmean(image)
    error = np.sqrt(np.mean((at_missing - truth[gaps.missing]) ** 2))
    assert error < 0.9 * np.sqrt(np.mean((naive - truth[gaps.missing]) ** 2))


@pytest.mark.parametrize("name", METHODS)
def test_a_standard_deviation_is_given_where_promised_and_never_negative(name: str) -> None:
    image, gaps, filled = answer(name)
    assert (filled.std is not None) == method_classes()[name].info.gives_std
    if filled.std is not None:
        assert filled.std.shape == image.shape
        assert (filled.std[gaps.missing] >= 0).all()


@pytest.mark.parametrize("name", METHODS)
def test_input_is_not_written_to(name: str) -> None:
    """The arrays of `answer` are those that all methods here have seen by now."""
    image, gaps, _ = answer(name)
    before, untouched = small_case(name)
    np.testing.assert_array_equal(image, before)
    np.testing.assert_array_equal(gaps.missing, untouched.missing)
    np.testing.assert_array_equal(gaps.usable, untouched.usable)


@pytest.mark.parametrize("name", METHODS)
def test_values_outside_usable_never_influence_the_result(name: str) -> None:
    """The expected result is made with NaN there; other values give the same result."""
    image, gaps, expected = answer(name)
    garbage = np.random.default_rng(5).choice(np.float32([0, 130, 1e30, -np.inf]), image.shape)
    spoilt = np.where(gaps.usable, image, garbage)
    found = made(name).fill(spoilt, gaps, replace(context(2), realizations=realizations_of(name)))
    assert_same(expected, found, gaps)


@pytest.mark.parametrize("name", METHODS)
def test_result_does_not_depend_on_threads(name: str) -> None:
    image, gaps, one = answer(name)
    four = made(name).fill(image, gaps, replace(context(2, threads=4), realizations=realizations_of(name)))
    assert_same(one, four, gaps)


@pytest.mark.parametrize("name", METHODS)
def test_result_does_not_depend_on_the_place_in_the_batch(name: str) -> None:
    image, gaps, filled = answer(name)
    together = filled.mean
    alone_context = Context(tiles=(TilePlace(generator=np.random.default_rng(1)),))
    alone_gaps = Gaps(gaps.missing[1:], gaps.usable[1:])
    alone = made(name).fill(image[1:], alone_gaps, alone_context).mean
    span = 254.0
    np.testing.assert_allclose(alone[alone_gaps.missing], together[1:][alone_gaps.missing], atol=1e-5 * span)


@pytest.mark.parametrize("name", METHODS)
def test_bands_without_usable_pixels_with_one_and_without_contrast(name: str) -> None:
    """Three tiles of a batch: each has an odd band in the middle of others."""
    image, gaps = landscape((3, 3, 48, 40), 1.0, 255.0), striped_gaps((3, 3, 48, 40))
    gaps.usable[0, 1] = False
    gaps.missing[1, 1], gaps.usable[1, 1] = True, False
    gaps.missing[1, 1, 30, 20], gaps.usable[1, 1, 30, 20] = False, True
    image[1, 1, 30, 20] = 77
    image[2] = np.float32([0.37, 20_000, 1]).reshape(3, 1, 1)
    constant = image[2].copy()
    image[~gaps.usable] = np.nan
    filled = made(name).fill(image, gaps, context(3)).mean
    lost = np.zeros_like(gaps.missing)
    lost[0, 1] = gaps.missing[0, 1]
    assert np.isnan(filled[lost]).all()
    assert np.isfinite(filled[gaps.missing & ~lost]).all()
    np.testing.assert_allclose(filled[2][gaps.missing[2]], constant[gaps.missing[2]], rtol=1e-4)


@pytest.mark.parametrize("name", METHODS)
def test_units_do_not_matter(name: str) -> None:
    image, gaps, filled = answer(name)
    gain, offset = np.float32(2.75e-3), np.float32(-0.2)
    expected = filled.mean[gaps.missing]
    found = made(name).fill(image * gain + offset, gaps, context(2)).mean[gaps.missing]
    np.testing.assert_allclose((found - offset) / gain, expected, atol=1e-3 * 254)


@pytest.mark.parametrize(
    ("size", "dtype"), [((1, 1), np.float32), ((1, 40), np.float64), ((40, 1), np.float32), ((2, 3), np.float64)]
)
@pytest.mark.parametrize("name", METHODS)
def test_thin_and_tiny_tiles_are_filled(name: str, size: tuple[int, int], dtype: type) -> None:
    shape = (1, 2, *size)
    missing = np.zeros(shape, bool)
    missing[:, 0, :, 3:9], missing[:, 0, 3:9] = True, True
    image = landscape(shape, 1, 255).astype(dtype) if shape[-1] * shape[-2] > 1 else np.ones(shape, dtype)
    filled = made(name).fill(image, Gaps(missing, ~missing), context(1)).mean
    assert filled.shape == shape
    assert np.isfinite(filled[missing]).all()


# Half of the latent values of convlnp are averages over the tile; the deep image prior is fitted to the tile, and so is
# multi-date without the nodes of a scene (with them: `test_tiles_and_strips_give_the_same_pixels`).
@pytest.mark.parametrize(
    "name", [name for name in METHODS if name not in ("convlnp", "deep-image-prior", "multi-date")]
)
def test_inside_its_halo_a_tile_agrees_with_the_whole(name: str) -> None:
    halo_px = made(name).info.halo_px
    left = 40
    shape = (1, 1, 120, left + halo_px + 64)
    rows, cols = np.mgrid[: shape[2], : shape[3]]
    missing = ((rows + np.tan(np.radians(9.7)) * cols) % 33 < 18)[None, None]
    image = landscape(shape, 1, 255)
    gaps = Gaps(missing, ~missing)
    method = made(name)
    if isinstance(method, Prepares):
        method = method.prepare(image, gaps, context(1))
    whole = method.fill(image, gaps, context(1)).mean
    tile_gaps = Gaps(missing[..., left:], ~missing[..., left:])
    placed = Context(tiles=(TilePlace((0, left)),))
    tile = method.fill(image[..., left:], tile_gaps, placed).mean
    inside = tile_gaps.missing[..., halo_px:]
    difference = tile[..., halo_px:] - whole[..., left + halo_px :]
    assert np.abs(difference[inside]).max() < 0.5


def assert_same(one: Filled, other: Filled, gaps: Gaps) -> None:
    np.testing.assert_array_equal(one.mean[gaps.missing], other.mean[gaps.missing])
    assert (one.std is None) == (other.std is None)
    if one.std is not None and other.std is not None:
        np.testing.assert_array_equal(one.std[gaps.missing], other.std[gaps.missing])
    assert (one.realizations is None) == (other.realizations is None)
    if one.realizations is not None and other.realizations is not None:
        np.testing.assert_array_equal(one.realizations[:, gaps.missing], other.realizations[:, gaps.missing])


WITH_REFERENCES = [name for name in METHODS if method_classes()[name].info.needs_references]
FILLS_ALONE = {"wlr"}
"""Methods that fill from the image itself what no reference shows."""


REGRESSIONS = {"clear", "gnspi", "multi-date"}
"""Methods that predict means of classes where a reference has no contrast."""


def useless(kind: str, image: np.ndarray) -> tuple[Reference, ...]:
    """No reference, or one that says nothing."""
    values = landscape(image.shape, 1, 255)
    seen, matches = np.ones(image.shape, bool), tuple(range(image.shape[1]))
    return {
        "none": (),
        "unusable": (Reference(np.zeros_like(values), ~seen, matches),),
        "constant": (Reference(np.full_like(values, 0.1), seen, matches),),
        "no band": (Reference(values, seen, (None,) * len(matches)),),
    }[kind]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", ["none", "unusable", "constant", "no band"])
@pytest.mark.parametrize("name", WITH_REFERENCES)
def test_without_a_useful_reference_pixels_stay_unfilled(name: str, kind: str) -> None:
    image, gaps = small_case(name)
    filled = create_method(name).fill(image, gaps, replace(context(2), references=useless(kind, image))).mean
    if name in FILLS_ALONE:
        assert np.isfinite(filled[gaps.missing]).all()
    elif kind == "constant" and name in REGRESSIONS:
        at_missing = filled[gaps.missing]
        assert np.nanmin(at_missing) >= np.nanmin(image)
        assert np.nanmax(at_missing) <= np.nanmax(image)
    else:
        assert np.isnan(filled[gaps.missing]).all()


@pytest.mark.parametrize("name", WITH_REFERENCES)
def test_a_useless_reference_changes_nothing(name: str) -> None:
    image, gaps = small_case(name)
    good = dates(name, 0.75 * landscape(image.shape, 1, 255), gaps.usable | gaps.missing, (0, None, 2))
    method = create_method(name)
    alone = method.fill(image, gaps, replace(context(2), references=good))
    for kind in ("unusable", "no band", *(() if name in REGRESSIONS else ("constant",))):
        several = (*useless(kind, image), *good)
        assert_same(alone, method.fill(image, gaps, replace(context(2), references=several)), gaps)


@pytest.mark.parametrize("name", WITH_REFERENCES)
def test_values_outside_usable_of_a_reference_never_influence_the_result(name: str) -> None:
    image, gaps = small_case(name)
    values = 0.75 * landscape(image.shape, 1, 255)
    usable = np.random.default_rng(3).random(image.shape) > 0.2
    found = [
        create_method(name).fill(
            image, gaps, replace(context(2), references=dates(name, np.where(usable, values, other), usable, (0, 1, 2)))
        )
        for other in np.float32([0, np.nan, 1e30])
    ]
    assert np.isfinite(found[0].mean[gaps.missing & usable]).mean() > 0.5
    if name not in FILLS_ALONE:
        assert np.isnan(found[0].mean[gaps.missing & ~usable]).all()
    assert_same(found[0], found[1], gaps)
    assert_same(found[0], found[2], gaps)


WITH_FURTHER_BANDS = [name for name in METHODS if method_classes()[name].info.uses_references]


@cache
def case_of_two_dates() -> tuple[np.ndarray, Gaps, np.ndarray]:
    """The truth, its gaps in stripes, and another date with other gains and noise."""
    shape = (1, 2, 64, 60)
    truth = landscape(shape, 1, 255)
    missing = np.broadcast_to((np.arange(64)[:, None] + np.arange(60) // 6) % 20 < 7, shape)
    other = np.float32([0.5, -2]).reshape(1, 2, 1, 1) * truth + np.random.default_rng(4).normal(0, 2, shape)
    return truth, Gaps(missing, ~missing), other.astype(np.float32)


@cache
def filled_beside(name: str, kind: str) -> Filled:
    truth, gaps, other = case_of_two_dates()
    noise = np.random.default_rng(8).normal(100, 40, truth.shape).astype(np.float32)
    seen = np.ones(truth.shape, bool)
    good = Reference(other, seen, (0, 1))
    references = {
        "good": (good,),
        "noise": (Reference(noise, seen, (0, 1)),),
        "good, and useless ones": (*useless("unusable", truth), good, *useless("no band", truth)),
        "none": (),
    }
    shown = references[kind] if kind in references else useless(kind, truth)
    method = create_method(name, LIGHTER.get(name))
    image = np.where(gaps.usable, truth, np.nan)
    return method.fill(image, gaps, replace(context(1), references=shown))


def error_beside(name: str, kind: str) -> float:
    truth, gaps, _ = case_of_two_dates()
    return float(np.sqrt(np.mean((filled_beside(name, kind).mean - truth)[gaps.missing] ** 2)))


@pytest.mark.parametrize("name", WITH_FURTHER_BANDS)
def test_references_help_and_useless_ones_cost_little(name: str) -> None:
    _, gaps, _ = case_of_two_dates()
    alone = filled_beside(name, "none")
    assert alone.sources is None
    for kind in ("unusable", "no band", "constant"):
        assert_same(alone, filled_beside(name, kind), gaps)
    if name != "deep-image-prior":  # lighter ones are hardly fitted
        assert error_beside(name, "good") < 0.9 * error_beside(name, "none")
        assert error_beside(name, "noise") < 1.03 * error_beside(name, "none")
    assert_same(filled_beside(name, "good"), filled_beside(name, "good, and useless ones"), gaps)


def test_the_fill_layer_says_where_references_explain_most() -> None:
    _, gaps, _ = case_of_two_dates()
    good, noise, several = (
        filled_beside("cokriging", kind).sources for kind in ("good", "noise", "good, and useless ones")
    )
    assert (good[gaps.missing] == 1).mean() > 0.95
    assert not noise[gaps.missing].any()
    assert (several[gaps.missing] == 2).mean() > 0.95


@pytest.mark.parametrize("name", WITH_FURTHER_BANDS)
def test_what_is_not_usable_of_a_further_band_never_influences_the_result(name: str) -> None:
    truth, gaps, other = case_of_two_dates()
    seen = np.random.default_rng(3).random(truth.shape) > 0.2
    method = create_method(name, LIGHTER.get(name))
    first, second = (
        method.fill(
            np.where(gaps.usable, truth, np.nan),
            gaps,
            replace(context(1, threads), references=(Reference(np.where(seen, other, garbage), seen, (0, 1)),)),
        )
        for threads, garbage in ((1, np.float32(np.nan)), (3, np.float32(1e30)))
    )
    assert np.isfinite(first.mean[gaps.missing]).all()
    assert_same(first, second, gaps)
