"""What a band shows beside its pixels: steps, and means of small squares.

Samples that get each pixel's distribution right may still be noise. What neighbours are together tells noise
from a landscape. How bands go together is not asked here: it differs from scene to scene, and is taken from
what each shows (`methods/coregionalization.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch.nn.functional import avg_pool2d

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

SQUARE_PX = 4
"""Side of the squares whose means are looked at: about half a gap."""


class Pattern(NamedTuple):
    """Numbers that an image shows.

    Attributes:
        name: What they are called in the log.
        values: `([sample,] tile, band, row, col)`.
        counted: 1 where a number is known and a hidden pixel is in it, without a sample axis.
    """

    name: str
    values: Tensor
    counted: Tensor


def patterns(image: Tensor, hidden: Tensor, known: Tensor) -> Iterator[Pattern]:
    """Yield the pixels of an image, and what they are together.

    Args:
        image: `([sample,] tile, band, row, col)`.
        hidden: 1 where a pixel is hidden, `(tile, band, row, col)`.
        known: 1 where the truth of a pixel is known.
    """
    yield Pattern("pixels", image, hidden)
    for name, axis in (("rows", -2), ("cols", -1)):
        yield Pattern(name, image.diff(dim=axis), _of_neighbours(hidden, known, axis))
    yield Pattern("squares", _means(image), (_means(known) == 1) * (_means(hidden) > 0).to(image.dtype))


def _of_neighbours(hidden: Tensor, known: Tensor, axis: int) -> Tensor:
    """Return 1 where both of two neighbours along an axis are known, and one is hidden."""
    length = hidden.shape[axis] - 1
    one = torch.maximum(hidden.narrow(axis, 0, length), hidden.narrow(axis, 1, length))
    return one * known.narrow(axis, 0, length) * known.narrow(axis, 1, length)


def _means(image: Tensor) -> Tensor:
    """Return the means of squares that overlap by half."""
    flat = avg_pool2d(image.flatten(0, -4) if image.ndim == 5 else image, SQUARE_PX, SQUARE_PX // 2)
    return flat.reshape(*image.shape[:-2], *flat.shape[-2:])
