"""Turns a painted landscape into the numbers that an ETM+ Level 1 product stores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from landscape import Landscape
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Rescaling:
    """How a stored number becomes a physical one: `mult × number + add`."""

    mult: float
    add: float


REFLECTANCE = {
    "1": Rescaling(1.20e-3, -0.0075),
    "2": Rescaling(1.35e-3, -0.0085),
    "3": Rescaling(1.25e-3, -0.0080),
    "4": Rescaling(2.10e-3, -0.0120),
    "5": Rescaling(1.85e-3, -0.0105),
    "7": Rescaling(1.75e-3, -0.0100),
    "8": Rescaling(1.65e-3, -0.0095),
}
"""Plausible reflectance rescaling: with these gains clouds saturate bands 1 to 3."""

RADIANCE = {"6_VCID_1": Rescaling(6.7087e-2, -0.06709), "6_VCID_2": Rescaling(3.7205e-2, 3.16280)}
"""Radiance rescaling of the thermal band in low and high gain, W/(m² sr µm)."""

THERMAL_K1, THERMAL_K2 = 666.09, 1282.71
"""Planck constants of ETM+ band 6. Source: Landsat 7 Data Users Handbook, USGS LSDS-1927."""

LOWEST, HIGHEST = 1, 255
"""QUANTIZE_CAL_MIN and MAX: 0 is fill."""

NOISE_DN = 0.8
PAN_WEIGHTS = np.array([0.0, 0.30, 0.30, 0.40, 0.0, 0.0], np.float32)
COLDEST_K, WARMEST_K = 268.0, 312.0


def store(values: NDArray[np.floating], rescaling: Rescaling, generator: np.random.Generator) -> NDArray[np.uint8]:
    """Return physical values as stored numbers, with the sensor's noise."""
    numbers = (values - rescaling.add) / rescaling.mult
    numbers = numbers + NOISE_DN * generator.standard_normal(values.shape, np.float32)
    return np.clip(np.rint(numbers), LOWEST, HIGHEST).astype(np.uint8)


def coarsened(fine: NDArray[np.floating], side_px: int) -> NDArray[np.float32]:
    """Return an image `(row, col)` averaged to square pixels, `side_px` on a side of the image."""
    return cv2.resize(fine.astype(np.float32), (side_px, side_px), interpolation=cv2.INTER_AREA)


def store_reflective(landscape: Landscape, side_px: int, generator: np.random.Generator) -> NDArray[np.uint8]:
    """Return bands 1, 2, 3, 4, 5 and 7 at 30 m, `(band, row, col)`."""
    names = ("1", "2", "3", "4", "5", "7")
    return np.stack(
        [
            store(coarsened(band, side_px), REFLECTANCE[name], generator)
            for name, band in zip(names, landscape.reflectance, strict=True)
        ]
    )


def store_pan(landscape: Landscape, generator: np.random.Generator) -> NDArray[np.uint8]:
    """Return the panchromatic band at the resolution of the painting, `(row, col)`."""
    return store(np.tensordot(PAN_WEIGHTS, landscape.reflectance, 1), REFLECTANCE["8"], generator)


def store_thermal(landscape: Landscape, side_px: int, generator: np.random.Generator) -> dict[str, NDArray[np.uint8]]:
    """Return the thermal band in low and in high gain, `(row, col)`, as blurred as 60 m pixels."""
    kelvin = COLDEST_K + (WARMEST_K - COLDEST_K) * cv2.GaussianBlur(coarsened(landscape.warmth, side_px), (0, 0), 1.0)
    radiance = THERMAL_K1 / (np.exp(THERMAL_K2 / kelvin) - 1)
    return {name: store(radiance, rescaling, generator) for name, rescaling in RADIANCE.items()}
