"""The surfaces that are solved for: against exact solutions and against a sparse direct solver."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.linalg import spsolve

from landsat_fill.methods import Context, create_method
from landsat_fill.methods import splines as plates
from landsat_fill.scene import Gaps

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Flags = NDArray[np.bool_]
    Image = NDArray[np.floating]


def graph_laplacian(inside: Flags) -> sparse.csr_matrix:
    """Neighbours inside count, neighbours outside don't: a natural boundary."""
    height, width = inside.shape
    number = np.arange(height * width).reshape(height, width)
    rows, cols = [], []
    for down, right in ((0, 1), (1, 0)):
        a, b = number[: height - down, : width - right], number[down:, right:]
        joined = inside[: height - down, : width - right] & inside[down:, right:]
        rows.append(a[joined])
        cols.append(b[joined])
    i, j = np.concatenate(rows), np.concatenate(cols)
    weights = sparse.csr_matrix((np.ones(len(i)), (i, j)), (height * width, height * width))
    weights = weights + weights.T
    return sparse.csr_matrix(sparse.diags(np.asarray(weights.sum(axis=1)).ravel()) - weights)


def solved(operator: sparse.csr_matrix, image: Image, unknown: Flags) -> Image:
    """Zero of `operator @ u` at the unknown pixels, the others given."""
    free = unknown.ravel()
    values = image.astype(np.float64).ravel()
    rows = operator[free]
    values[free] = spsolve(rows[:, free].tocsc(), -(rows[:, ~free] @ values[~free]))
    return values.reshape(image.shape)


def texture(side_px: int = 96) -> Image:
    rows, cols = np.mgrid[:side_px, :side_px]
    noise = np.random.default_rng(3).normal(0, 15, (side_px, side_px))
    return (120 + 40 * np.sin(rows / 8) * np.cos(cols / 11) + noise).astype(np.float32)


def filled(name: str, image: Image, missing: Flags, usable: Flags, **options: float) -> Image:
    spoilt = np.where(usable, image, np.nan)[None, None]
    gaps = Gaps(missing[None, None], usable[None, None])
    return create_method(name, options).fill(spoilt, gaps, Context()).mean[0, 0]


def stripes(side_px: int, width_px: int) -> Flags:
    rows, cols = np.mgrid[:side_px, :side_px]
    return (rows + np.tan(np.radians(9.7)) * cols) % 33 < width_px


def disc(side_px: int, radius_px: float) -> Flags:
    rows, cols = np.mgrid[:side_px, :side_px]
    return np.hypot(rows - side_px / 2, cols - side_px / 2.3) < radius_px


GAPS = {
    "4 px": stripes(96, 4),
    "8 px": stripes(96, 8),
    "14 px": stripes(96, 14),
    "hole": disc(96, 38),
    "half a tile": np.arange(96)[:, None] + 0 * np.arange(96) < 50,
    "scattered": np.random.default_rng(5).random((96, 96)) < 0.9,
}


@pytest.mark.parametrize("missing", GAPS.values(), ids=GAPS.keys())
def test_the_membrane_solves_laplaces_equation(missing: Flags) -> None:
    image = texture()
    expected = solved(graph_laplacian(np.ones_like(missing)), image, missing)
    found = filled("harmonic", image, missing, ~missing)
    assert np.abs(found - expected)[missing].max() < 0.05


def test_nothing_passes_through_pixels_that_are_neither_missing_nor_usable() -> None:
    missing = stripes(96, 14)
    outside = disc(96, 20)
    missing, usable = missing & ~outside, ~missing & ~outside
    image = texture()
    expected = solved(graph_laplacian(missing | usable), image, missing)
    found = filled("harmonic", image, missing, usable)
    assert np.abs(found - expected)[missing].max() < 0.05


