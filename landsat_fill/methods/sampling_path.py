"""The order of a direct sampling, its random numbers, and the places it looks at."""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

STRIDES = 64
"""Ways to go through the candidates."""


def path_of(
    missing: NDArray[np.bool_], corner: tuple[int, int], seed: int, draw: int
) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """Return the missing pixels in random order, rows and columns `(pixel, 2)`, and a random number for each.

    Both depend on the seed, the draw and the row and column in the scene, and on nothing else.

    Args:
        missing: `(row, col)`.
        corner: Row and column of its corner in the scene.
        seed: Decides all of it.
        draw: Number of the draw.
    """
    pixels = np.argwhere(missing)
    start = np.random.SeedSequence([seed, draw]).generate_state(2, np.uint64)
    rows, cols = (pixels + np.array(corner)).astype(np.uint64).T
    order = _mixed(_mixed(rows ^ start[0]) ^ cols)
    keys = _mixed(order ^ start[1])
    turns = np.argsort(order, kind="stable")
    return pixels[turns], keys[turns]


def _mixed(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return numbers with all their bits mixed.

    Source: Steele, Lea and Flood 2014, Fast splittable pseudorandom number generators,
    doi:10.1145/2660193.2660195 (SplitMix64).
    """
    mixed = numbers + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


@cache
def coprime_steps(count: int) -> NDArray[np.int64]:
    """Return strides that go once through `count` places in a circle before they come back."""
    found: list[int] = []
    golden = 0.6180339887498949
    for number in range(1, 16 * STRIDES):
        step = int(count * (number * golden % 1))
        if step and math.gcd(step, count) == 1:
            found.append(step)
        if len(found) == STRIDES:
            break
    return np.array(found or [1], np.int64)


@cache
def square(radius_px: int) -> NDArray[np.int64]:
    """Return rows and columns from a pixel to all others of a square around it."""
    rows, cols = np.mgrid[-radius_px : radius_px + 1, -radius_px : radius_px + 1].reshape(2, -1)
    pixels = np.stack([rows, cols], axis=1).astype(np.int64)
    return np.delete(pixels, len(pixels) // 2, axis=0)


@cache
def disc(radius_px: int) -> NDArray[np.int64]:
    """Return rows and columns from a pixel to all others within a radius, the nearest first."""
    rows, cols = np.mgrid[-radius_px : radius_px + 1, -radius_px : radius_px + 1].reshape(2, -1)
    squares = rows**2 + cols**2
    inside = (squares > 0) & (squares <= radius_px**2)
    order = np.lexsort((cols[inside], rows[inside], squares[inside]))
    return np.stack([rows[inside][order], cols[inside][order]], axis=1).astype(np.int64)
