"""The preview of a scene: before and after the fill, in natural colour."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.errors import cannot_write

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from landsat_fill.scene import Scene, Window


LONGEST_SIDE_PX = 1200
STRETCH_PERCENT = (1.0, 99.0)
GAMMA = 1.25  # brightens the dark half of a linear stretch, where most land lies
GAP_COLOUR = (0, 0, 0)
SEAM_PX = 8


class Preview:
    """Collects every n-th pixel of a scene while it is filled, and writes both images side by side."""

    def __init__(self, scene: Scene) -> None:
        self._bands = natural_colour(scene)
        grid = scene.grid if scene.part is None else scene.grid.cropped(scene.part)
        self._step = max(1, -(-max(grid.height, grid.width) // LONGEST_SIDE_PX))
        shape = (len(self._bands), -(-grid.height // self._step), -(-grid.width // self._step))
        self._before = np.full(shape, np.nan, np.float32)
        self._after = np.full(shape, np.nan, np.float32)

    def add(
        self,
        strip: Window,
        stored: NDArray[np.generic],
        observed: NDArray[np.bool_],
        values: NDArray[np.generic],
        known: NDArray[np.bool_],
    ) -> None:
        """Add a strip: stored numbers and valid pixels before the fill and after it, all `(band, row, col)`."""
        first = -strip.row % self._step
        rows = slice((strip.row + first) // self._step, None)
        for target, source, valid in ((self._before, stored, observed), (self._after, values, known)):
            picked = source[self._bands, first :: self._step, :: self._step].astype(np.float32)
            picked[~valid[self._bands, first :: self._step, :: self._step]] = np.nan
            target[:, rows][:, : picked.shape[1]] = picked

    def write(self, path: Path) -> None:
        """Write the preview as PNG.

        Raises:
            OutputError: If the file can't be written.
        """
        import cv2

        limits = [_limits(band) for band in self._before]
        panels = [_stretched(cube, limits) for cube in (self._before, self._after)]
        rows = panels[0].shape[0]
        seam = np.full((rows, SEAM_PX, 3), 255, np.uint8)
        picture = np.concatenate([panels[0], seam, panels[1]], axis=1)
        _, encoded = cv2.imencode(".png", picture[..., ::-1])  # OpenCV stores blue first
        try:
            path.write_bytes(encoded.tobytes())
        except OSError as error:
            raise cannot_write(path, error) from error


def natural_colour(scene: Scene) -> list[int]:
    """Return the indexes of the red, green and blue bands, or of one band for grey."""
    colours = {band.band.colour: n for n, band in enumerate(scene.bands) if band.band is not None}
    if {"red", "green", "blue"} <= set(colours):
        return [colours["red"], colours["green"], colours["blue"]]
    count = len(scene.bands)
    if count >= 4:
        return [2, 1, 0]  # stacks of Landsat bands begin with blue
    return [0, 1, 2] if count == 3 else [0]


def _limits(band: NDArray[np.float32]) -> tuple[float, float]:
    seen = band[np.isfinite(band)]
    if not seen.size:
        return 0.0, 1.0
    low, high = np.percentile(seen, STRETCH_PERCENT)
    return float(low), float(max(high, low + 1e-9))


def _stretched(cube: NDArray[np.float32], limits: Sequence[tuple[float, float]]) -> NDArray[np.uint8]:
    """Return `(row, col, 3)` bytes; pixels with NaN in any band get the colour of gaps."""
    planes = []
    for band, (low, high) in zip(cube, limits, strict=True):
        unit = np.clip((np.nan_to_num(band, nan=low) - low) / (high - low), 0, 1)
        planes.append((255 * unit ** (1 / GAMMA)).astype(np.uint8))
    picture = np.stack(planes * (3 // len(planes)), axis=-1)
    picture[np.isnan(cube).any(axis=0)] = GAP_COLOUR
    return picture
