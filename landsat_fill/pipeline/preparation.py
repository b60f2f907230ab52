"""Lets a method look at windows spread over a scene before it fills parts of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.methods.interface import Prepares
from landsat_fill.pipeline.blocks import Block
from landsat_fill.pipeline.tiles import float_type
from landsat_fill.scene import Gaps, Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from landsat_fill.io import SceneReader
    from landsat_fill.methods import Context, FillMethod
    from landsat_fill.pipeline.evidence import EvidenceFinder
    from landsat_fill.scene import Scene

WINDOW_PX = 256
"""Side of a window: many times the distance that filling looks at."""

WINDOWS_ACROSS = 4
"""Windows over a scene, in either direction: 16 hold a million pixels, however large the scene is."""


def preparation_windows(height: int, width: int) -> list[Window]:
    """Return windows of one size spread evenly over a grid, from top to bottom; the whole of a small one."""
    return [
        Window(row, col, min(WINDOW_PX, height), min(WINDOW_PX, width))
        for row in _spread(height)
        for col in _spread(width)
    ]


def prepared_for_array(
    method: FillMethod, image: NDArray[np.generic], gaps: Gaps, context: Context
) -> FillMethod:
    """Return the method, prepared for an image in memory if it prepares at all.

    Args:
        method: A method.
        image: `(band, row, col)` in stored numbers.
        gaps: Cubes of the same shape.
        context: Handed to the method.
    """
    if not isinstance(method, Prepares):
        return method
    windows = preparation_windows(*image.shape[1:])
    stacked = np.stack([image[:, *window.slices] for window in windows])
    return method.prepare(
        stacked.astype(float_type(image.dtype)),
        Gaps(
            np.stack([gaps.missing[:, *window.slices] for window in windows]),
            np.stack([gaps.usable[:, *window.slices] for window in windows]),
        ),
        context,
    )


def prepared_for_scene(
    method: FillMethod, scene: Scene, reader: SceneReader, finder: EvidenceFinder, context: Context
) -> FillMethod:
    """Return the method, prepared for a scene if it prepares at all.

    Args:
        method: A method.
        scene: The scene.
        reader: Its open reader, that nobody else uses just now.
        finder: Tells what is missing and usable.
        context: Handed to the method.
    """
    if not isinstance(method, Prepares):
        return method
    height, width = scene.grid.height, scene.grid.width
    images, missing, usable = [], [], []
    held: Block | None = None
    for window in preparation_windows(height, width):
        # Windows beside each other share their rows.
        if held is None or held.strip.row != window.row:
            strip = Window(window.row, 0, window.height, width)
            outer = strip.expanded(finder.halo_px, height, width)
            held = Block(strip, outer, *reader.read(outer))
            evidence = finder.find(held)
        inner = window.within(held.window).slices
        images.append(held.values[:, *inner].astype(float_type(held.values.dtype)))
        missing.append(evidence.gaps.missing[:, *inner])
        usable.append(evidence.gaps.usable[:, *inner])
    return method.prepare(np.stack(images), Gaps(np.stack(missing), np.stack(usable)), context)


def _spread(size_px: int) -> list[int]:
    """Return where windows begin along a side."""
    last = max(size_px - WINDOW_PX, 0)
    count = min(WINDOWS_ACROSS, -(-size_px // WINDOW_PX))
    begins: list[int] = np.unique(np.linspace(0, last, count).round().astype(int)).tolist()
    return begins
