"""The first way through a scene: its footprint, what is missing, and the geometry of its stripes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from landsat_fill.errors import InputError
from landsat_fill.gaps.footprint import Footprint, FootprintSurvey, reach_for_period
from landsat_fill.gaps.stripes import StripeGeometry, estimate_stripes
from landsat_fill.pipeline.blocks import read_blocks, strip_rows
from landsat_fill.pipeline.samples import SampleWindows
from landsat_fill.scene import SCAN_PERIOD_M, Scene

if TYPE_CHECKING:
    from collections.abc import Callable

    from landsat_fill.io import SceneReader

STRIP_PX = 512
NOMINAL_PERIOD_PX = 33
"""One scan period in pixels where the pixel size isn't known: that of a 30 m band."""
PERIOD_RANGE_PX = (8, 200)
"""Scan periods that are believed: pixels of 5 to 120 m."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What one look at all pixels of a scene tells.

    Attributes:
        footprint: Where the sensor could have seen the ground.
        period_px: One scan period in rows.
        geometry: The stripes, or None where there are none.
        has_faint_stripes: Whether there seem to be stripes that aren't exactly nodata.
    """

    footprint: Footprint
    period_px: int
    geometry: StripeGeometry | None
    has_faint_stripes: bool

    @property
    def missing_share(self) -> float:
        """Missing pixels of the footprint over all bands, 0 to 1."""
        missing, observed = sum(self.footprint.missing_px), sum(self.footprint.observed_px)
        return missing / (missing + observed) if missing else 0.0


def survey_scene(
    reader: SceneReader, scene: Scene, *, threads: int, on_progress: Callable[[float], None]
) -> Survey:
    """Return the survey of a scene, read once from top to bottom.

    Args:
        reader: An open reader of the scene.
        scene: The scene.
        threads: Threads to use.
        on_progress: Told the share of rows read, 0 to 1.

    Raises:
        InputError: If a band has no observed pixel.
    """
    height, width = scene.grid.height, scene.grid.width
    period_px = scan_period_px(scene)
    survey = FootprintSurvey(len(scene.bands), height, width, reach_for_period(period_px), threads)
    samples = SampleWindows(scene)
    with read_blocks(reader, height, width, strip_rows(scene, STRIP_PX), survey.halo_px) as blocks:
        for block in blocks:
            inner = block.inner
            below = block.window.height - inner.row - inner.height
            survey.add(block.strip.row, block.observed, inner.row, below)
            samples.add(block)
            on_progress((block.strip.row + block.strip.height) / height)
    footprint = survey.finish()
    for band, observed_px in zip(scene.bands, footprint.observed_px, strict=True):
        if not observed_px:
            raise InputError(
                f"expected observed pixels in {band.name}, but it has no usable pixels",
                hint="check that the file is complete, or leave the band out with --bands",
            )
    return Survey(
        footprint,
        period_px,
        estimate_stripes(samples.missing),
        has_faint_stripes=samples.show_faint_stripes(),
    )


def scan_period_px(scene: Scene) -> int:
    """Return the rows from one stripe to the next of its side that the pixel size suggests."""
    pixel_m = scene.grid.pixel_size_m
    if pixel_m is None:
        return NOMINAL_PERIOD_PX
    period_px = math.ceil(SCAN_PERIOD_M / pixel_m)
    return period_px if PERIOD_RANGE_PX[0] <= period_px <= PERIOD_RANGE_PX[1] else NOMINAL_PERIOD_PX
