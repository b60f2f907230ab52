"""Structural similarity against the published implementation, and its windows."""

from __future__ import annotations

import numpy as np
import pytest

from landsat_fill.evaluation.metrics import multi_scale_similarity, multi_scale_window_px, similarity_map


def pair(side: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(side)
    truth = np.clip(np.cumsum(generator.normal(0, 0.05, (side, side)), axis=1) + 0.5, 0, 1)
    return truth, np.clip(truth + generator.normal(0, 0.05, truth.shape), 0, 1)


def test_the_map_is_that_of_pytorch_msssim():
    torch = pytest.importorskip("torch")
    published = pytest.importorskip("pytorch_msssim").ssim
    truth, fill = pair(64)
    tensors = [torch.from_numpy(values)[None, None] for values in (truth, fill)]
    # It leaves out a border of half a window; so does this.
    inner = similarity_map(truth, fill)[5:-5, 5:-5]
    assert inner.mean() == pytest.approx(float(published(*tensors, data_range=1.0)), abs=1e-6)


def test_a_perfect_fill_is_similar_everywhere():
    truth, _ = pair(40)
    assert similarity_map(truth, truth) == pytest.approx(1)


def test_damage_stays_where_it_is():
    truth, _ = pair(60)
    fill = truth.copy()
    fill[30, 30] += 0.5
    similarity = similarity_map(truth, fill)
    assert similarity[30, 30] < 0.9
    assert similarity[:24] == pytest.approx(1)
    assert similarity[:, :24] == pytest.approx(1)


@pytest.mark.parametrize(
    ("side_px", "window_px"),
    [(32, None), (33, 3), (64, 3), (65, 5), (96, 5), (97, 7), (128, 7), (160, 9), (161, 11), (8000, 11)],
)
def test_the_multi_scale_window_fits_the_image(side_px, window_px):
    assert multi_scale_window_px(side_px) == window_px


@pytest.mark.parametrize("shape", [(33, 80), (64, 64), (128, 131), (161, 175), (203, 340)])
def test_multi_scale_similarity_is_that_of_pytorch_msssim(shape):
    torch = pytest.importorskip("torch")
    published = pytest.importorskip("pytorch_msssim").ms_ssim
    truth, fill = (values[: shape[0], : shape[1]] for values in pair(max(shape)))
    tensors = [torch.from_numpy(np.ascontiguousarray(values))[None, None] for values in (truth, fill)]
    window_px = multi_scale_window_px(min(shape))
    expected = float(published(*tensors, data_range=1.0, win_size=window_px))
    assert 0.3 < expected < 0.999
    assert multi_scale_similarity(truth, fill) == pytest.approx(expected, abs=1e-6)
    assert multi_scale_similarity(truth, truth) == pytest.approx(1)


def test_the_negative_of_an_image_has_nothing_of_it():
    truth, _ = pair(64)
    assert multi_scale_similarity(truth, 1 - truth) == 0


def test_a_small_image_has_none():
    truth, fill = pair(32)
    assert np.isnan(multi_scale_similarity(truth, fill))
