"""Plain values shared by all layers: scenes, grids, windows, gaps and filled images."""

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
    Reference,
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
    "Reference",
    "Scene",
    "SceneBand",
    "Window",
    "strip_windows",
    "tile_windows",
]
