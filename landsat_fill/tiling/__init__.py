"""Tiles, halos and strips."""

from landsat_fill.tiling.grid import strip_windows, tile_windows

__all__ = ["strip_windows", "tile_windows"]
