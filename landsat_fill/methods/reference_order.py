"""References as methods need them: one after another, band beside band, or as further bands of the image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.methods.method import in_threads
from landsat_fill.scene import Gaps

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from landsat_fill.methods.method import Context, Flags, Image
    from landsat_fill.scene import Reference

    FillFrom = Callable[[Image, Flags, Image, Flags, NDArray[np.float32], Flags], None]


def asked_for(gaps: Gaps, context: Context) -> Flags:
    """Return the missing pixels whose fill is used: those of the halo are left out."""
    asked = np.zeros_like(gaps.missing)
    for tile, missing in enumerate(gaps.missing):
        wanted = context.place(tile).wanted
        inside = (slice(None), *wanted.slices) if wanted else slice(None)
        asked[tile][inside] = missing[inside]
    return asked


def fill_in_order(fill_from: FillFrom, image: Image, gaps: Gaps, asked: Flags, context: Context) -> Image:
    """Return the image, filled band by band from one reference after another.

    What a reference leaves, the next one fills; what all of them leave is NaN. A band without a match in a
    reference gets nothing from it, and no pixel is filled from a reference that isn't usable there.

    Args:
        fill_from: Takes `(filled, asked, values, usable, reference values, reference usable)`, each
            `(row, col)`, and writes to `filled` at the asked pixels that it can fill. It should release the
            interpreter lock.
        image: `(tile, band, row, col)`.
        gaps: Cubes of the same shape.
        asked: The missing pixels to fill, of the same shape.
        context: The references; as many bands are filled at once as it has threads.
    """
    filled = image.copy()
    filled[gaps.missing] = np.nan

    def fill(place: tuple[int, int]) -> None:
        tile, band = place
        usable = np.ascontiguousarray(gaps.usable[place])
        if not usable.any():
            return
        values = np.ascontiguousarray(image[place])
        for reference in context.references:
            match = reference.matches[band]
            if match is None:
                continue
            theirs = reference.usable[tile, match]
            left = asked[place] & theirs & np.isnan(filled[place])
            if left.any():
                there = np.ascontiguousarray(reference.values[tile, match])
                fill_from(filled[place], left, values, usable, there, np.ascontiguousarray(theirs))

    in_threads(fill, np.ndindex(*image.shape[:2]), context.threads)
    return filled


@dataclass(frozen=True, slots=True)
class MatchedTile:
    """A tile of an image and of a reference: the bands that both have, in the image's order.

    Attributes:
        bands: Numbers of these bands in the image.
        matches: Their numbers in the reference.
        values: The image, `(band, row, col)`.
        usable: Pixels of the image that may be used.
        reference: The reference.
        reference_usable: Pixels of the reference that may be used.
    """

    bands: list[int]
    matches: list[int]
    values: Image
    usable: Flags
    reference: NDArray[np.float32]
    reference_usable: Flags


def matched_tile(image: Image, gaps: Gaps, reference: Reference, tile: int) -> MatchedTile:
    """Return a tile with the bands that the image and a reference both have."""
    bands = [band for band, match in enumerate(reference.matches) if match is not None]
    matches = [match for match in reference.matches if match is not None]
    return MatchedTile(
        bands,
        matches,
        image[tile, bands],
        gaps.usable[tile, bands],
        reference.values[tile, matches],
        reference.usable[tile, matches],
    )


def spreads(reference: Reference) -> tuple[float, ...]:
    """Return the standard deviation of each band of a reference over all of its tiles; 0 for a constant band."""
    found = []
    for values, usable in zip(reference.values.swapaxes(0, 1), reference.usable.swapaxes(0, 1), strict=True):
        used = values[usable]
        # The mean of equal numbers may differ from them by a rounding error.
        constant = not len(used) or used.min() == used.max()
        found.append(0.0 if constant else float(used.std(dtype=np.float64)))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class FurtherBands:
    """The bands of references that match a band of the image, for methods that treat them as bands of the image.

    Attributes:
        values: `(tile, layer, row, col)`, in the references' own numbers; 0 where not usable.
        usable: Of the same shape.
        bands: The band of the image that each layer matches.
        dates: The number of each layer's reference, from 1.
    """

    values: NDArray[np.float32]
    usable: Flags
    bands: tuple[int, ...]
    dates: tuple[int, ...]

    def behind(self, image: Image, gaps: Gaps) -> tuple[Image, Gaps]:
        """Return an image and its gaps with the layers as further bands without a missing pixel."""
        if not self.bands:
            return image, gaps
        return np.concatenate([image, self.values], axis=1), Gaps(
            np.concatenate([gaps.missing, np.zeros_like(self.usable)], axis=1),
            np.concatenate([gaps.usable, self.usable], axis=1),
        )


def further_bands(references: Sequence[Reference], image: Image) -> FurtherBands:
    """Return the bands of references that match a band of the image, one reference after another."""
    found = [
        (number, band, reference.values[:, match], reference.usable[:, match])
        for number, reference in enumerate(references, 1)
        for band, match in enumerate(reference.matches)
        if match is not None
    ]
    shape = (len(image), len(found), *image.shape[2:])
    values, usable = np.zeros(shape, np.float32), np.zeros(shape, bool)
    for layer, (_, _, plane, known) in enumerate(found):
        usable[:, layer] = known
        np.copyto(values[:, layer], plane, where=known)
    return FurtherBands(values, usable, tuple(band for _, band, *_ in found), tuple(number for number, *_ in found))
