"""Reads the quality bands of Landsat products: clouds, cloud shadows, snow, water and saturation.

A pixel marked as fill has none of these flags.

Sources: QA_PIXEL and QA_RADSAT, Landsat 4-7 Collection 2 Level 2 Science Product Guide, USGS LSDS-1618; BQA,
Landsat Collection 1 Level 1 Product Definition, USGS LSDS-1656; pixel_qa, radsat_qa and cfmask, Landsat 4-7
Surface Reflectance (LEDAPS) Product Guide, USGS LSDS-1370; the codes of cfmask and fmask, Zhu and Woodcock
2012, doi:10.1016/j.rse.2011.10.028.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from landsat_fill.scene import Band


FILL_BIT = 0
"""Fill, in every bit-packed quality band but QA_RADSAT."""

BITS: Mapping[str, Mapping[str, tuple[int, ...]]] = {
    "QA_PIXEL": {"cloud": (3,), "dilated-cloud": (1,), "shadow": (4,), "snow": (5,), "water": (7,)},
    "BQA": {"cloud": (4,), "shadow": (7, 8), "snow": (9, 10)},
    "pixel_qa": {"cloud": (5,), "shadow": (3,), "snow": (4,), "water": (2,)},
}
"""The bits that are all set for a flag. BQA has two bits of confidence for shadows and snow, both set if it is high."""

_FMASK_CODES = {"water": 1, "shadow": 2, "snow": 3, "cloud": 4}
CODES: Mapping[str, Mapping[str, int]] = {"cfmask": _FMASK_CODES, "fmask": _FMASK_CODES}
"""The number that stands for a flag, in quality bands of codes."""

DROPPED_PIXEL_BIT = 9
"""QA_RADSAT: the detector has no value."""

BQA_DROPPED_PIXEL_BIT = 1
"""BQA of TM and ETM+: the same. OLI has terrain occlusion in this bit, which is excluded as well."""

BQA_SATURATION_BITS = (2, 3)
"""BQA: the number of saturated bands in four steps from none, without saying which."""

FIRST_SATURATION_BIT = {"QA_RADSAT": 0, "radsat_qa": 1}
"""The bit of a sensor band whose `saturation_bit` is 0."""

_NAMES = {
    "cloud": "clouds",
    "dilated-cloud": "pixels beside clouds",
    "shadow": "cloud shadows",
    "snow": "snow and ice",
    "water": "water",
}


def flagged_pixels(
    flag: str, quality: Mapping[str, NDArray[np.integer]], bands: Sequence[Band | None]
) -> NDArray[np.bool_]:
    """Return the pixels with a flag in any quality band, boolean `(band, row, col)`.

    Args:
        flag: `cloud`, `dilated-cloud` (pixels beside clouds), `shadow`, `snow`, `water` or `saturated`. The last
            includes dropped pixels, and holds for the bands concerned.
        quality: The quality bands as stored, `(row, col)`, by kind.
        bands: The sensor's band of each band of the scene, or None if unknown.

    Raises:
        InputError: No quality band has the flag.
    """
    if flag == "saturated":
        return _saturated(quality, bands)
    kinds = [kind for table in (BITS, CODES) for kind in table if flag in table[kind]]
    layers = [_has_flag(flag, kind, values) for kind, values in quality.items() if kind in kinds]
    if not layers:
        raise _no_flags(_NAMES[flag], kinds, quality)
    return np.repeat(np.any(layers, axis=0)[None], len(bands), axis=0)


def _has_flag(flag: str, kind: str, values: NDArray[np.integer]) -> NDArray[np.bool_]:
    if kind in CODES:
        return np.asarray(values == CODES[kind][flag])
    is_set = np.all([_bit(values, bit) for bit in BITS[kind][flag]], axis=0)
    return np.asarray(is_set & ~_bit(values, FILL_BIT))


def _saturated(quality: Mapping[str, NDArray[np.integer]], bands: Sequence[Band | None]) -> NDArray[np.bool_]:
    """Return where each band is saturated or its detector has no value; never in a band without such a bit."""
    layers = []
    for kind, first_bit in FIRST_SATURATION_BIT.items():
        if kind in quality:
            values = quality[kind]
            dropped = _bit(values, DROPPED_PIXEL_BIT) if kind == "QA_RADSAT" else np.zeros(values.shape, np.bool_)
            bits = [None if band is None else band.saturation_bit for band in bands]
            layers.append(np.stack([dropped if n is None else dropped | _bit(values, n + first_bit) for n in bits]))
    if not layers and "BQA" in quality:
        # BQA doesn't say which bands are saturated, so all of them count.
        values = quality["BQA"]
        bits_of_any = (BQA_DROPPED_PIXEL_BIT, *BQA_SATURATION_BITS)
        in_any = np.any([_bit(values, bit) for bit in bits_of_any], axis=0) & ~_bit(values, FILL_BIT)
        layers.append(np.repeat(in_any[None], len(bands), axis=0))
    if not layers:
        raise _no_flags("saturation", (*FIRST_SATURATION_BIT, "BQA"), quality)
    return np.asarray(np.any(layers, axis=0))


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
