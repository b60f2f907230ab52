"""Reads the quality bands of Landsat products: clouds, shadows, snow, water, saturation.

A pixel whose quality band says fill has no statement: it is none of them.

Sources: QA_PIXEL and QA_RADSAT, Landsat 4-7 Collection 2 Level 2 Science Product Guide, USGS LSDS-1618; BQA,
Landsat Collection 1 Level 1 Product Definition, USGS LSDS-1656; pixel_qa, radsat_qa and cfmask, Landsat 4-7
Surface Reflectance (LEDAPS) Product Guide, USGS LSDS-1370; the codes of cfmask and fmask, Zhu and Woodcock
2012, doi:10.1016/j.rse.2011.10.028.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from landsat_fill.scene import Band


FILL_BIT = 0
"""Fill, in every bit-packed quality band but QA_RADSAT."""

HIGH_CONFIDENCE = 3
"""The highest of the four levels in a two-bit confidence field."""

DROPPED_PIXEL_BIT = 9
"""QA_RADSAT: the detector has no value here."""

BQA_DROPPED_PIXEL_BIT = 1
"""BQA of TM and ETM+: the same. (OLI has terrain occlusion there, as little to be trusted.)"""

BQA_SATURATION_BITS = (2, 3)
"""BQA: how many bands are saturated, in four steps from none; not which."""

CFMASK_FILL = 255
"""cfmask and fmask: no statement."""


@dataclass(frozen=True, slots=True)
class _Bits:
    """Where a bit-packed quality band keeps its flags: a bit, or the low bit of a confidence field."""

    cloud: int
    snow: int
    shadow: int
    dilated: int | None = None
    water: int | None = None
    fields: tuple[str, ...] = ()  # the flags that are confidence fields


_BITS = {
    "QA_PIXEL": _Bits(cloud=3, shadow=4, snow=5, dilated=1, water=7),
    "BQA": _Bits(cloud=4, shadow=7, snow=9, fields=("shadow", "snow")),
    "pixel_qa": _Bits(cloud=5, shadow=3, snow=4, water=2),
}

_CODES = {"water": 1, "shadow": 2, "snow": 3, "cloud": 4}
_CODED = ("cfmask", "fmask")
_RADIOMETRIC = ("QA_RADSAT", "radsat_qa", "BQA")


@dataclass(frozen=True, slots=True)
class QualityFlags:
    """What a quality band says of each pixel, boolean arrays `(row, col)`.

    Attributes:
        fill: No statement: a gap, or outside the footprint. The others are false there.
        cloud: Cloud.
        dilated: Beside a cloud, as QA_PIXEL widens it; false where the band can't tell.
        shadow: Shadow of a cloud.
        snow: Snow or ice.
        water: Water; false where the band can't tell.
    """

    fill: NDArray[np.bool_]
    cloud: NDArray[np.bool_]
    dilated: NDArray[np.bool_]
    shadow: NDArray[np.bool_]
    snow: NDArray[np.bool_]
    water: NDArray[np.bool_]


def read_flags(kind: str, values: NDArray[np.integer]) -> QualityFlags:
    """Return the flags of a quality band.

    Args:
        kind: QA_PIXEL, BQA, pixel_qa, cfmask or fmask.
        values: The band as stored, `(row, col)`.

    Raises:
        InputError: The kind has no such flags.
    """
    if kind in _CODED:
        nothing = np.zeros(values.shape, np.bool_)
        coded = {name: values == code for name, code in _CODES.items()}
        return QualityFlags(fill=values == CFMASK_FILL, dilated=nothing, **coded)
    if kind not in _BITS:
        raise InputError(
            f"expected a quality band of one of the kinds {', '.join((*_BITS, *_CODED))}, but got {kind}",
            hint="clouds and shadows can't be read from it; leave out the option that asks for them",
        )
    bits = _BITS[kind]
    fill = _bit(values, FILL_BIT)

    def flag(name: str, low_bit: int | None) -> NDArray[np.bool_]:
        if low_bit is None:
            return np.zeros(values.shape, np.bool_)
        if name in bits.fields:
            return np.asarray(_field(values, low_bit) == HIGH_CONFIDENCE) & ~fill
        return _bit(values, low_bit) & ~fill

    return QualityFlags(
        fill=fill,
        cloud=flag("cloud", bits.cloud),
        dilated=flag("dilated", bits.dilated),
        shadow=flag("shadow", bits.shadow),
        snow=flag("snow", bits.snow),
        water=flag("water", bits.water),
    )


def read_saturation(
    kind: str, values: NDArray[np.integer], bands: Sequence[Band | None]
) -> NDArray[np.bool_]:
    """Return where each band is saturated or its detector has no value, boolean `(band, row, col)`.

    BQA says how many bands are saturated, not which: there all of them count. A band that the quality
    band doesn't know is never saturated.

    Args:
        kind: QA_RADSAT, radsat_qa or BQA.
        values: The quality band as stored, `(row, col)`.
        bands: The sensor's band behind each band of the scene, or None where it isn't known.

    Raises:
        InputError: The kind tells nothing of saturation.
    """
    saturated = np.zeros((len(bands), *values.shape), np.bool_)
    if kind == "QA_RADSAT":
        saturated |= _bit(values, DROPPED_PIXEL_BIT)
        first_bit = 0
    elif kind == "radsat_qa":
        first_bit = 1  # bit 0 is fill, bit n is band n
    elif kind == "BQA":
        dropped = _bit(values, BQA_DROPPED_PIXEL_BIT)
        saturated |= (dropped | (_field(values, BQA_SATURATION_BITS[0]) > 0)) & ~_bit(values, FILL_BIT)
        return saturated
    else:
        raise InputError(
            f"expected a quality band of one of the kinds {', '.join(_RADIOMETRIC)}, but got {kind}",
            hint="saturation can't be read from it; leave out the option that asks for it",
        )
    for index, band in enumerate(bands):
        if band is not None and band.saturation_bit is not None:
            saturated[index] |= _bit(values, band.saturation_bit + first_bit)
    return saturated


def untrusted(
    quality: Mapping[str, NDArray[np.integer]],
    bands: Sequence[Band | None],
    *,
    clouds: bool = False,
    dilated: bool = False,
    shadows: bool = False,
    snow: bool = False,
    saturated: bool = False,
) -> NDArray[np.bool_]:
    """Return the pixels that may not serve as evidence, boolean `(band, row, col)`.

    Where several quality bands tell of the same thing, a pixel is untrusted if any of them says so.

    Args:
        quality: The quality bands as stored, `(row, col)`, by kind; at least one.
        bands: The sensor's band behind each band of the scene, or None where it isn't known.
        clouds: Whether clouds are untrusted.
        dilated: Whether the pixels beside clouds are.
        shadows: Whether cloud shadows are.
        snow: Whether snow and ice are.
        saturated: Whether saturated and dropped pixels are, in the bands they are so in.

    Raises:
        InputError: No quality band tells of what is asked for.
    """
    telling = {kind: values for kind, values in quality.items() if kind in _BITS or kind in _CODED}
    radiometric = {kind: values for kind, values in quality.items() if kind in _RADIOMETRIC}
    if len(radiometric) > 1:
        radiometric.pop("BQA", None)  # the other one also knows which band
    if (clouds or shadows or snow) and not telling:
        raise _nothing_tells("clouds, shadows and snow", (*_BITS, *_CODED), quality)
    if dilated and "QA_PIXEL" not in telling:
        raise _nothing_tells("pixels beside clouds", ("QA_PIXEL",), quality)
    if saturated and not radiometric:
        raise _nothing_tells("saturation", _RADIOMETRIC, quality)

    size = next(iter(quality.values())).shape if quality else (0, 0)
    distrusted = np.zeros((len(bands), *size), np.bool_)
    for kind, values in telling.items():
        flags = read_flags(kind, values)
        asked = ((clouds, flags.cloud), (dilated, flags.dilated), (shadows, flags.shadow), (snow, flags.snow))
        for wanted, flag in asked:
            if wanted:
                distrusted |= flag
    if saturated:
        for kind, values in radiometric.items():
            distrusted |= read_saturation(kind, values, bands)
    return distrusted


def _nothing_tells(what: str, kinds: Sequence[str], quality: Mapping[str, object]) -> InputError:
    return InputError(
        f"expected a quality band that tells of {what} ({', '.join(kinds)}), "
        f"but got {', '.join(quality) or 'none'}",
        hint="give the whole product, with its quality bands, or leave out the option",
    )


def _bit(values: NDArray[np.integer], bit: int) -> NDArray[np.bool_]:
    """Return whether a bit is set; false for a bit that the type doesn't have."""
    if bit >= 8 * values.dtype.itemsize:
        return np.zeros(values.shape, np.bool_)
    return np.asarray(np.bitwise_and(np.right_shift(values, bit), 1) == 1)


def _field(values: NDArray[np.integer], low_bit: int) -> NDArray[np.integer]:
    """Return the two-bit number that starts at a bit."""
    return np.asarray(np.bitwise_and(np.right_shift(values, low_bit), 3))
