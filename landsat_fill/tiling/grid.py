"""Cuts a grid into tiles and strips of tiles."""

from __future__ import annotations

from landsat_fill.scene import Window


def tile_windows(area: Window, tile_px: int) -> list[Window]:
    """Return the windows of at most `tile_px` × `tile_px` that cover `area`, row by row, none twice."""
    return [
        Window(row, col, min(tile_px, area.row + area.height - row), min(tile_px, area.col + area.width - col))
        for row in range(area.row, area.row + area.height, tile_px)
        for col in range(area.col, area.col + area.width, tile_px)
    ]


def strip_windows(height: int, width: int, strip_px: int) -> list[Window]:
    """Return the strips of at most `strip_px` rows, as wide as the grid, from top to bottom."""
    return [Window(row, 0, min(strip_px, height - row), width) for row in range(0, height, strip_px)]
