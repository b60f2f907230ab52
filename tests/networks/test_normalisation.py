"""Mean and spread of the surroundings: of observed pixels only, alike in every tile, whatever the unit."""

from __future__ import annotations

import pytest
import torch

from landsat_fill.networks.normalisation import CELL_PX, REACH_PX, WINDOW_CELLS, local_statistics


def striped(height: int = 160, width: int = 160, bands: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    """Return an image, and what of it is observed, in double precision."""
    image = torch.randn(1, bands, height, width, dtype=torch.float64)
    rows, cols = torch.arange(height).view(-1, 1), torch.arange(width)
    observed = ((rows + cols // 6) % 33 > 9).double().expand_as(image)
    return image, observed.clone()


def test_they_are_those_of_the_window_around_a_cell() -> None:
    image, observed = striped(bands=1)
    mean, _ = local_statistics(image, observed)
    half_px = CELL_PX * (WINDOW_CELLS // 2)
    cells = []
    for first_px in (72, 72 + CELL_PX):  # the two cells that the pixel between them is interpolated from
        rows = slice(first_px - half_px, first_px + CELL_PX + half_px)
        cols = slice(72 - half_px, 72 + CELL_PX + half_px)
        cells.append(image[..., rows, cols][observed[..., rows, cols] > 0].mean())
    # In the middle of four pixels lies a cell's centre.
    found = mean[0, 0, 75:77, 75:77].mean(), mean[0, 0, 75 + CELL_PX : 77 + CELL_PX, 75:77].mean()
    torch.testing.assert_close(torch.stack(found), torch.stack(cells), atol=2e-3, rtol=0)


@pytest.mark.parametrize("hidden", [0.0, 1e6, -3.0])
def test_hidden_values_change_nothing(hidden: float) -> None:
    image, observed = striped()
    for found, expected in zip(
        local_statistics(image.where(observed > 0, hidden), observed), local_statistics(image, observed), strict=True
    ):
        assert torch.equal(found, expected)


@pytest.mark.parametrize(("gain", "offset"), [(250.0, -40.0), (2e-5, 0.3), (-3.0, 7.0)])
def test_the_mean_follows_gain_and_offset_and_the_spread_the_size_of_the_gain(gain, offset) -> None:
    image, observed = striped()
    mean, spread = local_statistics(image, observed)
    scaled_mean, scaled_spread = local_statistics(gain * image + offset, observed)
    torch.testing.assert_close(scaled_mean, gain * mean + offset)
    torch.testing.assert_close(scaled_spread, abs(gain) * spread)


def test_bands_and_tiles_are_independent() -> None:
    image, observed = striped(64, 64, bands=3)
    two = torch.cat([image, 5 * image]), torch.cat([observed, observed.flip(2)])
    mean, spread = local_statistics(*two)
    alone = local_statistics(two[0][1:, 2:], two[1][1:, 2:])
    torch.testing.assert_close(mean[1:, 2:], alone[0])
    torch.testing.assert_close(spread[1:, 2:], alone[1])


def test_noise_about_a_level_comes_out_as_both() -> None:
    image, observed = striped(240, 240, bands=1)
    mean, spread = local_statistics(30 + 4 * image, observed)
    assert (mean - 30).abs().max() < 1
    assert (spread - 4).abs().max() < 0.6


def test_where_a_window_is_empty_the_band_stands_in() -> None:
    image, observed = striped(160, 320, bands=1)
    image += torch.arange(320) / 10  # levels differ: what is far from here may be far from the mean, too
    observed[..., :200] = 0
    mean, spread = local_statistics(image, observed)
    seen = image[observed > 0]
    torch.testing.assert_close(mean[0, 0, 80, 0], seen.mean())
    torch.testing.assert_close(spread[0, 0, 80, 0], seen.std(correction=0))


def test_a_band_never_observed_and_a_flat_one_have_no_spread() -> None:
    image, observed = striped(64, 64)
    image[:, 1] = 7
    observed[:, 0] = 0
    mean, spread = local_statistics(image, observed)
    assert (mean[:, 0] == 0).all()
    torch.testing.assert_close(mean[:, 1], image[:, 1])
    assert (spread[:, 0] == 0).all()
    assert spread[:, 1].max() < 1e-12


def test_a_pixel_counts_as_far_as_is_said() -> None:
    side_px = 4 * REACH_PX + 2 * CELL_PX
    _, observed = striped(side_px, side_px, bands=1)
    farthest_px = {"mean": 0, "spread": 0}
    for place_px in range(side_px // 2, side_px // 2 + CELL_PX):
        image = torch.randn(1, 1, side_px, side_px, dtype=torch.float64, requires_grad=True)
        statistics = local_statistics(image, torch.ones_like(observed))
        for name, values in zip(farthest_px, statistics, strict=True):
            (felt,) = torch.autograd.grad(values[0, 0, place_px, place_px], image, retain_graph=True)
            away_px = int((felt[0, 0].nonzero() - place_px).abs().max())
            farthest_px[name] = max(farthest_px[name], away_px)
    assert REACH_PX - CELL_PX < farthest_px["mean"] <= REACH_PX
    assert farthest_px["spread"] <= 2 * REACH_PX


def test_what_lies_beyond_the_reach_hardly_moves_the_spread() -> None:
    image, observed = striped(240, 240, bands=1)
    far = torch.ones(240, 240, dtype=torch.bool)
    near = slice(120 - REACH_PX, 120 + REACH_PX)
    far[near, near] = False
    before = local_statistics(image, observed)[1][0, 0, 120, 120]
    after = local_statistics(image.where(~far, 3 * image), observed)[1][0, 0, 120, 120]
    assert abs(float(after / before) - 1) < 0.05


def test_tiles_that_overlap_agree_where_both_see_far_enough() -> None:
    image, observed = striped(320, 320, bands=1)
    whole = local_statistics(image, observed)
    part = local_statistics(image[..., 16:, 40:], observed[..., 16:, 40:])
    margin_px = 2 * REACH_PX
    for one, other in zip(whole, part, strict=True):
        torch.testing.assert_close(other[..., margin_px:, margin_px:], one[..., 16:, 40:][..., margin_px:, margin_px:])
