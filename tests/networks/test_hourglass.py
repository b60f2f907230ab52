"""Hourglasses side by side are the hourglasses alone."""

from __future__ import annotations

import pytest
import torch

from landsat_fill.networks.hourglass import Hourglasses, HourglassSettings

SETTINGS = {"inputs": 3, "outputs": 2, "channels": 8, "scales": 2, "sigmoid": False}


def built(seeds, **changes):
    chosen = {**SETTINGS, "skip_channels": 4, "skips": 2, **changes}
    return Hourglasses(HourglassSettings(**chosen), seeds)


@pytest.mark.parametrize("changes", [{}, {"skip_channels": 0}, {"skips": 1}, {"sigmoid": True}], ids=str)
def test_side_by_side_is_as_alone(changes):
    noise = torch.rand(2, 3, 16, 24)
    together = built([5, 6], **changes)(noise.view(1, 6, 16, 24))
    assert together.shape == (2, 2, 16, 24)
    for number, seed in enumerate((5, 6)):
        alone = built([seed], **changes)(noise[number : number + 1])
        torch.testing.assert_close(together[number], alone[0], atol=1e-4, rtol=1e-4)
    assert not torch.equal(together[0], together[1])


def test_a_loss_of_one_leaves_the_weights_of_the_other():
    pair = built([1, 2])
    pair(torch.rand(1, 6, 16, 16))[0].square().mean().backward()
    for parameter in pair.parameters():
        assert not parameter.grad.view(2, -1)[1].any()
    assert pair.exit.weight.grad[:2].any()


def test_a_sigmoid_keeps_the_output_between_0_and_1():
    image = built([1], sigmoid=True)(torch.rand(1, 3, 16, 16))
    assert 0 <= image.min() <= image.max() <= 1


def test_the_smallest_image_can_be_processed():
    settings = built([1]).settings
    side = 2 * settings.size_multiple_px  # batch statistics need more than one number at the coarsest scale
    assert torch.isfinite(built([1])(torch.rand(1, 3, side, side))).all()
