"""Kriging against what theory says of fields whose variogram is known."""

from __future__ import annotations

import numpy as np
import pytest

from landsat_fill.errors import UsageError
from landsat_fill.methods import Context, create_method
from landsat_fill.methods.kriging import kriging_weights
from landsat_fill.methods.neighbourhoods import find_neighbourhoods
from landsat_fill.methods.variogram import RANGES_PX, Variogram, estimate_semivariances, fit_variogram
from landsat_fill.pipeline.arrays import fill_array
from landsat_fill.scene import Gaps

NONE = (0.0,) * len(RANGES_PX)


def structure(sill: float, range_px: float) -> tuple[float, ...]:
    return tuple(sill if abs(one - range_px) < 0.01 else 0.0 for one in RANGES_PX)


ROUGH = Variogram(5.0, structure(95.0, 16.0), NONE)
SMOOTH = Variogram(2.0, NONE, structure(98.0, 8.0))
SLANTED = Variogram(2.0, structure(98.0, 16.0), NONE, angle_deg=30.0, ratio=3.0)


def field(variogram: Variogram, side_px: int, seed: int) -> np.ndarray:
    """A Gaussian field of the variogram, `(row, col)`, cut from one four times as large on a torus."""
    size = 2 * side_px
    lags = np.minimum(np.arange(size), size - np.arange(size)) * np.where(np.arange(size) > side_px, -1, 1)
    covariance = variogram.covariance(*np.meshgrid(lags.astype(float), lags.astype(float), indexing="ij"))
    power = np.maximum(np.fft.fft2(covariance).real, 0)
    noise = np.random.default_rng(seed).standard_normal((2, size, size))
    return np.fft.fft2(np.sqrt(power) * (noise[0] + 1j * noise[1])).real[:side_px, :side_px] / size


def stripes(side_px: int, width_px: int) -> np.ndarray:
    rows, cols = np.mgrid[:side_px, :side_px]
    return (rows + np.floor(np.tan(np.radians(9.7)) * cols)) % 33 < width_px


def best_error(variogram: Variogram, missing: np.ndarray, pixel: tuple[int, int]) -> float:
    """The kriging variance of a pixel from its 150 nearest observed pixels, as the textbook has it."""
    places = np.argwhere(~missing)
    places = places[np.argsort(((places - pixel) ** 2).sum(1), kind="stable")[:150]]
    lags = (places[:, None] - places[None]).astype(float)
    matrix = np.ones((151, 151))
    matrix[:150, :150], matrix[150, 150] = variogram.semivariance(lags[..., 0], lags[..., 1]), 0
    right = np.ones(151)
    right[:150] = variogram.semivariance(*(places - pixel).astype(float).T)
    return float(np.linalg.solve(matrix, right) @ right)


@pytest.mark.parametrize("variogram", [ROUGH, SMOOTH, SLANTED], ids=["rough", "smooth", "slanted"])
def test_the_error_on_a_gaussian_field_is_the_least_there_is(variogram: Variogram) -> None:
    side_px = 224
    missing = stripes(side_px, 8)
    truth = np.stack([field(variogram, side_px, seed) for seed in range(3)])
    cube = np.broadcast_to(missing, truth.shape)
    method = create_method("kriging", {"anisotropic": variogram.ratio > 1})
    filled = fill_array(truth, Gaps(cube, ~cube), method, context=Context(threads=2))
    error = (filled.mean - truth)[cube]
    hidden = np.argwhere(missing)
    inside = hidden[((hidden > 20) & (hidden < side_px - 20)).all(1)]
    some = np.random.default_rng(0).choice(inside, 60, replace=False)
    theory = np.sqrt(np.mean([best_error(variogram, missing, tuple(pixel)) for pixel in some]))
    assert np.sqrt(np.mean(error**2)) == pytest.approx(theory, rel=0.04)  # sixty pixels, three fields
    covered = np.mean(np.abs(error) < 1.645 * filled.std[cube])
    assert 0.88 < covered < 0.92


