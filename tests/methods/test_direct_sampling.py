"""Direct sampling against a plain search through all candidates, and what it promises of its realizations."""

from __future__ import annotations

import numpy as np
import pytest

from landsat_fill.methods import Context, create_method
from landsat_fill.methods.direct_sampling import LEVELS, REACH_PX, USUAL_RATIO, coprime_steps, error_ratio, path_of
from landsat_fill.methods.neighbourhoods import disc
from landsat_fill.pipeline.arrays import fill_array
from landsat_fill.scene import Gaps


def scene(height: int = 30, width: int = 32) -> tuple[np.ndarray, Gaps]:
    """Two bands of texture, whose stripes differ by a row."""
    generator = np.random.default_rng(3)
    rows, cols = np.mgrid[:height, :width]
    hills = 40 * np.sin(rows / 3) + 30 * np.cos((rows + 2 * cols) / 5)
    image = np.stack([hills, 0.5 * hills]) + generator.normal(0, 2, (2, height, width)) + 100
    missing = np.stack([(rows + band + cols // 6) % 13 < 4 for band in (0, 1)])
    return image.astype(np.float32), Gaps(missing, ~missing)


def searched(
    image: np.ndarray, gaps: Gaps, seed: int, *, neighbours: int, radius_px: int, differences: bool
) -> np.ndarray:
    """One draw, each pixel from the most alike of all candidates, as one would write it down."""
    bands, height, width = image.shape
    limits = [np.percentile(image[b][gaps.usable[b]], (1, 99)) for b in range(bands)]
    quantum = np.array([(high - low) / LEVELS for low, high in limits])
    levels = np.array([low for low, _ in limits])
    known = np.round((image - levels[:, None, None]) / quantum[:, None, None])
    known[~gaps.usable] = np.nan
    simulated, filled = known.copy(), image.astype(np.float64).copy()
    path, _ = path_of(gaps.missing.any(0), (0, 0), seed, 0)

    def at(cube: np.ndarray, row: int, col: int) -> np.ndarray:
        inside = 0 <= row < height and 0 <= col < width
        return cube[:, row, col] if inside else np.full(bands, np.nan)

    for row, col in path:
        wanted = gaps.missing[:, row, col]
        own = at(simulated, row, col).copy()
        event = [(0, 0, 1.0, own)] if np.isfinite(own).any() else []
        count = 0
        for down, right in disc(REACH_PX):
            vector = at(simulated, row + down, col + right)
            if np.isfinite(vector).any():
                event.append((down, right, 1 / np.hypot(down, right), vector.copy()))
                count += 1
            if count == neighbours:
                break
        total = sum(weight * np.isfinite(vector).sum() for *_, weight, vector in event)
        best = (np.inf, 0, 0, np.zeros(bands))
        for other_row in range(row - radius_px, row + radius_px + 1):
            for other_col in range(col - radius_px, col + radius_px + 1):
                if np.isnan(at(known, other_row, other_col)[wanted]).any():
                    continue
                d = np.array([v - at(known, other_row + r, other_col + c) for r, c, _, v in event])
                w = np.array([[weight] * bands for *_, weight, _ in event]) * np.isfinite(d)
                d = np.nan_to_num(d)
                mean = (w * d).sum(0) / np.maximum(w.sum(0), 1e-30) if differences else np.zeros(bands)
                distance = (w * (d - mean) ** 2).sum() / max(w.sum(), 1e-30)
                if w.sum() >= 0.5 * total and distance < best[0]:
                    best = (distance, other_row, other_col, mean)
        _, other_row, other_col, shift = best
        simulated[wanted, row, col] = known[wanted, other_row, other_col] + shift[wanted]
        filled[wanted, row, col] = (image[:, other_row, other_col] + shift * quantum)[wanted]
    return filled


def drawn(image: np.ndarray, gaps: Gaps, seed: int = 0, realizations: int = 1, threads: int = 1, **options: object):
    method = create_method("direct-sampling", {"ensemble": 2, **options})
    return fill_array(image, gaps, method, context=Context(realizations=realizations, threads=threads, seed=seed))


@pytest.mark.parametrize("differences", [True, False])
def test_a_full_scan_finds_what_a_plain_search_finds(differences: bool) -> None:
    image, gaps = scene(17, 18)
    settings = {"neighbours": 6, "radius_px": 5, "differences": differences}
    found = drawn(image, gaps, threshold=0, fraction=1, **settings).realizations[0]
    expected = searched(image, gaps, 0, **settings)
    same = np.isclose(found, expected, atol=1e-2)[gaps.missing]
    assert same.mean() > 0.99  # two candidates may be alike to the last bit


def test_a_seed_decides_the_draws() -> None:
    image, gaps = scene()
    first, same, other = (drawn(image, gaps, 1, 2), drawn(image, gaps, 1, 2, threads=3), drawn(image, gaps, 2, 2))
    np.testing.assert_array_equal(first.realizations, same.realizations)
    np.testing.assert_array_equal(first.mean, same.mean)
    assert not np.array_equal(first.realizations, other.realizations)
    assert not np.array_equal(first.realizations[0], first.realizations[1])


def test_mean_and_deviation_are_those_of_the_draws_however_many_are_asked_for() -> None:
    image, gaps = scene()
    few, many = drawn(image, gaps, 0, 0, ensemble=4), drawn(image, gaps, 0, 6, ensemble=4)
    where = gaps.missing
    assert few.realizations is None
    np.testing.assert_array_equal(few.mean, many.mean)
    np.testing.assert_allclose(many.realizations[:4, where].mean(0), many.mean[where], rtol=1e-5)
    method = create_method("direct-sampling", {"ensemble": 4})
    ratio = method.prepare(image[None], Gaps(gaps.missing[None], gaps.usable[None]), Context()).error_ratio
    spread = many.realizations[:4, where].var(0, ddof=1).mean() * (ratio + 1 / 4)
    assert (many.std[where] ** 2).mean() == pytest.approx(spread, rel=0.2)


class KnownErrors:
    """Draws that all err by the same, of deviation 3, beside what they differ by, of deviation 2."""

    bands = 1
    limits = np.array([[0.0, 10.0]])
    quanta = np.array([0.5])

    def draws(self, image, _gaps, _corner, count, **_options):
        generator = np.random.default_rng(1)
        shared, own = generator.normal(0, 3, image.shape), generator.normal(0, 2, (count, *image.shape))
        return image + shared + own


def test_the_error_ratio_is_measured_at_held_out_pixels() -> None:
    image = np.zeros((2, 1, 256, 256), np.float32)
    missing = np.broadcast_to(np.arange(256)[:, None] % 33 < 8, image.shape)
    found = error_ratio(KnownErrors(), image, Gaps(missing, ~missing), threads=1)
    assert found == pytest.approx((3 / 2) ** 2, rel=0.05)
    # Where nothing can be held back, the usual.
    none = np.zeros_like(missing)
    assert error_ratio(KnownErrors(), image, Gaps(none, ~none), threads=1) == USUAL_RATIO


def test_intervals_hold_what_they_promise() -> None:
    side = 96
    rows, cols = np.mgrid[:side, :side]
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side))
    frequency[0, 0] = np.inf
    noise = np.fft.fft2(np.random.default_rng(5).normal(size=(side, side)))
    truth = np.fft.ifft2(noise * frequency**-1.5).real.astype(np.float32)[None, None]
    missing = ((rows + cols // 6) % 25 < 8)[None, None]
    gaps = Gaps(missing, ~missing)
    method = create_method("direct-sampling", {"fraction": 0.02}).prepare(truth, gaps, Context())
    filled = method.fill(truth, gaps, Context())
    inside = np.abs(filled.mean - truth) <= 1.645 * filled.std
    assert 0.85 <= inside[missing].mean() <= 0.95


def test_without_differences_every_number_was_observed() -> None:
    image, gaps = scene()
    found = drawn(image, gaps, differences=False).realizations[0]
    for band in range(len(image)):
        assert np.isin(found[band][gaps.missing[band]], image[band][gaps.usable[band]]).all()


def test_all_bands_of_a_pixel_come_from_one_place() -> None:
    image, gaps = scene()
    both = gaps.missing.all(0)
    together = drawn(image, gaps, differences=False).realizations[0][:, both]
    alone = drawn(image, gaps, differences=False, multivariate=False).realizations[0][:, both]
    pairs = {tuple(pair) for pair in image[:, gaps.usable.all(0)].T}
    assert all(tuple(pair) in pairs for pair in together.T)
    assert not all(tuple(pair) in pairs for pair in alone.T)


def test_texture_is_kept_that_a_mean_loses() -> None:
    """The realizations' numbers are spread as the observed ones are."""
    from scipy.stats import ks_2samp

    image, gaps = scene(60, 64)
    found = drawn(image, gaps)
    kriged = fill_array(image, gaps, create_method("kriging"))
    where, usable = gaps.missing[0], gaps.usable[0]
    sampled, mean = (
        ks_2samp(fill[0][where], image[0][usable]).statistic for fill in (found.realizations[0], kriged.mean)
    )
    assert sampled < 0.1
    assert sampled <= mean + 0.02


def test_the_path_belongs_to_the_place() -> None:
    missing = np.random.default_rng(0).random((40, 50)) < 0.3
    whole, keys = path_of(missing, (100, 200), 5, 1)
    part, part_keys = path_of(missing[7:, 9:], (107, 209), 5, 1)
    inside = (whole >= (7, 9)).all(1)
    np.testing.assert_array_equal(whole[inside] - (7, 9), part)
    np.testing.assert_array_equal(keys[inside], part_keys)


@pytest.mark.parametrize("count", [1, 2, 80, 288, 9408])
def test_strides_reach_every_candidate(count: int) -> None:
    for step in coprime_steps(count)[:5]:
        assert len({place * step % count for place in range(count)}) == count
