from __future__ import annotations

from landsat_fill.networks.convcnp import ConvCNP, ConvCNPSettings
from landsat_fill.networks.layers import convolved, enlarged, pooled, reach_px, strided


def test_convolutions_add_up() -> None:
    assert reach_px([convolved(9, 10), convolved(11)], 1) == 45


def test_coarse_pixels_reach_from_their_far_corner() -> None:
    # A fine pixel comes from its coarse one; that and its neighbours hold three pairs of fine pixels.
    assert reach_px([enlarged, convolved(3), pooled], 2) == 3
    assert reach_px([enlarged, strided(3)], 2) == 2


def test_the_talks_network_sees_91_px() -> None:
    assert 2 * ConvCNP(ConvCNPSettings(channels=2)).reach_px + 1 == 91