def test_weights_are_those_of_the_textbook() -> None:
    missing = stripes(64, 6)
    pixel = np.argwhere(missing)[600]
    (near,) = find_neighbourhoods(~missing, pixel[None], most=150, most_a_quadrant=150, radius_px=40)
    weights, variance = kriging_weights(near, SLANTED)
    assert weights.sum() == pytest.approx(1)
    assert variance[0] == pytest.approx(best_error(SLANTED, missing, tuple(pixel)), rel=1e-9)


@pytest.mark.parametrize("estimator", ["cressie-hawkins", "matheron"])
@pytest.mark.parametrize("variogram", [ROUGH, SMOOTH], ids=["rough", "smooth"])
def test_a_variogram_is_found_again(variogram: Variogram, estimator: str) -> None:
    image = np.stack([field(variogram, 256, seed) for seed in range(6)])
    found = estimate_semivariances(image, np.ones(image.shape, bool), estimator, np.ones(image.shape))
    fitted = fit_variogram(found, 1.0, anisotropic=True)
    lags = np.array([1.0, 2, 4, 8, 16])
    expected = variogram.semivariance(np.zeros(5), lags)
    np.testing.assert_allclose(fitted.semivariance(np.zeros(5), lags), expected, rtol=0.12)
    assert fitted.ratio == 1


def test_the_direction_of_the_longest_range_is_found() -> None:
    image = np.stack([field(SLANTED, 256, seed) for seed in range(4)])
    found = estimate_semivariances(image, np.ones(image.shape, bool), "matheron", np.ones(image.shape))
    fitted = fit_variogram(found, 1.0, anisotropic=True)
    assert (fitted.angle_deg, fitted.ratio) == (30, 3)
    assert fit_variogram(found, 1.0, anisotropic=False).ratio == 1


def test_deviations_are_larger_where_a_band_is_rougher() -> None:
    calm = field(ROUGH, 160, 0)
    image = np.concatenate([calm, 10 * calm], axis=1)[None]
    missing = np.concatenate([stripes(160, 8)] * 2, axis=1)[None]
    filled = fill_array(image, Gaps(missing, ~missing), create_method("kriging"))
    left, right = (np.median(filled.std[0][:, part][missing[0][:, part]]) for part in np.s_[:120, 200:])
    assert right / left == pytest.approx(10, rel=0.15)


def test_a_wide_hole_is_filled_from_its_far_border() -> None:
    image = field(SMOOTH, 128, 0)[None] + 1000
    missing = np.zeros(image.shape, bool)
    missing[:, 10:118, 10:118] = True
    filled = fill_array(image, Gaps(missing, ~missing), create_method("kriging"))
    assert np.isfinite(filled.mean).all()
    assert abs(filled.mean[0, 64, 64] - 1000) < 20
    assert filled.std[0, 64, 64] > 1.5 * filled.std[0, 11, 11]


def test_neighbours_come_from_all_four_quadrants() -> None:
    usable = np.ones((21, 21), bool)
    usable[9:13] = False
    (near,) = find_neighbourhoods(usable, np.array([[9, 10]]), most=16, most_a_quadrant=4, radius_px=10)
    rows, cols = near.offsets[near.found[0]].T
    assert [np.count_nonzero(side) for side in (rows < 0, rows > 0, cols < 0, cols > 0)] >= [8, 8, 6, 6]


def test_equal_neighbourhoods_are_solved_once() -> None:
    missing = np.zeros((40, 200), bool)
    missing[15:20] = True
    targets = np.argwhere(missing)
    (near,) = find_neighbourhoods(~missing, targets, most=16, most_a_quadrant=4, radius_px=12)
    assert len(near.found) < 60 < len(targets)
    one_by_one = [
        find_neighbourhoods(~missing, target[None], most=16, most_a_quadrant=4, radius_px=12)[0].found[0]
        for target in targets[::37]
    ]
    np.testing.assert_array_equal(near.found[near.kind[::37]], one_by_one)


def test_an_unknown_estimator_is_refused() -> None:
    with pytest.raises(UsageError, match="expected --estimator to be one of matheron, cressie-hawkins"):
        create_method("kriging", {"estimator": "median"})
