"""Random textures that a landscape is painted with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def fractal(side: int, generator: np.random.Generator, *, roughness: float) -> NDArray[np.float32]:
    """Return a fractal surface of zero mean and unit variance, `(side, side)`, that repeats without a seam.

    Source: spectral synthesis, Voss 1988, in The Science of Fractal Images, doi:10.1007/978-1-4612-3784-6_1.

    Args:
        side: Its side.
        generator: Draws it.
        roughness: How fast its power falls with the frequency: 2 is rough, 4 is smooth.
    """
    down, right = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None, :]
    frequency = np.hypot(down, right)
    frequency[0, 0] = np.inf
    spectrum = np.fft.rfft2(generator.standard_normal((side, side))) * frequency ** (-roughness / 2)
    surface = np.fft.irfft2(spectrum, (side, side))
    return ((surface - surface.mean()) / surface.std()).astype(np.float32)


def smooth_step(values: NDArray[np.floating], low: float, high: float) -> NDArray[np.float32]:
    """Return 0 below `low`, 1 above `high`, and a smooth rise between."""
    t = np.clip((values - low) / (high - low), 0, 1)
    return (t * t * (3 - 2 * t)).astype(np.float32)
