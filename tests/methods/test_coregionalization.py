"""Bands of simulated fields go together as those that are observed around them do."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from landsat_fill.methods.convlnp import CELL_PX, STEP_PX, STEPS_IN_DOUBT, local_correlations, mixed

CORRELATIONS = torch.tensor([[1, 0.9, -0.3], [0.9, 1, 0.1], [-0.3, 0.1, 1]], dtype=torch.float64)


@pytest.fixture
def fields() -> torch.Tensor:
    """Two tiles of three independent smooth fields, of 6 by 4 cells and a rest."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(2, 3, 6 * CELL_PX + 20, 4 * CELL_PX + 9, generator=generator)
    return 5 * torch.nn.functional.avg_pool2d(noise, 5, 1)


def everywhere(correlations: torch.Tensor, rows: int = 7, cols: int = 5) -> torch.Tensor:
    return correlations[None, :, :, None, None].expand(2, -1, -1, rows, cols)


def test_bands_that_are_mixed_have_the_correlations(fields) -> None:
    result = mixed(fields[None], everywhere(CORRELATIONS))[0]
    found = local_correlations(result, torch.ones_like(result))
    assert found.shape == (2, 3, 3, 7, 5)
    np.testing.assert_allclose(found.mean((0, 3, 4)), CORRELATIONS, atol=0.05)
    np.testing.assert_allclose(result.std((0, 2, 3)), fields.std((0, 2, 3)), rtol=0.1)


def test_each_part_has_its_own(fields) -> None:
    correlations = everywhere(CORRELATIONS).clone()
    correlations[..., 4:, :] = torch.eye(3)[:, :, None, None]
    result = mixed(fields[None], correlations)[0]
    found = local_correlations(result, torch.ones_like(result))
    np.testing.assert_allclose(found[:, 0, 1, :2].mean(), 0.9, atol=0.05)
    np.testing.assert_allclose(found[:, 0, 1, 5:].mean(), 0, atol=0.1)
    # And between two parts there is no edge.
    steps = result.diff(dim=2).abs().mean((0, 1, 3))
    assert steps[3 * CELL_PX : 5 * CELL_PX].max() < 1.3 * steps.mean()


def test_what_is_not_observed_changes_nothing(fields) -> None:
    observed = torch.ones_like(fields)
    observed[:, :, 40:60] = 0
    observed[:, 1, 60:62] = 0  # ragged, as gaps are
    hidden = fields.masked_fill(observed == 0, torch.nan)
    before = local_correlations(fields, observed)
    np.testing.assert_array_equal(local_correlations(hidden, observed), before)
    np.testing.assert_allclose(before, local_correlations(fields, torch.ones_like(fields)), atol=0.15)


def test_where_nothing_is_observed_around_the_whole_tile_counts(fields) -> None:
    result = mixed(fields[None], everywhere(CORRELATIONS))[0]
    observed = torch.ones_like(result)
    observed[:, :, : 3 * CELL_PX] = 0
    found = local_correlations(result, observed)
    np.testing.assert_allclose(found[..., 0, :].mean((0, 3)), CORRELATIONS, atol=0.07)


def test_bands_that_were_never_observed_together_are_taken_for_independent(fields) -> None:
    alike = fields[:, :1].expand(-1, 3, -1, -1)
    observed = torch.ones_like(alike)
    observed[:, 2] = 0
    found = local_correlations(alike, observed)
    assert (found[:, 0, 1] > 0.99).all()
    assert not found[:, 2, :2].any()
    np.testing.assert_array_equal(found.diagonal(dim1=1, dim2=2), 1)
    assert mixed(alike[None], found).isfinite().all()


def test_few_steps_are_not_trusted(fields) -> None:
    alike = fields[:, :1, :4, :4].expand(-1, 3, -1, -1)
    found = local_correlations(alike, torch.ones_like(alike))
    count = 2 * 4 * (4 - STEP_PX)
    trust = count / (count + STEPS_IN_DOUBT)
    np.testing.assert_allclose(found[:, 0, 1], trust + (1 - trust) * trust)


def test_correlations_that_contradict_each_other_keep_every_variance(fields) -> None:
    impossible = torch.tensor([[1, 0.95, -0.95], [0.95, 1, 0.95], [-0.95, 0.95, 1]], dtype=torch.float64)
    result = mixed(fields[None], everywhere(impossible))[0]
    np.testing.assert_allclose(result.std((0, 2, 3)), fields.std((0, 2, 3)), rtol=0.1)


@pytest.mark.parametrize("shape", [(1, 8, 8), (2, 8, 8), (2, 1, 40)])
def test_flat_bands_are_left_alone(shape: tuple[int, int, int]) -> None:
    flat = torch.ones(1, *shape)
    noise = torch.randn(3, 1, *shape)
    np.testing.assert_allclose(mixed(noise, local_correlations(flat, flat)), noise, rtol=1e-6)
