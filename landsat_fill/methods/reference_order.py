"""References as methods need them: one after another, in the image's units, or as further bands of the image."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.methods.method import in_threads
from landsat_fill.scene import Gaps

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from landsat_fill.methods.method import Context, Flags, Image, MethodInfo
    from landsat_fill.scene import Filled, Reference

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
    filled = np.where(gaps.missing, np.nan, image).astype(np.float64, copy=False)

    def fill(place: tuple[int, int]) -> None:
        tile, band = place
        usable = np.ascontiguousarray(gaps.usable[place])
        if not usable.any():
            return
        values = np.ascontiguousarray(image[place], np.float64)
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
    return filled.astype(image.dtype, copy=False)


@dataclass(frozen=True, slots=True)
class MatchedTile:
    """A tile of an image and of a reference: the bands that both have, in the image's order.

    Attributes:
        bands: Numbers of these bands in the image.
        matches: Their numbers in the reference.
        values: The image in float64, `(band, row, col)`.
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
        image[tile, bands].astype(np.float64),
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

    def first_usable(self, tile: int, bands: Sequence[int], chosen: Flags) -> NDArray[np.uint8]:
        """Return the first reference with a usable pixel for each band, from 1, `(band, row, col)`; 0 for none.

        Args:
            tile: The tile.
            bands: Bands of the image.
            chosen: The layers to count, `(layer,)`.
        """
        found = np.zeros((len(bands), *self.usable.shape[2:]), np.uint8)
        for layer in reversed(np.flatnonzero(chosen).tolist()):
            if self.bands[layer] in bands:
                found[list(bands).index(self.bands[layer])][self.usable[tile, layer]] = self.dates[layer]
        return found


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


LIKE_SPREADS = 3.0
"""Bands whose spreads differ by at most this factor have the same units, whatever changed between the dates."""

LEAST_COMMON = 100
"""Fewest common pixels from which a spread is estimated."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """A gain and an offset for each band of a reference, which bring it to the image's units."""

    gains: NDArray[np.float64]
    offsets: NDArray[np.float64]

    def applied(self, reference: Reference) -> Reference:
        """Return the reference in the image's units."""
        gains, offsets = (each[:, None, None].astype(np.float32) for each in (self.gains, self.offsets))
        values = np.where(reference.usable, reference.values, 0) * gains + offsets
        return replace(reference, values=values)


@dataclass(frozen=True)
class InImageUnits:
    """A method for dates of the same units, with conversions for references of other units.

    Attributes:
        info: The facts about the method.
        fill_alike: Its `fill` with references in the image's units.
        conversions: The conversion of each reference, None for one of the image's units.
    """

    info: MethodInfo
    fill_alike: Callable[[Image, Gaps, Context], Filled]
    conversions: tuple[Conversion | None, ...]

    def fill(self, image: Image, gaps: Gaps, context: Context) -> Filled:
        """Return the filled image; see `FillMethod.fill`."""
        alike = converted(context.references, self.conversions)
        return self.fill_alike(image, gaps, replace(context, references=alike))


def conversions_of(image: Image, gaps: Gaps, context: Context) -> tuple[Conversion | None, ...]:
    """Return the conversion of each reference to the image's units, None where these are the same.

    Units differ where the interquartile ranges of the common pixels differ more than `LIKE_SPREADS`, in the median of
    the bands. Each band then takes the gain and the offset by which quartiles agree. A note says so.

    Args:
        image: Windows spread over a scene, `(window, band, row, col)`.
        gaps: Cubes of the same shape.
        context: The references in these windows; its `notify` takes the notes.
    """
    return tuple(_conversion(image, gaps, reference, context) for reference in context.references)


def _conversion(image: Image, gaps: Gaps, reference: Reference, context: Context) -> Conversion | None:
    bands = reference.values.shape[1]
    gains, offsets = np.ones(bands), np.zeros(bands)
    found = []
    for band, match in enumerate(reference.matches):
        if match is None:
            continue
        common = gaps.usable[:, band] & reference.usable[:, match]
        if np.count_nonzero(common) < LEAST_COMMON:
            continue
        ours, theirs = (
            np.percentile(values[common].astype(np.float64), (25, 50, 75))
            for values in (image[:, band], reference.values[:, match])
        )
        if ours[2] > ours[0] and theirs[2] > theirs[0]:
            gains[match] = (ours[2] - ours[0]) / (theirs[2] - theirs[0])
            offsets[match] = ours[1] - gains[match] * theirs[1]
            found.append(gains[match])
    gain = float(np.median(found)) if found else 1.0
    if 1 / LIKE_SPREADS <= gain <= LIKE_SPREADS:
        return None
    context.notify(
        f"reference {reference.name}: its numbers are brought to the scene's units, by a gain of {gain:.3g} "
        "(median of the bands)"
    )
    return Conversion(gains, offsets)


def converted(references: Sequence[Reference], conversions: Sequence[Conversion | None]) -> tuple[Reference, ...]:
    """Return references in the image's units."""
    return tuple(
        reference if conversion is None else conversion.applied(reference)
        for reference, conversion in zip(references, conversions, strict=True)
    )
