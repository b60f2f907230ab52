"""Prepares methods for a scene: by windows spread over it, or by a pass over all nodes of a lattice."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from landsat_fill.methods import TilePlace
from landsat_fill.methods.method import MeasuresNodes, Prepares
from landsat_fill.pipeline.tiles import cut_reference, float_type
from landsat_fill.scene import Gaps, Window, strip_windows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from landsat_fill.methods import Context, FillMethod
    from landsat_fill.scene import Reference

    ReadView = Callable[[Window], "View"]


class View(NamedTuple):
    """A window of a scene.

    Attributes:
        values: Stored numbers, `(band, row, col)`.
        gaps: Cubes of the same shape.
        references: Other acquisitions, one tile of the same shape each.
    """

    values: NDArray[np.generic]
    gaps: Gaps
    references: tuple[Reference, ...] = ()

    def cut(self, windows: Sequence[Window]) -> tuple[NDArray[np.floating], Gaps, tuple[Reference, ...]]:
        """Return windows of equal size as tiles: values, gaps and references."""
        return (
            np.stack([self.values[:, *window.slices] for window in windows]).astype(float_type(self.values.dtype)),
            Gaps(
                np.stack([self.gaps.missing[:, *window.slices] for window in windows]),
                np.stack([self.gaps.usable[:, *window.slices] for window in windows]),
            ),
            tuple(cut_reference(reference, windows) for reference in self.references),
        )


WINDOW_PX = 256
"""Side of a preparation window: many times the range of pixels that a fill depends on."""

WINDOWS_ACROSS = 4
"""Number of windows in each direction of a scene: 16 windows hold a million pixels."""


def preparation_windows(height: int, width: int) -> list[Window]:
    """Return windows of equal size spread evenly over a grid, top to bottom; one for a small grid."""
    return [
        Window(row, col, min(WINDOW_PX, height), min(WINDOW_PX, width))
        for row in _spread(height)
        for col in _spread(width)
    ]


def _spread(size_px: int) -> list[int]:
    """Return the starts of windows along a side."""
    last = max(size_px - WINDOW_PX, 0)
    count = min(WINDOWS_ACROSS, -(-size_px // WINDOW_PX))
    return sorted({int(start) for start in np.linspace(0, last, count).round()})


def prepared(method: FillMethod, shape: tuple[int, int], read: ReadView, context: Context) -> FillMethod:
    """Return the method, prepared for a scene if it supports that.

    Args:
        method: A method.
        shape: Rows and columns of the scene.
        read: Returns the view of a window. It is called for windows of the whole width, from top to bottom.
        context: The scene's context.
    """
    if isinstance(method, MeasuresNodes):
        return _measured(method, shape, read, context)
    if isinstance(method, Prepares):
        return _prepared(method, shape, read, context)
    return method


def _prepared(method: Prepares, shape: tuple[int, int], read: ReadView, context: Context) -> FillMethod:
    """Return the method, prepared by windows spread over the scene."""
    parts = []
    rows: dict[int, list[Window]] = {}
    for window in preparation_windows(*shape):
        rows.setdefault(window.row, []).append(window)
    for row, windows in rows.items():
        strip = Window(row, 0, windows[0].height, shape[1])
        parts.append(read(strip).cut([window.within(strip) for window in windows]))
    images, gaps, references = zip(*parts, strict=True)
    together = tuple(
        replace(
            of_one[0],
            values=np.concatenate([part.values for part in of_one]),
            usable=np.concatenate([part.usable for part in of_one]),
        )
        for of_one in zip(*references, strict=True)
    )
    return method.prepare(
        np.concatenate(images),
        Gaps(np.concatenate([one.missing for one in gaps]), np.concatenate([one.usable for one in gaps])),
        context.for_tiles((), references=together),
    )


def _measured(method: MeasuresNodes, shape: tuple[int, int], read: ReadView, context: Context) -> FillMethod:
    """Return the method, fitted to all nodes whose windows hold a gap."""
    side, margin = method.lattice_px, method.margin_px
    height, width = shape
    nodes: dict[tuple[int, int], object] = {}
    strips = [strip.expanded(margin, height, width) for strip in strip_windows(height, width, side)]
    outers = [Window(strip.row, 0, strip.height, width) for strip in strips]
    with (
        ThreadPoolExecutor(max(1, context.threads), thread_name_prefix="measure") as pool,
        ThreadPoolExecutor(1, thread_name_prefix="read") as reading,
    ):
        following = reading.submit(read, outers[0])
        for row, outer in enumerate(outers):
            view = following.result()
            if row + 1 < len(outers):
                following = reading.submit(read, outers[row + 1])

            def measure(col: int, row: int = row, outer: Window = outer, view: View = view) -> None:
                left = max(col * side - margin, 0)
                window = Window(0, left, outer.height, min((col + 1) * side + margin, width) - left)
                if not view.gaps.missing[:, *window.slices].any():
                    return
                image, gaps, references = view.cut([window])
                place = TilePlace(corner=(outer.row, left))
                nodes[row, col] = method.measure(
                    image, gaps, context.for_tiles((place,), threads=1, references=references)
                )

            list(pool.map(measure, range(-(-width // side))))
    return method.fitted(nodes, (-(-height // side), -(-width // side)))
