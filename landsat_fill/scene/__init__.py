"""Plain values that every layer shares: scenes, grids, windows, gaps, and what a method returns."""

from landsat_fill.scene.bands import ETM_PLUS, OLI, SCAN_PERIOD_M, TM, Band, BandRole
from landsat_fill.scene.filled import Filled
from landsat_fill.scene.gaps import Gaps
from landsat_fill.scene.grid import Grid
from landsat_fill.scene.scene import QualityBand, Scene, SceneBand
from landsat_fill.scene.window import Window

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
]
