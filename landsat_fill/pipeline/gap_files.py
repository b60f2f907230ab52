"""Writes files about gaps without filling: a layer of a scene's gaps, and a clean scene with stripes."""

from __future__ import annotations

from dataclasses import replace
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

from landsat_fill.errors import InputError, UsageError
from landsat_fill.io import RasterProfile, SceneReader, new_raster, read_profile
from landsat_fill.pipeline.outputs import input_files
from landsat_fill.pipeline.resources import usable_cores
from landsat_fill.pipeline.survey import STRIP_PX, survey_scene
from landsat_fill.pipeline.tiles import read_blocks
from landsat_fill.scene import Window

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from landsat_fill.scene import MissingNumbers, Scene


class GapCode(IntEnum):
    """Codes of the gap layer."""

    OUTSIDE = 0
    OBSERVED = 1
    MISSING = 2


COLOURS = {
    GapCode.OUTSIDE.value: (0, 0, 0, 0),
    GapCode.OBSERVED.value: (222, 222, 222, 255),
    GapCode.MISSING.value: (215, 48, 39, 255),
}


def write_gap_layer(scene: Scene, target: Path, *, any_band: bool, overwrite: bool) -> float:
    """Write the gap layer of a scene, and return the missing share of the footprint.

    With `any_band`, the file has one layer for all bands, missing where any band is, instead of one for each.

    Raises:
        InputError: If the scene can't be read.
        OutputError: If the layer can't be written.
    """
    height, width = scene.grid.height, scene.grid.width
    with SceneReader(scene) as reader:
        survey = survey_scene(reader, scene, threads=usable_cores(), on_progress=lambda _share: None)
        profile = gap_profile(scene, any_band=any_band)
        with (
            new_raster(target, profile, overwrite=overwrite, protected=input_files(scene)) as writer,
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


def gap_profile(scene: Scene, *, any_band: bool) -> RasterProfile:
    """Return the profile of a gap layer, with the scene's grid and blocks."""
    profile = read_profile(scene.bands[0].dataset)
    tags = {f"CODE_{code.value}": code.name.lower() for code in GapCode}
    if any_band:
        return profile.layer("uint8", descriptions=["gaps"], colour_table=COLOURS, tags=tags)
    return profile.layer("uint8", descriptions=[f"{band.name} gaps" for band in scene.bands], tags=tags)


def simulate_scene(
    scene: Scene,
    missing_in: Callable[[Window], NDArray[np.bool_]],
    target: Path,
    *,
    nodata: MissingNumbers | None,
    overwrite: bool,
) -> float:
    """Write a clean scene without the missing pixels of each window, and return their share of the observed pixels.

    They get the first number of `nodata`, or the scene's own nodata without one.

    Raises:
        InputError: If the scene can't be read, or its bands are in several files.
        UsageError: If there is no nodata number.
        OutputError: If the file can't be written.
    """
    first = scene.bands[0]
    if any(band.dataset != first.dataset for band in scene.bands):
        raise InputError(
            f"expected one GeoTIFF with all bands, but {scene.name} has one file for each band",
            hint="Stack it first: `landsat-fill fill PRODUCT --stack`.",
        )
    number = first.nodata if nodata is None or nodata.first is None else nodata.first
    if number is None:
        raise UsageError(
            f"expected a number for lost pixels, but {scene.name} has no nodata",
            hint="Give one that no pixel has, for example --nodata 0.",
        )
    profile = replace(
        read_profile(first.dataset).for_bands([band.index for band in scene.bands]).without_statistics(), nodata=number
    )
    height, width = scene.grid.height, scene.grid.width
    observed_px = lost_px = 0
    with (
        SceneReader(scene) as reader,
        new_raster(target, profile, overwrite=overwrite, protected=input_files(scene)) as writer,
        read_blocks(reader, height, width, STRIP_PX, 0) as blocks,
    ):
        for block in blocks:
            missing = missing_in(block.window)
            values = np.where(missing, np.asarray(number).astype(block.values.dtype), block.values)
            known = block.observed & ~missing
            writer.write(values, block.window, valid=np.asarray(known.any(axis=0)))
            observed_px += int(np.count_nonzero(block.observed))
            lost_px += int(np.count_nonzero(block.observed & missing))
    return lost_px / max(observed_px, 1)


def missing_pixels(scene: Scene, *, threads: int = 1) -> NDArray[np.bool_]:
    """Return the missing pixels inside the footprint of an SLC-off scene, `(band, row, col)`.

    Raises:
        InputError: If it can't be read.
    """
    with SceneReader(scene) as reader:
        survey = survey_scene(reader, scene, threads=threads, on_progress=lambda _share: None)
        window = Window(0, 0, scene.grid.height, scene.grid.width)
        missing = survey.footprint.inside(window)
        with read_blocks(reader, window.height, window.width, STRIP_PX, 0) as blocks:
            for block in blocks:
                missing[:, *block.window.slices] &= ~block.observed
    return missing
