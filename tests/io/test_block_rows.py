"""Rows come out as they went in, in whole rows of blocks, each once."""

from __future__ import annotations

import numpy as np
import pytest

from landsat_fill.io.writer import BlockRows
from landsat_fill.scene import Window

HEIGHT, WIDTH, BLOCK = 100, 5, 16


class Target:
    """A raster in memory, which notes what it is given."""

    def __init__(self) -> None:
        self.planes = np.full((2, HEIGHT, WIDTH), -1)
        self.valid = np.zeros((HEIGHT, WIDTH), bool)
        self.windows: list[Window] = []
        self.given: list[np.ndarray] = []
        self.rows = BlockRows(HEIGHT, WIDTH, BLOCK, self.store)

    def store(self, planes, valid, window: Window) -> None:
        assert planes.shape == (2, window.height, window.width)
        self.planes[:, *window.slices] = planes
        self.valid[window.slices] = valid
        self.windows.append(window)
        self.given.append(planes)


@pytest.fixture
def image():
    return np.arange(2 * HEIGHT * WIDTH).reshape(2, HEIGHT, WIDTH)


@pytest.mark.parametrize("strip", [1, 7, 16, 24, 40, 64, 99, 100])
def test_strips_come_out_in_whole_rows_of_blocks(image, strip: int) -> None:
    target = Target()
    valid = image[0] % 3 == 0
    for row in range(0, HEIGHT, strip):
        window = Window(row, 0, min(strip, HEIGHT - row), WIDTH)
        target.rows.put(image[:, *window.slices], valid[window.slices], window)
    np.testing.assert_array_equal(target.planes, image)
    np.testing.assert_array_equal(target.valid, valid)
    ends = [window.row + window.height for window in target.windows]
    assert [window.row for window in target.windows] == [0, *ends[:-1]]
    assert all(end % BLOCK == 0 for end in ends[:-1])
    assert ends[-1] == HEIGHT


def test_of_a_strip_no_more_is_copied_than_the_row_of_blocks_it_shares(image) -> None:
    target = Target()
    for row, height in ((0, 40), (40, 60)):
        target.rows.put(
            image[:, row : row + height], np.ones((height, WIDTH), bool), Window(row, 0, height, WIDTH)
        )
    assert target.windows == [Window(0, 0, 32, WIDTH), Window(32, 0, 16, WIDTH), Window(48, 0, 52, WIDTH)]
    assert [np.shares_memory(planes, image) for planes in target.given] == [True, False, True]


def test_what_does_not_follow_is_handed_on_at_once(image) -> None:
    target = Target()
    windows = [Window(0, 0, 20, WIDTH), Window(50, 1, 10, 3), Window(60, 0, 40, WIDTH)]
    for window in windows:
        target.rows.put(image[:, *window.slices], np.ones((window.height, window.width), bool), window)
    target.rows.flush()
    assert [(w.row, w.height) for w in target.windows[:3]] == [(0, 16), (16, 4), (50, 10)]
    for window in windows:
        np.testing.assert_array_equal(target.planes[:, *window.slices], image[:, *window.slices])
