"""Gaps drawn from a real scene are that scene's gaps."""

from __future__ import annotations

import numpy as np
import pytest

from landsat_fill.errors import InputError
from landsat_fill.training.pixels_and_gaps import GapBank, cut_gaps, packed, unpacked


def test_bits_come_back():
    pixels = np.random.default_rng(0).random((3, 5, 21)) < 0.5
    np.testing.assert_array_equal(unpacked(packed(pixels), 21), pixels)


def test_a_bank_draws_what_was_put_in():
    rows, cols = np.mgrid[:64, :64]
    crop = np.stack([(rows + cols // 5 + 9 * band) % 30 < 4 + band for band in range(3)])
    bank = GapBank([packed(crop[None])])
    ways = {np.ascontiguousarray(band[::up, ::left]).tobytes() for band in crop for up in (1, -1) for left in (1, -1)}
    seen = set()
    for number in range(60):
        drawn = bank.draw(5, 64, np.random.default_rng(number))
        assert drawn.shape == (5, 64, 64)
        own = {np.ascontiguousarray(band).tobytes() for band in drawn}
        assert own <= ways
        assert len(own) == 3  # every band of the scene comes before one comes again
        seen |= own
    assert seen == ways


def test_smaller_pieces_lie_anywhere():
    crop = np.zeros((1, 1, 64, 64), bool)
    crop[0, 0, 10] = True
    bank = GapBank([packed(crop)])
    rows = {int(np.argmax(bank.draw(1, 32, np.random.default_rng(n))[0].any(axis=1))) for n in range(80)}
    assert len(rows) > 5


def test_a_scene_with_many_crops_does_not_crowd_out_another():
    many, one = np.zeros((100, 1, 8, 8), bool), np.ones((1, 1, 8, 8), bool)
    bank = GapBank([packed(many), packed(one)])
    share = np.mean([bank.draw(1, 8, np.random.default_rng(n)).all() for n in range(600)])
    assert 0.04 < share < 0.16  # 1 in 11 by the roots, 1 in 101 by the crops


def test_only_places_with_gaps_are_taken(write, slc_off):
    crops = unpacked(cut_gaps(slc_off.scene, 64), 64)
    shares = crops.mean(axis=(1, 2, 3))
    assert ((shares >= 0.01) & (shares <= 0.7)).all()
    with pytest.raises(InputError, match="but found none"):
        cut_gaps(write("clean").scene, 64)
    with pytest.raises(InputError, match="at least 512"):
        cut_gaps(slc_off.scene, 512)
