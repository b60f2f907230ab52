"""How far a network with several scales sees: follows a pixel back to the input pixels that it is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Step = Callable[[int, int], tuple[int, int]]
    """From the first and the last pixel needed of a layer's output to those needed of its input."""


def convolved(kernel_px: int, convolutions: int = 1) -> Step:
    """Return the step back through some convolutions of an odd kernel."""
    margin = convolutions * (kernel_px // 2)
    return lambda first, last: (first - margin, last + margin)


def strided(kernel_px: int) -> Step:
    """Return the step back through a convolution of stride 2 and an odd kernel."""
    margin = kernel_px // 2
    return lambda first, last: (2 * first - margin, 2 * last + margin)


def pooled(first: int, last: int) -> tuple[int, int]:
    """Step back through a pooling of 2 x 2 pixels."""
    return 2 * first, 2 * last + 1


def enlarged(first: int, last: int) -> tuple[int, int]:
    """Step back through an enlargement by 2, of which each pixel comes from one."""
    return first // 2, last // 2


def reach_px(steps: Sequence[Step], period_px: int) -> int:
    """Return the largest distance between a pixel of the output and one of the input that it depends on.

    Args:
        steps: The longest way through the network, from its last layer to its first.
        period_px: The distance after which the network treats pixels alike: 2 to the number of halvings.
    """
    farthest = 0
    for pixel in range(period_px):
        first = last = pixel
        for step in steps:
            first, last = step(first, last)
        farthest = max(farthest, pixel - first, last - pixel)
    return farthest
