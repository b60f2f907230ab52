"""Writes where a scene has gaps, without filling them."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.io import Layout, RasterWriter, SceneReader
from landsat_fill.pipeline.blocks import read_blocks
from landsat_fill.pipeline.cores import usable_cores
from landsat_fill.pipeline.scene_outputs import input_files
from landsat_fill.pipeline.survey import STRIP_PX, survey_scene

if TYPE_CHECKING:
    from pathlib import Path

    from landsat_fill.scene import Scene


class GapCode(IntEnum):
    """What the gap layer says of a pixel."""

    OUTSIDE = 0
    OBSERVED = 1
    MISSING = 2


COLOURS = {
    GapCode.OUTSIDE.value: (0, 0, 0, 0),
    GapCode.OBSERVED.value: (222, 222, 222, 255),
    GapCode.MISSING.value: (215, 48, 39, 255),
}


def write_gap_layer(scene: Scene, target: Path, *, any_band: bool, overwrite: bool) -> float:
    """Write the gap layer of a scene, and return the share of the footprint that is missing.

    Args:
        scene: The scene.
        target: The GeoTIFF to write.
        any_band: Write one layer, missing where any band is, instead of a layer a band.
        overwrite: Replace a file that exists.

    Raises:
        InputError: If the scene can't be read.
        OutputError: If the layer can't be written.
    """
    height, width = scene.grid.height, scene.grid.width
    with SceneReader(scene) as reader:
        survey = survey_scene(reader, scene, threads=usable_cores(), on_progress=lambda _share: None)
        layout = gap_layout(scene, any_band=any_band)
        with (
            RasterWriter(target, layout, overwrite=overwrite, protected=input_files(scene)) as writer,
            read_blocks(reader, height, width, STRIP_PX, 0) as blocks,
        ):
            for block in blocks:
                inside = survey.footprint.inside(block.window)
                codes = np.where(inside, np.uint8(GapCode.MISSING), np.uint8(GapCode.OUTSIDE))
                codes[block.observed] = GapCode.OBSERVED
                if any_band:
                    codes = codes.max(axis=0, keepdims=True)
                writer.write(codes, block.window)
    return survey.missing_share


def gap_layout(scene: Scene, *, any_band: bool) -> Layout:
    """Return the layout of a scene's gap layer: the scene's grid and blocks."""
    layout = Layout.of(scene.bands[0].dataset)
    tags = {f"CODE_{code.value}": code.name.lower() for code in GapCode}
    if any_band:
        return layout.layer("uint8", descriptions=["gaps"], colour_table=COLOURS, tags=tags)
    return layout.layer("uint8", descriptions=[f"{band.name} gaps" for band in scene.bands], tags=tags)
