"""What an image shows beside its pixels: steps, means of small squares, and how its bands go together.

Samples that get each pixel's distribution right may still be noise. What neighbours and bands are together
tells noise from a landscape.
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

LEAST_UNIT = 0.1
"""Sums and differences of bands that vary less than this, in spreads of the bands, count as if they did."""


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
        known: 1 where the truth of a pixel is known. Where it isn't hidden, the image has it.
    """
    yield Pattern("pixels", image, hidden)
    for name, axis in (("rows", -2), ("cols", -1)):
        yield Pattern(name, image.diff(dim=axis), _of_neighbours(hidden, known, axis))
    yield Pattern("squares", _means(image), (_means(known) == 1) * (_means(hidden) > 0).to(image.dtype))
    if image.shape[-3] > 1:
        yield _bands(image, hidden, known)


def _bands(image: Tensor, hidden: Tensor, known: Tensor) -> Pattern:
    """Return sums and differences of all pairs of bands, in units of what those vary by where both are shown.

    Bands that go together differ by little, and little would count for little.
    """
    first, second = torch.triu_indices(image.shape[-3], image.shape[-3], 1, device=image.device)
    one, other = image[..., first, :, :], image[..., second, :, :]
    pairs = torch.cat([one - other, one + other], -3)
    both = (known[:, first] * known[:, second]).repeat(1, 2, 1, 1)
    some = torch.maximum(hidden[:, first], hidden[:, second]).repeat(1, 2, 1, 1)
    shown = both * (1 - some)
    count = shown.sum((-2, -1), keepdim=True).clamp_min(1)
    seen = pairs.detach() * shown
    mean = seen.sum((-2, -1), keepdim=True) / count
    unit = ((seen - mean).square() * shown).sum((-2, -1), keepdim=True).div(count).sqrt()
    return Pattern("bands", pairs / unit.clamp_min(LEAST_UNIT), some * both)


def _of_neighbours(hidden: Tensor, known: Tensor, axis: int) -> Tensor:
    """Return 1 where both of two neighbours along an axis are known, and one is hidden."""
    length = hidden.shape[axis] - 1
    one = torch.maximum(hidden.narrow(axis, 0, length), hidden.narrow(axis, 1, length))
    return one * known.narrow(axis, 0, length) * known.narrow(axis, 1, length)


def _means(image: Tensor) -> Tensor:
    """Return the means of squares that overlap by half."""
    flat = avg_pool2d(image.flatten(0, -4) if image.ndim == 5 else image, SQUARE_PX, SQUARE_PX // 2)
    return flat.reshape(*image.shape[:-2], *flat.shape[-2:])
