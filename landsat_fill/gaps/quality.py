"""Reads the quality bands of Landsat products: clouds, shadows, snow, water, saturation.

A pixel marked as fill has none of these flags.

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
"""QA_RADSAT: the detector has no value."""

BQA_DROPPED_PIXEL_BIT = 1
"""BQA of TM and ETM+: the same. OLI has terrain occlusion in this bit, which is excluded as well."""

BQA_SATURATION_BITS = (2, 3)
"""BQA: the number of saturated bands in four steps from none, without saying which."""

CFMASK_FILL = 255
"""cfmask and fmask: fill."""


@dataclass(frozen=True, slots=True)
class _Bits:
    """Positions of the flags in a bit-packed quality band: a bit, or the low bit of a confidence field."""

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
    """The flags of each pixel in a quality band, boolean arrays `(row, col)`.

    Attributes:
        fill: A gap, or outside the footprint. All other flags are false there.
        cloud: Cloud.
        dilated: Dilated cloud of QA_PIXEL; false for other quality bands.
        shadow: Cloud shadow.
        snow: Snow or ice.
        water: Water; false if the quality band has no such flag.
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
            hint="Leave out the option: this quality band has no flags of clouds and shadows.",
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


def read_saturation(kind: str, values: NDArray[np.integer], bands: Sequence[Band | None]) -> NDArray[np.bool_]:
    """Return where each band is saturated or its detector has no value, boolean `(band, row, col)`.

    BQA doesn't say which bands are saturated, so all of them count. Bands without a saturation bit never do.

    Args:
        kind: QA_RADSAT, radsat_qa or BQA.
        values: The quality band as stored, `(row, col)`.
        bands: The sensor's band of each band of the scene, or None if unknown.

    Raises:
        InputError: The kind has no saturation flags.
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
            hint="Leave out the option: this quality band has no flags of saturation.",
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
    """Return the observed pixels that aren't valid, boolean `(band, row, col)`.

    If several quality bands have a flag, a pixel is excluded if it is set in any of them.

    Args:
        quality: The quality bands as stored, `(row, col)`, by kind; at least one.
        bands: The sensor's band of each band of the scene, or None if unknown.
        clouds: Whether to exclude clouds.
        dilated: Whether to exclude pixels beside clouds.
        shadows: Whether to exclude cloud shadows.
        snow: Whether to exclude snow and ice.
        saturated: Whether to exclude saturated and dropped pixels, in the bands concerned.

    Raises:
        InputError: No quality band has one of these flags.
    """
    flagged = {kind: values for kind, values in quality.items() if kind in _BITS or kind in _CODED}
    radiometric = {kind: values for kind, values in quality.items() if kind in _RADIOMETRIC}
    if len(radiometric) > 1:
        radiometric.pop("BQA", None)  # the other one also says which band
    if (clouds or shadows or snow) and not flagged:
        raise _no_flags("clouds, shadows and snow", (*_BITS, *_CODED), quality)
    if dilated and "QA_PIXEL" not in flagged:
        raise _no_flags("pixels beside clouds", ("QA_PIXEL",), quality)
    if saturated and not radiometric:
        raise _no_flags("saturation", _RADIOMETRIC, quality)

    size = next(iter(quality.values())).shape if quality else (0, 0)
    excluded = np.zeros((len(bands), *size), np.bool_)
    for kind, values in flagged.items():
        flags = read_flags(kind, values)
        options = (clouds, dilated, shadows, snow)
        for option, flag in zip(options, (flags.cloud, flags.dilated, flags.shadow, flags.snow), strict=True):
            if option:
                excluded |= flag
    if saturated:
        for kind, values in radiometric.items():
            excluded |= read_saturation(kind, values, bands)
    return excluded


def _no_flags(what: str, kinds: Sequence[str], quality: Mapping[str, object]) -> InputError:
    return InputError(
        f"expected a quality band with flags of {what} ({', '.join(kinds)}), but got {', '.join(quality) or 'none'}",
        hint="Give the whole product, with its quality bands, or leave out the option.",
    )


def _bit(values: NDArray[np.integer], bit: int) -> NDArray[np.bool_]:
    """Return whether a bit is set; false for a bit that the type doesn't have."""
    if bit >= 8 * values.dtype.itemsize:
        return np.zeros(values.shape, np.bool_)
    return np.asarray(np.bitwise_and(np.right_shift(values, bit), 1) == 1)


def _field(values: NDArray[np.integer], low_bit: int) -> NDArray[np.integer]:
    """Return the two-bit number that starts at a bit."""
    return np.asarray(np.bitwise_and(np.right_shift(values, low_bit), 3))
