"""Plain values that every layer shares: scenes, grids, windows, gaps, and what a method returns."""

from landsat_fill.scene.scene import (
    Filled,
    Gaps,
    Grid,
    QualityBand,
    Scene,
    SceneBand,
    Window,
    strip_windows,
    tile_windows,
)
from landsat_fill.scene.sensors import ETM_PLUS, OLI, SCAN_PERIOD_M, TM, Band, BandRole

__all__ = [
    "ETM_PLUS",
    "OLI",
    "SCAN_PERIOD_M",
    "TM",
    "Band",
    "BandRole",
    "Filled",
    "Gaps",
    "Grid",
    "QualityBand",
    "Scene",
    "SceneBand",
    "Window",
    "strip_windows",
    "tile_windows",
]
