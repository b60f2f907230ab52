"""Bands of simulated fields go together as those that are observed do."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from landsat_fill.methods.coregionalization import STEP_PX, STEPS_IN_DOUBT, mixing, step_correlations

CORRELATIONS = torch.tensor([[1, 0.9, -0.3], [0.9, 1, 0.1], [-0.3, 0.1, 1]], dtype=torch.float64)


@pytest.fixture
def fields() -> torch.Tensor:
    """Two tiles of three independent smooth fields."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(2, 3, 130, 130, generator=generator)
    return torch.nn.functional.avg_pool2d(noise, 5, 1)


def test_bands_that_are_mixed_have_the_correlations(fields) -> None:
    mixed = torch.einsum("tcb,tbij->tcij", mixing(CORRELATIONS.expand(2, 3, 3)), fields.double())
    found = step_correlations(mixed, torch.ones_like(mixed))
    torch.testing.assert_close(found, CORRELATIONS.expand(2, 3, 3), atol=0.05, rtol=0)
    torch.testing.assert_close(mixed.var((0, 2, 3)), fields.double().var((0, 2, 3)), atol=0.1 * 0.04, rtol=0)


def test_what_is_not_observed_changes_nothing(fields) -> None:
    observed = torch.ones_like(fields)
    observed[:, :, 40:60] = 0
    observed[:, 1, 60:62] = 0  # ragged, as gaps are
    hidden = fields.masked_fill(observed == 0, torch.nan)
    before = step_correlations(fields, observed)
    np.testing.assert_array_equal(step_correlations(hidden, observed), before)
    np.testing.assert_allclose(before, step_correlations(fields, torch.ones_like(fields)), atol=0.03)


def test_bands_that_were_never_observed_together_are_taken_for_independent(fields) -> None:
    alike = fields[:, :1].expand(-1, 3, -1, -1)
    observed = torch.ones_like(alike)
    observed[:, 2] = 0
    found = step_correlations(alike, observed)
    count = 2 * 126 * (126 - STEP_PX)
    np.testing.assert_allclose(found[:, 0, 1], count / (count + STEPS_IN_DOUBT))
    assert not found[:, 2, :2].any()
    np.testing.assert_array_equal(found.diagonal(dim1=1, dim2=2), 1)
    assert mixing(found).isfinite().all()


def test_few_steps_are_not_trusted(fields) -> None:
    alike = fields[:, :1, :4, :4].expand(-1, 3, -1, -1)
    found = step_correlations(alike, torch.ones_like(alike))
    np.testing.assert_allclose(found[:, 0, 1], 16 / (16 + STEPS_IN_DOUBT))


def test_correlations_that_contradict_each_other_keep_every_variance() -> None:
    impossible = torch.tensor([[[1, 0.95, -0.95], [0.95, 1, 0.95], [-0.95, 0.95, 1]]], dtype=torch.float64)
    mixed = mixing(impossible)
    np.testing.assert_allclose((mixed @ mixed.mT).diagonal(dim1=1, dim2=2), 1)
    np.testing.assert_allclose(mixed, mixed.mT, atol=1e-9)


@pytest.mark.parametrize("bands", [1, 2])
def test_flat_bands_are_left_alone(bands: int) -> None:
    flat = torch.ones(1, bands, 8, 8)
    np.testing.assert_array_equal(mixing(step_correlations(flat, flat)), torch.eye(bands)[None])
