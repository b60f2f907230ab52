"""Plain values that every layer shares: scenes, grids, windows, gaps, and what a method returns."""

from landsat_fill.scene.scene import (
    ETM_PLUS,
    OLI,
    SCAN_PERIOD_M,
    TM,
    Band,
    BandRole,
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
