"""References as stacks of pixels, and the classes of land that k-means finds in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.methods.kernels import compiled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from landsat_fill.scene import Reference


@dataclass(frozen=True, slots=True)
class Stack:
    """The bands of several references that match a band of the image, with the bands last.

    Attributes:
        values: `(tile, row, col, channel)`, float32; 0 where not valid.
        valid: `(tile, row, col, reference)`: pixels that are usable in all matched bands of a reference.
        starts: First channel of each reference, and the number of channels, `(reference + 1,)`.
        channels: The channel of each reference that matches each band of the image, `(reference, band)`; -1
            for none.
    """

    values: NDArray[np.float32]
    valid: NDArray[np.bool_]
    starts: NDArray[np.int64]
    channels: NDArray[np.int64]

    def channels_of(self, reference: int) -> slice:
        """Return the channels of a reference."""
        return slice(self.starts[reference], self.starts[reference + 1])


def stack_references(references: Sequence[Reference], shape: tuple[int, ...], tiles: slice = slice(None)) -> Stack:
    """Return references as one stack.

    Args:
        references: References on the grid of the image.
        shape: Shape of the image, `(tile, band, row, col)`.
        tiles: The tiles to stack.
    """
    count, bands, height, width = shape
    count = len(range(count)[tiles])
    channels = np.full((len(references), bands), -1, np.int64)
    starts = np.zeros(len(references) + 1, np.int64)
    planes: list[NDArray[np.float32]] = []
    valid = np.zeros((count, height, width, len(references)), bool)
    for number, reference in enumerate(references):
        matched = [(band, match) for band, match in enumerate(reference.matches) if match is not None]
        for band, match in matched:
            channels[number, band] = len(planes)
            planes.append(reference.values[tiles, match])
        starts[number + 1] = len(planes)
        if matched:
            usable = reference.usable[tiles, [match for _, match in matched]]
            valid[..., number] = usable.all(axis=1)
    values = np.zeros((count, height, width, len(planes)), np.float32)
    for channel, plane in enumerate(planes):
        number = int(np.searchsorted(starts, channel, side="right")) - 1
        np.copyto(values[..., channel], plane, where=valid[..., number])
    return Stack(values, valid, starts, channels)


def bands_that_lose_the_same(missing: NDArray[np.bool_], usable: NDArray[np.bool_]) -> list[list[int]]:
    """Return the bands with missing pixels, grouped by equal planes of missing and usable pixels.

    Args:
        missing: `(band, row, col)`.
        usable: Of the same shape.
    """
    groups: list[list[int]] = []
    for band in np.flatnonzero(missing.any(axis=(1, 2))).tolist():
        for group in groups:
            if np.array_equal(missing[band], missing[group[0]]) and np.array_equal(usable[band], usable[group[0]]):
                group.append(band)
                break
        else:
            groups.append([band])
    return groups


KMEANS_PIXELS = 20_000
"""Pixels that k-means sees: thousands for each class."""

KMEANS_ROUNDS = 100
"""Most rounds of k-means; it usually settles in fewer."""


def k_means(pixels: NDArray[np.float32], classes: int) -> NDArray[np.float64]:
    """Return the centres of at most `classes` classes, `(class, channel)`; fewer if fewer pixels differ.

    Source: Lloyd 1982, Least squares quantization in PCM, doi:10.1109/TIT.1982.1056489; Arthur and
    Vassilvitskii 2007, k-means++: the advantages of careful seeding.

    Args:
        pixels: `(pixel, channel)`; all finite.
        classes: Number of classes.
    """
    generator = np.random.default_rng(0)
    some = draw(len(pixels), KMEANS_PIXELS, generator)
    seen = pixels[some].astype(np.float64)
    if not len(seen):
        return np.empty((0, pixels.shape[1]))
    centres = [seen[0]]
    distance = ((seen - centres[0]) ** 2).sum(axis=1)
    while len(centres) < classes and distance.any():
        reached = np.cumsum(distance)
        centres.append(seen[np.searchsorted(reached, generator.random() * reached[-1], side="right")])
        distance = np.minimum(distance, ((seen - centres[-1]) ** 2).sum(axis=1))
    found = np.stack(centres)
    nearest = nearest_centres(seen, found)
    for _ in range(KMEANS_ROUNDS):
        sizes = np.bincount(nearest, minlength=len(found))
        for channel in range(seen.shape[1]):
            sums = np.bincount(nearest, seen[:, channel], minlength=len(found))
            found[:, channel] = np.where(sizes > 0, sums / np.maximum(sizes, 1), found[:, channel])
        before, nearest = nearest, nearest_centres(seen, found)
        if np.array_equal(before, nearest):
            break
    return found


def draw(count: int, most: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Return the numbers 0 to `count`, or `most` of them drawn at random, in ascending order."""
    if count <= most:
        return np.arange(count)
    return np.sort(generator.choice(count, most, replace=False))


@compiled
def nearest_centres(pixels: NDArray[np.floating], centres: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the number of the nearest centre for each pixel.

    Args:
        pixels: `(pixel, channel)`.
        centres: `(class, channel)`; at least one.
    """
    found = np.zeros(len(pixels), np.int64)
    for pixel in range(len(pixels)):
        least = np.inf
        for number in range(len(centres)):
            total = 0.0
            for channel in range(pixels.shape[1]):
                difference = pixels[pixel, channel] - centres[number, channel]
                total += difference * difference
            if total < least:
                least = total
                found[pixel] = number
    return found


def class_map(values: NDArray[np.float32], valid: NDArray[np.bool_], centres: NDArray[np.float64]) -> NDArray[np.int8]:
    """Return the class of each valid pixel, and -1 elsewhere.

    Args:
        values: `(…, channel)`.
        valid: `(…)`.
        centres: `(class, channel)`.
    """
    classes = np.full(valid.shape, -1, np.int8)
    if len(centres):
        classes[valid] = nearest_centres(values[valid], centres)
    return classes
