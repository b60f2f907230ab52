"""What the band U-Net promises as a method: no leaks, no units, no order of bands, no seams."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from landsat_fill.methods import Context, create_method
from landsat_fill.methods.band_unet import BandUNetMethod
from landsat_fill.networks.band_unet import BandUNet, BandUNetSettings
from landsat_fill.networks.normalisation import REACH_PX
from landsat_fill.networks.weights import shipped_folder
from landsat_fill.pipeline.arrays import fill_array
from landsat_fill.pipeline.tiles import fill_tiles
from landsat_fill.scene import Filled, Gaps, Window
from landsat_fill.training.run_folder import save_network

if TYPE_CHECKING:
    from pathlib import Path

ONE = Context(threads=1)


def landscape(bands: int = 3, height: int = 96, width: int = 112, seed: int = 4) -> np.ndarray:
    """Return 8-bit numbers `(band, row, col)`: the same fields in all bands, in tones of each band's own."""
    generator = np.random.default_rng(seed)
    rows, cols = np.mgrid[:height, :width]
    fields = (rows + cols // 5) // 11 % 3 + 3 * ((cols - rows // 4) // 9 % 3)
    tones = generator.uniform(40, 200, (bands, 9))[:, fields]
    hills = 20 * np.sin(rows / 13) * np.cos(cols / 17)
    noise = generator.normal(0, 2, (bands, height, width))
    return np.clip(np.rint(tones + hills + noise), 1, 255).astype(np.uint8)


def countryside(bands: int = 6, side_px: int = 128) -> np.ndarray:
    """Return 8-bit numbers `(band, row, col)` of a spectrum like the land's, much alike in all bands."""
    generator = np.random.default_rng(8)
    wavenumber = np.hypot(np.fft.fftfreq(side_px)[:, None], np.fft.fftfreq(side_px))
    wavenumber[0, 0] = np.inf
    noise = np.fft.fft2(generator.normal(0, 1, (3, side_px, side_px)))
    shapes = np.real(np.fft.ifft2(noise / wavenumber**1.5))
    shapes /= shapes.std((1, 2), keepdims=True)
    mixed = np.tensordot(generator.normal((20, 5, 3), (4, 4, 1), (bands, 3)), shapes, 1)
    return np.clip(np.rint(110 + mixed + generator.normal(0, 1, mixed.shape)), 1, 255).astype(np.uint8)


def stripes(bands: int = 3, height: int = 96, width: int = 112, width_px: int = 9) -> np.ndarray:
    """Return what SLC-off leaves out, each band's a row below the one before."""
    rows, cols = np.mgrid[:height, :width]
    return np.stack([(rows + cols // 6 - band) % 33 < width_px for band in range(bands)])


def gaps_of(missing: np.ndarray) -> Gaps:
    return Gaps(missing, ~missing)


@pytest.fixture(scope="module")
def loud(tmp_path_factory: pytest.TempPathFactory) -> BandUNetMethod:
    """Return the method with a small network that never learned, but changes the spline a good deal."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        network = BandUNet(BandUNetSettings(band_channels=8, channels=12, trunk_blocks=1, exit_blocks=1))
        for parameter in network.parameters():
            if not parameter.any():
                torch.nn.init.normal_(parameter, 0, 0.1)
    return with_weights(tmp_path_factory.mktemp("weights"), network)


def with_weights(folder: Path, network: BandUNet) -> BandUNetMethod:
    path = folder / "weights.safetensors"
    save_network(path, network)
    return made(weights=str(path))


def made(**options: object) -> BandUNetMethod:
    method = create_method("band-unet", {"precision": "float32", **options})
    assert isinstance(method, BandUNetMethod)
    return method


@pytest.fixture(scope="module")
def trained() -> BandUNetMethod:
    """Return the method with the shipped weights."""
    return made(weights=str(shipped_folder() / "band-unet.safetensors"))


def rms(filled: np.ndarray, truth: np.ndarray, where: np.ndarray) -> float:
    return float(np.sqrt(np.mean((filled.astype(float) - truth)[where] ** 2)))


# With tiny weights: what holds whatever a network has learned.


@pytest.mark.parametrize(
    ("garbage", "dtype", "precision"),
    [(np.nan, np.float32, "float32"), (-1e30, np.float64, "float32"), (-1e30, np.float32, "bfloat16")],
)
def test_hidden_values_change_nothing(loud, garbage, dtype, precision) -> None:
    image, gaps = landscape().astype(dtype)[None], gaps_of(stripes()[None])
    gaps.usable[0, :, 30:50, 40:60] = False  # cloud or beyond the footprint: neither missing nor usable
    method = replace(loud, precision=precision)
    expected = method.fill(np.where(gaps.usable, image, dtype(0)), gaps, ONE)
    found = method.fill(np.where(gaps.usable, image, dtype(garbage)), gaps, ONE)
    np.testing.assert_array_equal(found.mean[gaps.missing], expected.mean[gaps.missing])
    np.testing.assert_array_equal(found.std[gaps.missing], expected.std[gaps.missing])


def test_the_network_has_its_say(loud) -> None:
    """Otherwise, the tests here would test only the spline."""
    image, gaps = landscape(), gaps_of(stripes())
    spline = fill_array(image, gaps, create_method("tension-spline"), context=ONE).mean
    assert rms(fill_array(image, gaps, loud, context=ONE).mean, spline, gaps.missing) > 3


SCALES = {
    "int16": (1.0, 0.0, np.int16),
    "16-bit reflectance": (55.0, 7000.0, np.uint16),
    "reflectance": (2.75e-3, -0.2, np.float32),
    "reflectance in double precision": (2.75e-5, -0.2, np.float64),
    "far from zero": (1.0, 2.0**20, np.int32),
}
"""Other units of the same scene: gain, offset and data type."""

ROUNDING = {"float32": 2e-4, "bfloat16": 0.02}
"""What may differ at any pixel, in standard deviations of the band."""


@pytest.mark.parametrize(
    ("unit", "precision"), [*((unit, "float32") for unit in SCALES), ("16-bit reflectance", "bfloat16")]
)
def test_units_change_nothing_but_the_rounding(loud, unit, precision) -> None:
    gain, offset, dtype = SCALES[unit]
    image, gaps = landscape(), gaps_of(stripes())
    method = replace(loud, precision=precision)
    expected = fill_array(image, gaps, method, context=ONE)
    found = fill_array((image * gain + offset).astype(dtype), gaps, method, context=ONE)
    tolerance = ROUNDING[precision] * image.std((1, 2)).min()
    np.testing.assert_allclose((found.mean - offset) / gain, expected.mean, atol=tolerance)
    np.testing.assert_allclose(found.std / gain, expected.std, atol=tolerance)


def test_an_untrained_network_leaves_the_spline_which_a_negative_of_the_scene_only_turns_round(tmp_path) -> None:
    untrained = BandUNet(BandUNetSettings(band_channels=4, channels=4, trunk_blocks=1))
    method = with_weights(tmp_path, untrained)
    image, gaps = landscape(), gaps_of(stripes())
    spline = fill_array(image, gaps, create_method("tension-spline"), context=ONE).mean
    expected = fill_array(image, gaps, method, context=ONE).mean
    assert rms(expected, spline, gaps.missing) < 0.03 * image.std()
    found = fill_array(255 - image.astype(np.int16), gaps, method, context=ONE).mean
    np.testing.assert_allclose(255 - found, expected, atol=1e-2)


@pytest.mark.parametrize("precision", ROUNDING)
def test_bands_in_another_order_are_filled_alike(loud, precision) -> None:
    image, missing = landscape(5), stripes(5)
    method = replace(loud, precision=precision)
    expected = fill_array(image, gaps_of(missing), method, context=ONE)
    order = [3, 0, 4, 2, 1]
    found = fill_array(image[order], gaps_of(missing[order]), method, context=ONE)
    tolerance = ROUNDING[precision] * image.std((1, 2)).min()
    np.testing.assert_allclose(found.mean, expected.mean[order], atol=tolerance)
    np.testing.assert_allclose(found.std, expected.std[order], atol=tolerance)


def test_a_band_that_is_lost_stays_so_and_spoils_no_other(loud) -> None:
    image, missing = landscape(), stripes()
    missing[1] = True
    filled = fill_array(image, gaps_of(missing), loud, context=ONE)
    assert np.isnan(filled.mean[1]).all()
    assert np.isfinite(filled.mean[[0, 2]]).all()
    assert np.isfinite(filled.std[[0, 2]]).all()


def test_the_deviation_is_positive_where_missing_and_none_elsewhere(loud) -> None:
    image, gaps = landscape(), gaps_of(stripes())
    std = fill_array(image, gaps, loud, context=ONE).std
    assert (std[gaps.missing] > 0).all()
    assert (std[gaps.usable] == 0).all()


def assert_identical(found: Filled, expected: Filled) -> None:
    np.testing.assert_array_equal(found.mean, expected.mean)
    np.testing.assert_array_equal(found.std, expected.std)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_threads_do_not_matter(loud, precision) -> None:
    image, gaps = landscape(2, 96, 232), gaps_of(stripes(2, 96, 232))
    method = replace(loud, precision=precision)
    object.__setattr__(method, "info", replace(loud.info, tile_px=96))  # three tiles, side by side
    before = torch.get_num_threads()
    expected = fill_array(image, gaps, method, context=ONE)
    assert_identical(fill_array(image, gaps, method, context=Context(threads=3)), expected)
    assert torch.get_num_threads() == before


def test_a_crop_is_filled_like_the_whole_scene_away_from_its_edges(loud) -> None:
    """Not quite: the spline is solved to a tenth, in a way that depends on where the tile ends."""
    halo_px, align_px = loud.info.halo_px, loud.info.align_px
    side_px = 2 * halo_px + 64
    row, col = 3 * align_px, 5 * align_px
    image, missing = landscape(1, side_px + 48, side_px + 64), stripes(1, side_px + 48, side_px + 64)
    at = np.s_[:, row : row + side_px, col : col + side_px]
    whole = fill_array(image, gaps_of(missing), loud, context=ONE).mean[at]
    part = fill_array(image[at], gaps_of(missing[at]), loud, context=ONE).mean
    inner = np.s_[:, halo_px:-halo_px, halo_px:-halo_px]
    found, expected, where = part[inner], whole[inner], missing[at][inner]
    assert rms(found, expected, where) < 0.01 * image.std()
    assert np.abs(np.rint(found) - np.rint(expected)).max() <= 2


def test_strips_give_the_whole_scene(loud) -> None:
    """Tiles of a strip see their halo, so they are what they are in the scene as a whole."""
    method = replace(loud)
    object.__setattr__(method, "info", replace(loud.info, tile_px=64))
    height, width, halo_px = 256, 96, method.info.halo_px
    image, gaps = landscape(2, height, width), gaps_of(stripes(2, height, width))
    whole = fill_tiles(image, gaps, Window(0, 0, height, width), method, ONE)
    for top in range(0, height, 64):
        outer = Window(top, 0, 64, width).expanded(halo_px, height, width)
        part = Gaps(gaps.missing[:, *outer.slices], gaps.usable[:, *outer.slices])
        inner = Window(top, 0, 64, width).within(outer)
        strip = fill_tiles(image[:, *outer.slices], part, inner, method, ONE, origin=(outer.row, 0))
        assert_identical(strip, Filled(whole.mean[:, top : top + 64], whole.std[:, top : top + 64], None))


def test_the_default_halo_is_that_of_the_network() -> None:
    network = BandUNet(BandUNetSettings())
    needed_px = network.reach_px + REACH_PX
    align_px = BandUNetMethod.info.align_px
    assert BandUNetMethod.info.halo_px == -(-needed_px // align_px) * align_px
    assert align_px % network.size_multiple_px == 0


# With the shipped weights: what was learned.


@pytest.fixture(scope="module")
def three_bands_filled(trained) -> np.ndarray:
    """Return the fill of three bands of countryside."""
    return fill_array(countryside(3), gaps_of(stripes(3, 128, 128)), trained, context=ONE).mean


def test_it_improves_on_the_spline_and_estimates_its_error(trained) -> None:
    image, gaps = countryside(), gaps_of(stripes(6, 128, 128))
    filled = fill_array(image, gaps, trained, context=ONE)
    spline = fill_array(image, gaps, create_method("tension-spline"), context=ONE).mean
    error = rms(filled.mean, image, gaps.missing)
    assert error < 0.9 * rms(spline, image, gaps.missing)
    assert 0.5 < float(filled.std[gaps.missing].mean()) / error < 2


def test_a_pixel_that_other_bands_have_is_filled_better_with_them(trained) -> None:
    image, missing = countryside(), stripes(6, 128, 128)
    errors = {"together": 0.0, "alone": 0.0}
    for band in (0, 2, 5):
        lost = np.zeros_like(missing)
        lost[band] = missing[band]
        own = slice(band, band + 1)
        together = fill_array(image, gaps_of(lost), trained, context=ONE).mean[own]
        alone = fill_array(image[own], gaps_of(lost[own]), trained, context=ONE).mean
        errors["together"] += rms(together, image[own], lost[own]) ** 2
        errors["alone"] += rms(alone, image[own], lost[own]) ** 2
    assert errors["together"] < 0.7**2 * errors["alone"]


def test_a_lost_band_hardly_changes_the_others(trained) -> None:
    image, missing = countryside(), stripes(6, 128, 128)
    others = [0, 1, 3, 4, 5]
    missing[2] = True
    with_it = fill_array(image, gaps_of(missing), trained, context=ONE).mean[others]
    without = fill_array(image[others], gaps_of(missing[others]), trained, context=ONE).mean
    where = missing[others]
    assert rms(with_it, image[others], where) < 1.1 * rms(without, image[others], where)


def test_a_negative_of_the_scene_is_filled_as_well(trained, three_bands_filled) -> None:
    """Not alike: a network need not treat bright fields on dark ground as it treats dark ones on bright."""
    image, gaps = countryside(3), gaps_of(stripes(3, 128, 128))
    error = rms(three_bands_filled, image, gaps.missing)
    negative = fill_array(255 - image.astype(np.int16), gaps, trained, context=ONE).mean
    assert rms(255 - negative, image, gaps.missing) < 1.1 * error


def test_bfloat16_rounds_less_than_the_network_errs(trained, three_bands_filled) -> None:
    image, gaps = countryside(3), gaps_of(stripes(3, 128, 128))
    expected = three_bands_filled
    found = fill_array(image, gaps, replace(trained, precision="bfloat16"), context=ONE).mean
    assert rms(found, expected, gaps.missing) < 0.02 * rms(expected, image, gaps.missing)
