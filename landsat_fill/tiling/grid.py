"""Cuts a grid into tiles and strips of tiles."""

from __future__ import annotations

from landsat_fill.scene import Window


def tile_windows(area: Window, tile_px: int) -> list[Window]:
    """Return the windows of at most `tile_px` × `tile_px` that cover `area`, row by row, none twice."""
    end_row, end_col = area.row + area.height, area.col + area.width
    return [
        Window(row, col, min(tile_px, end_row - row), min(tile_px, end_col - col))
        for row in range(area.row, end_row, tile_px)
        for col in range(area.col, end_col, tile_px)
    ]


def strip_windows(height: int, width: int, strip_px: int) -> list[Window]:
    """Return the strips of at most `strip_px` rows, as wide as the grid, from top to bottom."""
    return [Window(row, 0, min(strip_px, height - row), width) for row in range(0, height, strip_px)]