@pytest.mark.parametrize("width_px", [4, 8, 14, 18])
@pytest.mark.parametrize(("name", "tension"), [("biharmonic", 0.0), ("tension-spline", 0.35)])
def test_the_plate_solves_its_equation_in_stripes(name: str, tension: float, width_px: int) -> None:
    missing, image = stripes(96, width_px), texture().astype(np.float64)
    laplacian = graph_laplacian(np.ones_like(missing))
    plate = sparse.csr_matrix((1 - tension) * laplacian @ laplacian + tension * laplacian)
    expected = solved(plate, image, missing)
    found = filled(name, image, missing, ~missing, reduction=10_000)
    assert np.abs(found - expected)[missing].max() < 0.05


def test_tension_leads_from_the_plate_to_the_membrane() -> None:
    missing, image = stripes(96, 8), texture()
    flat = filled("tension-spline", image, missing, ~missing, tension=1, reduction=1000)
    membrane = filled("harmonic", image, missing, ~missing, reduction=1000)
    bent = filled("tension-spline", image, missing, ~missing, tension=0, reduction=1000)
    plate = filled("biharmonic", image, missing, ~missing, reduction=1000)
    np.testing.assert_allclose(flat[missing], membrane[missing], atol=0.05)
    np.testing.assert_allclose(bent[missing], plate[missing], atol=0.05)


def test_a_membrane_spans_a_level_gap_in_a_straight_line_and_a_plate_in_a_cubic() -> None:
    rows = np.arange(60.0)[:, None] + np.zeros(40)
    missing = (rows >= 24) & (rows < 36)
    ramp = 2 * rows + 7
    np.testing.assert_allclose(filled("harmonic", ramp, missing, ~missing)[missing], ramp[missing], atol=0.05)
    cubic = 0.001 * (rows - 20) ** 3 - 0.02 * rows**2 + rows
    np.testing.assert_allclose(filled("biharmonic", cubic, missing, ~missing)[missing], cubic[missing], atol=0.05)


@pytest.mark.parametrize("name", ["harmonic", "biharmonic", "tension-spline"])
def test_a_hole_that_leaves_a_frame_only_stays_within_reach_of_its_border(name: str) -> None:
    image = texture(256)
    missing = np.zeros((256, 256), bool)
    missing[3:-3, 3:-3] = True
    found = filled(name, image, missing, ~missing)
    assert found[missing].min() > image.min() - 60
    assert found[missing].max() < image.max() + 60


def test_a_membrane_never_leaves_the_range_of_its_border() -> None:
    missing, image = stripes(96, 14), texture()
    found = filled("harmonic", image, missing, ~missing)
    assert found[missing].min() > image[~missing].min()
    assert found[missing].max() < image[~missing].max()


def test_double_precision_comes_back_as_double() -> None:
    missing, image = stripes(96, 8), texture().astype(np.float64)
    assert filled("tension-spline", image, missing, ~missing).dtype == np.float64


def test_a_plate_of_expected_gaps_leaves_what_is_far_from_any_pixel_to_the_coarser_one(monkeypatch) -> None:
    """It is swept over near usable pixels alone: a scene's corners, outside the footprint, take no time."""
    rng = np.random.default_rng(0)
    image = rng.normal(size=(160, 200)).astype(np.float32).cumsum(0).cumsum(1)
    missing = np.zeros(image.shape, bool)
    for row in range(8):
        missing[row::33] = True
    missing[:, :80] = True
    swept = []

    def counted(guess: Image, unknown: Flags, *rest: object) -> Image:
        swept.append(np.count_nonzero(unknown))
        return sweep(guess, unknown, *rest)

    sweep = plates._swept
    monkeypatch.setattr(plates, "_swept", counted)
    shown = np.where(missing, np.float32(0), image)
    fill = partial(plates.plate, shown, missing, ~missing, tension=0.35, reduction=10.0, widest_px=16.0)
    near, swept_near = fill(), swept[-1]
    monkeypatch.setattr(plates, "_within", lambda usable, _: np.ones_like(usable))
    everywhere = fill()
    assert swept_near < 0.6 * swept[-1]
    assert np.isfinite(near).all()
    np.testing.assert_allclose(near[:, 100:], everywhere[:, 100:], atol=0.001 * image.std())
