"""Files about gaps that need no fill: where a scene has them, and a clean scene with stripes laid over it."""

from __future__ import annotations

from dataclasses import replace
from enum import IntEnum
from typing import TYPE_CHECKING, Protocol

import numpy as np

from landsat_fill.errors import InputError, UsageError
from landsat_fill.io import RasterProfile, SceneReader, new_raster, read_profile
from landsat_fill.pipeline.outputs import input_files
from landsat_fill.pipeline.resources import usable_cores
from landsat_fill.pipeline.strips import read_blocks
from landsat_fill.pipeline.survey import STRIP_PX, survey_scene
from landsat_fill.scene import Window

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

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
    """Return the profile of a scene's gap layer: the scene's grid and blocks."""
    profile = read_profile(scene.bands[0].dataset)
    tags = {f"CODE_{code.value}": code.name.lower() for code in GapCode}
    if any_band:
        return profile.layer("uint8", descriptions=["gaps"], colour_table=COLOURS, tags=tags)
    return profile.layer("uint8", descriptions=[f"{band.name} gaps" for band in scene.bands], tags=tags)


class Lost(Protocol):
    """Which pixels of a scene are lost."""

    def missing_in(self, window: Window) -> NDArray[np.bool_]:
        """Return the lost pixels of a window, `(band, row, col)`."""
        ...


class LostCube:
    """Lost pixels held in memory, `(band, row, col)`."""

    def __init__(self, missing: NDArray[np.bool_]) -> None:
        self._missing = missing

    def missing_in(self, window: Window) -> NDArray[np.bool_]:
        """Return the lost pixels of a window."""
        return self._missing[:, *window.slices]


def simulate_scene(scene: Scene, lost: Lost, target: Path, *, nodata: float | None, overwrite: bool) -> float:
    """Write the scene with pixels lost, and return the share of its observed pixels that is.

    Args:
        scene: A clean scene.
        lost: The pixels to lose.
        target: The GeoTIFF to write, stored as the scene is.
        nodata: The number that stands for a lost pixel; None for the scene's own.
        overwrite: Replace a file that exists.

    Raises:
        InputError: If the scene can't be read, or its bands lie in several files.
        UsageError: If there is no number that can stand for a lost pixel.
        OutputError: If the file can't be written.
    """
    first = scene.bands[0]
    if any(band.dataset != first.dataset for band in scene.bands):
        raise InputError(
            f"expected one GeoTIFF with all bands, but {scene.name} has a file a band",
            hint="Stack it first: `landsat-fill fill PRODUCT --stack`.",
        )
    number = nodata if nodata is not None else first.nodata
    if number is None:
        raise UsageError(
            f"expected a number that stands for lost pixels, but {scene.name} has no nodata",
            hint="Give one that no pixel has, for example --nodata 0.",
        )
    profile = replace(
        read_profile(first.dataset).for_bands([band.index for band in scene.bands]).without_statistics(),
        nodata=number,
    )
    height, width = scene.grid.height, scene.grid.width
    observed_px = lost_px = 0
    with (
        SceneReader(scene) as reader,
        new_raster(target, profile, overwrite=overwrite, protected=input_files(scene)) as writer,
        read_blocks(reader, height, width, STRIP_PX, 0) as blocks,
    ):
        for block in blocks:
            missing = lost.missing_in(block.window)
            values = np.where(missing, np.asarray(number).astype(block.values.dtype), block.values)
            known = block.observed & ~missing
            writer.write(values, block.window, valid=np.asarray(known.any(axis=0)))
            observed_px += int(np.count_nonzero(block.observed))
            lost_px += int(np.count_nonzero(block.observed & missing))
    return lost_px / max(observed_px, 1)


def missing_pixels(scene: Scene, *, threads: int = 1) -> NDArray[np.bool_]:
    """Return which pixels of an SLC-off scene are missing inside its footprint, `(band, row, col)`.

    Raises:
        InputError: If it can't be read.
    """
    with SceneReader(scene) as reader:
        survey = survey_scene(reader, scene, threads=threads, on_progress=lambda _share: None)
        whole = Window(0, 0, scene.grid.height, scene.grid.width)
        missing = survey.footprint.inside(whole)
        with read_blocks(reader, whole.height, whole.width, STRIP_PX, 0) as blocks:
            for block in blocks:
                missing[:, *block.window.slices] &= ~block.observed
    return missing
